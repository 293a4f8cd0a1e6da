"""Tileable noise, made once: cloth folds, mottling, leaves and walls all sample it."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Grid = NDArray[np.float64]
SIZE = 256


@cache
def mottle() -> Array:
    """Cloudy noise, mean 0, about -1 to 1. Shape: (256, 256)."""
    return _filtered(11, lambda fx, fy: 1.0 / (1.0 + (np.hypot(fx, fy) / 5.0) ** 2.2))


@cache
def folds() -> Array:
    """Light and shade of long soft folds, mean 0, about -1 to 1; rows run along the folds. Shape: (256, 256)."""
    heights = _filtered(23, lambda fx, fy: np.exp(-(((np.hypot(fx, fy * 2.2) - 7.0) / 5.0) ** 2)))
    ridges = 1.0 - 2.0 * np.abs(heights)
    slope = (
        np.roll(ridges, -2, axis=1)
        - np.roll(ridges, 2, axis=1)
        + 0.6 * (np.roll(ridges, -2, 0) - np.roll(ridges, 2, 0))
    )
    return np.asarray((slope / (2.2 * slope.std())).astype(np.float32))


def sample(texture: Array, u: Array, v: Array, scale: float, seed: int) -> Array:
    """Values of `texture` at `u`, `v`, `scale` texels a unit; `seed` shifts it."""
    first = seed * 7919 % SIZE
    second = seed * 104729 // SIZE % SIZE
    column = (u * np.float32(scale)).astype(np.int32) + first
    row = (v * np.float32(scale)).astype(np.int32) + second
    return np.asarray(texture.ravel()[((row & (SIZE - 1)) << 8) | (column & (SIZE - 1))])


def _filtered(seed: int, gain: Callable[[Grid, Grid], Grid]) -> Array:
    white = np.random.default_rng(seed).standard_normal((SIZE, SIZE))
    fy, fx = np.meshgrid(np.fft.fftfreq(SIZE, 1 / SIZE), np.fft.fftfreq(SIZE, 1 / SIZE), indexing="ij")
    weights = gain(fx, fy)
    weights[0, 0] = 0.0
    field = np.fft.ifft2(np.fft.fft2(white) * weights).real
    return np.asarray((field / (2.2 * field.std())).astype(np.float32))
