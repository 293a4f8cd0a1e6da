"""Rasterise triangles: which triangle each pixel shows, and where on it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.solids import Rays
from pickout.synthetic.surfaces import Array


class Hits(NamedTuple):
    """The pixels that show a triangle."""

    pixel: NDArray[np.intp]  # number of each, row by row. Shape: (n,)
    triangle: NDArray[np.intp]  # number of the triangle that it shows. Shape: (n,)
    share: Array  # how near the place is to each corner, sum 1. Shape: (3, n)
    depth: Array  # of each place. Shape: (n,)

    def spread(self, values: Array, triangles: NDArray[np.int32]) -> Array:
        """Values of the vertices, (vertices, k), at the hits, (n, k)."""
        a, b, c = triangles[self.triangle].T
        p, q, r = self.share[..., None]
        return np.asarray(values[a] * p + values[b] * q + values[c] * r)


def rasterise(points: Array, triangles: NDArray[np.int32], rays: Rays) -> Hits:
    """The nearest triangle at each pixel of `rays`.

    A triangle is nearly always smaller than a few pixels, so every pixel centre in its bounding box is tried at once
    for all triangles together, and the hits are laid down from far to near.

    `points` are places in the world, shape (n, 3); `triangles` their corners, counter-clockwise from outside, shape
    (m, 3). What faces away is not seen.
    """
    height, width = rays.shape
    local = (points - rays.position.astype(np.float32)) @ rays.basis.T.astype(np.float32)
    near = np.float32(1.0) / np.maximum(local[:, 2], np.float32(0.05))
    x = (local[:, 0] * near - rays.xs[0]) * np.float32((width - 1) / (rays.xs[-1] - rays.xs[0]))
    y = (local[:, 1] * near - rays.ys[0]) * np.float32((height - 1) / (rays.ys[-1] - rays.ys[0]))
    (ax, bx, cx), (ay, by, cy) = x[triangles].T, y[triangles].T
    # y runs down in pixels, so a front comes out negative.
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    left = np.maximum(np.ceil(np.minimum(np.minimum(ax, bx), cx)), 0).astype(np.int32)
    right = np.minimum(np.floor(np.maximum(np.maximum(ax, bx), cx)), width - 1).astype(np.int32)
    top = np.maximum(np.ceil(np.minimum(np.minimum(ay, by), cy)), 0).astype(np.int32)
    bottom = np.minimum(np.floor(np.maximum(np.maximum(ay, by), cy)), height - 1).astype(np.int32)
    kept = np.flatnonzero((right >= left) & (bottom >= top) & (area < -1e-6))
    wide = (right - left + 1)[kept]
    count = wide * (bottom - top + 1)[kept]
    owner = np.repeat(kept, count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    down, aside = np.divmod(place, np.repeat(wide, count))
    column, row = left[owner] + aside, top[owner] + down
    px, py = column.astype(np.float32), row.astype(np.float32)
    scale = np.float32(1.0) / area[owner]
    ax, bx, cx, ay, by, cy = (values[owner] for values in (ax, bx, cx, ay, by, cy))
    second = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * scale
    third = ((ax - px) * (by - py) - (ay - py) * (bx - px)) * scale
    share = np.stack([np.float32(1.0) - second - third, second, third])
    inside = np.flatnonzero((share >= -1e-4).all(axis=0))
    share, owner = share[:, inside], owner[inside]
    a, b, c = near[triangles[owner].T]
    nearness = share[0] * a + share[1] * b + share[2] * c
    winner = np.full(height * width, -1, dtype=np.intp)
    order = np.argsort(nearness)
    winner[(row[inside].astype(np.intp) * width + column[inside])[order]] = order
    seen = np.flatnonzero(winner >= 0)
    chosen = winner[seen]
    return Hits(seen, owner[chosen], share[:, chosen], np.float32(1.0) / nearness[chosen])
