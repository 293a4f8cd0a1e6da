"""What cameras, weather and crowds do to a crop: changes for training and for measuring, each with a name and a rate.

A drawn crop is clean, centred and alone; a real one is not. Each change is a function of a picture and a generator, so
each can be switched on alone (`[augmentation.changes]` of a recipe; `pickout data draw --set changed=true` for all) and
its effect be measured. First come those of what is before the camera: cloth, light, place, people, the box. Changes
that need to know where the person is read the part mask that a drawn street has beside its images."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pickout.pages import picture_bytes

Pixels = NDArray[np.float32]
Chance = np.random.Generator
GARMENTS = (4, 8)  # first and last `Part` of `pickout.synthetic.surfaces` that is worn or carried; 0 is background


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


def folds(picture: Picture, chance: Chance) -> None:
    """Light varies inside each garment, some cloth has grain."""
    if picture.parts is None:
        return
    worn = ((picture.parts >= GARMENTS[0]) & (picture.parts <= GARMENTS[1])).astype(np.float32)
    light = sum(waves(picture.size, int(chance.integers(*knots)), chance) for knots in ((2, 6), (6, 16)))
    picture.pixels *= (1 + worn * light * np.float32(chance.uniform(0.02, 0.2)))[..., None]
    if chance.random() < 0.3:
        grain = chance.standard_normal(picture.size, dtype=np.float32) * np.float32(chance.uniform(0.01, 0.06))
        picture.pixels += (worn * grain)[..., None]


def side_light(picture: Picture, chance: Chance) -> None:
    """Light from one side of the person."""
    height, width = picture.size
    angle, amount = chance.uniform(0, 2 * np.pi), chance.uniform(0, 0.8)
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(np.cos(angle) * amount)
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.float32(np.sin(angle) * amount)
    picture.pixels *= (1 + down[:, None] + across[None, :])[..., None]


def background(picture: Picture, chance: Chance) -> None:
    """Another place behind the person: another crop's, magnified and blurred, or floor, wall and boxes."""
    if picture.parts is None:
        return
    if picture.others and chance.random() < 0.45:
        pixels, _ = picture.others[int(chance.integers(len(picture.others)))]
        top, left = (int(chance.integers(0, max(1, length // 3))) for length in pixels.shape[:2])
        other = Image.fromarray(np.ascontiguousarray(pixels[top:, left:])).resize(picture.size[::-1])
        place = to_floats(other.filter(ImageFilter.GaussianBlur(chance.uniform(0.5, 4))))
    else:
        place = _made_up_place(picture.size, chance)
    person = Image.fromarray(((picture.parts > 0) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))
    soft = to_floats(person)[..., None]
    picture.pixels = picture.pixels * soft + place * (1 - soft)


def neighbours(picture: Picture, chance: Chance) -> None:
    """Another person beside this one, cut by the edge, behind or before."""
    if picture.parts is None or not picture.others:
        return
    pixels, parts = picture.others[int(chance.integers(len(picture.others)))]
    if parts.shape != picture.parts.shape:
        return
    height, width = picture.size
    shift = int(chance.uniform(0.4, 0.8) * width) * (1 if chance.random() < 0.5 else -1)
    person = Image.fromarray(np.dstack([pixels, (parts > 0) * np.uint8(255)]))
    beside = Image.new("RGBA", (width, height))
    beside.paste(person, (shift, int(chance.normal(0, 0.08) * height)))
    other = to_floats(beside)
    shown = other[..., 3:]
    if chance.random() < 0.6:
        shown = shown * (picture.parts == 0)[..., None]
    picture.pixels = picture.pixels * (1 - shown) + other[..., :3] * shown


def frame(picture: Picture, chance: Chance) -> None:
    """A box that sits otherwise: shifted, wider, cut at the knees or the head, leaning, seen from above."""
    height, width = picture.size
    across, down = chance.uniform(0.7, 1.15), chance.uniform(0.85, 1.15)
    if chance.random() < 0.2:
        down *= 1.35
        fall = (chance.uniform(-0.05, 0.3) if chance.random() < 0.8 else -0.2) * height
    else:
        fall = chance.normal(0, 0.04) * height
    side, above, lean = chance.normal(0, 0.07) * width, chance.normal(0, 0.08), chance.normal(0, 0.12)
    corners = []
    for x, y in ((0, 0), (width, 0), (width, height), (0, height)):
        near = 1 + above * (1 if y == 0 else -1)  # seen from above the head is larger than the feet
        leaning = lean * (y - height / 2) / height * width
        right = (x - width / 2) * across * near + width / 2 + side + leaning
        corners.append((right, (y - height / 2) * down + height / 2 - fall))
    top, left = height // 3, width // 2
    mode = "edge" if chance.random() < 0.6 else "reflect"
    padded = np.pad(to_bytes(picture.pixels), ((top, top), (left, left), (0, 0)), mode=mode)  # type: ignore[call-overload]
    source = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    how = Image.Transform.PERSPECTIVE, _perspective(corners, source), Image.Resampling.BILINEAR
    picture.pixels = to_floats(Image.fromarray(padded).transform((width, height), *how))
    picture.parts = None  # masks no longer fit


def occlusion(picture: Picture, chance: Chance) -> None:
    """Something of one colour before the person."""
    height, width = picture.size
    area, ratio = chance.uniform(0.02, 0.2) * height * width, math.exp(chance.normal(0, 0.6))
    tall, wide = min(height, int(math.sqrt(area * ratio * 2))), min(width, int(math.sqrt(area / ratio / 2)) + 1)
    top, left = int(chance.integers(0, height - tall + 1)), int(chance.integers(0, width - wide + 1))
    picture.pixels[top : top + tall, left : left + wide] = chance.uniform(0, 1, 3).astype(np.float32)


def _made_up_place(size: tuple[int, int], chance: Chance) -> Pixels:
    height, width = size

    def colour(coloured: float) -> tuple[int, ...]:
        values = chance.uniform(0.03, 0.97, 3)
        if chance.random() >= coloured:
            values = np.full(3, values[0]) + chance.normal(0, 0.06, 3)
        return tuple(int(value) for value in np.clip(values * 255, 0, 255))

    image = Image.new("RGB", (width, height), colour(0.4))
    draw = ImageDraw.Draw(image)
    if chance.random() < 0.7:
        draw.rectangle((0, int(height * chance.uniform(0.3, 0.95)), width, height), fill=colour(0.3))
    for _ in range(int(chance.integers(0, 5))):  # doors, shelves, screens
        middle = np.array([chance.uniform(-0.3, 1.3) * width, chance.uniform(-0.2, 1.2) * height])
        reach = np.abs(chance.normal(0, 1, 2)) * (0.4 * width, 0.25 * height) + 2
        shear = chance.normal(0, 0.2) * width
        (left, top), (right, bottom) = middle - reach, middle + reach
        draw.polygon([(left + shear, top), (right + shear, top), (right, bottom), (left, bottom)], fill=colour(0.5))
    pixels = to_floats(image)
    if chance.random() < 0.5:
        light = waves(size, int(chance.integers(4, 20)), chance) * np.float32(chance.uniform(0.02, 0.2))
        pixels += light[..., None]
    return blurred(pixels, chance.uniform(0.4, 3)) if chance.random() < 0.5 else np.clip(pixels, 0, 1)


def _perspective(to: Sequence[tuple[float, float]], back: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    """Pillow's eight numbers that lead from points of the result (`to`) to points of the source (`back`)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(to, back, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(values)).tolist())


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
    decoded = Image.open(io.BytesIO(picture_bytes(image, quality=int(chance.integers(20, 92)))))
    height, width = picture.size
    picture.pixels = to_floats(decoded if decoded.size == (width, height) else decoded.resize((width, height)))


_RATES = (
    *((folds, 0.7), (side_light, 0.35), (background, 0.6), (neighbours, 0.15)),
    *((frame, 0.9), (mirror, 0.5), (darkness, 0.9), (cast, 0.9), (desaturation, 0.9), (contrast, 0.9)),
    *((haze, 0.4), (uneven_light, 0.3), (motion_blur, 0.25), (defocus, 0.45), (low_resolution, 0.4)),
    *((sharpening, 0.25), (noise, 0.9), (compression, 0.9), (occlusion, 0.25)),
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
