"""A recipe: all that decides a training run, in one TOML file; the optimiser and the course of its rate."""

import math
import os
from collections.abc import Callable, Iterable, Set
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch.optim import Optimizer

import pickout
from pickout.checkpoints.starting_weights import Queues
from pickout.config import Settings, apply_overrides, flat, nearest, parse_settings, read_toml
from pickout.data.batching import SamplerSettings
from pickout.data.training_pairs import DataSettings
from pickout.data.transforms import AugmentationSettings, CaptionAugmentationSettings
from pickout.errors import RecipeError
from pickout.methods.base import Method
from pickout.methods.model import ModelSettings, method_settings


class OptimSettings(Settings):
    """The optimiser. Defaults: ITSELF, implementation details and released code."""

    name: Literal["adam", "adamw"] = "adam"
    """`adam`: weight decay is added to the gradient (coupled L2, the paper); `adamw`: weights shrink apart from it."""
    learning_rate: float = Field(1e-5, gt=0, le=100)  # of pretrained weights; a method's groups scale it
    weight_decay: float = Field(4e-5, ge=0)  # a method's parameter groups scale it; biases have none
    betas: tuple[float, float] = (0.9, 0.999)  # decay of the two running means
    epsilon: float = Field(1e-3, gt=0)  # added to the root of the second mean; so large it outweighs small gradients
    clip: float | None = Field(None, gt=0)  # the gradient's largest norm over all parameters; none: no clipping
    accumulate: int = Field(1, ge=1)
    """Batches whose gradients are averaged before each step. Contrastive losses still see one batch at a time."""


class ScheduleSettings(Settings):
    """Epochs and the learning rate's course. Defaults: ITSELF, implementation details."""

    epochs: int = Field(60, ge=1)  # epochs of the whole run
    warm_up: int = Field(5, ge=0)  # epochs of linear warm-up; at most `epochs`
    warm_up_start: float = Field(0.1, ge=0, le=1)  # the factor on the learning rate at the first step
    decay: Literal["cosine", "constant"] = "cosine"  # the course after the warm-up
    every: Literal["epoch", "step"] = "epoch"  # whether the rate changes once an epoch (the paper) or at each step
    floor: float = Field(0.0, ge=0)  # what the cosine ends at, in every group alike (RaSa, AGA: 1e-6)
    warm_up_steps: int = Field(0, ge=0)  # first steps of the run, at `warm_up_rate` (RaSa, AGA: 101)
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
    # One pass over each tensor; the usual order of work reads and writes it ten times, for three times as long.
    return kind(rows, betas=settings.betas, eps=settings.epsilon, fused=True)


def set_learning_rate(optimiser: Optimizer, rate: Callable[[float], float]) -> None:
    """Put every group at `rate` of its initial learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate(group["initial_lr"])


def learning_rate(settings: ScheduleSettings, base: float, *, epoch: int, step: int, steps: int) -> float:
    """A parameter group's learning rate: floor + (base - floor) * factor, after the first steps (RaSa; AGA).

    The factor rises linearly, then falls along half a cosine to zero (ITSELF, implementation details). `step`, of
    `steps`, is inside the epoch; both count from 1."""
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


_SHIPPED = [place / "recipes" for place in Path(pickout.__file__).parents[:2]]
"""Where shipped recipes lie: in the installed package, or beside the package in a checkout."""

_MAY_CHANGE = frozenset({"data.root", "data.workers", "data.cache", "train.keep"})
"""Keys that may differ when a run goes on: they change where and how fast, not what."""


class TrainSettings(Settings):
    """How the run is computed, watched and kept."""

    initial: str | tuple[str, ...] | None = None
    """Path or name of `pickout weights`, for a fusion model also of BERT and a vision transformer; none: at random."""
    initial_queues: Queues = "keep"  # whether a fusion model takes the queues of ALBEF's and RaSa's files as negatives
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"
    """`bf16` and `fp16` compute under autocast; the weights and the optimiser stay in fp32. `auto` is `bf16` where the
    device computes in it natively, else `fp32`; the run's own recipe names which."""
    select: Literal["val", "test", "last"] = "val"
    """The split that chooses the best epoch; `test` only to repeat a published habit; `last`: no choice is made."""
    metric: Literal["R@1", "R@5", "R@10", "mAP", "mINP", "rSum"] = "R@1"
    """The validation metric whose highest value chooses the epoch; the earlier epoch wins a tie."""
    validate_every: int = Field(1, ge=1)  # epochs between validations; the last epoch always has one
    keep: int = Field(2, ge=1)  # checkpoints kept, newest first; more than one, in case one is damaged
    log_every: int = Field(10, ge=1)  # optimiser steps between journal lines; a line has the means over them


class Recipe(Settings):
    """A training run. Defaults are ITSELF's on CUHK-PEDES."""

    name: str  # what the run is called
    seed: int = Field(1, ge=0, lt=2**32)  # seeds weights, batches and augmentation; 32 bits, as NumPy's takes
    data: DataSettings  # what to train on
    model: ModelSettings  # what to train
    augmentation: AugmentationSettings = AugmentationSettings()  # how training images are varied
    caption_augmentation: CaptionAugmentationSettings = CaptionAugmentationSettings()  # of captions
    sampler: SamplerSettings = SamplerSettings()  # which pairs meet in a batch
    optim: OptimSettings = OptimSettings()  # the optimiser
    schedule: ScheduleSettings = ScheduleSettings()  # epochs and the learning rate's course
    train: TrainSettings = TrainSettings()  # how the run is computed, watched and kept


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read and check a recipe and its method, with `key.path=value` laid over it. `RecipeError`: it is wrong."""
    recipe = parse_settings(Recipe, apply_overrides(read_toml(path), overrides), source=str(path))
    method_settings(recipe.model, source=str(path), prefix="model.method")
    warm_up, epochs = recipe.schedule.warm_up, recipe.schedule.epochs
    if warm_up > epochs:
        raise RecipeError(f"{path}: schedule.warm_up = {warm_up} is more than schedule.epochs = {epochs}")
    # The weights of the towers and the images of one batch are held against the machine before anything is built.
    vision, text, image = recipe.model.vision, recipe.model.text, recipe.model.image
    layers = text.layers + (text.fusion_layers if text.kind == "bert" else 0)
    asked = {
        # A layer has 12 times its width squared (Vaswani et al. 2017: 4 in attention, 8 in the feed-forward part).
        "model.vision and model.text": 4 * 12 * (vision.layers * vision.width**2 + layers * text.width**2),
        "sampler.batch and model.image": 4 * 3 * image.height * image.width * recipe.sampler.batch,
    }
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for keys, size in asked.items():
        if size > there:
            sizes = f"{size / 1e9:,.0f} GB at least, this machine has {there / 1e9:,.0f}"
            raise RecipeError(f"{path}: {keys} ask for {sizes}; give smaller ones")
    return recipe


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with Pickout, by name."""
    for folder in _SHIPPED:
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {}


def find_recipe(name: str) -> Path:
    """The recipe that a user named: the path of a file, or the name of a shipped one; `RecipeError` for neither."""
    shipped = shipped_recipes()
    if not Path(name).is_file() and name not in shipped:
        raise RecipeError(f"{name}: no such file and no shipped recipe{nearest(name, shipped)}")
    return Path(name) if Path(name).is_file() else shipped[name]


def differences(before: Recipe, now: Recipe, besides: Set[str] = frozenset()) -> list[str]:
    """What another recipe changes in a run: `key: old -> new`, without keys that may change, and some `besides`."""
    old, new = flat(before.model_dump(mode="json")), flat(now.model_dump(mode="json"))
    keys = sorted((old.keys() | new.keys()) - _MAY_CHANGE - besides)
    return [f"{key}: {old.get(key)!r} -> {new.get(key)!r}" for key in keys if old.get(key) != new.get(key)]
