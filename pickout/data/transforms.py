"""Images to tensors: plain for encoding, at random for training."""

import math
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, Field, field_validator, model_validator
from torch import Tensor

from pickout.config import Settings, nearest
from pickout.data.image_changes import CHANGES
from pickout.shapes import Float
from pickout.text.tokenizer import SpecialTokens, Tokenizer

Positive = Annotated[float, Field(gt=0)]
Triple = tuple[float, float, float]


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the least comes first")
    return bounds


Range = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]

ATTEMPTS = 10  # how often random erasing looks for a rectangle that fits


class ImageSettings(Settings):
    """What every image becomes before the vision tower sees it."""

    height: int = Field(default=384, ge=8, le=4096)  # height in pixels (ITSELF, implementation details)
    width: int = Field(default=128, ge=8, le=4096)  # width in pixels (ITSELF, implementation details)
    mean: Triple = (0.48145466, 0.4578275, 0.40821073)  # mean of red, green and blue that is taken off (CLIP's)
    std: tuple[Positive, Positive, Positive] = (0.26862954, 0.26130258, 0.27577711)
    """Standard deviation that the rest is divided by (CLIP's)."""
    resample: Literal["bilinear", "bicubic"] = "bilinear"  # of pixels (ITSELF: bilinear; RaSa, AGA: bicubic)


class AugmentationSettings(Settings):
    """How training images vary (IRRA's values, used by RDE and ITSELF)."""

    flip: float = Field(default=0.5, ge=0, le=1)  # probability of a horizontal flip
    pad: int = Field(default=10, ge=0, le=4096)  # black pixels added on each side before a random crop back to size
    erase: float = Field(default=0.5, ge=0, le=1)  # probability that one rectangle is erased
    erase_area: Range = (0.02, 0.4)  # least and largest share of the image that the rectangle covers
    erase_ratio: Range = (0.3, 3.3)  # least and largest height of the rectangle as a multiple of its width
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
    """Resize an RGB image, flip, pad and crop, normalise and erase it at random (IRRA, ITSELF). float32."""
    pixels, pad = np.asarray(resize(image, settings)), augmentation.pad
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
            # Filled with the three means after normalisation, as released.
            values[:, box[0], box[1]] = np.array(settings.mean, np.float32)[:, None, None]
    return torch.from_numpy(values)


def resize(image: Image.Image, settings: ImageSettings) -> Image.Image:
    """The image at the settings' size; the aspect ratio is not kept."""
    size = (settings.width, settings.height)
    return image if image.size == size else image.resize(size, Image.Resampling[settings.resample.upper()])


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


class CaptionAugmentationSettings(Settings):
    """How the tokens of training captions vary (RDE; ITSELF trains with it)."""

    mask: float = Field(default=0.12, ge=0, le=1)  # probability that a token is hidden
    random: float = Field(default=0.04, ge=0, le=1)  # probability that a token becomes a random one
    delete: float = Field(default=0.04, ge=0, le=1)  # probability that a token is left out

    @model_validator(mode="after")
    def _at_most_one(self) -> "CaptionAugmentationSettings":
        if self.mask + self.random + self.delete > 1:
            raise ValueError("mask, random and delete together must not exceed 1")
        return self


def augment_tokens(
    ids: NDArray[np.int64], tokenizer: Tokenizer, settings: CaptionAugmentationSettings, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Hide, replace or delete tokens at random; special tokens stay."""
    if settings.mask + settings.random + settings.delete == 0:
        return ids.copy()
    special, draws = tokenizer.special, generator.random(len(ids))
    ranks = generator.integers(0, tokenizer.vocabulary_size - len(special.ids()), size=len(ids))
    return change_tokens(ids, special, settings, draws, ordinary_ids(ranks, special))


def change_tokens(
    ids: NDArray[np.int64],
    special: SpecialTokens,
    settings: CaptionAugmentationSettings,
    draws: NDArray[np.float64],
    replacements: NDArray[np.int64],
) -> NDArray[np.int64]:
    """`augment_tokens` with its draws given (ITSELF, released program)."""
    free = ~np.isin(ids, special.ids())
    hidden = settings.mask
    replaced = hidden + settings.random
    deleted = replaced + settings.delete
    changed = np.where(free & (draws < hidden), special.mask, ids)
    changed = np.where(free & (draws >= hidden) & (draws < replaced), replacements, changed)
    kept = changed[~(free & (draws >= replaced) & (draws < deleted))]
    row = np.full_like(ids, special.padding)
    row[: len(kept)] = kept
    return row


def ordinary_ids(ranks: NDArray[np.int64], special: SpecialTokens) -> NDArray[np.int64]:
    """The ids of rank 0, 1, ... among those that are not special; for CLIP rank 0 is id 1 and the last is 49404."""
    ids = ranks.copy()
    for reserved in special.ids():
        ids += ids >= reserved
    return ids
