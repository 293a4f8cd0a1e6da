"""Batches for training and encoding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pickout.shapes import Float, Int, TokenBatch


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of images and captions.

    Args:
        images: prepared images. Shape: (batch, 3, height, width).
        texts: tokenized captions, one for each image.
        identity: from 0 to the number of training identities - 1. Shape: (batch,).
    """

    images: Float[Tensor, "batch 3 height width"]
    texts: TokenBatch
    identity: Int[Tensor, " batch"]

    def to(self, device: Any, non_blocking: bool = False) -> "Batch":
        """The same batch on `device`."""
        return Batch(
            self.images.to(device, non_blocking=non_blocking),
            self.texts.to(device),
            self.identity.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, from which copies to a GPU are fast."""
        texts = TokenBatch(self.texts.ids.pin_memory(), self.texts.mask.pin_memory())
        return Batch(self.images.pin_memory(), texts, self.identity.pin_memory())

    def __len__(self) -> int:
        return int(self.identity.shape[0])


@dataclass(frozen=True, slots=True)
class Example:
    """One training item, augmented.

    Args:
        image: prepared image. Shape: (3, height, width).
        ids: token ids. Shape: (context,).
        identity: the person's number.
    """

    image: Float[Tensor, "3 height width"]
    ids: NDArray[np.int64]
    identity: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An image that could not be decoded; carried as a value since exceptions lose their type between processes."""

    path: str
    reason: str


class Collate:
    """Makes a batch of examples; the first unreadable one takes the batch's place.

    Args:
        mask: from ids (batch, context) to True where a token is not padding, as `Tokenizer.mask`.
    """

    def __init__(self, mask: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> None:
        self.mask = mask

    def __call__(self, examples: Sequence[Example | Unreadable]) -> Batch | Unreadable:
        """A batch in the order of `examples`."""
        good: list[Example] = []
        for example in examples:
            if isinstance(example, Unreadable):
                return example
            good.append(example)
        ids = np.stack([example.ids for example in good])
        return Batch(
            torch.stack([example.image for example in good]),
            TokenBatch(torch.from_numpy(ids), torch.from_numpy(self.mask(ids))),
            torch.tensor([example.identity for example in good]),
        )
