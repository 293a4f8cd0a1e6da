"""Pieces: solids with the surface they carry, and how to place them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.raycast import LEVELS, Box, Cone, Ellipsoid, Loft, Plane, Solid
from pickout.synthetic.surfaces import Surface

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A solid with its surface.

    Args:
        solid: where it is.
        balls: centres and radii of balls around it. Shape: (n, 4).
        surface: how it looks; pieces of one garment share it.
        start: cloth coordinate down the garment at the solid's beginning, metres.
        hem: cloth coordinate of the lower hem, infinite without one.
    """

    solid: Solid
    balls: Vector
    surface: Surface
    start: float = 0.0
    hem: float = float("inf")


def cross(a: Vector, b: Vector) -> Vector:
    """Cross product of two vectors; much faster than numpy's for single ones."""
    (x, y, z), (u, v, w) = a.tolist(), b.tolist()
    return np.array([y * w - z * v, z * u - x * w, x * v - y * u])


def table(heights: Sequence[float], values: Sequence[float], length: float) -> NDArray[np.float32]:
    """A smooth loft table through `values` at `heights` (rising, 0 to `length`)."""
    steps = np.linspace(0.0, length, LEVELS)
    rough = np.interp(steps, heights, values)
    padded = np.pad(rough, 6, mode="edge")
    return np.convolve(padded, np.full(13, 1 / 13), mode="valid").astype(np.float32)


def ellipsoid(
    surface: Surface, centre: Vector, frame: Vector, radii: Sequence[float], *planes: Plane, start: float = 0.0
) -> Piece:
    """An ellipsoid with half-axes `radii` along the rows of `frame`; planes are in units of the half-axes."""
    size = np.asarray(radii, dtype=np.float64)
    balls = np.array([[*centre, float(size.max())]])
    return Piece(Ellipsoid(centre, frame / size[:, None], planes), balls, surface, start)


def cone(
    surface: Surface,
    start_point: Vector,
    end_point: Vector,
    radii: tuple[float, float],
    ahead: Vector,
    *,
    flatten: tuple[float, float] = (1.0, 1.0),
    caps: tuple[bool, bool] = (True, True),
    start: float = 0.0,
    hem: float = float("inf"),
) -> Piece:
    """A rounded cone between two points; `ahead` fixes its front, `flatten` scales it sideways and front to back."""
    way = end_point - start_point
    length = float(np.linalg.norm(way))
    y = way / length
    z = ahead - y * float(ahead @ y)
    z = z / max(float(np.linalg.norm(z)), 1e-9)
    axes = np.stack([cross(y, z) / flatten[0], y, z / flatten[1]])
    widest = max(1.0, *flatten)
    balls = np.array([[*start_point, radii[0] * widest], [*end_point, radii[1] * widest]])
    return Piece(Cone(start_point, axes, length, *radii, caps), balls, surface, start, hem)


def loft(
    surface: Surface,
    base: Vector,
    frame: Vector,
    heights: Sequence[float],
    profile: tuple[Sequence[float], Sequence[float], Sequence[float]],
    *,
    gap: Sequence[float] | None = None,
    start: float = 0.0,
    hem: bool = True,
) -> Piece:
    """Ellipses along `frame`'s up axis from `base`: half-width, half-depth and forward shift at `heights` from it."""
    length = heights[-1] - heights[0]
    places = [height - heights[0] for height in heights]
    wide, deep, shift = (table(places, values, length) for values in profile)
    opening = None if gap is None else table(places, gap, length)
    origin = base + frame[1] * heights[0]
    levels = np.linspace(0, LEVELS - 1, 6).astype(int)
    centres = origin + np.outer(levels / (LEVELS - 1) * length, frame[1])
    reach = np.maximum(wide, deep)[levels] + np.abs(shift)[levels]
    solid = Loft(origin, frame, length, wide, deep, shift, opening)
    return Piece(solid, np.column_stack([centres, reach]), surface, start, start + length if hem else float("inf"))


def box(surface: Surface, centre: Vector, frame: Vector, half: Sequence[float]) -> Piece:
    """A box with half-sizes `half` along the rows of `frame`."""
    size = np.asarray(half, dtype=np.float64)
    balls = np.array([[*centre, float(np.linalg.norm(size))]])
    return Piece(Box(centre, frame / size[:, None]), balls, surface)
