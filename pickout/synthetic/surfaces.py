"""What surfaces are: their colours and words, the pixels that show them, what a painter answers, and noise for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]
RGB = tuple[float, float, float]
_NOISE = 256


class Part(IntEnum):
    """What a pixel of a part mask shows."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    HEADWEAR = 3
    UPPER = 4
    OUTER = 5
    LOWER = 6
    SHOES = 7
    BAG = 8
    CARRIED = 9
    ACCESSORY = 10
    OCCLUDER = 11


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """How something is coloured; colours are sRGB in [0, 1]."""

    style: str  # which painter of `cloth` colours it: cloth, skin, face, hair, shoe or plain
    rgb: RGB
    part: Part
    second: RGB | None = None
    under: RGB | None = None  # what shows at the neck or below an opening: skin, or the garment below
    pattern: str = "plain"
    details: frozenset[str] = frozenset()  # words that the painter knows: buttons, zip, logo, v neck, torn ...
    origin: Vector = field(default_factory=lambda: np.zeros(3))  # of the frame in which details are placed
    axes: Vector = field(default_factory=lambda: np.eye(3))  # left, up, forward over the unit that the painter expects
    folds: float = 0.0
    shine: float = 0.0
    seed: int = 0


@dataclass(slots=True, eq=False)
class Pixels:
    """Visible pixels of one surface; lengths in metres."""

    world: Array  # places. Shape: (3, n)
    normal: Array  # outward unit normals in the world. Shape: (3, n)
    u: Array  # cloth coordinate around. Shape: (n,)
    v: Array  # cloth coordinate down the garment. Shape: (n,)
    hem: Array  # distance to the lower hem. Shape: (n,)


class Paint:
    """What a painter answers, at first plain: linear colour (3, n), shade of folds (n,), part of each pixel (n,)."""

    def __init__(self, surface: Surface, count: int) -> None:
        self.colour: Array = np.broadcast_to(linear(surface.rgb), (3, count)).copy()
        self.shade: Array = np.ones(count, dtype=np.float32)
        self.part = np.full(count, int(surface.part), dtype=np.uint8)


def linear(rgb: RGB) -> Array:
    """Linear light of an sRGB colour. Shape: (3, 1)."""
    return np.power(np.array(rgb, dtype=np.float32), np.float32(2.2))[:, None]


def local(surface: Surface, pixels: Pixels) -> Array:
    """Places in the surface's own frame. Shape: (3, n)."""
    place = pixels.world - surface.origin.astype(np.float32)[:, None]
    return np.asarray(surface.axes.astype(np.float32) @ place)


def mottled(u: Array, v: Array, scale: float, seed: int, *, folds: bool = False) -> Array:
    """Cloudy noise at `u`, `v`, or light and shade of long soft `folds` along `v`; mean 0, about -1 to 1; `scale`
    texels a unit, `seed` shifts it."""
    column = (u * np.float32(scale)).astype(np.int32) + seed * 7919 % _NOISE
    row = (v * np.float32(scale)).astype(np.int32) + seed * 104729 // _NOISE % _NOISE
    return np.asarray(_textures()[folds].ravel()[((row & (_NOISE - 1)) << 8) | (column & (_NOISE - 1))])


@cache
def _textures() -> tuple[Array, Array]:
    """Clouds, and long soft folds."""
    clouds = _filtered(11, lambda fx, fy: 1.0 / (1.0 + (np.hypot(fx, fy) / 5.0) ** 2.2))
    ridges = 1.0 - 2.0 * np.abs(_filtered(23, lambda fx, fy: np.exp(-(((np.hypot(fx, fy * 2.2) - 7.0) / 5.0) ** 2))))
    across, along = (np.roll(ridges, -2, axis) - np.roll(ridges, 2, axis) for axis in (1, 0))
    slope = across + 0.6 * along
    return clouds, (slope / (2.2 * slope.std())).astype(np.float32)


def _filtered(seed: int, gain: Callable[[Vector, Vector], Vector]) -> Array:
    """White noise through a filter of frequencies: a tile, scaled to about -1 to 1."""
    white = np.random.default_rng(seed).standard_normal((_NOISE, _NOISE))
    fy, fx = np.meshgrid(np.fft.fftfreq(_NOISE, 1 / _NOISE), np.fft.fftfreq(_NOISE, 1 / _NOISE), indexing="ij")
    weights = gain(fx, fy)
    weights[0, 0] = 0.0
    tile = np.fft.ifft2(np.fft.fft2(white) * weights).real
    return np.asarray((tile / (2.2 * tile.std())).astype(np.float32))
