"""Where the words of a fusion model look in a crop, and what it would put in their place (AGA, figures 3 to 6).

The run of a trained model has no momentum twin, so that the online model answers here where training asks the twin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pickout.errors import UsageError
from pickout.explain.pair import Array, Encoder, Pair, text_batch
from pickout.methods.aga import Aga
from pickout.methods.fusion_model import FusionModel
from pickout.methods.fusion_plan import PlanningModel
from pickout.saliency.enrich import candidates
from pickout.saliency.masking import masking_probabilities, random_probabilities
from pickout.shapes import AttentionRequest, TokenBatch

USUAL = 5
"""Candidates for a model that was trained without text enrichment (AGA's k)."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A word that the model would put in the place of a hidden one.

    Args:
        text: what the vocabulary's entry stands for.
        probability: among the candidates (AGA, Eq. 10).
    """

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class HiddenPiece:
    """What training does with one piece of a sentence.

    Args:
        text: what the vocabulary's entry stands for.
        word: position in `Pair.words`.
        position: in the row of ids.
        probability: that training hides it (AGA, Eq. 9; RaSa: the same for all).
        candidates: likeliest first; empty for a model without a word head.
    """

    text: str
    word: int
    position: int
    probability: float
    candidates: tuple[Proposed, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Where words looked.

    Args:
        layers: by fusion layer, from 1: attention of each word to each patch, the class token left out; heads and the
            word's pieces averaged. Shape of each: (words, patches).
    """

    layers: dict[int, Array]

    @property
    def mean(self) -> Array:
        """The mean over layers. Shape: (words, patches)."""
        mean: Array = np.mean(list(self.layers.values()), axis=0)
        return mean


def fusion_model(encoder: Encoder) -> FusionModel:
    """The method, if it fuses words and images.

    Raises:
        UsageError: it does not.
    """
    method = encoder.method
    if not isinstance(method, FusionModel):
        raise UsageError(
            f"the method '{type(method).__name__.lower()}' has no cross-attention and proposes no words; "
            "give a run of fusion or aga"
        )
    return method


def hidden_rows(pair: Pair, words: Sequence[int], mask: int) -> list[Tensor]:
    """For each of the words the ids with that word hidden.

    Args:
        pair: whose sentence.
        words: positions in `Pair.words`.
        mask: the id that stands for a hidden piece.
    """
    rows = []
    for word in words:
        row = pair.ids.clone()
        row[list(pair.words[word].positions)] = mask
        rows.append(row)
    return rows


@torch.no_grad()
def look_at(encoder: Encoder, pair: Pair, words: Sequence[int], *, hide: bool = True) -> Look:
    """Cross-attention of words over the crop.

    Args:
        encoder: a fusion model.
        pair: the sentence and the crop.
        words: positions in `Pair.words`, of words that the model reads.
        hide: whether each word is hidden while it looks (AGA, figures 3 and 5), or stands in the sentence.

    Raises:
        UsageError: the method has no cross-attention.
    """
    method = fusion_model(encoder)
    special = encoder.tokenizer.special
    rows = hidden_rows(pair, words, special.mask) if hide else [pair.ids]
    texts = text_batch(encoder, rows)
    places = [list(pair.words[word].positions) for word in words]
    memory = method.remember(method.vision(pair.pixels[None].to(encoder.device)).tokens)
    image = torch.zeros(len(rows), dtype=torch.int64, device=encoder.device)
    states = method.text(texts).tokens
    maps = method.text.fuse(states, texts.mask, memory, image, request=AttentionRequest(maps="all")).look_maps
    layers = {}
    for layer, map_RTN in maps.items():
        taken = [map_RTN[n if hide else 0, place, 1:].mean(dim=0) for n, place in enumerate(places)]
        layers[layer] = torch.stack(taken).cpu().numpy()
    return Look(layers)


@torch.no_grad()
def hidden_pieces(encoder: Encoder, pair: Pair) -> list[HiddenPiece]:
    """What the model's masking would hide of a sentence, and what its enrichment would put there.

    Each word is hidden by itself, so that every candidate is what the rest of the sentence and the crop suggest.

    Args:
        encoder: a fusion model.
        pair: the sentence and the crop.

    Raises:
        UsageError: the method hides no words and proposes none.
    """
    method, words = fusion_model(encoder), pair.told
    probability = _masking(method, text_batch(encoder, [pair.ids]))[0].cpu()
    texts = text_batch(encoder, hidden_rows(pair, words, encoder.tokenizer.special.mask))
    memory = method.remember(method.vision(pair.pixels[None].to(encoder.device)).tokens)
    image = torch.zeros(len(words), dtype=torch.int64, device=encoder.device)
    fused = method.text.fuse(method.text(texts).tokens, texts.mask, memory, image).tokens
    pieces = []
    for row, word in enumerate(words):
        places = list(pair.words[word].positions)
        proposed = _proposals(encoder, method, fused[row, places], pair.ids[places])
        for place, found in zip(places, proposed, strict=True):
            text = encoder.tokenizer.vocabulary.texts[int(pair.ids[place])]
            pieces.append(HiddenPiece(text, word, place, float(probability[place]), found))
    return pieces


def _masking(method: FusionModel, texts: TokenBatch) -> Tensor:
    """The probability that each token is hidden, by the online model's attention."""
    content = method.text.content(texts)
    if isinstance(method, Aga) and method.attending.mask == "agm":
        rows = method.text(texts, AttentionRequest(rows="all")).trace.rows
        return masking_probabilities([rows[layer] for layer in sorted(rows)], content, **method.attending.options)
    return random_probabilities(content, method.words.probability if isinstance(method, PlanningModel) else 0.0)


def _proposals(encoder: Encoder, method: FusionModel, states: Tensor, ids: Tensor) -> list[tuple[Proposed, ...]]:
    if "word" not in method.heads:
        return [()] * len(ids)
    rule = method.enriching if isinstance(method, Aga) else None
    vocabulary = encoder.tokenizer.vocabulary
    proposable = torch.from_numpy(vocabulary.proposable)
    continues = None if vocabulary.continues is None else torch.from_numpy(vocabulary.continues)
    found = candidates(
        method.word_head(states, method.text.embeddings.words.weight).cpu(),
        ids,
        torch.ones_like(proposable) if rule is not None and rule.special else proposable,
        continues,
        k=USUAL if rule is None else rule.k,
        order="topk_then_drop" if rule is None else rule.order,
        keep_continuation=rule is None or not rule.any_piece,
    )
    rows = []
    for row_ids, row in zip(found.ids.tolist(), found.probabilities.tolist(), strict=True):
        pairs = sorted(zip(row, row_ids, strict=True), key=lambda pair: -pair[0])
        rows.append(tuple(Proposed(vocabulary.texts[n], p) for p, n in pairs if p > 0))
    return rows
