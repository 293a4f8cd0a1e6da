"""From a method's parameter groups to an optimiser."""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch.optim import Optimizer

from pickout.config import Settings
from pickout.methods.base import Method


class OptimSettings(Settings):
    """The optimiser. Defaults: ITSELF, implementation details and released code."""

    name: Literal["adam", "adamw"] = "adam"
    """`adam`: weight decay is added to the gradient (coupled L2, the paper); `adamw`: weights shrink apart from it."""
    learning_rate: float = Field(1e-5, gt=0, le=100)
    """The rate of pretrained weights; a method's parameter groups scale it."""
    weight_decay: float = Field(4e-5, ge=0)
    """A method's parameter groups scale it; biases have none."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the two running means."""
    epsilon: float = Field(1e-3, gt=0)
    """Added to the root of the second mean; this large it matters: it dominates for small gradients."""
    clip: float | None = Field(None, gt=0)
    """The gradient's largest norm over all parameters; none: no clipping (the paper)."""
    accumulate: int = Field(1, ge=1)
    """Batches whose gradients are averaged before each step. Contrastive losses still see one batch at a time."""


def build_optimiser(method: Method, settings: OptimSettings) -> Optimizer:
    """An optimiser over every trainable parameter of `method`.

    Each group keeps its name under `name` and its rate at factor 1 under `initial_lr`.

    Raises:
        ValueError: the method's groups leave out a trainable parameter or hold one twice (a fault of the method).
    """
    groups = method.parameter_groups()
    grouped = [id(parameter) for group in groups for parameter in group.parameters]
    wanted = {id(parameter): name for name, parameter in method.named_parameters() if parameter.requires_grad}
    if sorted(grouped) != sorted(wanted):
        left_out = sorted(name for key, name in wanted.items() if key not in grouped)
        raise ValueError(f"{type(method).__name__}.parameter_groups: left out {left_out}, or one is there twice")
    rows = [
        {
            "params": group.parameters,
            "lr": settings.learning_rate * group.learning_rate_scale,
            "initial_lr": settings.learning_rate * group.learning_rate_scale,
            "weight_decay": settings.weight_decay * group.weight_decay_scale,
            "name": group.name,
        }
        for group in groups
    ]
    kind = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
    return kind(rows, betas=settings.betas, eps=settings.epsilon)


def set_learning_rate(optimiser: Optimizer, rate: Callable[[float], float]) -> None:
    """Put every group at `rate` of its initial learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate(group["initial_lr"])
