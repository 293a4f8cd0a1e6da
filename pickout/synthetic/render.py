"""Cast the rays, keep the nearest piece of each pixel, then paint and light only what is seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.cameras import Camera
from pickout.synthetic.cloth import paint
from pickout.synthetic.solids import Piece, Rays
from pickout.synthetic.surfaces import Array, Pixels, Vector


class Light:
    """A camera's light, colours and strengths, exposed so that a surface facing the camera comes out at about its own
    colour. Shape of each: (3,)."""

    def __init__(self, camera: Camera) -> None:
        tint = np.array([1.0 + camera.warmth, 1.0, 1.0 - camera.warmth], dtype=np.float32)
        facing = 0.5 + 0.5 * max(-0.6, camera.light[2])
        key = camera.ambient * 0.80 + (1.0 - camera.ambient) * 1.5 * max(0.0, (facing * 1.5 - 0.25) / 1.25)
        gain = np.float32((1.02 / key) ** 0.85)
        self.direction: Array = np.array(camera.light, dtype=np.float32)  # to the main light, length 1
        self.main: Array = gain * np.float32((1.0 - camera.ambient) * 1.5) * tint
        self.sky: Array = gain * np.float32(camera.ambient) * (2.0 - tint)  # from above
        self.ground: Array = gain * np.float32(camera.ambient * 0.58) * tint  # from below


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A rendered figure."""

    colour: Array  # linear light, zero where nothing is. Shape: (height, width, 3)
    part: NDArray[np.uint8]  # a `Part` at each pixel. Shape: (height, width)
    depth: Array  # infinite where nothing is. Shape: (height, width)


def render(pieces: Sequence[Piece], rays: Rays, light: Light) -> Layer:
    """Render `pieces` as `rays` see them in `light`."""
    surfaces = list(dict.fromkeys(id(piece.surface) for piece in pieces))
    ordered = sorted(pieces, key=lambda piece: surfaces.index(id(piece.surface)))
    # The number of the nearest piece at each pixel, -1 for none.
    depth, owner = np.full(rays.shape, np.inf, dtype=np.float32), np.full(rays.shape, -1, dtype=np.int16)
    first = np.cumsum([0, *(len(piece.balls) for piece in ordered[:-1])])
    places = rays.rectangles(np.concatenate([piece.balls for piece in ordered]), first)
    for number, (piece, place) in enumerate(zip(ordered, places, strict=True)):
        if place is None:
            continue
        found = piece.solid.depth(rays, place)
        closer = found < depth[place]
        np.copyto(depth[place], found, where=closer)
        np.copyto(owner[place], np.int16(number), where=closer)
    order = np.argsort(owner.ravel(), kind="stable")
    # The pixels of piece n are ends[n] to ends[n + 1] of those that show any.
    ends = np.searchsorted(owner.ravel()[order], np.arange(len(ordered) + 1))
    seen = order[ends[0] :]
    ends = (ends - ends[0]).tolist()
    world = seen_places(rays, seen, depth.ravel()[seen])
    normal, (u, v, hem) = np.empty_like(world), np.empty_like(world)
    for number, piece in enumerate(ordered):
        cut = slice(ends[number], ends[number + 1])
        if cut.start < cut.stop:
            axes, origin = piece.solid.axes.astype(np.float32), piece.solid.origin.astype(np.float32)
            local, u[cut], down = piece.solid.unroll(axes @ (world[:, cut] - origin[:, None]))
            v[cut] = down + np.float32(piece.start)
            hem[cut] = np.float32(piece.hem) - v[cut]
            normal[:, cut] = axes.T @ local
    normal /= np.sqrt(np.maximum(_dot(normal, normal), 1e-20))
    albedo, tone = np.empty((3, len(seen)), dtype=np.float32), np.empty(len(seen), dtype=np.float32)
    kind, gloss = np.empty(len(seen), dtype=np.uint8), np.empty(len(seen), dtype=np.float32)
    for _, run in groupby(range(len(ordered)), key=lambda number: id(ordered[number].surface)):
        numbers = list(run)
        cut, surface = slice(ends[numbers[0]], ends[numbers[-1] + 1]), ordered[numbers[0]].surface
        if cut.start == cut.stop:
            continue
        done = paint(surface, Pixels(world[:, cut], normal[:, cut], u[cut], v[cut], hem[cut]))
        albedo[:, cut], tone[cut], kind[cut], gloss[cut] = done.colour, done.shade, done.part, surface.shine
    return shaded((albedo, tone, gloss), kind, normal, world, (depth, seen), rays.position, light)


def seen_places(rays: Rays, seen: NDArray[np.intp], depth: Array) -> Array:
    """Places in the world of the pixels numbered `seen`, at `depth`. Shape: (3, n)."""
    rows, columns = np.divmod(seen, len(rays.xs))
    right, up, forward = rays.basis.astype(np.float32)[..., None]
    way = forward + right * rays.xs[columns] + up * rays.ys[rows]
    return np.asarray(rays.position.astype(np.float32)[:, None] + depth * way)


def shaded(
    look: tuple[Array, Array, Array],  # linear colour (3, n); shade of folds and gloss (0 matt to 1 glossy), (n,)
    kind: NDArray[np.uint8],  # a `Part` of each. Shape: (n,)
    normal: Array,  # unit normals. Shape: (3, n)
    world: Array,  # places. Shape: (3, n)
    seen: tuple[Array, NDArray[np.intp]],  # the picture's depth (height, width) and each point's pixel (n,)
    eye: Vector,  # the camera's place. Shape: (3,)
    light: Light,
) -> Layer:
    """A layer of points in their light towards the camera: main light, light from above and below, gloss and rim."""
    (albedo, tone, gloss), (depth, pixel) = look, seen
    tone = tone * _occlusion(depth).ravel()[pixel]
    toward = eye.astype(np.float32)[:, None] - world
    toward /= np.sqrt(_dot(toward, toward))
    facing = np.clip(_dot(normal, toward), 0.0, 1.0)
    wrapped = np.clip((light.direction @ normal + np.float32(0.25)) * np.float32(0.8), 0.0, None)
    up = np.float32(0.5) + np.float32(0.5) * normal[1]
    ambient = light.ground[:, None] + (light.sky - light.ground)[:, None] * up
    lit = albedo * ((ambient + light.main[:, None] * wrapped) * tone)
    half = toward + light.direction[:, None]
    half /= np.sqrt(np.maximum(_dot(half, half), 1e-12))
    spark = np.clip(_dot(normal, half), 0.0, 1.0)
    for _ in range(4):
        spark = np.square(spark)
    rim = np.square(np.square(1.0 - facing))
    lit += light.main[:, None] * (gloss * spark * np.float32(0.30))
    lit += light.sky[:, None] * (rim * np.float32(0.030) * (0.3 + up))
    lit *= np.float32(0.72) + np.float32(0.28) * np.sqrt(facing)
    colour, part = np.zeros((depth.size, 3), dtype=np.float32), np.zeros(depth.size, dtype=np.uint8)
    colour[pixel], part[pixel] = lit.T, kind
    return Layer(colour.reshape(*depth.shape, 3), part.reshape(depth.shape), depth)


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def _occlusion(depth: Array) -> Array:
    """Darkening (a factor of about 0.5 to 1) behind near neighbours in the picture: arms on a trunk, hem over thigh."""
    height, width = depth.shape
    reach = max(2, height // 64)
    filled = np.where(np.isfinite(depth), depth, depth.max(where=np.isfinite(depth), initial=np.float32(0.0)))
    hidden = np.zeros_like(filled)
    padded = np.pad(filled, reach, mode="edge")
    # Light comes from above, so neighbours above and beside shade more than those below.
    for dy, dx, weight in ((-1, 0, 1.0), (-1, -1, 0.7), (-1, 1, 0.7), (0, -1, 0.7), (0, 1, 0.7), (1, 0, 0.3)):
        top, left = reach + dy * reach, reach + dx * reach
        near = filled - padded[top : top + height, left : left + width]
        hidden += np.float32(weight) * np.clip((near - np.float32(0.012)) * np.float32(12.0), 0.0, 1.0)
    return np.float32(1.0) - np.float32(0.42) * np.clip(hidden * np.float32(0.5), 0.0, 1.0)


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
    """The nearest triangle at each pixel of `rays`, of places `points` (n, 3) in the world. `triangles` (m, 3) are
    counter-clockwise from outside; what faces away is not seen. One is nearly always smaller than a few pixels: all
    pixel centres in its bounding box are tried at once, and the hits laid down from far to near."""
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
