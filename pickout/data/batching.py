"""Batches for training and encoding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pickout.errors import ImageUnreadable
from pickout.shapes import Float, Int, TokenBatch


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of images and captions."""

    # prepared images. Shape: (batch, 3, height, width); or what a tower's frozen part makes of them
    images: Float[Tensor, "batch *axes"]
    texts: TokenBatch  # tokenized captions, one for each image
    identity: Int[Tensor, " batch"]  # from 0 to the number of training identities - 1. Shape: (batch,)
    # another augmentation of the same images, where the method asks for one (see `Pairing`). Shape: as `images`
    second_images: Float[Tensor, "batch 3 height width"] | None = None
    # a caption of the same person, mostly the one in `texts`, where the method asks for one
    weak_texts: TokenBatch | None = None
    # 1 where `weak_texts` holds another sentence than `texts`, else 0. Shape: (batch,)
    replaced: Int[Tensor, " batch"] | None = None

    def to(self, device: Any, non_blocking: bool = False) -> "Batch":
        """The same batch on `device`."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking), lambda texts: texts.to(device))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, from which copies to a GPU are fast."""
        return self._mapped(Tensor.pin_memory, lambda texts: texts.mapped(Tensor.pin_memory))

    def _mapped(self, tensor: Callable[[Tensor], Tensor], texts: Callable[[TokenBatch], TokenBatch]) -> "Batch":
        return Batch(
            tensor(self.images),
            texts(self.texts),
            tensor(self.identity),
            None if self.second_images is None else tensor(self.second_images),
            None if self.weak_texts is None else texts(self.weak_texts),
            None if self.replaced is None else tensor(self.replaced),
        )

    def __len__(self) -> int:
        return int(self.identity.shape[0])


@dataclass(frozen=True, slots=True)
class Example:
    """One training item, augmented."""

    image: Float[Tensor, "*axes"]  # prepared image. Shape: (3, height, width)
    ids: NDArray[np.int64]  # token ids. Shape: (context,)
    identity: int  # the person's number
    second_image: Float[Tensor, "3 height width"] | None = None  # another augmentation of the same image, or None
    weak_ids: NDArray[np.int64] | None = None  # token ids of a caption of the same person, or None
    replaced: bool = False  # whether `weak_ids` is of another sentence
    # what the text tower's frozen part makes of the caption, or None. Shape: (tokens, any)
    states: Tensor | None = None


class Collate:
    """Makes a batch of examples; the error of the first unreadable one takes the batch's place.

    It is a value, not raised: raised in a worker process it would arrive as another type.

    Args:
        mask: from ids (batch, context) to True where a token is not padding, as `Tokenizer.mask`.
    """

    def __init__(self, mask: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> None:
        self.mask = mask

    def __call__(self, examples: Sequence[Example | ImageUnreadable]) -> Batch | ImageUnreadable:
        """A batch in the order of `examples`."""
        good: list[Example] = []
        for example in examples:
            if isinstance(example, ImageUnreadable):
                return example
            good.append(example)
        second = [example.second_image for example in good if example.second_image is not None]
        weak = [example.weak_ids for example in good if example.weak_ids is not None]
        return Batch(
            torch.stack([example.image for example in good]),
            self._texts(
                [example.ids for example in good], [example.states for example in good if example.states is not None]
            ),
            torch.tensor([example.identity for example in good]),
            torch.stack(second) if second else None,
            self._texts(weak) if weak else None,
            torch.tensor([int(example.replaced) for example in good]) if weak else None,
        )

    def _texts(self, rows: Sequence[NDArray[np.int64]], states: Sequence[Tensor] = ()) -> TokenBatch:
        ids = np.stack(rows)
        texts = TokenBatch(torch.from_numpy(ids), torch.from_numpy(self.mask(ids)))
        if not states:
            return texts
        longest = int(texts.mask.sum(dim=1).max())
        return TokenBatch(texts.ids[:, :longest], texts.mask[:, :longest], torch.stack(list(states))[:, :longest])
