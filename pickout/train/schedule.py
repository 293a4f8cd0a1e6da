"""The learning rate over the epochs: a linear warm-up, then half a cosine down to zero."""

import math
from typing import Literal

from pydantic import Field

from pickout.config import Settings


class ScheduleSettings(Settings):
    """Epochs and the learning rate's course. Defaults: ITSELF, implementation details."""

    epochs: int = Field(60, ge=1)
    """Epochs of the whole run."""
    warm_up: int = Field(5, ge=0)
    """Epochs of linear warm-up; at most `epochs`."""
    warm_up_start: float = Field(0.1, ge=0, le=1)
    """The factor on the learning rate at the first step."""
    decay: Literal["cosine", "constant"] = "cosine"
    """The course after the warm-up."""
    every: Literal["epoch", "step"] = "epoch"
    """Whether the rate changes once an epoch (the paper) or at each step."""
    floor: float = Field(0.0, ge=0)
    """The learning rate, of every group alike, that the cosine ends at (RaSa, AGA: 1e-6)."""
    warm_up_steps: int = Field(0, ge=0)
    """First steps of the run at `warm_up_rate` (RaSa, AGA: 101, before the rate is first raised)."""
    warm_up_rate: float = Field(1e-5, gt=0)
    """The learning rate of every group during `warm_up_steps` (RaSa, AGA)."""


def learning_rate_factor(settings: ScheduleSettings, position: float) -> float:
    """The factor on every learning rate (ITSELF, implementation details: warm-up then cosine to zero).

    Args:
        settings: the schedule.
        position: epochs behind us: 0 at the first step of the first epoch, 2.5 in the middle of the third.

    Returns:
        The factor, from 0 to 1.
    """
    if position < settings.warm_up:
        share = position / settings.warm_up
        return settings.warm_up_start * (1 - share) + share
    if settings.decay == "constant":
        return 1.0
    length = max(settings.epochs - settings.warm_up, 1)
    return 0.5 * (1 + math.cos(math.pi * min((position - settings.warm_up) / length, 1.0)))


def step_factor(settings: ScheduleSettings, *, epoch: int, step: int, steps: int) -> float:
    """The factor for one optimiser step.

    Args:
        settings: the schedule.
        epoch: from 1.
        step: the optimiser step inside the epoch, from 1.
        steps: optimiser steps in this epoch.

    Returns:
        The factor, from 0 to 1; equal for all steps of an epoch where the schedule changes per epoch.
    """
    within = (step - 1) / steps if settings.every == "step" else 0.0
    return learning_rate_factor(settings, epoch - 1 + within)


def learning_rate(settings: ScheduleSettings, base: float, *, epoch: int, step: int, steps: int) -> float:
    """A parameter group's learning rate: floor + (base - floor) * factor, after the first steps (RaSa; AGA).

    Args:
        settings: the schedule.
        base: the group's rate at factor 1.
        epoch: from 1.
        step: the optimiser step inside the epoch, from 1.
        steps: optimiser steps in this epoch.
    """
    if epoch == 1 and step <= settings.warm_up_steps:
        return settings.warm_up_rate
    return settings.floor + (base - settings.floor) * step_factor(settings, epoch=epoch, step=step, steps=steps)
