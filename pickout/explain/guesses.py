"""What a fusion model guesses in the place of a hidden word, and what enrichment would make of it (AGA, figures 4, 6).

A run keeps no momentum twin, so the run's own word head answers where training asks the twin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.explain.cross_attention import fuse_rows, fusion_model, hidden_rows
from pickout.explain.masks import guided_weights
from pickout.explain.pair import Pair, text_batch
from pickout.methods.aga import Aga, AgaSettings
from pickout.methods.fusion_plan import PlanningModel
from pickout.saliency.enrich import candidates


@dataclass(frozen=True, slots=True)
class Guess:
    """A word in the place of a hidden one.

    Args:
        text: what the vocabulary's entry stands for.
        probability: a guess's over the whole vocabulary; a candidate's among the candidates (AGA, Eq. 10).
        original: whether it is what stands in the sentence.
    """

    text: str
    probability: float
    original: bool = False


@dataclass(frozen=True, slots=True)
class HiddenPiece:
    """What training does with one piece of a sentence.

    Args:
        text: what the vocabulary's entry stands for.
        word: position in `Pair.words`.
        position: in the row of ids.
        probability: that training hides it (AGA, Eq. 9; RaSa: the same for all).
        attention: its weight among the sentence's pieces (AGA, Eq. 8).
        rank: of the original among all guesses, from 1; 0 for a model without a word head.
        guesses: the likeliest entries of the whole vocabulary, and the original behind them where it is not among them
            (AGA, figure 4); empty for a model without a word head.
        candidates: what enrichment draws from, likeliest first; empty where it leaves the piece as it is.
    """

    text: str
    word: int
    position: int
    probability: float
    attention: float
    rank: int
    guesses: tuple[Guess, ...]
    candidates: tuple[Guess, ...]


@torch.no_grad()
def hidden_pieces(encoder: LoadedModel, pair: Pair) -> list[HiddenPiece]:
    """What the model's masking would hide of a sentence, what it guesses there and what enrichment would put there.

    Each word is hidden by itself, so that every guess is what the rest of the sentence and the crop suggest.

    Args:
        encoder: a fusion model.
        pair: the sentence and the crop.

    Raises:
        UsageError: the method hides no words and proposes none.
    """
    method, texts = fusion_model(encoder), text_batch(encoder, [pair.ids])
    content = method.text.content(texts)
    probability = method.masking_probability(texts, content)[0].tolist()
    attention = guided_weights(method, texts)[0].tolist()
    replaceable = method.replaceable(texts.ids, content)[0].cpu()
    fused = fuse_rows(encoder, pair, hidden_rows(pair, pair.told, encoder.tokenizer.special.mask)).tokens
    pieces = []
    for row, word in enumerate(pair.told):
        for place in pair.words[word].positions:
            own = int(pair.ids[place])
            rank, guesses, found = _guesses(encoder, method, fused[row, place], own, bool(replaceable[place]))
            text = encoder.tokenizer.vocabulary.texts[own]
            pieces.append(HiddenPiece(text, word, place, probability[place], attention[place], rank, guesses, found))
    return pieces


def word_weights(pieces: Sequence[HiddenPiece]) -> dict[int, float]:
    """The attention on each word, its pieces together, by its position in `Pair.words`; highest first (AGA, figure 6).

    Args:
        pieces: from `hidden_pieces`.
    """
    weights: dict[int, float] = {}
    for piece in pieces:
        weights[piece.word] = weights.get(piece.word, 0.0) + piece.attention
    return dict(sorted(weights.items(), key=lambda item: -item[1]))


def _guesses(
    encoder: LoadedModel, method: PlanningModel, state: Tensor, own: int, replaceable: bool
) -> tuple[int, tuple[Guess, ...], tuple[Guess, ...]]:
    """The original's rank, the raw guesses, and the candidates of enrichment."""
    if "word" not in method.heads:
        return 0, (), ()
    texts = encoder.tokenizer.vocabulary.texts
    # A model that was trained without text enrichment is asked as AGA's paper asks its own.
    rules = method.settings if isinstance(method, Aga) and method.settings.enrich else AgaSettings()
    k = rules.enrich_candidates
    logits = method.word_head(state[None], method.text.embeddings.words.weight).float().cpu()
    likely = logits[0].softmax(dim=0)
    best = likely.topk(min(k, len(likely))).indices.tolist()
    guesses = tuple(Guess(texts[n], float(likely[n]), n == own) for n in (*best, *([] if own in best else [own])))
    found = candidates(
        logits,
        torch.tensor([own]),
        method.candidate_ids().cpu(),
        torch.tensor([replaceable]),
        k=k,
        order=rules.enrich_order,
    )
    drawn = sorted(zip(found.probabilities[0].tolist(), found.ids[0].tolist(), strict=True), key=lambda pair: -pair[0])
    rank = 1 + int((likely > likely[own]).sum())
    return rank, guesses, tuple(Guess(texts[n], p) for p, n in drawn if p > 0)
