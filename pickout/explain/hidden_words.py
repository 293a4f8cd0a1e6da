"""What training hides of a sentence: random masks beside guided ones and how many of them are empty (AGA, table I and
figure 5), what a fusion model guesses there, and what enrichment would make of it (AGA, figures 4 and 6).

A run keeps no momentum twin, so the run's own word head answers where training asks the twin."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.explain.pair import BATCH, Pair, fuse_rows, fusion_model, hidden_rows, text_batch
from pickout.methods.aga import Aga, AgaSettings
from pickout.methods.fusion_model import FusionModel
from pickout.saliency.enrich import candidates
from pickout.saliency.masking import choose_positions
from pickout.shapes import ALL_ROWS, Scores, TokenBatch


@dataclass(frozen=True, slots=True)
class Masked:
    """What one rule hides of a sentence."""

    probability: tuple[float, ...]  # that each told word is hidden: of its likeliest piece; shape (told,)
    draws: tuple[tuple[int, ...], ...]  # for each draw the told words that are hidden, in part or whole


@dataclass(frozen=True, slots=True)
class Guess:
    """A word in the place of a hidden one."""

    text: str  # what the vocabulary's entry stands for
    probability: float  # a guess's over the whole vocabulary; a candidate's among the candidates (AGA, Eq. 10)
    original: bool = False  # whether it is what stands in the sentence


@dataclass(frozen=True, slots=True)
class HiddenPiece:
    """What training does with one piece of a sentence; a model without a word head has no guesses, and rank 0."""

    text: str  # what the vocabulary's entry stands for
    word: int  # position in `Pair.words`
    position: int  # in the row of ids
    probability: float  # that training hides it (AGA, Eq. 9; RaSa: the same for all)
    attention: float  # its weight among the sentence's pieces (AGA, Eq. 8)
    rank: int  # of the original among all guesses, from 1
    guesses: tuple[Guess, ...]  # likeliest of the whole vocabulary; the original among or behind them (AGA, figure 4)
    candidates: tuple[Guess, ...]  # what enrichment draws from, likeliest first; empty where it leaves the piece


def guided_weights(method: FusionModel, texts: TokenBatch) -> Scores:
    """The class token's attention over a caption's pieces as weights, by the method's own settings, or by AGA's where
    it has none (AGA, Eq. 6 to 8)."""
    rows = method.text(texts, ALL_ROWS).trace.rows
    return _rules(method).attention_weights(rows, method.text.content(texts))


def mask_probabilities(method: FusionModel, texts: TokenBatch) -> dict[str, Scores]:
    """The probability that each piece is hidden, at `random` (RaSa) and `guided` by attention (AGA, Eq. 6 to 9)."""
    content, rows = method.text.content(texts), method.text(texts, ALL_ROWS).trace.rows
    guided = _rules(method).guided_probabilities(rows, content)
    return {"random": content.float() * method.settings.mask_probability, "guided": guided}


def _rules(method: FusionModel) -> AgaSettings:
    return method.settings if isinstance(method, Aga) else AgaSettings()


@torch.no_grad()
def compare_masks(encoder: LoadedModel, pair: Pair, *, draws: int = 4, seed: int = 0) -> dict[str, Masked]:
    """What random and guided masks hide of a sentence, so many of each kind, from equal random numbers (AGA, figure 5);
    `UsageError` for a method that hides no words."""
    method, texts = fusion_model(encoder), text_batch(encoder, [pair.ids])
    content = method.text.content(texts).cpu().expand(draws, -1)
    uniform = torch.rand(draws, len(pair.ids), generator=torch.Generator().manual_seed(seed))
    places = [list(pair.words[number].positions) for number in pair.told]
    found = {}
    for rule, probability in mask_probabilities(method, texts).items():
        likely = probability.cpu()
        chosen = choose_positions(likely.expand(draws, -1), uniform, content)
        hidden = (tuple(told for told, place in enumerate(places) if bool(row[place].any())) for row in chosen)
        found[rule] = Masked(tuple(float(likely[0, place].max()) for place in places), tuple(hidden))
    return found


@torch.no_grad()
def empty_shares(encoder: LoadedModel, captions: Sequence[str], *, seed: int = 0) -> dict[str, dict[str, float]]:
    """How many of the masked pieces are empty words, by our fixed list, for random and for guided masks (AGA, table I,
    Ratio_v): `expected` by the rule's probabilities, `counted` in one draw, as the paper did; and what share of all
    pieces that draw has `hidden`. `UsageError` for a method that hides no words."""
    method, generator = fusion_model(encoder), torch.Generator().manual_seed(seed)
    sums: dict[str, Tensor] = {}
    for start in range(0, len(captions), BATCH):
        texts = text_batch(encoder, list(torch.from_numpy(encoder.tokenizer.encode(captions[start : start + BATCH]))))
        content = method.text.content(texts)
        empty = method.vacuous_positions(texts.ids, content)
        uniform = torch.rand(texts.ids.shape, generator=generator).to(encoder.device)
        for rule, likely in mask_probabilities(method, texts).items():
            chosen = choose_positions(likely, uniform, content)
            parts = (likely * empty, likely, chosen & empty, chosen, content)
            sums[rule] = sums.get(rule, torch.zeros(5)) + torch.stack([part.float().sum().cpu() for part in parts])
    return {
        rule: {"expected": float(s[0] / s[1]), "counted": float(s[2] / s[3].clamp(min=1)), "hidden": float(s[3] / s[4])}
        for rule, s in sums.items()
    }


@torch.no_grad()
def hidden_pieces(encoder: LoadedModel, pair: Pair) -> list[HiddenPiece]:
    """What the model's masking would hide of a sentence, what it guesses there and what enrichment would put there.
    `UsageError` for a method that hides no words. Each word is hidden by itself, so that every guess is what the rest
    of the sentence and the crop suggest."""
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
    """The attention on each word, by its position in `Pair.words`; highest first (AGA, figure 6)."""
    weights: dict[int, float] = {}
    for piece in pieces:
        weights[piece.word] = weights.get(piece.word, 0.0) + piece.attention
    return dict(sorted(weights.items(), key=lambda item: -item[1]))


def _guesses(
    encoder: LoadedModel, method: FusionModel, state: Tensor, own: int, replaceable: bool
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
    ids, fits = method.candidate_ids().cpu(), torch.tensor([replaceable])
    found = candidates(logits, torch.tensor([own]), ids, fits, k=k, order=rules.enrich_order)
    drawn = sorted(zip(found.probabilities[0].tolist(), found.ids[0].tolist(), strict=True), key=lambda pair: -pair[0])
    return 1 + int((likely > likely[own]).sum()), guesses, tuple(Guess(texts[n], p) for p, n in drawn if p > 0)
