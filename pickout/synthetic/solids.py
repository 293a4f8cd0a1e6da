"""Solids under the rays of a pinhole camera: closed-form intersections, vectorised over the pixels one may cover.

A solid lives in a local frame: `local = axes @ (world - origin)`. The world is x right, y up, z towards the camera. A
ray is `position + t * direction` with a direction whose part along forward is 1, so t is the depth."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.surfaces import Array, Surface, Vector

LEVELS = 192  # steps of a loft's tables
_F = np.float32
_MISS = _F(np.inf)

Lengths = Sequence[float] | Vector
Plane = tuple[float, float, float, float]
"""Normal and limit of a half-space in a local frame: points with `normal . point <= limit` stay."""


@dataclass(frozen=True, slots=True, eq=False)
class Rays:
    """The rays of a picture."""

    position: Vector  # of the camera. Shape: (3,)
    basis: Vector  # rows right, up and forward. Shape: (3, 3)
    xs: Array  # right-coordinate of each column at depth 1. Shape: (width,)
    ys: Array  # up-coordinate of each row at depth 1. Shape: (height,)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        return len(self.ys), len(self.xs)

    def moved(self, away: Vector) -> "Rays":
        """The rays as somebody sees them who stands at `away` and takes that for the origin."""
        return Rays(self.position - away, self.basis, self.xs, self.ys)

    def rectangles(self, balls: Vector, first: NDArray[np.intp]) -> list[tuple[slice, slice] | None]:
        """Rows and columns that groups of balls may cover; None for a group outside or behind. `balls` are centre and
        radius of each, shape (n, 4); `first` is the first ball of each group, shape (groups,)."""
        x, y, depth = ((balls[:, :3] - self.position) @ self.basis.T).T
        across, up = x / depth, y / depth
        behind = np.maximum.reduceat(depth <= balls[:, 3] * 1.5, first)
        reach = balls[:, 3] * 1.04 / np.maximum(depth - balls[:, 3], 1e-3)
        left = np.searchsorted(self.xs, np.minimum.reduceat(across - reach, first))
        right = np.searchsorted(self.xs, np.maximum.reduceat(across + reach, first))
        top = np.searchsorted(-self.ys, -np.maximum.reduceat(up + reach, first))
        bottom = np.searchsorted(-self.ys, -np.minimum.reduceat(up - reach, first))
        return [
            None if hidden or a >= b or c >= d else (slice(int(a), int(b)), slice(int(c), int(d)))
            for hidden, a, b, c, d in zip(behind, top, bottom, left, right, strict=True)
        ]


def _root(a: Array, b: Array, c: Array) -> Array:
    """Smaller root of a t^2 + 2 b t + c, infinite where there is none."""
    inside = b * b - a * c
    return np.where(inside > 0.0, (-b - np.sqrt(np.maximum(inside, 0.0))) / a, _MISS)


@dataclass(frozen=True, slots=True, eq=False)
class Solid(ABC):
    """What lies in a local frame."""

    origin: Vector
    axes: Vector

    def depth(self, rays: Rays, place: tuple[slice, slice]) -> Array:
        """Depth at which each ray through rows and columns `place` first meets it, infinite where it misses."""
        # Solved from a point near it, not from the camera, so that single precision is exact enough.
        offset = rays.position - self.origin
        depth = _F(-float(rays.basis[2] @ offset))
        turned = (self.axes @ rays.basis.T).astype(_F)
        across = turned[:, 2, None] + turned[:, 0, None] * rays.xs[place[1]]
        down = turned[:, 1, None] * rays.ys[place[0]]
        home = (self.axes @ offset).astype(_F)[:, None] + depth * across
        first = self._hit(home[:, None, :] + (depth * down)[:, :, None], across[:, None, :] + down[:, :, None])
        return np.asarray(first + depth)

    @abstractmethod
    def _hit(self, start: Array, step: Array) -> Array:
        """First t of each ray `start + t * step` (three coordinates each) inside it, infinite where it misses."""

    @abstractmethod
    def unroll(self, place: Array) -> tuple[Array, Array, Array]:
        """Normals (3, n) of local places, and cloth coordinates around and down, metres."""


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid(Solid):
    """The unit sphere of its local frame, cut by `planes`."""

    planes: tuple[Plane, ...]

    def _hit(self, start: Array, step: Array) -> Array:
        (x, y, z), (u, v, w) = start, step
        t = _root(u * u + v * v + w * w, x * u + y * v + z * w, x * x + y * y + z * z - _F(1.0))
        for plane in self.planes:
            nx, ny, nz, limit = map(_F, plane)
            safe = np.where(np.isfinite(t), t, _F(0.0))
            side = (x * nx + y * ny + z * nz) + safe * (u * nx + v * ny + w * nz)
            t = np.where(side <= limit, t, _MISS)
        return t

    def unroll(self, place: Array) -> tuple[Array, Array, Array]:
        """Normals (3, n) of local places, and cloth coordinates around and down, metres."""
        x, y, z = place
        wide, high, _ = 1.0 / np.linalg.norm(self.axes, axis=1)
        return place, np.arctan2(x, z) * _F(wide), (1.0 - y) * _F(high)


@dataclass(frozen=True, slots=True, eq=False)
class Cone(Solid):
    """Two balls on the local y axis, at 0 with radius `start` and at `length` with radius `end`, and their hull."""

    length: float
    start: float
    end: float
    caps: tuple[bool, bool]  # whether the balls belong to it; without a cap the hull is cut flat at its height

    @property
    def hull(self) -> tuple[float, float, float, float]:
        """Where the hull touches the balls: height and radius at the first, then at the second."""
        sine = float(np.clip((self.start - self.end) / self.length, -0.95, 0.95))
        cosine = float(np.sqrt(1.0 - sine * sine))
        low = self.start * sine if self.caps[0] else 0.0
        high = self.length + self.end * sine if self.caps[1] else self.length
        slope, foot = -sine / cosine, self.start / cosine
        return low, foot + slope * low, high, foot + slope * high

    def _hit(self, start: Array, step: Array) -> Array:
        (x, y, z), (u, v, w) = start, step
        low, low_radius, high, high_radius = self.hull
        slope = _F((high_radius - low_radius) / (high - low))
        foot = _F(low_radius - slope * low)
        flat, cross, round_ = u * u + w * w, x * u + z * w, x * x + z * z
        radius, lean = foot + slope * y, slope * v
        t = _root(flat - lean * lean, cross - lean * radius, round_ - radius * radius)
        height = y + np.where(np.isfinite(t), t, _F(0.0)) * v
        best = np.where((height > _F(low)) & (height < _F(high)), t, _MISS)
        speed, toward, apart = flat + v * v, cross + y * v, round_ + y * y
        if self.caps[0]:
            best = np.minimum(best, _root(speed, toward, apart - _F(self.start**2)))
        if self.caps[1]:
            length = _F(self.length)
            rest = apart - _F(2.0) * length * y + _F(self.length**2 - self.end**2)
            best = np.minimum(best, _root(speed, toward - length * v, rest))
        return best

    def unroll(self, place: Array) -> tuple[Array, Array, Array]:
        """Normals (3, n) of local places, and cloth coordinates around and down, metres."""
        x, y, z = place
        low, low_radius, high, high_radius = self.hull
        slope = (high_radius - low_radius) / (high - low)
        rise = np.where(y < low, y, np.where(y > high, y - _F(self.length), -_F(slope) * np.hypot(x, z)))
        return np.stack([x, rise.astype(_F), z]), np.arctan2(x, z) * _F(0.5 * (self.start + self.end)), y


@dataclass(frozen=True, slots=True, eq=False)
class Loft(Solid):
    """Ellipses stacked along the local y axis from 0 to `length`; the tables have `LEVELS` equal steps."""

    length: float
    wide: Array  # half-axis along x
    deep: Array  # half-axis along z
    shift: Array  # centre along z
    gap: Array | None  # half-width of an opening in front (z above the centre), 0 where closed

    def _hit(self, start: Array, step: Array) -> Array:
        (x, y, z), (u, v, w) = start, step
        wide, deep = (_F(1.0) / np.square(table) for table in (self.wide, self.deep))
        scale = _F((LEVELS - 1) / self.length)
        xx, xu, uu, ww = x * x, x * u, u * u, w * w
        height = y
        for _ in range(4):
            level = np.clip(height * scale, 0.0, LEVELS - 1.0).astype(np.intp)
            flat, thick, beside = wide[level], deep[level], z - self.shift[level]
            a, b = uu * flat + ww * thick, xu * flat + beside * w * thick
            inside = b * b - a * (xx * flat + beside * beside * thick - _F(1.0))
            t = (-b - np.sqrt(np.maximum(inside, 0.0))) / a
            height = y + t * v
        keep = (inside > 0.0) & (height >= 0.0) & (height <= _F(self.length))
        if self.gap is not None:
            keep &= (np.abs(x + t * u) > self.gap[level]) | (beside + t * w < 0.0)
        return np.where(keep, t, _MISS)

    def unroll(self, place: Array) -> tuple[Array, Array, Array]:
        """Normals (3, n) of local places, and cloth coordinates around and down, metres."""
        x, y, z = place
        step = self.length / (LEVELS - 1)
        level = np.clip(y / _F(step), 0, LEVELS - 1).astype(np.intp)
        wide, deep, beside = self.wide[level], self.deep[level], z - self.shift[level]
        widens, deepens, shifts = (np.gradient(t, step).astype(_F)[level] for t in (self.wide, self.deep, self.shift))
        across, along = x / (wide * wide), beside / (deep * deep)
        rise = -(across * x / wide * widens + along * beside / deep * deepens + along * shifts)
        around = np.arctan2(x / wide, beside / deep) * _F(0.5 * float(self.wide.mean() + self.deep.mean()))
        return np.stack([across, rise, along]), around, _F(self.length) - y


@dataclass(frozen=True, slots=True, eq=False)
class Box(Solid):
    """The cube from -1 to 1 of its local frame."""

    def _hit(self, start: Array, step: Array) -> Array:
        inverse = _F(1.0) / np.where(np.abs(step) < 1e-7, _F(1e-7), step)
        first, second = (_F(-1.0) - start) * inverse, (_F(1.0) - start) * inverse
        enter, leave = np.minimum(first, second).max(axis=0), np.maximum(first, second).min(axis=0)
        return np.where(enter < leave, enter, _MISS)

    def unroll(self, place: Array) -> tuple[Array, Array, Array]:
        """Normals (3, n) of local places, and cloth coordinates around and down, metres."""
        x, y, z = place
        most = np.abs(place).argmax(axis=0)
        flat = np.where(np.arange(3)[:, None] == most, np.sign(place), 0.0).astype(_F)
        wide, high, deep = 1.0 / np.linalg.norm(self.axes, axis=1)
        return flat, np.where(most == 0, z * _F(deep), x * _F(wide)), (1.0 - y) * _F(high)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A solid with its surface, which the pieces of one garment share."""

    solid: Solid
    balls: Vector  # centres and radii of balls around it. Shape: (n, 4)
    surface: Surface
    start: float = 0.0  # cloth coordinate down the garment at the solid's beginning, metres
    hem: float = float("inf")  # cloth coordinate of the lower hem, infinite without one


def ellipsoid(surface: Surface, centre: Vector, frame: Vector, radii: Lengths, *planes: Plane) -> Piece:
    """An ellipsoid with half-axes `radii` along the rows of `frame`; planes are in units of the half-axes."""
    size = np.asarray(radii, dtype=np.float64)
    return Piece(Ellipsoid(centre, frame / size[:, None], planes), np.array([[*centre, size.max()]]), surface)


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
