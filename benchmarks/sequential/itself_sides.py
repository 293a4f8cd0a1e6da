"""A whole step of `itself` and of the released program's order of work on equal weights, for `train_step.py`."""

from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.data.batching import Batch
from pickout.methods.base import Progress
from pickout.methods.itself import Itself
from pickout.methods.model import build_model
from pickout.shapes import TokenBatch
from pickout.text.tokenizer import SpecialTokens, Vocabulary
from pickout.train.engine import moved_early
from pickout.train.recipe import Recipe, build_optimiser
from sequential.itself import losses, optimiser

PEOPLE, SIZE = 3701, 49408
"""Identities of RSTPReid, and entries of CLIP's vocabulary."""


@dataclass(frozen=True)
class Facts:
    vocabulary_size: int
    context: int
    special: SpecialTokens
    vocabulary: Vocabulary | None = None


def batch_of(recipe: Recipe, rows: int) -> Batch:
    """Random pairs, two a person; captions of 20 to 60 tokens padded to the context, as a loader gives them."""
    generator = torch.Generator().manual_seed(0)
    image, context = recipe.model.image, recipe.model.tokenizer.context
    images = torch.randn(rows, 3, image.height, image.width, generator=generator)
    ids = torch.randint(1, SIZE - 3, (rows, context), generator=generator)
    lengths = torch.linspace(context // 4, 3 * context // 4, rows).long()
    place = torch.arange(context)
    ids = torch.where(place < lengths[:, None], ids, 0).scatter(1, lengths[:, None], SIZE - 1)
    ids[:, 0] = SIZE - 2
    return Batch(images, TokenBatch(ids, ids != 0), torch.arange(rows) // 2)


def sides(recipe: Recipe, rows: int, wanted: tuple[str, ...]) -> dict[str, Callable[[], float]]:
    """A step of each wanted side, optimiser included, which gives its loss; sides of one program share its weights."""
    torch.manual_seed(0)
    special = SpecialTokens(0, SIZE - 2, SIZE - 1, SIZE - 3)
    method, batch = (
        build_model(recipe.model, Facts(SIZE, recipe.model.tokenizer.context, special), PEOPLE),
        batch_of(recipe, rows),
    )
    assert isinstance(method, Itself)
    method.train()
    steps: dict[str, Callable[[], float]] = {}
    for program in ("release", "ours"):
        names = [name for name in wanted if name.startswith(program)]
        if names:
            slow = program == "release"
            steps |= _steps(deepcopy(method) if len(wanted) > len(names) else method, batch, recipe, names, slow=slow)
    return steps


def _steps(
    method: Itself, batch: Batch, recipe: Recipe, names: list[str], *, slow: bool
) -> dict[str, Callable[[], float]]:
    if slow:
        groups = build_optimiser(method, recipe.optim).param_groups
        rows = [{key: group[key] for key in ("params", "lr", "weight_decay")} for group in groups]
        mover = optimiser(rows, recipe.optim.betas, recipe.optim.epsilon)
    else:
        mover = build_optimiser(method, recipe.optim)
    count = iter(range(1, 10**6))

    def total(step: int) -> Tensor:
        if slow:
            return sum(losses(method, batch, step).values(), torch.zeros(()))
        return method.losses(batch, Progress(step, 1, 144, 60)).total

    def stepper(precision: str) -> Callable[[], float]:
        def step() -> float:
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = total(next(count))
            with nullcontext() if slow else moved_early(mover, method):
                loss.backward()
            mover.step()
            mover.zero_grad()
            return loss.item()

        return step

    return {name: stepper(name.split()[1]) for name in names}
