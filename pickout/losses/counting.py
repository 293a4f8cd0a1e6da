"""Means over a number of terms that varies from batch to batch, equal for one process and for several."""

import torch
from torch import Tensor

from pickout.shapes import Bool, Float

Count = Tensor | float | int
"""A number of terms: what a sum is divided by."""


def counted_mean(
    values_P: Float[Tensor, " terms"], kept_P: Bool[Tensor, " terms"], count: Count | None = None
) -> Float[Tensor, ""]:
    """The sum of the kept values divided by their number, or by `count`; 0, also to the gradient, where none is kept.

    Args:
        values_P: one loss a term.
        kept_P: True where a term counts.
        count: the denominator. Where processes average their gradients, the number of kept terms of all processes
            divided by the number of processes makes the result equal to one process's with the whole batch.
    """
    total = torch.where(kept_P, values_P, 0.0).sum()
    number = kept_P.sum() if count is None else torch.as_tensor(count, device=values_P.device)
    return total / torch.where(number > 0, number, 1)
