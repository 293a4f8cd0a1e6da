"""Draws from given uniform numbers, so that whoever makes the numbers decides what is repeatable and what is equal.

Nothing here touches a generator: one process and several that are handed equal numbers draw equally."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.shapes import Bool, Float, Int

_BELOW_ONE = 1 - 2**-24  # the largest float32 below one


@dataclass(frozen=True, slots=True)
class Drawn:
    """One draw a row."""

    index: Int[Tensor, " rows"]  # what was drawn; 0 where `valid` is False
    valid: Bool[Tensor, " rows"]  # False for a row whose weights are all zero: it has nothing to draw


@torch.no_grad()
def categorical(weights_RV: Float[Tensor, "rows choices"], uniform_R: Float[Tensor, " rows"]) -> Drawn:
    """The first choice at which the running sum of the weights exceeds `uniform` times their sum, in float32. Weights
    are finite and not negative, uniform numbers in [0, 1). None of weight zero is ever drawn."""
    with torch.autocast(weights_RV.device.type, enabled=False):
        weights_RV = weights_RV.float()
        largest_R1 = weights_RV.amax(dim=1, keepdim=True)
        valid_R = largest_R1.squeeze(1) > 0
        running_RV = (weights_RV / torch.where(largest_R1 > 0, largest_R1, 1)).cumsum(dim=1)
        # A running sum made in parallel may step at a choice of weight zero; such choices are taken out.
        running_RV = running_RV.masked_fill(weights_RV <= 0, -1.0)
        threshold_R1 = uniform_R.float().clamp(max=_BELOW_ONE)[:, None] * running_RV.amax(dim=1, keepdim=True)
        index_R = (running_RV > threshold_R1).byte().argmax(dim=1)
        return Drawn(index_R.masked_fill(~valid_R, 0), valid_R)
