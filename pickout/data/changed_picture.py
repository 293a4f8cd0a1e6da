"""A crop on its way through the changes of `image_changes`, and what several of them need."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.float32]
Chance = np.random.Generator


@dataclass(slots=True)
class Picture:
    """A crop on its way through the changes."""

    pixels: Pixels  # red, green and blue from 0 to 1; changes may leave that range. Shape: (height, width, 3)
    parts: NDArray[np.uint8] | None = None  # part numbers, None where the data set has none. Shape: (height, width)
    # crops of other people with their part masks, for backgrounds and neighbours; may be empty
    others: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]


def waves(size: tuple[int, int], knots: int, chance: Chance) -> Pixels:
    """A smooth field of about -1 to 1 with `knots` knots across."""
    height, width = size
    coarse = chance.standard_normal((max(2, int(knots * height / width)), knots), dtype=np.float32)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth) / np.float32(1.5), -1.5, 1.5)


def blurred(pixels: Pixels, radius: float) -> Pixels:
    """Through a Gaussian of this radius in pixels."""
    return to_floats(to_image(pixels).filter(ImageFilter.GaussianBlur(radius)))


def to_bytes(pixels: Pixels) -> NDArray[np.uint8]:
    """Cut to 0 to 1 and in 8 bits."""
    return (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)


def to_image(pixels: Pixels) -> Image.Image:
    """As Pillow has it."""
    return Image.fromarray(to_bytes(pixels))


def to_floats(image: Image.Image) -> Pixels:
    """From 0 to 1."""
    return np.asarray(image, np.float32) / np.float32(255)
