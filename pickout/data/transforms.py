"""Images to tensors: plain for encoding, at random for training."""

import math
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from pydantic import AfterValidator, Field, field_validator
from torch import Tensor

from pickout.config import Settings, nearest
from pickout.data.image_changes import CHANGES
from pickout.shapes import Float

Positive = Annotated[float, Field(gt=0)]
Triple = tuple[float, float, float]


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the least comes first")
    return bounds


Range = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]

ATTEMPTS = 10
"""How often random erasing looks for a rectangle that fits."""


class ImageSettings(Settings):
    """What every image becomes before the vision tower sees it."""

    height: int = Field(default=384, ge=8)
    """Height in pixels (ITSELF, implementation details)."""
    width: int = Field(default=128, ge=8)
    """Width in pixels (ITSELF, implementation details)."""
    mean: Triple = (0.48145466, 0.4578275, 0.40821073)
    """Mean of red, green and blue that is taken off (CLIP's)."""
    std: tuple[Positive, Positive, Positive] = (0.26862954, 0.26130258, 0.27577711)
    """Standard deviation that the rest is divided by (CLIP's)."""
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    """How pixels are interpolated (ITSELF: bilinear; RaSa, AGA: bicubic)."""


class AugmentationSettings(Settings):
    """How training images vary (IRRA's values, used by RDE and ITSELF)."""

    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    pad: int = Field(default=10, ge=0)
    """Black pixels added on each side before a random crop back to size."""
    erase: float = Field(default=0.5, ge=0, le=1)
    """Probability that one rectangle is erased."""
    erase_area: Range = (0.02, 0.4)
    """Least and largest share of the image that the rectangle covers."""
    erase_ratio: Range = (0.3, 3.3)
    """Least and largest height of the rectangle as a multiple of its width."""
    erase_fill: Literal["mean", "zero"] = "mean"
    """What fills the rectangle after normalisation: the three means (as released) or zero, the average colour."""
    brightness: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of brightness; the paper changes none."""
    contrast: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of contrast; the paper changes none."""
    saturation: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of colour; the paper changes none."""
    changes: dict[str, float] = Field(default_factory=dict)
    """What bad cameras and crowds do, before all else: names of `pickout.data.image_changes` and probabilities."""

    @field_validator("changes")
    @classmethod
    def _known(cls, changes: dict[str, float]) -> dict[str, float]:
        for name, rate in changes.items():
            if name not in CHANGES:
                raise ValueError(f"no change is called '{name}'{nearest(name, CHANGES)}")
            if not 0 <= rate <= 1:
                raise ValueError(f"{name} = {rate} is no probability")
        return changes


def prepare(image: Image.Image, settings: ImageSettings) -> Float[Tensor, "3 height width"]:
    """Resize an RGB image (aspect ratio not kept) and normalise it. float32. Shape: (3, height, width)."""
    return torch.from_numpy(_normalise(np.asarray(resize(image, settings)), settings))


def augment(
    image: Image.Image, settings: ImageSettings, augmentation: AugmentationSettings, generator: np.random.Generator
) -> Float[Tensor, "3 height width"]:
    """Resize, vary at random and normalise: flip, pad and crop, normalise, erase (IRRA; ITSELF trains with it).

    Args:
        image: an RGB image.
        settings: size and statistics.
        augmentation: what varies and how much.
        generator: all randomness comes from here.

    Returns:
        float32. Shape: (3, height, width).
    """
    image = resize(image, settings)
    changes = (
        (ImageEnhance.Brightness, augmentation.brightness),
        (ImageEnhance.Contrast, augmentation.contrast),
        (ImageEnhance.Color, augmentation.saturation),
    )
    for enhance, amount in changes:
        if amount:
            image = enhance(image).enhance(generator.uniform(1 - amount, 1 + amount))
    pixels, pad = np.asarray(image), augmentation.pad
    if generator.random() < augmentation.flip:
        pixels = pixels[:, ::-1]
    if pad:
        top, left = (int(value) for value in generator.integers(0, 2 * pad + 1, size=2))
        black = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)))
        pixels = black[top : top + settings.height, left : left + settings.width]
    values = _normalise(pixels, settings)
    if generator.random() < augmentation.erase:
        box = _rectangle(settings.height, settings.width, augmentation, generator)
        if box is not None:
            fill = settings.mean if augmentation.erase_fill == "mean" else (0.0, 0.0, 0.0)
            values[:, box[0], box[1]] = np.array(fill, np.float32)[:, None, None]
    return torch.from_numpy(values)


_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resize(image: Image.Image, settings: ImageSettings) -> Image.Image:
    """The image at the settings' size; the aspect ratio is not kept."""
    size = (settings.width, settings.height)
    return image if image.size == size else image.resize(size, _FILTERS[settings.resample])


def _rectangle(
    height: int, width: int, augmentation: AugmentationSettings, generator: np.random.Generator
) -> tuple[slice, slice] | None:
    """Rows and columns of a random rectangle smaller than the image; None when no attempt fitted."""
    low, high = (math.log(ratio) for ratio in augmentation.erase_ratio)
    for _ in range(ATTEMPTS):
        area = height * width * generator.uniform(*augmentation.erase_area)
        ratio = math.exp(generator.uniform(low, high))
        tall, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if tall < height and wide < width:
            top, left = (int(generator.integers(0, room + 1)) for room in (height - tall, width - wide))
            return slice(top, top + tall), slice(left, left + wide)
    return None


def _normalise(pixels: NDArray[np.uint8], settings: ImageSettings) -> NDArray[np.float32]:
    """From (height, width, 3) of 0..255 to (3, height, width), looked up: there are only 256 values a channel."""
    values = np.empty((3, *pixels.shape[:2]), dtype=np.float32)
    for channel, table in enumerate(_tables(settings.mean, settings.std)):
        np.take(table, pixels[:, :, channel], out=values[channel], mode="clip")
    return values


@lru_cache(maxsize=8)
def _tables(mean: Triple, std: Triple) -> NDArray[np.float32]:
    shares = np.arange(256, dtype=np.float32) / np.float32(255)
    table: NDArray[np.float32] = (shares - np.array(mean, np.float32)[:, None]) / np.array(std, np.float32)[:, None]
    return table
