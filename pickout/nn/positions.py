"""Position tables of image towers, moved from one grid of patches to another."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.shapes import Float


def patch_grid(height: int, width: int, patch: int, stride: int) -> tuple[int, int]:
    """Rows and columns of patches: floor((side - patch) / stride) + 1 along each side.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        patch: side of a patch, in pixels.
        stride: distance between patches, in pixels; less than `patch` makes them overlap.

    Raises:
        ValueError: the image is smaller than one patch.
    """
    if min(height, width) < patch:
        raise ValueError(f"an image of {height}x{width} pixels is smaller than one patch of {patch}x{patch}")
    return (height - patch) // stride + 1, (width - patch) // stride + 1


def resize_positions(
    table: Float[Tensor, "tokens width"],
    old: tuple[int, int],
    new: tuple[int, int],
    *,
    mode: Literal["bilinear", "bicubic"] = "bilinear",
    first: int = 1,
) -> Float[Tensor, "resized width"]:
    """Interpolate the positions of a grid of patches; positions of leading tokens (class token) stay.

    Bilinear, half-pixel centres, no antialias, as IRRA, RDE and ITSELF do; `bicubic` as AGA's lineage does.

    Args:
        table: one row for each leading token, then the grid row by row.
        old: rows and columns of the grid in `table`.
        new: rows and columns wanted.
        mode: the interpolation.
        first: how many leading rows are no part of the grid.

    Returns:
        Float32 on the table's device; a copy, also where the grids are equal.

    Raises:
        ValueError: `table` does not hold `first` + old rows x old columns rows.
    """
    rows, columns = old
    if table.shape[0] != first + rows * columns:
        raise ValueError(f"a position table of {table.shape[0]} rows is not {first} + a grid of {rows}x{columns}")
    table = table.float()
    if old == new:
        return table.clone()
    grid_1DRC = table[first:].T.reshape(1, -1, rows, columns)
    resized_1DRC = F.interpolate(grid_1DRC, size=new, mode=mode, align_corners=False)
    return torch.cat([table[:first], resized_1DRC.flatten(2)[0].T])
