"""Rasterise triangles: which triangle each pixel shows, and where on it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.solids import Rays

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The pixels that show a triangle.

    Args:
        pixel: number of each, row by row. Shape: (n,).
        triangle: number of the triangle that it shows. Shape: (n,).
        share: how near the place is to each corner, sum 1. Shape: (3, n).
        depth: of each place. Shape: (n,).
    """

    pixel: NDArray[np.intp]
    triangle: NDArray[np.intp]
    share: Array
    depth: Array

    def spread(self, values: Array, triangles: NDArray[np.int32]) -> Array:
        """Values of the vertices, (vertices, k), at the hits, (n, k)."""
        a, b, c = triangles[self.triangle].T
        p, q, r = self.share[..., None]
        return np.asarray(values[a] * p + values[b] * q + values[c] * r)


def rasterise(points: Array, triangles: NDArray[np.int32], rays: Rays) -> Hits:
    """The nearest triangle at each pixel of `rays`.

    A triangle is nearly always smaller than a few pixels, so every pixel centre in its bounding box is tried at once
    for all triangles together, and the hits are laid down from far to near.

    Args:
        points: places in the world. Shape: (n, 3).
        triangles: corners, counter-clockwise from outside; what faces away is not seen. Shape: (m, 3).
    """
    height, width = rays.shape
    local = (points - rays.position.astype(np.float32)) @ rays.basis.T.astype(np.float32)
    near = np.float32(1.0) / np.maximum(local[:, 2], np.float32(0.05))
    x = (local[:, 0] * near - rays.xs[0]) * np.float32((width - 1) / (rays.xs[-1] - rays.xs[0]))
    y = (local[:, 1] * near - rays.ys[0]) * np.float32((height - 1) / (rays.ys[-1] - rays.ys[0]))
    ax, bx, cx = x[triangles].T
    ay, by, cy = y[triangles].T
    # y runs down in pixels, so a front comes out negative.
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    left = np.maximum(np.ceil(np.minimum(np.minimum(ax, bx), cx)), 0).astype(np.int32)
    right = np.minimum(np.floor(np.maximum(np.maximum(ax, bx), cx)), width - 1).astype(np.int32)
    top = np.maximum(np.ceil(np.minimum(np.minimum(ay, by), cy)), 0).astype(np.int32)
    bottom = np.minimum(np.floor(np.maximum(np.maximum(ay, by), cy)), height - 1).astype(np.int32)
    kept = np.flatnonzero((right >= left) & (bottom >= top) & (area < -1e-6))
    wide = (right - left + 1)[kept]
    count = wide * (bottom - top + 1)[kept]
    first = np.cumsum(count) - count
    owner = np.repeat(kept, count)
    place = np.arange(len(owner)) - np.repeat(first, count)
    down, aside = np.divmod(place, np.repeat(wide, count))
    column, row = left[owner] + aside, top[owner] + down
    px, py = column.astype(np.float32), row.astype(np.float32)
    scale = np.float32(1.0) / area[owner]
    ax, bx, cx, ay, by, cy = (values[owner] for values in (ax, bx, cx, ay, by, cy))
    second = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * scale
    third = ((ax - px) * (by - py) - (ay - py) * (bx - px)) * scale
    first_ = np.float32(1.0) - second - third
    inside = np.flatnonzero((first_ >= -1e-4) & (second >= -1e-4) & (third >= -1e-4))
    share, owner = np.stack([first_[inside], second[inside], third[inside]]), owner[inside]
    a, b, c = triangles[owner].T
    nearness = share[0] * near[a] + share[1] * near[b] + share[2] * near[c]
    pixel = row[inside].astype(np.intp) * width + column[inside]
    winner = np.full(height * width, -1, dtype=np.intp)
    order = np.argsort(nearness)
    winner[pixel[order]] = order
    seen = np.flatnonzero(winner >= 0)
    chosen = winner[seen]
    return Hits(seen, owner[chosen], share[:, chosen], np.float32(1.0) / nearness[chosen])
