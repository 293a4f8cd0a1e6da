"""Gradient times activation: how the score would change if a token were scaled away, to first order."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pickout.shapes import Float


@contextmanager
def _leaf(module: nn.Module) -> Iterator[list[Tensor]]:
    """What enters `module` in this block becomes a leaf that gradients reach, and is collected."""
    seen: list[Tensor] = []

    def cut(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        seen.append(arguments[0].detach().requires_grad_())
        return (seen[-1], *arguments[1:])

    hook = module.register_forward_pre_hook(cut)
    try:
        yield seen
    finally:
        hook.remove()


def gradient_times_token(
    place: nn.Module, embed: Callable[[], Tensor], directions: Float[Tensor, "directions dimension"]
) -> Float[Tensor, "directions tokens"]:
    """For each direction v the sum over channels of activation times gradient of e . v, at every token of one sample.

    Args:
        place: the module whose input is looked at.
        embed: embeds one crop or one sentence: e. Shape: (1, dimension).
        directions: embeddings of the other kind, or what a word adds to one.
    """
    with torch.enable_grad(), _leaf(place) as seen:
        scores = embed().float()[0] @ directions.to(next(place.parameters()).device).T
        gradients = [torch.autograd.grad(score, seen[0], retain_graph=True)[0] for score in scores]
    return torch.stack([(gradient * seen[0]).detach().sum(dim=-1)[0] for gradient in gradients]).cpu()
