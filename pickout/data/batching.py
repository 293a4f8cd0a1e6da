"""Batches for training and encoding."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.utils.data import Sampler

from pickout.config import Settings
from pickout.errors import ImageUnreadable, RecipeError
from pickout.shapes import Float, Ints, TokenBatch


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of images and captions."""

    # prepared images. Shape: (batch, 3, height, width); or what a tower's frozen part makes of them
    images: Float[Tensor, "batch *axes"]
    texts: TokenBatch  # tokenized captions, one for each image
    identity: Ints  # from 0 to the number of training identities - 1. Shape: (batch,)
    # another augmentation of the same images, where the method asks for one (see `Pairing`). Shape: as `images`
    second_images: Float[Tensor, "batch *axes"] | None = None
    # a caption of the same person, mostly the one in `texts`, where the method asks for one
    weak_texts: TokenBatch | None = None
    # 1 where `weak_texts` holds another sentence than `texts`, else 0. Shape: (batch,)
    replaced: Ints | None = None

    def to(self, device: Any, non_blocking: bool = False) -> "Batch":
        """The same batch on `device`."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, from which copies to a GPU are fast."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        parts: list[Any] = [getattr(self, field.name) for field in fields(self)]
        changed: list[Any] = [
            p.mapped(change) if isinstance(p, TokenBatch) else None if p is None else change(p) for p in parts
        ]
        return Batch(*changed)

    def part(self, start: int, stop: int) -> "Batch":
        """The pairs from `start` up to `stop`."""
        return self._mapped(lambda tensor: tensor[start:stop])

    def __len__(self) -> int:
        return int(self.identity.shape[0])


@dataclass(frozen=True, slots=True)
class Example:
    """One training item, augmented."""

    image: Float[Tensor, "*axes"]  # prepared image. Shape: (3, height, width)
    ids: NDArray[np.int64]  # token ids. Shape: (context,)
    identity: int  # the person's number
    second_image: Float[Tensor, "*axes"] | None = None  # another augmentation of the same image, or None
    weak_ids: NDArray[np.int64] | None = None  # token ids of a caption of the same person, or None
    replaced: bool = False  # whether `weak_ids` is of another sentence
    # what the text tower's frozen part makes of the caption, or None. Shape: (tokens, any)
    states: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Collate:
    """A batch of examples, or the first unreadable one's error: raised in a worker it would become another type."""

    # from ids (batch, context) to True where a token is not padding, as `Tokenizer.mask`
    mask: Callable[[NDArray[np.int64]], NDArray[np.bool_]]

    def __call__(self, examples: Sequence[Example | ImageUnreadable]) -> Batch | ImageUnreadable:
        """A batch in the order of `examples`."""
        good: list[Example] = []
        for example in examples:
            if isinstance(example, ImageUnreadable):
                return example
            good.append(example)
        second = [example.second_image for example in good if example.second_image is not None]
        weak = [example.weak_ids for example in good if example.weak_ids is not None]
        states = [example.states for example in good if example.states is not None]
        texts = self._texts([example.ids for example in good])
        if states:
            longest = int(texts.mask.sum(dim=1).max())
            texts = TokenBatch(texts.ids[:, :longest], texts.mask[:, :longest], torch.stack(states)[:, :longest])
        return Batch(
            torch.stack([example.image for example in good]),
            texts,
            torch.tensor([example.identity for example in good]),
            torch.stack(second) if second else None,
            self._texts(weak) if weak else None,
            torch.tensor([int(example.replaced) for example in good]) if weak else None,
        )

    def _texts(self, rows: Sequence[NDArray[np.int64]]) -> TokenBatch:
        ids = np.stack(rows)
        return TokenBatch(torch.from_numpy(ids), torch.from_numpy(self.mask(ids)))


_STREAM = 1  # keeps the sampler's random stream apart from those of the items


class SamplerSettings(Settings):
    """How batches are drawn. Defaults: ITSELF, implementation details."""

    kind: Literal["identity", "shuffle"] = "identity"
    """`identity`: each batch shows `batch / per_identity` people; `shuffle`: pairs in random order."""
    batch: int = Field(256, ge=1)  # pairs in one batch, over all processes together
    per_identity: int = Field(2, ge=1)  # pairs of each person in a batch; `identity` only
    chunk: int | None = Field(None, ge=1)
    """Pairs whose activations each process keeps at a time, by gradient caching; none: those of its whole batch."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One item's turn in one epoch. It names all that its random augmentation may depend on."""

    epoch: int  # from 1
    place: int  # position among all the items drawn in this epoch, from 0, over all processes
    item: int  # position among the training pairs


class EpochSampler(Sampler[list[Draw]], ABC):
    """Batches of one epoch as a pure function of (seed, epoch). Set `epoch` before each pass. Every process draws the
    same whole batches of `size` pairs; the launcher cuts each batch into equal parts."""

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
    per_identity` people drawn among those who have groups left; the epoch ends when fewer such people remain. A
    RecipeError where the batch is no multiple of `per_identity`, or wants more people than there are."""

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
            raise RecipeError(f"sampler.batch = {size} wants {self.people} people of {len(self.items)}; lower it")

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
    """The sampler that `settings` asks for, over pairs with these `identities`; a RecipeError where none fits."""
    if settings.kind == "shuffle":
        return ShuffleSampler(len(identities), settings.batch, seed)
    return IdentitySampler(identities, settings.batch, settings.per_identity, seed)
