"""The whole roll-out matrix, of which the package computes one row."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pickout.saliency.aggregation import rollout_factor


def rollout(maps: Sequence[Tensor], share: float, *, later_left: bool = True) -> Tensor:
    """R = F_last ... F_first (ITSELF, Eq. 2)."""
    factors = [rollout_factor(map_BNN, share) for map_BNN in maps]
    with torch.autocast(maps[0].device.type, enabled=False):
        rolled = factors[0]
        for factor in factors[1:]:
            rolled = factor @ rolled if later_left else rolled @ factor
    return rolled
