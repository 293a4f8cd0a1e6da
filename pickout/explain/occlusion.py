"""Take something away from a crop or a sentence: patches are filled, words leave the row of ids."""

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pickout.explain.pair import Grid, Pair
from pickout.shapes import Float, Int

Fill = Literal["grey", "own", "blur"]
"""What stands where a patch was: the average colour of all images, the crop's own average, or the crop out of focus."""
FILLS: tuple[Fill, ...] = get_args(Fill)

_BLUR = 4
"""A blurred crop has this many patches' worth of sharpness: it is averaged over windows of a quarter of its width."""


def filling(pixels: Float[Tensor, "3 height width"], fill: Fill) -> Float[Tensor, "3 height width"]:
    """The picture that shows through where patches are hidden.

    Args:
        pixels: the prepared crop.
        fill: see `Fill`.
    """
    if fill == "grey":
        return torch.zeros_like(pixels)
    if fill == "own":
        return pixels.mean(dim=(1, 2), keepdim=True).expand_as(pixels)
    window = max(1, pixels.shape[2] // _BLUR) | 1
    padded = F.pad(pixels[None], (window // 2,) * 4, mode="replicate")
    return F.avg_pool2d(padded, window, stride=1)[0]


def hide_patches(
    pair: Pair, kept: NDArray[np.bool_], *, fill: Fill = "grey"
) -> Float[Tensor, "versions 3 height width"]:
    """Versions of the crop with some patches hidden; a pixel is hidden if any hidden patch covers it.

    Args:
        pair: whose crop.
        kept: True for patches that stay. Shape: (versions, patches).
        fill: what stands in their place.
    """
    hidden = torch.from_numpy(hidden_pixels(pair.grid, kept))[:, None]
    return torch.where(hidden, filling(pair.pixels, fill), pair.pixels)


def hidden_pixels(grid: Grid, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True where a pixel is hidden.

    Args:
        grid: where the patches lie.
        kept: Shape: (versions, patches).

    Returns:
        Shape: (versions, height, width).
    """
    cover = grid.cover().reshape(grid.patches, -1).astype(np.float32)
    covered = (~kept).astype(np.float32) @ cover > 0
    return np.asarray(covered.reshape(len(kept), grid.height, grid.width), np.bool_)


def drop_words(pair: Pair, dropped: Iterable[int], padding: int) -> Int[Tensor, " tokens"]:
    """The sentence's ids without some words; what follows moves up and padding fills the row.

    Args:
        pair: whose sentence.
        dropped: positions in `pair.words`.
        padding: the padding id.
    """
    gone = [place for number in dropped for place in pair.words[number].positions]
    stays = torch.ones(len(pair.ids), dtype=torch.bool)
    stays[gone] = False
    rest = pair.ids[stays]
    return torch.cat([rest, rest.new_full((len(gone),), padding)])


def drop_each(pair: Pair, kept: NDArray[np.bool_], padding: int) -> list[Int[Tensor, " tokens"]]:
    """Versions of the sentence with some words dropped.

    Args:
        pair: whose sentence.
        kept: True for words that stay, in the order of `pair.told`. Shape: (versions, told words).
        padding: the padding id.
    """
    told = np.array(pair.told)
    return [drop_words(pair, told[~row].tolist(), padding) for row in kept]
