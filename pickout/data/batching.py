"""Batches for training and encoding."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
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


Mask = Callable[[NDArray[np.int64]], NDArray[np.bool_]]  # from ids (batch, context) to True where no padding is


def collate(examples: Sequence[Example | ImageUnreadable], mask: Mask) -> Batch | ImageUnreadable:
    """A batch in the order of `examples`, or the first unreadable one's error: raised in a worker it would become
    another type. `mask` is as `Tokenizer.mask`."""
    if bad := [example for example in examples if isinstance(example, ImageUnreadable)]:
        return bad[0]
    good = [example for example in examples if isinstance(example, Example)]
    second = [example.second_image for example in good if example.second_image is not None]
    weak = [example.weak_ids for example in good if example.weak_ids is not None]
    states = [example.states for example in good if example.states is not None]
    texts = token_batch([example.ids for example in good], mask)
    if states:
        longest = int(texts.mask.sum(dim=1).max())
        texts = TokenBatch(texts.ids[:, :longest], texts.mask[:, :longest], torch.stack(states)[:, :longest])
    return Batch(
        torch.stack([example.image for example in good]),
        texts,
        torch.tensor([example.identity for example in good]),
        torch.stack(second) if second else None,
        token_batch(weak, mask) if weak else None,
        torch.tensor([int(example.replaced) for example in good]) if weak else None,
    )


def token_batch(rows: Sequence[NDArray[np.int64]], mask: Mask) -> TokenBatch:
    """Captions' token ids (context,) as a batch."""
    ids = np.stack(rows)
    return TokenBatch(torch.from_numpy(ids), torch.from_numpy(mask(ids)))


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


class EpochSampler(Sampler[list[Draw]]):
    """Batches of one epoch as a pure function of (seed, epoch). Set `epoch` before each pass. Every process draws the
    same whole batches; the launcher cuts each into equal parts. A RecipeError where pairs of these `identities` do not
    fill one, or it is no multiple of `per_identity`.

    By `shuffle` every pair comes once an epoch in random order; a short last batch is left out. By `identity` a batch
    shows `batch / per_identity` people with `per_identity` pairs each (IRRA; ITSELF trains with it): each person's
    pairs are shuffled and cut into groups of `per_identity`; a remainder is left out, and a person with fewer pairs
    than that gets one group drawn with replacement. Each batch takes one group of each of so many people drawn among
    those who have groups left; the epoch ends when fewer such people remain."""

    def __init__(self, settings: SamplerSettings, identities: Sequence[int], seed: int) -> None:
        size, each = settings.batch, settings.per_identity
        self.batch_size, self.seed, self.epoch, self.drop_last = size, seed, 1, True
        self._settings, self._pairs, self._people = settings, len(identities), size // each
        by_identity: dict[int, list[int]] = defaultdict(list)
        for item, identity in enumerate(identities):
            by_identity[identity].append(item)
        self._items = [np.array(items) for items in by_identity.values()]
        self._batches = lru_cache(maxsize=1)(self.plan)
        if settings.kind == "shuffle" and self._pairs < size:
            raise RecipeError(f"sampler.batch = {size}, but the data has only {self._pairs} training pairs; lower it")
        if settings.kind == "identity" and size % each:
            raise RecipeError(f"sampler.batch = {size} is no multiple of sampler.per_identity = {each}")
        if settings.kind == "identity" and len(self._items) < self._people:
            why = f"sampler.batch = {size} with sampler.per_identity = {each} wants {self._people} people in a batch"
            raise RecipeError(f"{why}, but the training split shows {len(self._items)}; lower sampler.batch")

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """The items of each batch of `epoch`. Shape of each: (batch,)."""
        generator = np.random.default_rng([_STREAM, self.seed, epoch])
        if self._settings.kind == "shuffle":
            return list(_rows(generator.permutation(self._pairs), self.batch_size))
        each = self._settings.per_identity
        groups = [
            generator.choice(items, (1, each)) if len(items) < each else _rows(generator.permutation(items), each)
            for items in self._items
        ]
        left, batches = np.array([len(rows) for rows in groups]), []
        while len(available := np.flatnonzero(left)) >= self._people:
            chosen = generator.choice(available, self._people, replace=False)
            batches.append(np.concatenate([groups[person][-left[person]] for person in chosen]))
            left[chosen] -= 1
        return batches

    def __len__(self) -> int:
        return len(self._batches(self.epoch))

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self.epoch
        for number, batch in enumerate(self._batches(epoch)):
            first = number * self.batch_size
            yield [Draw(epoch, first + offset, int(item)) for offset, item in enumerate(batch)]


def _rows(items: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The items in rows of `width`; a remainder is left out."""
    return items[: len(items) // width * width].reshape(-1, width)
