"""Pieces: solids with the surface they carry, and how to place them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pickout.synthetic.solids import LEVELS, Box, Cone, Ellipsoid, Loft, Plane, Solid
from pickout.synthetic.surfaces import Array, Surface, Vector

Lengths = Sequence[float] | Vector


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A solid with its surface, which the pieces of one garment share."""

    solid: Solid
    balls: Vector  # centres and radii of balls around it. Shape: (n, 4)
    surface: Surface
    start: float = 0.0  # cloth coordinate down the garment at the solid's beginning, metres
    hem: float = float("inf")  # cloth coordinate of the lower hem, infinite without one


def ellipsoid(
    surface: Surface, centre: Vector, frame: Vector, radii: Lengths, *planes: Plane, start: float = 0.0
) -> Piece:
    """An ellipsoid with half-axes `radii` along the rows of `frame`; planes are in units of the half-axes."""
    size = np.asarray(radii, dtype=np.float64)
    return Piece(Ellipsoid(centre, frame / size[:, None], planes), np.array([[*centre, size.max()]]), surface, start)


def box(surface: Surface, centre: Vector, frame: Vector, half: Lengths) -> Piece:
    """A box with half-sizes `half` along the rows of `frame`."""
    size = np.asarray(half, dtype=np.float64)
    return Piece(Box(centre, frame / size[:, None]), np.array([[*centre, float(np.linalg.norm(size))]]), surface)


def cone(
    surface: Surface,
    first: Vector,
    last: Vector,
    radii: tuple[float, float],
    ahead: Vector,
    *,
    flatten: tuple[float, float] = (1.0, 1.0),
    caps: tuple[bool, bool] = (True, True),
    start: float = 0.0,
    hem: float = float("inf"),
) -> Piece:
    """A rounded cone between two points; `ahead` fixes its front, `flatten` scales it sideways and front to back."""
    length = float(np.linalg.norm(last - first))
    y = (last - first) / length
    z = ahead - y * float(ahead @ y)
    z = z / max(float(np.linalg.norm(z)), 1e-9)
    # Spelt out: numpy's cross product is slow for single vectors.
    (a, b, c), (d, e, f) = y.tolist(), z.tolist()
    side = np.array([b * f - c * e, c * d - a * f, a * e - b * d])
    axes = np.stack([side / flatten[0], y, z / flatten[1]])
    widest = max(1.0, *flatten)
    balls = np.array([[*first, radii[0] * widest], [*last, radii[1] * widest]])
    return Piece(Cone(first, axes, length, *radii, caps), balls, surface, start, hem)


def loft(
    surface: Surface,
    base: Vector,
    frame: Vector,
    heights: Lengths,
    profile: Sequence[Lengths],
    *,
    gap: Lengths | None = None,
    start: float = 0.0,
    hem: bool = True,
) -> Piece:
    """Ellipses along `frame`'s up axis from `base`: half-width, half-depth and forward shift at `heights` from it."""
    length = heights[-1] - heights[0]
    steps = np.linspace(0.0, length, LEVELS)

    def table(values: Lengths) -> Array:
        rough = np.interp(steps, [height - heights[0] for height in heights], values)
        return np.convolve(np.pad(rough, 6, mode="edge"), np.full(13, 1 / 13), mode="valid").astype(np.float32)

    wide, deep, shift = map(table, profile)
    origin = base + frame[1] * heights[0]
    levels = np.linspace(0, LEVELS - 1, 6).astype(int)
    centres = origin + np.outer(levels / (LEVELS - 1) * length, frame[1])
    reach = np.maximum(wide, deep)[levels] + np.abs(shift)[levels]
    solid = Loft(origin, frame, length, wide, deep, shift, None if gap is None else table(gap))
    return Piece(solid, np.column_stack([centres, reach]), surface, start, start + length if hem else float("inf"))
