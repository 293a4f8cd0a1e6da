"""Take something away from a crop or a sentence: patches are filled, words leave the row of ids."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pickout.explain.pair import Pair
from pickout.shapes import Float, Int

Fill = Literal["grey", "own"]
"""What stands where a patch was: the average colour of all images, which is 0 after normalising, or the crop's own."""


def hide_patches(
    pair: Pair, kept: NDArray[np.bool_], *, fill: Fill = "grey"
) -> Float[Tensor, "versions 3 height width"]:
    """Versions of the crop with some patches hidden; a pixel is hidden if any hidden patch covers it.

    Args:
        pair: whose crop.
        kept: True for patches that stay. Shape: (versions, patches).
        fill: what stands in their place.
    """
    grid, pixels = pair.grid, pair.pixels
    cover = grid.cover().reshape(grid.patches, -1).astype(np.float32)
    hidden = ((~kept).astype(np.float32) @ cover > 0).reshape(len(kept), 1, grid.height, grid.width)
    colour = torch.zeros(3, 1, 1) if fill == "grey" else pixels.mean(dim=(1, 2), keepdim=True)
    return torch.where(torch.from_numpy(hidden), colour, pixels)


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
