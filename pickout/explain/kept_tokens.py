"""The tokens that ITSELF keeps of a pair: the patches and word pieces that its local features are made of (GRAB)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.explain.pair import Encoder, Pair, text_batch
from pickout.methods.itself import Itself
from pickout.methods.selection import Selection
from pickout.nn.tower import TowerOutput
from pickout.saliency.bank import select_bank


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept token.

    Args:
        position: of the patch, row by row, or of the piece in the row of ids.
        score: by which it was chosen; attention of the class or end-of-text token.
    """

    position: int
    score: float


@dataclass(frozen=True, slots=True)
class KeptTokens:
    """What the bank holds, best first.

    Args:
        patches: kept patches.
        pieces: kept pieces of the sentence; fillers of a short sentence are left out.
    """

    patches: tuple[Kept, ...]
    pieces: tuple[Kept, ...]


@torch.no_grad()
def kept_tokens(encoder: Encoder, pair: Pair) -> KeptTokens | None:
    """The bank as the method fills it when it scores the pair; None for a method without one.

    Args:
        encoder: the model.
        pair: the sentence and the crop.
    """
    method = encoder.method
    if not isinstance(method, Itself):
        return None
    pixels, texts = pair.pixels[None].to(encoder.device), text_batch(encoder, [pair.ids])
    image = method.vision(pixels, method.image_selection.evaluation.request)
    text = method.text(texts, method.text_selection.evaluation.request)
    patches = _kept(method.image_selection, image, torch.zeros_like(image.trace.content))
    pieces = _kept(method.text_selection, text, ~texts.mask)
    return KeptTokens(tuple(Kept(token.position - 1, token.score) for token in patches), tuple(pieces))


def _kept(selection: Selection, out: TowerOutput, padding: Tensor) -> list[Kept]:
    rule, content = selection.evaluation, out.trace.content
    scores = rule.scores(out.trace)
    bank = select_bank(scores, content, padding, selection.evaluation_kept, largest=rule.largest)
    places: list[int] = bank.index[0, : int(bank.length[0])].tolist()
    return [Kept(place, float(scores[0, place])) for place in places if bool(content[0, place])]
