"""Cast the rays, keep the nearest piece of each pixel, then paint and light only what is seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.cloth import paint
from pickout.synthetic.pieces import Piece
from pickout.synthetic.raycast import LEVELS, Cone, Ellipsoid, Loft, Rays, intersect, local_rays
from pickout.synthetic.shading import Light, occlusion, shade
from pickout.synthetic.surfaces import Pixels, Surface

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A rendered figure.

    Args:
        colour: linear light, zero where nothing is. Shape: (height, width, 3).
        part: a `Part` at each pixel. Shape: (height, width).
        depth: infinite where nothing is. Shape: (height, width).
    """

    colour: Array
    part: NDArray[np.uint8]
    depth: Array


def nearest(first: Layer, second: Layer) -> Layer:
    """Both figures in one layer, the nearer one before the other."""
    ahead = second.depth < first.depth
    return Layer(
        np.where(ahead[..., None], second.colour, first.colour),
        np.where(ahead, second.part, first.part),
        np.minimum(first.depth, second.depth),
    )


def render(pieces: Sequence[Piece], rays: Rays, light: Light) -> Layer:
    """Render `pieces` as `rays` see them in `light`."""
    rank: dict[int, int] = {}
    for piece in pieces:
        rank.setdefault(id(piece.surface), len(rank))
    ordered = sorted(pieces, key=lambda piece: rank[id(piece.surface)])
    depth, owner = _cast(ordered, rays)
    flat = owner.ravel()
    order = np.argsort(flat, kind="stable")
    ends = np.searchsorted(flat[order], np.arange(-1, len(ordered) + 1))
    height, width = rays.shape
    colour = np.zeros((height * width, 3), dtype=np.float32)
    part = np.zeros(height * width, dtype=np.uint8)
    seen = order[ends[1] :]
    if len(seen) == 0:
        return Layer(colour.reshape(height, width, 3), part.reshape(height, width), depth)
    rows, columns = np.divmod(seen, width)
    xs, ys = rays.xs[columns], rays.ys[rows]
    deep = depth.ravel()[seen]
    pixels = _surface_pixels(ordered, ends - ends[1], rays, xs, ys, deep)
    albedo = np.empty((3, len(seen)), dtype=np.float32)
    tone = np.empty(len(seen), dtype=np.float32)
    kind = np.empty(len(seen), dtype=np.uint8)
    gloss = np.empty(len(seen), dtype=np.float32)
    for first, last, surface in _runs(ordered, ends - ends[1]):
        cut = slice(first, last)
        done = paint(
            surface, Pixels(pixels.world[:, cut], pixels.normal[:, cut], pixels.u[cut], pixels.v[cut], pixels.hem[cut])
        )
        albedo[:, cut], tone[cut], kind[cut], gloss[cut] = done.colour, done.shade, done.part, surface.shine
    tone *= occlusion(depth).ravel()[seen]
    lit = shade(albedo, tone, gloss, pixels.normal, pixels.world, rays.position, light)
    colour[seen] = lit.T
    part[seen] = kind
    return Layer(colour.reshape(height, width, 3), part.reshape(height, width), depth)


def _cast(pieces: Sequence[Piece], rays: Rays) -> tuple[Array, NDArray[np.int16]]:
    """Depth (infinite where nothing is) and the number of the nearest piece (-1 for none) at each pixel."""
    depth = np.full(rays.shape, np.inf, dtype=np.float32)
    owner = np.full(rays.shape, -1, dtype=np.int16)
    first = np.cumsum([0, *(len(piece.balls) for piece in pieces[:-1])])
    places = rays.rectangles(np.concatenate([piece.balls for piece in pieces]), first)
    for number, (piece, place) in enumerate(zip(pieces, places, strict=True)):
        if place is None:
            continue
        near = local_rays(rays, piece.solid, place)
        found = intersect(piece.solid, near) + np.float32(near.depth)
        closer = found < depth[place]
        np.copyto(depth[place], found, where=closer)
        np.copyto(owner[place], np.int16(number), where=closer)
    return depth, owner


def _runs(pieces: Sequence[Piece], ends: NDArray[np.intp]) -> list[tuple[int, int, Surface]]:
    """First and last pixel of each surface that is seen."""
    runs: list[tuple[int, int, Surface]] = []
    for number, piece in enumerate(pieces):
        first, last = int(ends[number + 1]), int(ends[number + 2])
        if first == last:
            continue
        if runs and runs[-1][2] is piece.surface:
            runs[-1] = (runs[-1][0], last, piece.surface)
        else:
            runs.append((first, last, piece.surface))
    return runs


def _surface_pixels(
    pieces: Sequence[Piece], ends: NDArray[np.intp], rays: Rays, xs: Array, ys: Array, deep: Array
) -> Pixels:
    basis = rays.basis.astype(np.float32)
    way = basis[2][:, None] + basis[0][:, None] * xs + basis[1][:, None] * ys
    world = rays.position.astype(np.float32)[:, None] + deep * way
    normal = np.empty_like(world)
    u, v, hem = np.empty_like(deep), np.empty_like(deep), np.empty_like(deep)
    for number, piece in enumerate(pieces):
        cut = slice(int(ends[number + 1]), int(ends[number + 2]))
        if cut.start == cut.stop:
            continue
        axes = piece.solid.axes.astype(np.float32)
        place = axes @ (world[:, cut] - piece.solid.origin.astype(np.float32)[:, None])
        local, u[cut], down = _unroll(piece, place)
        v[cut] = down + np.float32(piece.start)
        hem[cut] = np.float32(piece.hem) - v[cut]
        normal[:, cut] = axes.T @ local
    normal /= np.sqrt(np.maximum(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2, 1e-20))
    return Pixels(world, normal, u, v, hem)


def _unroll(piece: Piece, place: Array) -> tuple[Array, Array, Array]:
    """Normal in the solid's frame (3, n) and cloth coordinates around and down, metres."""
    x, y, z = place
    solid = piece.solid
    if isinstance(solid, Ellipsoid):
        size = 1.0 / np.linalg.norm(solid.axes, axis=1)
        return np.stack([x, y, z]), np.arctan2(x, z) * np.float32(size[0]), (1.0 - y) * np.float32(size[1])
    if isinstance(solid, Cone):
        low, low_radius, high, high_radius = solid.hull
        slope = (high_radius - low_radius) / (high - low)
        rise = np.where(
            y < low, y, np.where(y > high, y - np.float32(solid.length), -np.float32(slope) * np.hypot(x, z))
        )
        across = np.arctan2(x, z) * np.float32(0.5 * (solid.start + solid.end))
        return np.stack([x, rise.astype(np.float32), z]), across, y
    if isinstance(solid, Loft):
        return _unroll_loft(solid, x, y, z)
    sides = np.stack([x, y, z])
    most = np.abs(sides).argmax(axis=0)
    flat = np.where(np.arange(3)[:, None] == most, np.sign(sides), 0.0).astype(np.float32)
    size = 1.0 / np.linalg.norm(solid.axes, axis=1)
    return flat, np.where(most == 0, z * np.float32(size[2]), x * np.float32(size[0])), (1.0 - y) * np.float32(size[1])


def _unroll_loft(solid: Loft, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
    step = solid.length / (LEVELS - 1)
    level = np.clip(y / np.float32(step), 0, LEVELS - 1).astype(np.intp)
    wide, deep, beside = solid.wide[level], solid.deep[level], z - solid.shift[level]
    steep_wide, steep_deep, steep_shift = (
        np.gradient(t, step).astype(np.float32)[level] for t in (solid.wide, solid.deep, solid.shift)
    )
    across, along = x / (wide * wide), beside / (deep * deep)
    rise = -(across * x / wide * steep_wide + along * beside / deep * steep_deep + along * steep_shift)
    around = np.arctan2(x / wide, beside / deep) * np.float32(0.5 * float(solid.wide.mean() + solid.deep.mean()))
    return np.stack([across, rise, along]), around, np.float32(solid.length) - y
