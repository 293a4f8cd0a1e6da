"""How likely each word is hidden: by attention (AGM: AGA, Eq. 8 and 9), or empty words alone (AGA, table I).

What is hidden is drawn in `pickout.saliency.hiding`. All of it is float32 and without gradient."""

from typing import Literal

import torch

from pickout.shapes import Mask, Scores

Normalisation = Literal["none", "mean", "max", "minmax"]
"""What a word's weight is divided by before Eq. 9: nothing, the mean, the largest, or the span above the smallest."""


@torch.no_grad()
def word_weights(fused_BT: Scores, content_BT: Mask, temperature: float) -> Scores:
    """The soft-max of fused attention over tau, over a caption's words alone (AGA, Eq. 8); 0 elsewhere."""
    with torch.autocast(fused_BT.device.type, enabled=False):
        scores_BT = (fused_BT.float() / temperature).masked_fill(~content_BT, -torch.inf)
        return scores_BT.softmax(dim=1).masked_fill(~content_BT, 0.0)


@torch.no_grad()
def probabilities(
    weights_BT: Scores, content_BT: Mask, *, normalisation: Normalisation, scale: float, alpha1: float, alpha2: float
) -> Scores:
    """p = alpha1 + scale * alpha2 * w (AGA, Eq. 9), before clipping; 0 at tokens that are no content.

    w is a word's weight as it is (`none`), divided by the caption's mean weight (`mean`), by its largest (`max`), or
    moved so that the smallest is 0 and the largest 1 (`minmax`; 1 where all are equal). alpha1 may be negative (table
    VII)."""
    # Differs from the paper: read literally (`none`, scale 1) Eq. 9 hides some 5 % of the words, not the 15 % that the
    # text promises. With `mean` and a scale of 2/3 the expected share is alpha1 + 2/3 alpha2 = 15 % in every caption.
    if normalisation == "mean":
        weights_BT = weights_BT * content_BT.sum(dim=1, keepdim=True)
    elif normalisation == "max":
        weights_BT = weights_BT / weights_BT.amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    elif normalisation == "minmax":
        smallest_B1 = weights_BT.masked_fill(~content_BT, torch.inf).amin(dim=1, keepdim=True)
        span_B1 = weights_BT.amax(dim=1, keepdim=True) - smallest_B1
        weights_BT = torch.where(span_B1 > 0, (weights_BT - smallest_B1) / span_B1, 1.0)
    return (alpha1 + scale * alpha2 * weights_BT).masked_fill(~content_BT, 0.0)


@torch.no_grad()
def clip(raw_BT: Scores, *, redistribute: bool = True) -> Scores:
    """Numbers, 0 at tokens that are no content, into [0, 1]; rows that need no clipping stay as they are.

    With `redistribute` the positive numbers of a clipped row are scaled, those at 1 apart, so that the row keeps its
    sum. The words' proportions below 1 stay; where that cannot be, the row comes as near as it can."""
    clipped_BT = raw_BT.clamp(0, 1)
    if not redistribute:
        return clipped_BT
    wanted_B1 = raw_BT.sum(dim=1, keepdim=True).clamp(min=0)
    sorted_BT, order_BT = raw_BT.clamp(min=0).sort(dim=1, descending=True)
    # With the k largest at 1, the rest is scaled to the sum (wanted - k); the smallest k that lifts none above 1 is it.
    full_T = torch.arange(raw_BT.shape[1], device=raw_BT.device)
    rest_BT = sorted_BT.flip(1).cumsum(dim=1).flip(1)
    lifted_BT = (wanted_B1 - full_T) * torch.where(rest_BT > 0, sorted_BT / rest_BT, 0.0)
    full_B1 = (lifted_BT > 1).long().cumprod(dim=1).sum(dim=1, keepdim=True)
    last_B1 = full_B1.clamp(max=raw_BT.shape[1] - 1)
    rest_B1 = rest_BT.gather(1, last_B1)
    scaled_BT = (wanted_B1 - last_B1) * torch.where(rest_B1 > 0, sorted_BT / rest_B1, 0.0)
    kept_BT = torch.where(full_T < full_B1, 1.0, scaled_BT.clamp(0, 1))
    spread_BT = torch.zeros_like(clipped_BT).scatter(1, order_BT, kept_BT)
    return torch.where((clipped_BT == raw_BT).all(dim=1, keepdim=True), raw_BT, spread_BT)


def vacuous_probabilities(vacuous_BT: Mask, content_BT: Mask, ratio: float) -> Scores:
    """Empty words alone, each with one probability, so that `ratio` of a caption's words is expected (AGA, table I).

    The paper does not say how many words this comparison hides; here as many as elsewhere, at most all empty ones."""
    words_B1 = content_BT.sum(dim=1, keepdim=True)
    empty_B1 = vacuous_BT.sum(dim=1, keepdim=True).clamp(min=1)
    return vacuous_BT.float() * (ratio * words_B1 / empty_B1).clamp(max=1)
