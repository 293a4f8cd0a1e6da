"""Cameras of the street: where each hangs, how its light falls, and what its lens and sensor do to a picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Background

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera.

    Args:
        name: its name, `cam_a`, `cam_b` ...
        height: metres above the ground.
        distance: metres to the people it crops.
        cast: gain of red, green and blue.
        exposure: gain of all channels.
        contrast: slope around mid grey; 1 is neutral.
        saturation: 1 is neutral, 0 is grey.
        gamma: brightens (below 1) or darkens (above 1) the middle.
        haze: a veil of light over everything, as part of white; below 0 the shadows drown in black.
        light: direction to the main light; x right, y up, z towards the camera, length 1.
        ambient: light from everywhere, as part of the whole.
        warmth: tint of the main light against the ambient light, 0 none.
        sharpen: how much the camera overdraws edges, 0 not at all.
        blur: lens blur, standard deviation in pixels of a 192-pixel crop.
        motion: sideways motion blur, pixels.
        noise: standard deviation of the sensor's noise.
        resolution: part of the crop's pixels that the camera really resolves, 1 all.
        quality: JPEG quality that a writer should use.
        backgrounds: the places it sees.
    """

    name: str
    height: float
    distance: float
    cast: tuple[float, float, float]
    exposure: float
    contrast: float
    saturation: float
    gamma: float
    haze: float
    light: tuple[float, float, float]
    ambient: float
    warmth: float
    sharpen: float
    blur: float
    motion: float
    noise: float
    resolution: float
    quality: int
    backgrounds: tuple[Background, ...]


NEUTRAL_CAMERA = Camera(
    name="neutral",
    height=1.7,
    distance=7.0,
    cast=(1.0, 1.0, 1.0),
    exposure=1.0,
    contrast=1.0,
    saturation=1.0,
    gamma=1.0,
    haze=0.0,
    light=(-0.36, 0.68, 0.64),
    ambient=0.62,
    warmth=0.0,
    sharpen=0.0,
    blur=0.0,
    motion=0.0,
    noise=0.0,
    resolution=1.0,
    quality=95,
    backgrounds=("wall", "shop front", "pavement", "road", "crossing", "park", "corridor", "square"),
)
"""A camera that adds nothing of its own."""


def sample_cameras(generator: np.random.Generator, count: int) -> tuple[Camera, ...]:
    """`count` cameras named `cam_a`, `cam_b` ..., each with its own place, light and faults (at most 26)."""
    return tuple(_sample_camera(generator, f"cam_{chr(ord('a') + index)}") for index in range(count))


def _sample_camera(generator: np.random.Generator, name: str) -> Camera:
    def between(low: float, high: float) -> float:
        return round(float(generator.uniform(low, high)), 4)

    # One camera in three has a fault that people notice: a strong cast, a veil, or drowned shadows.
    fault = float(generator.random())
    warm = between(0.08, 0.18) if fault < 0.08 else between(-0.07, 0.07)
    green = between(-0.10, -0.04) if 0.04 < fault < 0.12 else between(-0.025, 0.025)
    haze = between(0.06, 0.30) if 0.12 < fault < 0.24 else between(-0.12, -0.03) if 0.24 < fault < 0.36 else 0.0
    # Half of them hang under a ceiling or on a mast and look down steeply.
    steep = float(generator.random()) < 0.5
    height = between(2.4, 4.4) if steep else between(1.5, 3.2)
    distance = between(2.4, 5.5) if steep else between(6.0, 13.0)
    angle, lift = between(-2.4, 2.4), between(0.45, 1.25)
    light = (np.sin(angle) * np.cos(lift), np.sin(lift), np.cos(angle) * np.cos(lift))
    indoor = float(generator.random()) < 0.25
    places: list[Background] = (
        ["corridor", "wall"] if indoor else ["wall", "shop front", "pavement", "road", "crossing", "park", "square"]
    )
    wanted = 2 if indoor else 4
    order = generator.permutation(len(places))[:wanted]
    return Camera(
        name=name,
        height=height,
        distance=distance,
        cast=(round(1.0 + warm, 4), round(1.0 + green, 4), round(1.0 - warm, 4)),
        exposure=between(0.84, 1.16),
        contrast=between(0.86, 1.14),
        saturation=between(0.70, 1.05),
        gamma=between(0.90, 1.12),
        haze=haze,
        light=(round(float(light[0]), 4), round(float(light[1]), 4), round(float(light[2]), 4)),
        ambient=between(0.70, 0.85) if indoor else between(0.36, 0.74),
        warmth=between(-0.04, 0.10),
        sharpen=max(0.0, between(-0.5, 0.6)),
        blur=between(0.0, 0.6),
        motion=between(0.0, 1.2) if float(generator.random()) < 0.3 else 0.0,
        noise=between(0.002, 0.013),
        resolution=between(0.45, 1.0),
        quality=int(generator.integers(55, 96)),
        backgrounds=tuple(places[index] for index in sorted(int(i) for i in order)),
    )
