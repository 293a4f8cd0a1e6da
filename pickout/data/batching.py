"""Batches for training and encoding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
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
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, from which copies to a GPU are fast."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        def changed(part: Any) -> Any:
            return part.mapped(change) if isinstance(part, TokenBatch) else None if part is None else change(part)

        return Batch(*(changed(getattr(self, field.name)) for field in fields(self)))

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
        texts = self._texts([example.ids for example in good])
        states = [example.states for example in good if example.states is not None]
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
