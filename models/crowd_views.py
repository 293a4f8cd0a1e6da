"""Views of drawn frames of crowds, as a detector's head sees them in training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from crowds import SEEN, Crowd
from numpy.typing import NDArray
from PIL import Image

from pickout.data.image_changes import STRONG, Picture, change_picture

SIZE = (288, 512)
"""Height and width of the views of them that the head sees."""
CHANGES = ("darkness", "cast", "desaturation", "contrast", "haze", "uneven_light", "motion_blur", "defocus",
           "low_resolution", "sharpening", "noise", "compression")  # fmt: skip
"""Changes of `pickout.data.image_changes` that leave everything where it is."""
SMALLEST = 10
"""Pixels of height below which a person in a view is not asked for."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Drawn frames in a folder."""

    files: tuple[Path, ...]

    @classmethod
    def of(cls, work: Path, take: str) -> "Frames":
        """All of one part."""
        return cls(tuple(sorted((work / take).glob("[0-9]*.npz"))))

    def crowd(self, number: int) -> Crowd:
        """One frame."""
        with np.load(self.files[number]) as read:
            return Crowd(read["image"], read["owner"])

    def views(
        self, number: int, count: int, pasting: float, seed: int
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        """`count` views of a frame, with the boxes of the people in it; equal arguments give equal views."""
        for each in range(count):
            generator = np.random.default_rng([seed, number, each])
            crowd = self.crowd(number)
            while generator.random() < pasting:
                crowd = pasted(crowd, self.crowd(int(generator.integers(len(self.files)))), generator)
            yield view(crowd, generator)


def pasted(crowd: Crowd, other: Crowd, generator: np.random.Generator) -> Crowd:
    """A frame with the people of another laid over it, at another size and place."""
    scale = float(np.exp(generator.uniform(np.log(0.4), np.log(1.6))))
    height, width = crowd.owner.shape
    size = (round(width * scale), round(height * scale))
    flip = slice(None, None, -1 if generator.random() < 0.5 else 1)
    people = np.asarray(Image.fromarray(other.image).resize(size, Image.Resampling.BICUBIC))[:, flip]
    who = np.asarray(Image.fromarray(other.owner).resize(size, Image.Resampling.NEAREST))[:, flip]
    down, aside = (
        int(generator.integers(min(0, a - b), max(0, a - b) + 1))
        for a, b in zip((height, width), who.shape, strict=True)
    )
    image, owner = crowd.image.copy(), crowd.owner.copy()
    here = np.s_[max(0, down) : down + who.shape[0], max(0, aside) : aside + who.shape[1]]
    there = np.s_[max(0, -down) : height - down, max(0, -aside) : width - aside]
    light = people[there] * np.exp(generator.normal(0, 0.15))
    covers = who[there] > 0
    image[here] = np.where(covers[..., None], np.clip(light, 0, 255), image[here]).astype(np.uint8)
    before = np.bincount(crowd.owner.ravel(), minlength=256)
    owner[here] = np.where(covers, who[there] + crowd.owner.max(), owner[here])
    after = np.bincount(owner.ravel(), minlength=256)
    hidden = [number for number in range(1, int(crowd.owner.max()) + 1) if after[number] < SEEN * before[number]]
    return Crowd(image, np.where(np.isin(owner, hidden), 0, owner).astype(np.uint8))


def view(crowd: Crowd, generator: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A part of a frame as a bad camera would have it, with the boxes of the people in it."""
    height, width = crowd.owner.shape
    wide = min(width, round(width * generator.uniform(0.45, 1.25)))
    high = min(height, round(wide * height / width * np.exp(generator.normal(0, 0.2))))
    top, left = (int(generator.integers(most - part + 1)) for most, part in ((height, high), (width, wide)))
    cut = np.s_[top : top + high, left : left + wide]
    scale = min(SIZE[0] / high, SIZE[1] / wide)
    inside = (round(wide * scale), round(high * scale))
    flip = slice(None, None, -1 if generator.random() < 0.5 else 1)
    image = np.asarray(Image.fromarray(crowd.image[cut]).resize(inside, Image.Resampling.BOX))[:, flip]
    owner = np.asarray(Image.fromarray(crowd.owner[cut]).resize(inside, Image.Resampling.NEAREST))[:, flip]
    changed = change_picture(Picture(image / np.float32(255)), {name: STRONG[name] for name in CHANGES}, generator)
    field = np.full((*SIZE, 3), 127, dtype=np.uint8)
    field[: inside[1], : inside[0]] = changed
    whole = np.bincount(crowd.owner.ravel(), minlength=256)
    boxes = []
    for number in np.unique(owner[owner > 0]):
        rows, columns = np.nonzero(owner == number)
        if len(rows) >= 0.12 * whole[number] * scale**2 and rows.max() - rows.min() + 1 >= SMALLEST:
            boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return field, np.array(boxes, dtype=np.float32).reshape(-1, 4)
