"""Surfaces of a street in their own metres: grounds and fronts, each a colour (linear light) at every place."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.surfaces import mottled

Array = NDArray[np.floating[Any]]
Painter = Callable[[np.random.Generator, Array, Array], Array]


def _tone(generator: np.random.Generator, low: float, high: float, tint: float = 0.035) -> Array:
    """A dull colour, linear. Shape: (3,)."""
    level = float(generator.uniform(low, high))
    rgb = np.clip(level * (1.0 + generator.normal(0.0, tint, 3)), 0.02, 0.97)
    return np.asarray(np.power(rgb, 2.2).astype(np.float32))


def _vivid(generator: np.random.Generator) -> Array:
    """A paint colour, linear. Shape: (3,)."""
    grey = generator.uniform(0.1, 0.85)
    return np.power(0.5 * grey + 0.5 * generator.uniform(0.08, 0.85, 3), 2.2).astype(np.float32)


def _grain(generator: np.random.Generator, base: Array, u: Array, v: Array, scale: float, depth: float) -> Array:
    rough = mottled(u, v, scale, int(generator.integers(1000)))
    broad = mottled(u, v, 18.0, int(generator.integers(1000)))
    return np.asarray(base * (1.0 + np.float32(depth) * (0.6 * rough + 0.7 * broad))[..., None])


def _joints(u: Array, v: Array, wide: float, high: float, joint: float, stagger: float = 0.0) -> NDArray[np.bool_]:
    row = np.floor(v / np.float32(high))
    across = np.mod(u + row * np.float32(stagger * wide), wide)
    return np.asarray((across < joint) | (np.mod(v, high) < joint))


def _tiles(generator: np.random.Generator, u: Array, v: Array) -> Array:
    size = float(generator.uniform(0.3, 0.9))
    base = _tone(generator, 0.42, 0.75)
    ground = _grain(generator, base, u, v, 60.0, 0.10)
    cell = np.floor(u / size) * 13.0 + np.floor(v / size) * 7.0
    ground = ground * (1.0 + 0.05 * np.sin(cell * 12.9))[..., None]
    joint = _joints(u, v, size, size, 0.025, float(generator.choice([0.0, 0.5])))
    return np.asarray(np.where(joint[..., None], ground * np.float32(0.66), ground))


def _asphalt(generator: np.random.Generator, u: Array, v: Array) -> Array:
    ground = _grain(generator, _tone(generator, 0.26, 0.50, 0.03), u, v, 90.0, 0.16)
    line = np.abs(u - generator.uniform(-1.5, 1.5)) < 0.06
    if generator.random() < 0.5:
        line &= np.mod(v, 4.0) < 2.4
    return np.asarray(np.where(line[..., None], np.float32(0.60), ground))


def _zebra(generator: np.random.Generator, u: Array, v: Array) -> Array:
    ground = _grain(generator, _tone(generator, 0.25, 0.42, 0.03), u, v, 90.0, 0.14)
    across = u if generator.random() < 0.5 else v
    stripe = np.mod(across + generator.uniform(0.0, 1.0), 1.0) < 0.5
    worn = 0.62 + 0.10 * mottled(u, v, 60.0, 3)
    return np.asarray(np.where(stripe[..., None], worn[..., None], ground))


def _grass(generator: np.random.Generator, u: Array, v: Array) -> Array:
    base = np.power(np.array([0.30, 0.42, 0.18]) * generator.uniform(0.8, 1.25), 2.2).astype(np.float32)
    grass = _grain(generator, base, u, v, 200.0, 0.45)
    edge = generator.uniform(-1.2, 1.2) + 0.12 * mottled(v, u, 20.0, 4)
    path = _grain(generator, _tone(generator, 0.50, 0.70, 0.05), u, v, 80.0, 0.12)
    side = u > edge if generator.random() < 0.5 else u < edge
    return np.asarray(np.where(side[..., None], path, grass))


def _planks(generator: np.random.Generator, u: Array, v: Array) -> Array:
    wood = np.array([0.60, 0.33 + 0.07 * generator.random(), 0.16 + 0.1 * generator.random()])
    base = np.power(wood * generator.uniform(0.6, 1.3), 2.2).astype(np.float32)
    board = np.floor(u / 0.12)
    floor = _grain(generator, base, u * 6.0, v * 0.5, 40.0, 0.18) * (1.0 + 0.14 * np.sin(board * 91.7))[..., None]
    return np.asarray(np.where(_joints(u, v, 0.12, 1.4, 0.008, 0.37)[..., None], floor * np.float32(0.5), floor))


def _smooth(generator: np.random.Generator, u: Array, v: Array) -> Array:
    floor = _grain(generator, _tone(generator, 0.45, 0.85, 0.03), u, v, 30.0, 0.05)
    glare = np.exp(-np.square((u - generator.uniform(-1.0, 1.0)) / 0.5)) * 0.10
    return np.asarray(floor + glare[..., None])


def _plaster(generator: np.random.Generator, u: Array, v: Array) -> Array:
    wall = _grain(generator, _tone(generator, 0.40, 0.92, 0.045), u, v, 40.0, 0.06)
    if generator.random() < 0.4:
        band = v < generator.uniform(0.1, 1.3)
        wall = np.where(band[..., None], wall * _tone(generator, 0.5, 0.9), wall)
    if generator.random() < 0.4:
        return _posters(generator, wall, u, v)
    return wall


def _posters(generator: np.random.Generator, wall: Array, u: Array, v: Array) -> Array:
    for _ in range(int(generator.integers(1, 4))):
        middle, low = generator.uniform(-2.0, 2.0), generator.uniform(0.6, 1.6)
        half, tall = generator.uniform(0.15, 0.5), generator.uniform(0.3, 1.0)
        sheet = (np.abs(u - middle) < half) & (v > low) & (v < low + tall)
        ink = _vivid(generator) * (1.0 + 0.3 * np.sign(np.sin(v * generator.uniform(8, 30))))[..., None]
        wall = np.where(sheet[..., None], ink, wall)
    return wall


def _bricks(generator: np.random.Generator, u: Array, v: Array) -> Array:
    base = np.power(
        np.array([0.50, 0.33, 0.27]) * generator.uniform(0.7, 1.3) * generator.uniform(0.9, 1.1, 3), 2.2
    ).astype(np.float32)
    wall = _grain(generator, base, u, v, 70.0, 0.16)
    brick = np.floor(u / 0.24 + np.floor(v / 0.09) * 0.5) * 3.7 + np.floor(v / 0.09) * 11.3
    wall = wall * (1.0 + 0.13 * np.sin(brick * 45.2))[..., None]
    return np.asarray(np.where(_joints(u, v, 0.24, 0.09, 0.014, 0.5)[..., None], wall * 0.5 + 0.16, wall))


def _facade(generator: np.random.Generator, u: Array, v: Array) -> Array:
    wall = _grain(generator, _tone(generator, 0.40, 0.85, 0.08), u, v, 30.0, 0.08)
    wide, tall = generator.uniform(1.2, 2.6), generator.uniform(1.6, 3.0)
    x, y = np.mod(u + generator.uniform(0, 3), wide) / wide, np.mod(v - 0.8, tall) / tall
    pane = (x > 0.28) & (x < 0.78) & (y > 0.18) & (y < 0.72) & (v > 0.8)
    rim = (x > 0.25) & (x < 0.81) & (y > 0.15) & (y < 0.75) & (v > 0.8)
    cross = (np.abs(x - 0.53) < 0.012) | (np.abs(y - 0.5) < 0.012)
    glass = _tone(generator, 0.12, 0.45) * (1.0 + 0.6 * mottled(u, v, 25.0, int(generator.integers(99))))[..., None]
    frame = _tone(generator, 0.2, 0.95)
    wall = np.where(rim[..., None], frame, wall)
    return np.asarray(np.where((pane & ~cross)[..., None], glass, wall))


def _shop(generator: np.random.Generator, u: Array, v: Array) -> Array:
    frame, sign = _tone(generator, 0.10, 0.7, 0.15), _vivid(generator)
    wide = generator.uniform(1.0, 2.4)
    x = np.mod(u + generator.uniform(0, 3), wide)
    pane = (x > 0.06) & (v > generator.uniform(0.15, 0.6)) & (v < 2.4)
    dark = generator.uniform(0.05, 0.35)
    goods = np.clip(mottled(u, v * 0.8, 45.0, int(generator.integers(99))), 0.0, 1.0)
    hue = _vivid(generator)
    rows = 0.6 + 0.4 * np.sign(np.sin(v * 9.0))
    glass = dark * dark + goods[..., None] * hue * 0.8 * rows[..., None]
    glass = glass + 0.10 * np.clip(mottled(u - v, u + v, 12.0, 5), 0.0, 1.0)[..., None]
    front = np.where(pane[..., None], glass, frame)
    letters = (v > 2.55) & (v < 2.95) & (mottled(u, v * 0.2, 200.0, 9) > 0.1)
    front = np.where((v > 2.4)[..., None], sign, front)
    return np.asarray(np.where(letters[..., None], np.float32(0.8), front))


def _trees(generator: np.random.Generator, u: Array, v: Array) -> Array:
    sky = np.power(np.array([0.72, 0.80, 0.90]) * generator.uniform(0.75, 1.1), 2.2).astype(np.float32)
    leaf = np.power(np.array([0.26, 0.38, 0.17]) * generator.uniform(0.6, 1.25), 2.2).astype(np.float32)
    rough = mottled(u, v, 45.0, int(generator.integers(99)))
    fine = mottled(u, v, 150.0, int(generator.integers(99)))
    leaves = leaf * np.clip(1.0 + 0.7 * fine + 0.4 * rough, 0.15, 2.5)[..., None]
    crown = (v + 0.9 * rough > generator.uniform(1.6, 3.4)) | (v - 0.4 * rough < generator.uniform(0.2, 1.3))
    back = np.broadcast_to(sky, leaves.shape)
    view = np.where(crown[..., None], leaves, back * 0.8 + leaves * 0.2)
    apart = generator.uniform(1.2, 3.0)
    trunk = np.abs(np.mod(u + generator.uniform(0, 3), apart) - apart / 2) < generator.uniform(0.07, 0.2)
    bark = _tone(generator, 0.18, 0.34) * (1.0 + 0.4 * fine)[..., None]
    return np.asarray(np.where(trunk[..., None], bark, view))


def _doors(generator: np.random.Generator, u: Array, v: Array) -> Array:
    wall = _grain(generator, _tone(generator, 0.55, 0.93, 0.04), u, v, 20.0, 0.03)
    apart = generator.uniform(1.6, 3.2)
    x = np.mod(u + generator.uniform(0, 3), apart)
    leaf = (x < 0.9) & (v < 2.1)
    rim = (x < 0.97) & (v < 2.17)
    window = (x > 0.3) & (x < 0.6) & (v > 1.3) & (v < 1.9)
    wall = np.where(rim[..., None], _tone(generator, 0.2, 0.8), wall)
    wall = np.where(leaf[..., None], _tone(generator, 0.25, 0.75, 0.12), wall)
    wall = np.where(window[..., None], np.float32(0.5), wall)
    return np.asarray(np.where((v < 0.12)[..., None], np.float32(0.06), wall))


def _shutter(generator: np.random.Generator, u: Array, v: Array) -> Array:
    wall = _grain(generator, _tone(generator, 0.35, 0.8, 0.08), u, v, 30.0, 0.08)
    slats = 0.82 + 0.25 * np.abs(np.sin(v * np.float32(np.pi / 0.09)))
    wall = wall * slats[..., None]
    return _posters(generator, wall, u, v) if generator.random() < 0.3 else wall


def _shelves(generator: np.random.Generator, u: Array, v: Array) -> Array:
    tall, wide = generator.uniform(0.25, 0.5), generator.uniform(0.06, 0.22)
    row = np.floor(v / tall)
    things = np.floor((u + row * 0.37) / wide) + 57.0 * row
    hue = np.stack([np.abs(np.sin(things * factor)) for factor in (12.99, 78.23, 37.72)], axis=-1)
    rich = generator.uniform(0.2, 0.7)
    goods = rich * hue + (1.0 - rich) * hue[..., :1]
    x = np.mod(u + row * 0.37, wide) / wide
    filled = (np.mod(v, tall) / tall < 0.45 + 0.4 * hue[..., 1]) & (x > 0.06)
    light = (0.5 + 0.5 * np.sin(x * np.pi)) * generator.uniform(0.5, 1.0)
    shelf = np.where(filled[..., None], np.square(goods) * light[..., None], np.float32(0.02))
    return np.asarray(np.where((np.mod(v, tall) < 0.03)[..., None], _tone(generator, 0.4, 0.9), shelf))


GROUNDS: dict[str, Painter] = {
    "tiles": _tiles, "asphalt": _asphalt, "zebra": _zebra, "grass": _grass, "planks": _planks, "smooth": _smooth,
}  # fmt: skip
"""Grounds by name: across and along, metres, to linear light (..., 3)."""

FRONTS: dict[str, Painter] = {
    "plaster": _plaster, "bricks": _bricks, "facade": _facade, "shop": _shop, "trees": _trees, "doors": _doors,
    "shelves": _shelves,
    "shutter": _shutter,
}  # fmt: skip
"""Fronts by name: across and up, metres, to linear light (..., 3)."""
