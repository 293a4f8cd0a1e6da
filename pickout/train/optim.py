"""From a method's parameter groups to an optimiser, and the course of its learning rate over the epochs."""

import math
from collections.abc import Callable
from typing import Any, Literal

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
    weight_decay: float = Field(4e-5, ge=0)  # a method's parameter groups scale it; biases have none
    betas: tuple[float, float] = (0.9, 0.999)  # decay of the two running means
    epsilon: float = Field(1e-3, gt=0)
    """Added to the root of the second mean; this large it matters: it dominates for small gradients."""
    clip: float | None = Field(None, gt=0)
    """The gradient's largest norm over all parameters; none: no clipping (the paper)."""
    accumulate: int = Field(1, ge=1)
    """Batches whose gradients are averaged before each step. Contrastive losses still see one batch at a time."""


class ScheduleSettings(Settings):
    """Epochs and the learning rate's course. Defaults: ITSELF, implementation details."""

    epochs: int = Field(60, ge=1)  # epochs of the whole run
    warm_up: int = Field(5, ge=0)  # epochs of linear warm-up; at most `epochs`
    warm_up_start: float = Field(0.1, ge=0, le=1)  # the factor on the learning rate at the first step
    decay: Literal["cosine", "constant"] = "cosine"  # the course after the warm-up
    every: Literal["epoch", "step"] = "epoch"  # whether the rate changes once an epoch (the paper) or at each step
    floor: float = Field(0.0, ge=0)
    """The learning rate, of every group alike, that the cosine ends at (RaSa, AGA: 1e-6)."""
    warm_up_steps: int = Field(0, ge=0)
    """First steps of the run at `warm_up_rate` (RaSa, AGA: 101, before the rate is first raised)."""
    warm_up_rate: float = Field(1e-5, gt=0)  # the learning rate of every group during `warm_up_steps` (RaSa, AGA)


def build_optimiser(method: Method, settings: OptimSettings) -> Optimizer:
    """An optimiser over every trainable parameter of `method`; `ValueError` where its groups leave one out or hold one
    twice. Each group keeps its name under `name` and its rate at factor 1 under `initial_lr`."""
    groups = method.parameter_groups()
    grouped = [id(parameter) for group in groups for parameter in group.parameters]
    wanted = {id(parameter): name for name, parameter in method.named_parameters() if parameter.requires_grad}
    if sorted(grouped) != sorted(wanted):
        left_out = sorted(name for key, name in wanted.items() if key not in grouped)
        raise ValueError(f"{type(method).__name__}.parameter_groups: left out {left_out}, or one is there twice")
    rows: list[dict[str, Any]] = []
    for group in groups:
        rate = settings.learning_rate * group.learning_rate_scale
        row = {"params": group.parameters, "lr": rate, "initial_lr": rate, "name": group.name}
        rows.append({**row, "weight_decay": settings.weight_decay * group.weight_decay_scale})
    kind = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
    return kind(rows, betas=settings.betas, eps=settings.epsilon)


def set_learning_rate(optimiser: Optimizer, rate: Callable[[float], float]) -> None:
    """Put every group at `rate` of its initial learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate(group["initial_lr"])


def learning_rate(settings: ScheduleSettings, base: float, *, epoch: int, step: int, steps: int) -> float:
    """A parameter group's learning rate: floor + (base - floor) * factor, after the first steps (RaSa; AGA).

    The factor rises linearly, then falls along half a cosine to zero (ITSELF, implementation details). `step`, of
    `steps`, is inside the epoch; both count from 1.
    """
    if epoch == 1 and step <= settings.warm_up_steps:
        return settings.warm_up_rate
    position, factor = epoch - 1 + ((step - 1) / steps if settings.every == "step" else 0.0), 1.0
    if position < settings.warm_up:
        share = position / settings.warm_up
        factor = settings.warm_up_start * (1 - share) + share
    elif settings.decay == "cosine":
        length = max(settings.epochs - settings.warm_up, 1)
        factor = 0.5 * (1 + math.cos(math.pi * min((position - settings.warm_up) / length, 1.0)))
    return settings.floor + (base - settings.floor) * factor
