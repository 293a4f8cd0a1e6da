"""What cameras, weather and crowds do to a crop: changes for training and for measuring, each with a name and a rate.

A drawn crop is clean, centred and alone; a real one is not. Each change is a function of a picture and a generator, so
each can be switched on alone (`[augmentation.changes]` of a recipe, `pickout data change`) and its effect be measured.
Changes that need to know where the person is read the part mask that a drawn street has beside its images.
"""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.float32]
Chance = np.random.Generator

GARMENTS = (4, 8)
"""First and last part number of what is worn or carried (`pickout.synthetic.surfaces.Part`)."""
FOREGROUND = 0
"""Parts above this number are no background."""


@dataclass(slots=True)
class Picture:
    """A crop on its way through the changes.

    Args:
        pixels: red, green and blue from 0 to 1; changes may leave that range. Shape: (height, width, 3).
        parts: part numbers, None where the data set has none. Shape: (height, width).
        others: crops of other people with their part masks, for backgrounds and neighbours; may be empty.
    """

    pixels: Pixels
    parts: NDArray[np.uint8] | None = None
    others: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]


def folds(picture: Picture, chance: Chance) -> None:
    """Light varies inside each garment, some cloth has grain."""
    if picture.parts is None:
        return
    worn = ((picture.parts >= GARMENTS[0]) & (picture.parts <= GARMENTS[1])).astype(np.float32)
    waves = sum(_waves(picture.size, int(chance.integers(*knots)), chance) for knots in ((2, 6), (6, 16)))
    picture.pixels *= (1 + worn * waves * np.float32(chance.uniform(0.02, 0.2)))[..., None]
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
        place = _another_place(picture, chance)
    else:
        place = _made_up_place(picture.size, chance)
    _put_behind(picture, place)


def neighbours(picture: Picture, chance: Chance) -> None:
    """Another person beside this one, cut by the edge, behind or before."""
    if picture.parts is None or not picture.others:
        return
    pixels, parts = picture.others[int(chance.integers(len(picture.others)))]
    if parts.shape != picture.parts.shape:
        return
    height, width = picture.size
    shift = int(chance.uniform(0.4, 0.8) * width) * (1 if chance.random() < 0.5 else -1)
    fall = int(chance.normal(0, 0.08) * height)
    other = np.zeros((height, width, 4), np.float32)
    rows, columns = slice(max(0, fall), height + min(0, fall)), slice(max(0, shift), width + min(0, shift))
    from_rows = slice(max(0, -fall), height + min(0, -fall))
    from_columns = slice(max(0, -shift), width + min(0, -shift))
    other[rows, columns, :3] = pixels[from_rows, from_columns] / np.float32(255)
    other[rows, columns, 3] = parts[from_rows, from_columns] > FOREGROUND
    shown = other[..., 3:]
    if chance.random() < 0.6:
        shown = shown * (picture.parts <= FOREGROUND)[..., None]
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
        corners.append(
            (
                (x - width / 2) * across * near + width / 2 + side + lean * (y - height / 2) / height * width,
                (y - height / 2) * down + height / 2 - fall,
            )
        )
    top, left = height // 3, width // 2
    mode = "edge" if chance.random() < 0.6 else "reflect"
    padded = np.pad(_bytes(picture.pixels), ((top, top), (left, left), (0, 0)), mode=mode)  # type: ignore[call-overload]
    source = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    warped = Image.fromarray(padded).transform(
        (width, height), Image.Transform.PERSPECTIVE, _perspective(corners, source), Image.Resampling.BILINEAR
    )
    picture.pixels = _floats(warped)
    picture.parts = None  # masks no longer fit


def mirror(picture: Picture, chance: Chance) -> None:
    """Left and right change places."""
    del chance
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
    picture.pixels *= (1 + _waves(picture.size, 2, chance) * np.float32(0.25))[..., None]


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
    picture.pixels = _blurred(picture.pixels, chance.uniform(0.3, 1.6))


def low_resolution(picture: Picture, chance: Chance) -> None:
    """Scaled down and up again, as a person far away is."""
    height, width = picture.size
    share = chance.uniform(0.3, 0.9)
    small = (max(8, int(width * share)), max(16, int(height * share)))
    image = _image(picture.pixels).resize(small, Image.Resampling.BOX)
    picture.pixels = _floats(image.resize((width, height), Image.Resampling.BILINEAR))


def sharpening(picture: Picture, chance: Chance) -> None:
    """Edges overdone, as cameras do."""
    soft = _blurred(picture.pixels, 1.2)
    picture.pixels = picture.pixels + (picture.pixels - soft) * np.float32(chance.uniform(0.2, 1.2))


def noise(picture: Picture, chance: Chance) -> None:
    """A sensor's noise, grey or coloured."""
    channels = 1 if chance.random() < 0.3 else 3
    grain = chance.standard_normal((*picture.size, channels), dtype=np.float32)
    picture.pixels = picture.pixels + grain * np.float32(chance.uniform(0, 0.03))


def compression(picture: Picture, chance: Chance) -> None:
    """JPEG at a low quality, half of the time after scaling as a video's chroma and blocks are."""
    image = _image(picture.pixels)
    if chance.random() < 0.5:  # blocks of a video that was scaled since do not lie on this crop's grid
        image = image.resize((round(image.width * 1.3), round(image.height * 1.3)), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(chance.integers(20, 92)))
    decoded = Image.open(buffer)
    height, width = picture.size
    picture.pixels = _floats(decoded if decoded.size == (width, height) else decoded.resize((width, height)))


def occlusion(picture: Picture, chance: Chance) -> None:
    """Something of one colour before the person."""
    height, width = picture.size
    area, ratio = chance.uniform(0.02, 0.2) * height * width, math.exp(chance.normal(0, 0.6))
    tall, wide = min(height, int(math.sqrt(area * ratio * 2))), min(width, int(math.sqrt(area / ratio / 2)) + 1)
    top, left = int(chance.integers(0, height - tall + 1)), int(chance.integers(0, width - wide + 1))
    picture.pixels[top : top + tall, left : left + wide] = chance.uniform(0, 1, 3).astype(np.float32)


CHANGES: Mapping[str, Callable[[Picture, Chance], None]] = {
    change.__name__: change
    for change in (
        folds,
        side_light,
        background,
        neighbours,
        frame,
        mirror,
        darkness,
        cast,
        desaturation,
        contrast,
        haze,
        uneven_light,
        motion_blur,
        defocus,
        low_resolution,
        sharpening,
        noise,
        compression,
        occlusion,
    )
}
"""Every change by name, in the order in which they happen on the way from the person to the file."""

STRONG: Mapping[str, float] = {
    "folds": 0.7,
    "side_light": 0.35,
    "background": 0.6,
    "neighbours": 0.15,
    "frame": 0.9,
    "mirror": 0.5,
    "darkness": 0.9,
    "cast": 0.9,
    "desaturation": 0.9,
    "contrast": 0.9,
    "haze": 0.4,
    "uneven_light": 0.3,
    "motion_blur": 0.25,
    "defocus": 0.45,
    "low_resolution": 0.4,
    "sharpening": 0.25,
    "noise": 0.9,
    "compression": 0.9,
    "occlusion": 0.25,
}
"""Rates that turn drawn crops into something like cameras' (found for the default model; docs/default-model.md)."""


def change_picture(picture: Picture, rates: Mapping[str, float], chance: Chance) -> NDArray[np.uint8]:
    """Apply each change with its probability.

    Args:
        picture: consumed.
        rates: name in `CHANGES` to probability.
        chance: all randomness comes from here; a change that is left out does not shift the others' numbers.

    Returns:
        Shape: (height, width, 3).
    """
    streams = chance.spawn(len(CHANGES))
    for (name, change), own in zip(CHANGES.items(), streams, strict=True):
        if rates.get(name, 0.0) > own.random():
            change(picture, own)
    return _bytes(picture.pixels)


def read_parts(image: Path) -> NDArray[np.uint8] | None:
    """The part mask of a drawn street's image, or None where there is none."""
    folders = image.resolve().parents  # streets that were joined are links to the streets
    file = folders[min(2, len(folders) - 1)] / "parts" / f"{image.stem}.png"
    if not file.is_file():
        return None
    with Image.open(file) as mask:
        return np.asarray(mask)


def _waves(size: tuple[int, int], knots: int, chance: Chance) -> Pixels:
    """A smooth field of about -1 to 1 with `knots` knots across."""
    height, width = size
    coarse = chance.standard_normal((max(2, int(knots * height / width)), knots), dtype=np.float32)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth) / np.float32(1.5), -1.5, 1.5)


def _another_place(picture: Picture, chance: Chance) -> Pixels:
    pixels, _ = picture.others[int(chance.integers(len(picture.others)))]
    height, width = picture.size
    top, left = int(chance.integers(0, pixels.shape[0] // 3)), int(chance.integers(0, max(1, pixels.shape[1] // 3)))
    image = Image.fromarray(np.ascontiguousarray(pixels[top:, left:])).resize((width, height))
    return _floats(image.filter(ImageFilter.GaussianBlur(chance.uniform(0.5, 4))))


def _made_up_place(size: tuple[int, int], chance: Chance) -> Pixels:
    height, width = size

    def colour(coloured: float) -> tuple[int, int, int]:
        values = chance.uniform(0.03, 0.97, 3)
        if chance.random() >= coloured:
            values = np.full(3, values[0]) + chance.normal(0, 0.06, 3)
        red, green, blue = (int(value) for value in np.clip(values * 255, 0, 255))
        return red, green, blue

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
    pixels = _floats(image)
    if chance.random() < 0.5:
        waves = _waves(size, int(chance.integers(4, 20)), chance) * np.float32(chance.uniform(0.02, 0.2))
        pixels += waves[..., None]
    return _blurred(pixels, chance.uniform(0.4, 3)) if chance.random() < 0.5 else np.clip(pixels, 0, 1)


def _put_behind(picture: Picture, place: Pixels) -> None:
    assert picture.parts is not None
    person = Image.fromarray(((picture.parts > FOREGROUND) * 255).astype(np.uint8))
    soft = np.asarray(person.filter(ImageFilter.GaussianBlur(0.7)), np.float32)[..., None] / np.float32(255)
    picture.pixels = picture.pixels * soft + place * (1 - soft)


def _perspective(to: Sequence[tuple[float, float]], back: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    """Pillow's eight numbers that lead from points of the result (`to`) to points of the source (`back`)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(to, back, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(values)).tolist())


def _blurred(pixels: Pixels, radius: float) -> Pixels:
    return _floats(_image(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _bytes(pixels: Pixels) -> NDArray[np.uint8]:
    return (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(_bytes(pixels))


def _floats(image: Image.Image) -> Pixels:
    return np.asarray(image, np.float32) / np.float32(255)
