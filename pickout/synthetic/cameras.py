"""Cameras of the street: where each hangs, how its light falls, and what its lens and sensor do to a picture."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pickout.data.image_changes import to_bytes, to_floats, to_image
from pickout.synthetic.habits import HABITS
from pickout.synthetic.surfaces import Array


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera; the defaults add nothing of their own."""

    name: str
    height: float = 1.7  # metres above the ground
    distance: float = 7.0  # metres to the people it crops
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)  # gain of red, green and blue
    exposure: float = 1.0  # gain of all channels
    contrast: float = 1.0  # slope around mid grey
    saturation: float = 1.0  # 0 is grey
    gamma: float = 1.0  # brightens (below 1) or darkens (above 1) the middle
    haze: float = 0.0  # a veil of light over everything, as part of white; below 0 the shadows drown in black
    light: tuple[float, float, float] = (-0.36, 0.68, 0.64)  # to the main light: right, up, to the camera; length 1
    ambient: float = 0.62  # light from everywhere, as part of the whole
    warmth: float = 0.0  # tint of the main light against the ambient light
    sharpen: float = 0.0  # how much the camera overdraws edges
    blur: float = 0.0  # lens blur, standard deviation in pixels of a 192-pixel crop
    motion: float = 0.0  # sideways motion blur, pixels
    noise: float = 0.0  # standard deviation of the sensor's noise
    resolution: float = 1.0  # part of the crop's pixels that the camera really resolves
    quality: int = 95  # JPEG quality that a writer should use
    backgrounds: tuple[str, ...] = tuple(HABITS["ground"])


NEUTRAL_CAMERA = Camera("neutral")  # a camera that adds nothing of its own


def sample_cameras(generator: Generator, count: int) -> tuple[Camera, ...]:
    """`count` cameras named `cam_a`, `cam_b` ..., each with its own place, light and faults (at most 26)."""
    return tuple(_sample_camera(generator, f"cam_{chr(ord('a') + index)}") for index in range(count))


def _sample_camera(generator: Generator, name: str) -> Camera:
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
    spots = ("corridor", "wall") if indoor else ("wall", "shop front", "pavement", "road", "crossing", "park", "square")
    order = generator.permutation(len(spots))[: 2 if indoor else 4]
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
        backgrounds=tuple(spots[index] for index in sorted(order)),
    )


def develop(light: Array, camera: Camera, seed: int) -> NDArray[np.uint8]:
    """The picture (sRGB) that `camera` makes of linear light, 1 is white; `seed` is the noise's. Both (h, w, 3)."""
    generator = np.random.default_rng([seed, 303])
    drift = np.float32(np.exp(generator.normal(0.0, 0.05)))
    gain = np.array(camera.cast, dtype=np.float32) * np.float32(camera.exposure) * drift
    haze = np.float32(camera.haze)
    bright = np.clip(light * gain * (1.0 - abs(haze)) + haze * np.float32(0.5 if haze > 0 else 0.35), 0.0, None)
    # A soft shoulder instead of hard clipping above 0.8.
    bright = np.where(bright > 0.8, 0.8 + 0.2 * (1.0 - np.exp(-(bright - 0.8) / 0.2)), bright)
    image = np.power(bright, np.float32(camera.gamma / 2.2))
    grey = image @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    image = grey[..., None] + np.float32(camera.saturation) * (image - grey[..., None])
    image = np.float32(0.5) + np.float32(camera.contrast) * (image - np.float32(0.5))
    height, width = image.shape[:2]
    scale = height / 192.0
    soft, moved, coarse = camera.blur * scale > 0.05, camera.motion * scale > 0.5, camera.resolution < 0.98
    sharp = camera.sharpen > 0.05
    if soft or moved or coarse or sharp:
        picture = to_image(image)
        if soft:
            picture = picture.filter(ImageFilter.GaussianBlur(camera.blur * scale))
        if moved:
            picture = picture.filter(ImageFilter.BoxBlur((camera.motion * scale * 0.5, 0.0)))
        if coarse:
            small = (max(16, round(width * camera.resolution)), max(48, round(height * camera.resolution)))
            picture = picture.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BICUBIC)
        if sharp:
            picture = picture.filter(ImageFilter.UnsharpMask(1.5 * scale, round(100 * camera.sharpen), 2))
        image = to_floats(picture)
    noise = generator.standard_normal(image.shape, dtype=np.float32)
    noisy: Array = image + np.float32(camera.noise) * (0.7 * noise[..., :1] + 0.5 * noise)
    return to_bytes(noisy)
