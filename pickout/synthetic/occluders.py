"""Things between the camera and the person, drawn over the crop with soft edges."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Occluder
from pickout.synthetic.surfaces import mottled

Array = NDArray[np.floating[Any]]


def draw_occluder(occluder: Occluder, size: tuple[int, int]) -> tuple[Array, Array]:
    """Colour (height, width, 3), linear, and cover (height, width), 0 to 1; a passer-by is drawn elsewhere."""
    height, width = size
    generator = np.random.default_rng([occluder.seed, 7])
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None, :]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    tone = np.power(generator.uniform(0.15, 0.75) * generator.uniform(0.8, 1.2, 3), 2.2).astype(np.float32)
    kind = occluder.kind
    if kind == "pole":
        half = 0.03 + 0.10 * occluder.reach
        across = (x - occluder.place) / half
        cover = np.broadcast_to(_soft(1.0 - np.abs(across), half * width), size)
        round_ = np.sqrt(np.clip(1.0 - across * across, 0.0, 1.0)) * (0.9 + 0.3 * across) + 0.15
        return np.broadcast_to(tone * round_[..., None], (*size, 3)), cover
    if kind == "railing":
        return _railing(occluder, x, y, tone, size)
    if kind == "bush":
        rough = mottled(x * 0.4 + y * 0, y * 1.2 + x * 0, 110.0, occluder.seed % 997)
        fine = mottled(x * 0.4 + y * 0, y * 1.2 + x * 0, 330.0, occluder.seed % 991)
        apart = np.hypot((x - occluder.place) / 0.75, (y - 1.02) / max(occluder.reach, 0.12))
        leaf = np.power(np.array([0.24, 0.36, 0.15]) * generator.uniform(0.7, 1.3), 2.2).astype(np.float32)
        colour = leaf * np.clip(1.0 + 0.9 * fine + 0.4 * rough, 0.1, 2.6)[..., None]
        return colour, np.clip((1.0 - apart + 0.28 * rough + 0.18 * fine) * 9.0, 0.0, 1.0)
    if kind == "car":
        return _car(occluder, x, y, generator, size)
    if kind == "bin":
        half, top = 0.16 + 0.25 * occluder.reach, 1.0 - 0.7 * occluder.reach
        across = (x - occluder.place) / half
        cover = _soft(1.0 - np.abs(across), half * width) * _soft((y - top) * height, 1.0)
        lid = np.where(y < top + 0.04, np.float32(0.6), np.float32(1.0))
        round_ = (0.35 + 0.75 * np.sqrt(np.clip(1.0 - across * across, 0.0, 1.0))) * lid
        return tone * round_[..., None], cover
    edge = occluder.place + (0.22 if occluder.place < 0.5 else -0.22) * occluder.reach
    side = edge - x if occluder.place < 0.5 else x - edge
    flat = tone * (0.8 + 0.2 * y + 0.0 * x)[..., None]
    return flat, np.broadcast_to(_soft(side * width, 1.0), size)


def _soft(inside: Array, pixels: float) -> Array:
    """Cover of a soft edge: `inside` grows inward and reaches 1 within about a pixel."""
    return np.asarray(np.clip(inside * np.float32(pixels) + np.float32(0.5), 0.0, 1.0))


def _railing(occluder: Occluder, x: Array, y: Array, tone: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    height, width = size
    top = 1.0 - occluder.reach
    cover = np.zeros(size, dtype=np.float32)
    for place in (top, top + 0.09 + 0.1 * (occluder.seed % 3)):
        cover = np.maximum(cover, _soft((0.011 - np.abs(y - place)) * height, 1.0) + 0.0 * x)
    apart = 0.16 + 0.05 * (occluder.seed % 4)
    post = np.abs(np.mod(x + occluder.place, apart) - apart / 2)
    cover = np.maximum(cover, _soft((0.022 - post) * width, 1.0) * (y > top))
    light = 0.8 + 0.3 * np.sin(x * 9.0 + y)
    return tone * light[..., None], np.clip(cover, 0.0, 1.0)


def _car(
    occluder: Occluder, x: Array, y: Array, generator: np.random.Generator, size: tuple[int, int]
) -> tuple[Array, Array]:
    height, _ = size
    paint = np.power(generator.uniform(0.08, 0.9, 3), 2.2).astype(np.float32)
    slope = 0.10 if occluder.place < 0.5 else -0.10
    hood = 1.0 - 0.85 * occluder.reach + slope * (x - 0.5) + 0.10 * np.square(x - 0.5)
    inside = (y - hood) * height
    lower = np.clip((y - hood) / max(occluder.reach, 0.1), 0.0, 1.0)
    gloss = np.exp(-np.square((lower - 0.12) / 0.06)) * 0.35
    light = 1.15 - 0.75 * lower
    glass = (lower > 0.0) & (lower < 0.10)
    colour = paint * light[..., None] + gloss[..., None]
    return np.where(glass[..., None], np.float32(0.05), colour).astype(np.float32), _soft(inside, 1.0)
