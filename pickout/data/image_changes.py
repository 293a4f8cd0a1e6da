"""What cameras, weather and crowds do to a crop: changes for training and for measuring, each with a name and a rate.

A drawn crop is clean, centred and alone; a real one is not. Each change is a function of a picture and a generator, so
each can be switched on alone (`[augmentation.changes]` of a recipe; `pickout data draw --set changed=true` for all) and
its effect be measured.
Changes that need to know where the person is read the part mask that a drawn street has beside its images."""

import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.data import scene_changes as scene
from pickout.data.scene_changes import Chance, Picture, blurred, to_bytes, to_floats, to_image, waves


def mirror(picture: Picture, _: Chance) -> None:
    """Left and right change places."""
    picture.pixels = picture.pixels[:, ::-1]
    if picture.parts is not None:
        picture.parts = picture.parts[:, ::-1]


def darkness(picture: Picture, chance: Chance) -> None:
    """Exposure and gamma, more often too dark than too bright."""
    gamma, gain = math.exp(chance.normal(0.05, 0.25)), math.exp(chance.normal(-0.05, 0.25))
    picture.pixels = np.clip(picture.pixels, 0, 1) ** np.float32(gamma) * np.float32(gain)


def cast(picture: Picture, chance: Chance) -> None:
    """White balance that is off."""
    picture.pixels *= np.exp(chance.normal(0, 0.12, 3)).astype(np.float32)


def desaturation(picture: Picture, chance: Chance) -> None:
    """Colours paler or, less, stronger than they are."""
    grey = picture.pixels.mean(axis=2, keepdims=True)
    picture.pixels = grey + (picture.pixels - grey) * np.float32(chance.uniform(0.35, 1.35))


def contrast(picture: Picture, chance: Chance) -> None:
    """Light and dark nearer together or further apart."""
    middle = picture.pixels.mean()
    picture.pixels = middle + (picture.pixels - middle) * np.float32(chance.uniform(0.55, 1.35))


def haze(picture: Picture, chance: Chance) -> None:
    """A veil of some colour over everything."""
    share = np.float32(chance.uniform(0, 0.3))
    veil = np.clip(chance.uniform(0.2, 0.9) + chance.normal(0, 0.12, 3), 0, 1).astype(np.float32)
    picture.pixels = picture.pixels * (1 - share) + share * veil


def uneven_light(picture: Picture, chance: Chance) -> None:
    """Patches of light and shadow over the whole crop."""
    picture.pixels *= (1 + waves(picture.size, 2, chance) * np.float32(0.25))[..., None]


def motion_blur(picture: Picture, chance: Chance) -> None:
    """The mean along a short line."""
    length, angle = int(chance.integers(3, 8)), chance.uniform(0, np.pi)
    total = np.zeros_like(picture.pixels)
    for step in np.linspace(-0.5, 0.5, length):
        shift = (round(step * length * math.sin(angle)), round(step * length * math.cos(angle)))
        total += np.roll(picture.pixels, shift, axis=(0, 1))
    picture.pixels = total / np.float32(length)


def defocus(picture: Picture, chance: Chance) -> None:
    """A lens out of focus."""
    picture.pixels = blurred(picture.pixels, chance.uniform(0.3, 1.6))


def low_resolution(picture: Picture, chance: Chance) -> None:
    """Scaled down and up again, as a person far away is."""
    height, width = picture.size
    share = chance.uniform(0.3, 0.9)
    small = (max(8, int(width * share)), max(16, int(height * share)))
    image = to_image(picture.pixels).resize(small, Image.Resampling.BOX)
    picture.pixels = to_floats(image.resize((width, height), Image.Resampling.BILINEAR))


def sharpening(picture: Picture, chance: Chance) -> None:
    """Edges overdone, as cameras do."""
    soft = blurred(picture.pixels, 1.2)
    picture.pixels = picture.pixels + (picture.pixels - soft) * np.float32(chance.uniform(0.2, 1.2))


def noise(picture: Picture, chance: Chance) -> None:
    """A sensor's noise, grey or coloured."""
    channels = 1 if chance.random() < 0.3 else 3
    grain = chance.standard_normal((*picture.size, channels), dtype=np.float32)
    picture.pixels = picture.pixels + grain * np.float32(chance.uniform(0, 0.03))


def compression(picture: Picture, chance: Chance) -> None:
    """JPEG at a low quality, half of the time after scaling as a video's chroma and blocks are."""
    image = to_image(picture.pixels)
    if chance.random() < 0.5:  # blocks of a video that was scaled since do not lie on this crop's grid
        image = image.resize((round(image.width * 1.3), round(image.height * 1.3)), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(chance.integers(20, 92)))
    decoded = Image.open(buffer)
    height, width = picture.size
    picture.pixels = to_floats(decoded if decoded.size == (width, height) else decoded.resize((width, height)))


_RATES = (
    *((scene.folds, 0.7), (scene.side_light, 0.35), (scene.background, 0.6), (scene.neighbours, 0.15)),
    *((scene.frame, 0.9), (mirror, 0.5), (darkness, 0.9), (cast, 0.9), (desaturation, 0.9), (contrast, 0.9)),
    *((haze, 0.4), (uneven_light, 0.3), (motion_blur, 0.25), (defocus, 0.45), (low_resolution, 0.4)),
    *((sharpening, 0.25), (noise, 0.9), (compression, 0.9), (scene.occlusion, 0.25)),
)
CHANGES: Mapping[str, Callable[[Picture, Chance], None]] = {change.__name__: change for change, _ in _RATES}
"""Every change by name, in the order in which they happen on the way from the person to the file."""
STRONG: Mapping[str, float] = {change.__name__: rate for change, rate in _RATES}
"""Rates that turn drawn crops into something like cameras' (found for the default model; docs/default-model.md)."""


def change_picture(picture: Picture, rates: Mapping[str, float], chance: Chance) -> NDArray[np.uint8]:
    """Apply each change, by its name in `CHANGES`, with its probability. Consumes `picture`. Shape: (height, width, 3).

    All randomness comes from `chance`; a change that is left out does not shift the others' numbers."""
    streams = chance.spawn(len(CHANGES))
    for (name, change), own in zip(CHANGES.items(), streams, strict=True):
        if rates.get(name, 0.0) > own.random():
            change(picture, own)
    return to_bytes(picture.pixels)


def read_parts(image: Path) -> NDArray[np.uint8] | None:
    """The part mask of a drawn street's image, or None where there is none."""
    folders = image.resolve().parents  # streets that were joined are links to the streets
    file = folders[min(2, len(folders) - 1)] / "parts" / f"{image.stem}.png"
    if not file.is_file():
        return None
    with Image.open(file) as mask:
        return np.asarray(mask)
