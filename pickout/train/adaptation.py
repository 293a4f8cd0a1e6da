"""Fit a model on frozen towers to a user's own crops, without labels: only its normalisation moves.

The image tower standardises what the frozen network sees by the statistics of drawn people (`Reduction`). Adaptation
goes part of the way to those of the user's crops (AdaBN, Li et al., arXiv 1603.04779, with a share). Crops that were
held back judge: each is changed as by another camera and must find itself among them. That proves nothing of
sentences."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image, fromarray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.config import Settings
from pickout.data.image_changes import STRONG, Picture, change_picture
from pickout.data.images import to_rgb
from pickout.data.transforms import prepare
from pickout.errors import DataError, NothingFound, UsageError
from pickout.evaluate.metrics import BootstrapSettings, bootstrap
from pickout.nn.frozen import MultiStageTower

BATCH = 32


class AdaptationSettings(Settings):
    """How a model is adapted; `pickout adapt --set` sets it."""

    share: float = Field(default=0.5, gt=0, le=1)  # how far the statistics go from the model's to the crops'
    held_back: float = Field(default=0.3, gt=0, lt=1)  # the share of the crops that judge and do not take part
    fewest: int = Field(default=60, ge=10)  # fewer crops than this are refused
    most: int = Field(default=2000, ge=10)  # of more crops, so many are drawn
    seed: int = Field(default=0, ge=0)  # draws crops and changes


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What came of it."""

    model: LoadedModel
    crops: int  # whose statistics were taken
    held_back: int  # crops that judged
    before: float  # how well changed crops found themselves before: mean reciprocal rank in percent
    after: float  # the same with the adapted model
    gain: tuple[float, float]  # 95 % interval of the difference over crops


def adapt(model: LoadedModel, crops: Sequence[Image], settings: AdaptationSettings) -> Adaptation:
    """A copy of `model` with the normalisation of its image tower moved towards `crops`, pictures of any size.
    `UsageError`: another kind of model; `DataError`: too few crops; `NothingFound`: those held back do not say it
    helps."""
    tower = getattr(model.method, "vision", None)
    if not isinstance(tower, MultiStageTower):
        remedy = "pickout-small has: pickout gallery rebuild GALLERY --model pickout-small"
        raise UsageError(f"{model.name}: has no statistics that could be adapted; {remedy}")
    if len(crops) < settings.fewest:
        raise DataError(f"{len(crops)} crops; adapting takes at least {settings.fewest}")
    chance = np.random.default_rng(settings.seed)
    order = chance.permutation(len(crops))[: settings.most]
    judges = max(2, round(len(order) * settings.held_back))
    if judges >= len(order):
        raise DataError(f"held_back = {settings.held_back}: of {len(order)} crops none is left to adapt to; give less")
    learning = _stages(model, tower, [crops[place] for place in order[judges:]])
    plain = [crops[place] for place in order[:judges]]
    pictures = [Picture(np.asarray(to_rgb(crop), np.float32) / np.float32(255)) for crop in plain]
    others = [fromarray(change_picture(picture, STRONG, chance)) for picture in pictures]
    seen, changed = _stages(model, tower, plain), _stages(model, tower, others)
    method = deepcopy(model.method)
    moved = method.get_submodule("vision")
    assert isinstance(moved, MultiStageTower)
    tokens = learning.flatten(0, 1).float()
    moved.reduction.mean.lerp_(tokens.mean(dim=0), settings.share)
    moved.reduction.scale.lerp_(tokens.std(dim=0) + 1e-3, settings.share)
    before, after = (_reciprocal_ranks(each, seen, changed) for each in (tower, moved))
    resampling = BootstrapSettings(resamples=1000, seed=settings.seed)
    (low,), (high,) = bootstrap((after - before)[:, None], np.arange(judges), resampling)
    gain = float(low), float(high)
    if gain[0] <= 0:
        told = f"gain {gain[0]:+.1f} to {gain[1]:+.1f} points of mean reciprocal rank, was {before.mean():.1f}"
        raise NothingFound(f"{judges} crops held back do not say that it helps ({told}); the model stays as it is")
    adapted = replace(model, name=f"{model.name}-adapted", method=method, device=str(model.device), look=None)
    return Adaptation(adapted, len(learning), judges, float(before.mean()), float(after.mean()), gain)


@torch.no_grad()
def _stages(model: LoadedModel, tower: MultiStageTower, crops: Sequence[Image]) -> Tensor:
    """What the frozen network sees of crops. Shape: (crops, tokens, channels), float16."""
    parts = []
    for start in range(0, len(crops), BATCH):
        batch = [prepare(to_rgb(crop), model.settings.image) for crop in crops[start : start + BATCH]]
        parts.append(tower.stages(torch.stack(batch).to(model.device)).half())
    return torch.cat(parts)


@torch.no_grad()
def _reciprocal_ranks(tower: MultiStageTower, seen: Tensor, changed: Tensor) -> NDArray[np.float64]:
    """In percent, of each changed crop among the crops as they are."""
    there, asked = (F.normalize(tower(tower.reduction(each.float())).summary, dim=1) for each in (seen, changed))
    scores = asked @ there.T
    ranks = (scores >= scores.diagonal()[:, None]).sum(dim=1)  # a tie is no find
    return (100.0 / ranks.double()).cpu().numpy()
