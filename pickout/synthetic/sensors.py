"""What a camera's lens, sensor and processing do to light: blur, resolution, exposure, cast, contrast and noise."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pickout.synthetic.cameras import Camera

Array = NDArray[np.floating[Any]]


def develop(light: Array, camera: Camera, seed: int) -> NDArray[np.uint8]:
    """The camera's picture of `light`.

    Args:
        light: linear light; 1 is white. Shape: (height, width, 3).
        camera: whose faults to add.
        seed: of the noise.

    Returns:
        sRGB. Shape: (height, width, 3).
    """
    height, width = light.shape[:2]
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
    image = _lens(image, camera, height, width)
    noise = generator.standard_normal((height, width, 3), dtype=np.float32)
    noise = 0.7 * noise[..., :1] + 0.5 * noise
    image = image + np.float32(camera.noise) * noise
    return np.asarray(np.clip(image * 255.0 + 0.5, 0.0, 255.0).astype(np.uint8))


def _lens(image: Array, camera: Camera, height: int, width: int) -> Array:
    scale = height / 192.0
    soft, moved, coarse = camera.blur * scale > 0.05, camera.motion * scale > 0.5, camera.resolution < 0.98
    sharp = camera.sharpen > 0.05
    if not (soft or moved or coarse or sharp):
        return image
    picture = Image.fromarray(np.clip(image * 255.0 + 0.5, 0.0, 255.0).astype(np.uint8))
    if soft:
        picture = picture.filter(ImageFilter.GaussianBlur(camera.blur * scale))
    if moved:
        picture = picture.filter(ImageFilter.BoxBlur((camera.motion * scale * 0.5, 0.0)))
    if coarse:
        small = (max(16, round(width * camera.resolution)), max(48, round(height * camera.resolution)))
        picture = picture.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BICUBIC)
    if sharp:
        picture = picture.filter(ImageFilter.UnsharpMask(1.5 * scale, round(100 * camera.sharpen), 2))
    return np.asarray(picture, dtype=np.float32) / np.float32(255.0)
