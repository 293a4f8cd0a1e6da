"""The tokens that ITSELF keeps of a pair: the patches and word pieces that its local features are made of (GRAB)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.explain.pair import Pair, text_batch
from pickout.methods.itself import Itself, Selection
from pickout.saliency.bank import select_bank
from pickout.shapes import AttentionTrace

Kept = tuple[int, float]
"""A position, and the score by which it was chosen: attention of the class or end-of-text token."""


@dataclass(frozen=True, slots=True)
class KeptTokens:
    """What the bank holds, best first.

    Args:
        patches: kept patches; positions row by row.
        pieces: kept pieces of the sentence; positions in the row of ids. Fillers of a short sentence are left out.
    """

    patches: tuple[Kept, ...]
    pieces: tuple[Kept, ...]


@torch.no_grad()
def kept_tokens(encoder: LoadedModel, pair: Pair) -> KeptTokens | None:
    """The bank as the method fills it when it scores the pair; None for a method without one.

    Args:
        encoder: the model.
        pair: the sentence and the crop.
    """
    method = encoder.method
    if not isinstance(method, Itself):
        return None
    pixels, texts = pair.pixels[None].to(encoder.device), text_batch(encoder, [pair.ids])
    image = method.vision(pixels, method.image_selection.evaluation.request).trace
    text = method.text(texts, method.text_selection.evaluation.request).trace
    patches = _kept(method.image_selection, image, torch.zeros_like(image.content))
    # The class token stands before the patches.
    return KeptTokens(
        tuple((place - 1, score) for place, score in patches), _kept(method.text_selection, text, ~texts.mask)
    )


def _kept(selection: Selection, trace: AttentionTrace, padding: Tensor) -> tuple[Kept, ...]:
    rule = selection.evaluation
    scores = rule.scores(trace)
    bank = select_bank(scores, trace.content, padding, selection.evaluation_kept, largest=rule.largest)
    places: list[int] = bank.index[0, : int(bank.length[0])].tolist()
    return tuple((place, float(scores[0, place])) for place in places if bool(trace.content[0, place]))
