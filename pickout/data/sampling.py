"""Which training items meet in a batch: drawn anew each epoch, the same for any number of workers or processes."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch.utils.data import Sampler

from pickout.config import Settings
from pickout.errors import RecipeError

_STREAM = 1
"""Keeps the sampler's random stream apart from those of the items."""


class SamplerSettings(Settings):
    """How batches are drawn. Defaults: ITSELF, implementation details."""

    kind: Literal["identity", "shuffle"] = "identity"
    """`identity`: each batch shows `batch / per_identity` people; `shuffle`: pairs in random order."""
    batch: int = Field(256, ge=1)
    """Pairs in one batch, over all processes together."""
    per_identity: int = Field(2, ge=1)
    """Pairs of each person in a batch; `identity` only."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One item's turn in one epoch. It names all that its random augmentation may depend on."""

    epoch: int  # from 1
    place: int  # position among all the items drawn in this epoch, from 0, over all processes
    item: int  # position among the training pairs


class EpochSampler(Sampler[list[Draw]], ABC):
    """Batches of one epoch as a pure function of (seed, epoch). Set `epoch` before each pass.

    Every process draws the same whole batches of `size` pairs; the launcher cuts each batch into equal parts.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.batch_size, self.seed, self.epoch = size, seed, 1
        self.drop_last = True
        self._planned: tuple[int, list[NDArray[np.int64]]] | None = None

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """The items of each batch of `epoch`. Shape of each: (batch,)."""
        return self._drawn(np.random.default_rng([_STREAM, self.seed, epoch]))

    @abstractmethod
    def _drawn(self, generator: np.random.Generator) -> list[NDArray[np.int64]]: ...

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self.epoch
        for number, batch in enumerate(self._batches()):
            first = number * self.batch_size
            yield [Draw(epoch, first + offset, int(item)) for offset, item in enumerate(batch)]

    def _batches(self) -> list[NDArray[np.int64]]:
        if self._planned is None or self._planned[0] != self.epoch:
            self._planned = (self.epoch, self.plan(self.epoch))
        return self._planned[1]


class ShuffleSampler(EpochSampler):
    """Every pair once an epoch in random order; a short last batch is left out."""

    def __init__(self, items: int, size: int, seed: int) -> None:
        super().__init__(size, seed)
        if items < size:
            raise RecipeError(f"sampler.batch = {size}, but the data has only {items} training pairs; lower it")
        self.items = items

    def _drawn(self, generator: np.random.Generator) -> list[NDArray[np.int64]]:
        return list(_rows(generator.permutation(self.items), self.batch_size))


class IdentitySampler(EpochSampler):
    """Batches of `size / per_identity` different people with `per_identity` pairs each (IRRA; ITSELF trains with it).

    Each person's pairs are shuffled and cut into groups of `per_identity`; a remainder is left out, and a person with
    fewer pairs than that gets one group drawn with replacement. Each batch takes one group of each of `size /
    per_identity` people drawn among those who have groups left; the epoch ends when fewer such people remain. So the
    number of batches can differ a little from epoch to epoch. `identities` has that of each training pair.

    Raises:
        RecipeError: the batch is no multiple of `per_identity`, or wants more people than there are.
    """

    def __init__(self, identities: Sequence[int], size: int, per_identity: int, seed: int) -> None:
        super().__init__(size, seed)
        if size % per_identity:
            raise RecipeError(f"sampler.batch = {size} is no multiple of sampler.per_identity = {per_identity}")
        self.people, self.per_identity = size // per_identity, per_identity
        by_identity: dict[int, list[int]] = defaultdict(list)
        for item, identity in enumerate(identities):
            by_identity[identity].append(item)
        self.items = [np.array(items) for items in by_identity.values()]
        if len(self.items) < self.people:
            raise RecipeError(
                f"sampler.batch = {size} with sampler.per_identity = {per_identity} wants {self.people} people in a "
                f"batch, but the training split shows {len(self.items)}; lower sampler.batch"
            )

    def _drawn(self, generator: np.random.Generator) -> list[NDArray[np.int64]]:
        each = self.per_identity
        groups = [
            generator.choice(items, (1, each)) if len(items) < each else _rows(generator.permutation(items), each)
            for items in self.items
        ]
        left = np.array([len(rows) for rows in groups])
        batches = []
        while len(available := np.flatnonzero(left)) >= self.people:
            chosen = generator.choice(available, self.people, replace=False)
            batches.append(np.concatenate([groups[person][-left[person]] for person in chosen]))
            left[chosen] -= 1
        return batches


def _rows(items: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The items in rows of `width`; a remainder is left out."""
    return items[: len(items) // width * width].reshape(-1, width)


def build_sampler(settings: SamplerSettings, identities: Sequence[int], seed: int) -> EpochSampler:
    """The sampler that `settings` asks for, over pairs with these `identities`.

    Raises:
        RecipeError: the batch does not fit the data.
    """
    if settings.kind == "shuffle":
        return ShuffleSampler(len(identities), settings.batch, seed)
    return IdentitySampler(identities, settings.batch, settings.per_identity, seed)
