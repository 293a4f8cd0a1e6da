"""Gradient times activation: how the score would change if a token were scaled away, to first order."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pickout.explain.pair import Encoder, Pair, text_batch
from pickout.shapes import Float

Place = Callable[[nn.Module], nn.Module]
"""Finds, in a tower, the module whose input or output is looked at."""


def entry(tower: nn.Module) -> nn.Module:
    """The stack of layers, whose input is the tokens with their positions."""
    stack: Any = tower
    found: nn.Module = stack.transformer
    return found


def last_norm(tower: nn.Module) -> nn.Module:
    """The norm before the last layer's attention, whose output its keys and values are made of (as Grad-CAM of vision
    transformers usually takes it)."""
    stack: Any = tower
    found: nn.Module = stack.transformer.layers[-1].norm_attention
    return found


@contextmanager
def _leaf(module: nn.Module, *, at_input: bool) -> Iterator[list[Tensor]]:
    """What enters or leaves `module` in this block becomes a leaf that gradients reach, and is collected."""
    seen: list[Tensor] = []

    def cut(tensor: Tensor) -> Tensor:
        seen.append(tensor.detach().requires_grad_())
        return seen[-1]

    def before(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (cut(arguments[0]), *arguments[1:])

    def after(_module: nn.Module, _arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        return cut(output)

    hook = module.register_forward_pre_hook(before) if at_input else module.register_forward_hook(after)
    try:
        yield seen
    finally:
        hook.remove()


def image_gradients(
    encoder: Encoder, pair: Pair, directions: Float[Tensor, "directions dimension"], *, last: bool
) -> Float[Tensor, "directions patches"]:
    """For each direction v the sum over channels of activation times gradient of f . v, at every patch.

    Args:
        encoder: the model.
        pair: whose crop.
        directions: caption embeddings, or what a word adds to one.
        last: at the last layer's norm instead of the tower's entry.
    """
    method: Any = encoder.method
    place = last_norm(method.vision) if last else entry(method.vision)
    rows = []
    with torch.enable_grad():
        for direction in directions.to(encoder.device):
            with _leaf(place, at_input=not last) as seen:
                embedding = method.encode_images(pair.pixels[None].to(encoder.device)).embedding
            (gradient,) = torch.autograd.grad((embedding.float() * direction).sum(), seen[0])
            rows.append((gradient * seen[0]).detach().sum(dim=-1)[0, 1:])
    return torch.stack(rows).cpu()


def text_gradients(
    encoder: Encoder, pair: Pair, direction: Float[Tensor, " dimension"], *, last: bool
) -> Float[Tensor, " tokens"]:
    """Activation times gradient of g . v at every token of the sentence; `last` as in `image_gradients`."""
    method: Any = encoder.method
    place = last_norm(method.text) if last else entry(method.text)
    with torch.enable_grad():
        with _leaf(place, at_input=not last) as seen:
            embedding = method.encode_texts(text_batch(encoder, [pair.ids])).embedding
        (gradient,) = torch.autograd.grad((embedding.float() * direction.to(encoder.device)).sum(), seen[0])
    return (gradient * seen[0]).detach().sum(dim=-1)[0].cpu()
