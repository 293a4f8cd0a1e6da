"""Rays of a pinhole camera against solids: closed-form intersections, vectorised over the pixels a solid may cover.

Every solid lives in a local frame: `local = axes @ (world - origin)`. Rays are x right, y up, z towards the camera in
the world. A ray through a pixel is `position + t * direction` with a direction whose part along `forward` is 1, so t is
the depth. To keep single precision exact enough, solids are solved from a point near them (`near` below), not from the
camera.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]

LEVELS = 192
"""Steps of a loft's tables."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Half-space in a local frame: points with `normal . point <= limit` stay."""

    normal: tuple[float, float, float]
    limit: float


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid:
    """The unit sphere of its local frame, cut by `planes`."""

    origin: Vector
    axes: Vector
    planes: tuple[Plane, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Cone:
    """Two spheres on the local y axis, at 0 with radius `start` and at `length` with radius `end`, and their hull.

    Args:
        caps: whether the first and the second ball belong to it; without a cap the hull is cut flat at its height.
    """

    origin: Vector
    axes: Vector
    length: float
    start: float
    end: float
    caps: tuple[bool, bool] = (True, True)

    @property
    def hull(self) -> tuple[float, float, float, float]:
        """Where the hull touches the balls: height and radius at the first, then at the second."""
        sine = float(np.clip((self.start - self.end) / self.length, -0.95, 0.95))
        cosine = float(np.sqrt(1.0 - sine * sine))
        low = self.start * sine if self.caps[0] else 0.0
        high = self.length + self.end * sine if self.caps[1] else self.length
        slope = -sine / cosine
        foot = self.start / cosine
        return low, foot + slope * low, high, foot + slope * high


@dataclass(frozen=True, slots=True, eq=False)
class Loft:
    """Ellipses stacked along the local y axis from 0 to `length`.

    Args:
        wide: half-axis along x at `LEVELS` equal steps.
        deep: half-axis along z.
        shift: centre along z.
        gap: half-width of an opening in front (z above the centre), 0 where closed.
    """

    origin: Vector
    axes: Vector
    length: float
    wide: Array
    deep: Array
    shift: Array
    gap: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """The cube from -1 to 1 of its local frame."""

    origin: Vector
    axes: Vector


Solid = Ellipsoid | Cone | Loft | Box


@dataclass(frozen=True, slots=True, eq=False)
class Rays:
    """The rays of a picture.

    Args:
        position: of the camera. Shape: (3,).
        basis: rows right, up and forward. Shape: (3, 3).
        xs: right-coordinate of each column at depth 1. Shape: (width,).
        ys: up-coordinate of each row at depth 1. Shape: (height,).
    """

    position: Vector
    basis: Vector
    xs: Array
    ys: Array
    shape: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", (len(self.ys), len(self.xs)))

    def project(self, points: Vector) -> Vector:
        """Right, up (at depth 1) and depth of world points. Shape: (n, 3) to (n, 3)."""
        local = (points - self.position) @ self.basis.T
        return np.column_stack([local[:, 0] / local[:, 2], local[:, 1] / local[:, 2], local[:, 2]])

    def rectangles(self, balls: Vector, first: NDArray[np.intp]) -> list[tuple[slice, slice] | None]:
        """Rows and columns that groups of balls may cover; None for a group outside or behind.

        Args:
            balls: centre and radius of each. Shape: (n, 4).
            first: the first ball of each group. Shape: (groups,).
        """
        places = self.project(balls[:, :3])
        behind = np.maximum.reduceat(places[:, 2] <= balls[:, 3] * 1.5, first)
        reach = balls[:, 3] * 1.04 / np.maximum(places[:, 2] - balls[:, 3], 1e-3)
        across, up = places[:, 0], places[:, 1]
        left = np.searchsorted(self.xs, np.minimum.reduceat(across - reach, first))
        right = np.searchsorted(self.xs, np.maximum.reduceat(across + reach, first))
        top = np.searchsorted(-self.ys, -np.maximum.reduceat(up + reach, first))
        bottom = np.searchsorted(-self.ys, -np.minimum.reduceat(up - reach, first))
        found: list[tuple[slice, slice] | None] = []
        for hidden, a, b, c, d in zip(behind, top, bottom, left, right, strict=True):
            found.append(None if hidden or a >= b or c >= d else (slice(int(a), int(b)), slice(int(c), int(d))))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class LocalRays:
    """Rays in a solid's frame: `start + t * step`, three arrays each; `depth` is to be added to t."""

    start: tuple[Array, Array, Array]
    step: tuple[Array, Array, Array]
    depth: float


def local_rays(rays: Rays, solid: Solid, place: tuple[slice, slice]) -> LocalRays:
    """The rays through rows and columns `place` in the frame of `solid`."""
    offset = rays.position - solid.origin
    depth = -float(rays.basis[2] @ offset)
    turned = (solid.axes @ rays.basis.T).astype(np.float32)
    home = (solid.axes @ offset).astype(np.float32)
    xs, ys = rays.xs[place[1]], rays.ys[place[0]]
    across = turned[:, 2, None] + turned[:, 0, None] * xs
    down = turned[:, 1, None] * ys
    step = across[:, None, :] + down[:, :, None]
    across = home[:, None] + np.float32(depth) * across
    down = np.float32(depth) * down
    start = across[:, None, :] + down[:, :, None]
    return LocalRays((start[0], start[1], start[2]), (step[0], step[1], step[2]), depth)


def intersect(solid: Solid, rays: LocalRays) -> Array:
    """First t of each ray inside `solid`, infinite where it misses."""
    if isinstance(solid, Ellipsoid):
        return _ellipsoid(solid, rays)
    if isinstance(solid, Cone):
        return _cone(solid, rays)
    if isinstance(solid, Loft):
        return _loft(solid, rays)
    return _box(rays)


def _root(a: Array, b: Array, c: Array) -> Array:
    """Smaller root of a t^2 + 2 b t + c, infinite where there is none."""
    inside = b * b - a * c
    t = (-b - np.sqrt(np.maximum(inside, 0.0))) / a
    return np.where(inside > 0.0, t, np.float32(np.inf))


def _ellipsoid(solid: Ellipsoid, rays: LocalRays) -> Array:
    (x, y, z), (u, v, w) = rays.start, rays.step
    t = _root(u * u + v * v + w * w, x * u + y * v + z * w, x * x + y * y + z * z - np.float32(1.0))
    for plane in solid.planes:
        nx, ny, nz = (np.float32(value) for value in plane.normal)
        safe = np.where(np.isfinite(t), t, np.float32(0.0))
        side = (x * nx + y * ny + z * nz) + safe * (u * nx + v * ny + w * nz)
        t = np.where(side <= np.float32(plane.limit), t, np.float32(np.inf))
    return t


def _cone(solid: Cone, rays: LocalRays) -> Array:
    (x, y, z), (u, v, w) = rays.start, rays.step
    low, low_radius, high, high_radius = solid.hull
    slope = np.float32((high_radius - low_radius) / (high - low))
    foot = np.float32(low_radius - slope * low)
    flat, cross, round_ = u * u + w * w, x * u + z * w, x * x + z * z
    radius, lean = foot + slope * y, slope * v
    t = _root(flat - lean * lean, cross - lean * radius, round_ - radius * radius)
    height = y + np.where(np.isfinite(t), t, np.float32(0.0)) * v
    best = np.where((height > np.float32(low)) & (height < np.float32(high)), t, np.float32(np.inf))
    if solid.caps[0] or solid.caps[1]:
        speed, toward, apart = flat + v * v, cross + y * v, round_ + y * y
        if solid.caps[0]:
            best = np.minimum(best, _root(speed, toward, apart - np.float32(solid.start**2)))
        if solid.caps[1]:
            length = np.float32(solid.length)
            rest = apart - np.float32(2.0) * length * y + np.float32(solid.length**2 - solid.end**2)
            best = np.minimum(best, _root(speed, toward - length * v, rest))
    return best


def _loft(solid: Loft, rays: LocalRays) -> Array:
    (x, y, z), (u, v, w) = rays.start, rays.step
    wide, deep = (np.float32(1.0) / np.square(table) for table in (solid.wide, solid.deep))
    scale = np.float32((LEVELS - 1) / solid.length)
    xx, xu, uu, ww = x * x, x * u, u * u, w * w
    height = y
    for _ in range(4):
        level = np.clip(height * scale, 0.0, LEVELS - 1.0).astype(np.intp)
        flat, thick, beside = wide[level], deep[level], z - solid.shift[level]
        a, b = uu * flat + ww * thick, xu * flat + beside * w * thick
        inside = b * b - a * (xx * flat + beside * beside * thick - np.float32(1.0))
        t = (-b - np.sqrt(np.maximum(inside, 0.0))) / a
        height = y + t * v
    keep = (inside > 0.0) & (height >= 0.0) & (height <= np.float32(solid.length))
    if solid.gap is not None:
        keep &= (np.abs(x + t * u) > solid.gap[level]) | (beside + t * w < 0.0)
    return np.where(keep, t, np.float32(np.inf))


def _box(rays: LocalRays) -> Array:
    enter, leave = np.full_like(rays.step[0], -np.inf), np.full_like(rays.step[0], np.inf)
    for place, step in zip(rays.start, rays.step, strict=True):
        inverse = np.float32(1.0) / np.where(np.abs(step) < 1e-7, np.float32(1e-7), step)
        first, second = (np.float32(-1.0) - place) * inverse, (np.float32(1.0) - place) * inverse
        enter = np.maximum(enter, np.minimum(first, second))
        leave = np.minimum(leave, np.maximum(first, second))
    return np.where(enter < leave, enter, np.float32(np.inf))
