"""Batches for training and encoding."""

from dataclasses import dataclass

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
