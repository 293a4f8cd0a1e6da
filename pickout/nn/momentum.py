"""A momentum twin: a slow average of a model's weights, moved a little towards them before each step."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Part = TypeVar("Part", bound=nn.Module)


def momentum_copy(online: Part) -> Part:
    """An equal module whose parameters take no gradient."""
    twin = copy.deepcopy(online)
    twin.requires_grad_(False)
    return twin


@torch.no_grad()
def update_momentum(twin: nn.Module, online: nn.Module, momentum: float) -> None:
    """Move the twin: theta_m <- m * theta_m + (1 - m) * theta, in place, all tensors in few kernels (ALBEF, RaSa).

    Buffers, which are no average, are copied.

    Args:
        twin: from `momentum_copy`.
        online: the trained module, of equal structure.
        momentum: m, the share that stays (RaSa: 0.995).
    """
    slow: list[Tensor] = list(twin.parameters())
    fast: list[Tensor] = list(online.parameters())
    if slow:
        torch._foreach_mul_(slow, momentum)
        torch._foreach_add_(slow, fast, alpha=1 - momentum)
    for kept, current in zip(twin.buffers(), online.buffers(), strict=True):
        kept.copy_(current)
