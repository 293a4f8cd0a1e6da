"""Whole frames with several people and their boxes, put together from the crops and part masks of a street.

They teach a detector: who stands in front hides the others, some are cut by the frame, and things stand about.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pickout.data.images import open_image
from pickout.errors import DataMissing
from pickout.synthetic.cameras import sample_cameras
from pickout.synthetic.people import sample_person
from pickout.synthetic.raycast import Rays
from pickout.synthetic.scenes import draw_scene
from pickout.synthetic.sensors import develop
from pickout.synthetic.shading import light_of
from pickout.synthetic.skeleton import pose_skeleton
from pickout.synthetic.street import ANNOTATIONS
from pickout.synthetic.surfaces import Part
from pickout.synthetic.views import sample_view

SEEN = 0.35
"""Share of a person that must be seen for its box to count."""
_NOBODY = 0.15
"""Share of frames without anybody."""
_PEOPLE, _THINGS = 7, 9


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """A frame.

    Args:
        image: sRGB. Shape: (height, width, 3).
        boxes: left, top, right, bottom of what is seen of each person, in pixels. Shape: (people, 4).
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]


class CrowdMaker:
    """Makes frames from the people of one split of a street.

    Args:
        street: a folder that `pickout data draw` made.
        split: train, val or test.

    Raises:
        DataMissing: the folder is no street, or has nobody of that split.
    """

    def __init__(self, street: Path, split: str) -> None:
        try:
            records = json.loads((street / ANNOTATIONS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise DataMissing(f"{street}: no drawn street; make one with: pickout data draw {street}") from None
        self._street = street
        self._files = sorted({record["file_path"] for record in records if record["split"] == split})
        if not self._files:
            raise DataMissing(f"{street}: has nobody in its {split} split")

    def frames(self, count: int, size: tuple[int, int], seed: int) -> Iterator[Crowd]:
        """`count` frames of (height, width); equal seeds give equal frames."""
        for number in range(count):
            yield self.frame(np.random.default_rng([seed, number]), size)

    def frame(self, generator: np.random.Generator, size: tuple[int, int]) -> Crowd:
        """One frame of (height, width)."""
        height, width = size
        canvas = _drawn_place(generator, size) if generator.random() < 0.6 else _plain_room(generator, size)
        _put_things(canvas, generator, int(generator.integers(_THINGS)))
        masks: list[NDArray[np.bool_]] = []
        people = 0 if generator.random() < _NOBODY else int(generator.integers(1, _PEOPLE))
        # Far ones first. People in one frame are of similar size on a level floor: the lower their feet, the nearer.
        base = height * float(np.exp(generator.uniform(np.log(0.12), np.log(1.0))))
        feet = np.sort(generator.uniform(0.25, 1.25, people))
        for foot in feet:
            tall = base * (0.35 + 0.65 * foot) * generator.uniform(0.85, 1.15)
            mask = self._put_person(canvas, generator, foot * height, tall)
            masks = [*(other & ~mask for other in masks), mask]
            if generator.random() < 0.2:
                hidden = _put_things(canvas, generator, 1)
                masks = [other & ~hidden for other in masks]
        boxes = [box for mask in masks if (box := _box(mask)) is not None]
        image = _as_a_camera_sees(canvas, generator)
        return Crowd(image, np.array(boxes, dtype=np.float32).reshape(-1, 4))

    def _put_person(
        self, canvas: Image.Image, generator: np.random.Generator, foot: float, tall: float
    ) -> NDArray[np.bool_]:
        """Lay a person on the canvas; what is seen of it, unless it is too little: then nothing is laid."""
        file = self._files[int(generator.integers(len(self._files)))]
        crop = open_image(self._street / "imgs" / file)
        parts = np.asarray(Image.open(self._street / "parts" / Path(file).with_suffix(".png").name))
        seen = (parts > 0) & (parts != int(Part.OCCLUDER))
        rows = np.flatnonzero(seen.any(axis=1))
        nobody = np.zeros((canvas.height, canvas.width), dtype=bool)
        if not len(rows):
            return nobody
        scale = tall / (rows[-1] - rows[0] + 1)
        turned = generator.random() < 0.5
        wide = scale * generator.uniform(0.85, 1.2)
        shape = (max(2, round(crop.width * wide)), max(4, round(crop.height * scale)))
        alpha = Image.fromarray(seen.astype(np.uint8) * 255).resize(shape, Image.Resampling.BILINEAR)
        alpha = alpha.filter(ImageFilter.GaussianBlur(0.6))
        crop = crop.resize(shape, Image.Resampling.BICUBIC)
        if turned:
            crop, alpha = (
                crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
                alpha.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
            )
        left = round(generator.uniform(-0.3, 1.0) * canvas.width)
        top = round(foot - (rows[-1] + 1) * scale)
        whole = Image.new("L", canvas.size)
        whole.paste(alpha, (left, top))
        mask = np.asarray(whole) > 127
        if mask.sum() < SEEN * (np.asarray(alpha) > 127).sum():
            return nobody
        canvas.paste(crop, (left, top), alpha)
        return mask


def _drawn_place(generator: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """One of the street's places as a camera on a wall sees it."""
    height, width = size
    camera = sample_cameras(generator, 1)[0]
    person = sample_person(generator)
    view = sample_view(generator, person, camera)
    down, up = np.deg2rad(generator.uniform(-2, 45)), float(generator.uniform(1.2, 5.0))
    forward = np.array([0.0, -np.sin(down), -np.cos(down)])
    right = np.array([1.0, 0.0, 0.0])
    half = float(generator.uniform(0.35, 0.9))
    xs = ((np.arange(width) + 0.5) / width * 2 - 1) * half
    ys = (1 - (np.arange(height) + 0.5) / height * 2) * half * height / width
    basis = np.stack([right, np.cross(right, forward), forward])
    position = np.array([0.0, up, float(generator.uniform(2.0, 7.0))])
    rays = Rays(position, basis, xs.astype(np.float32), ys.astype(np.float32))
    picture = draw_scene(view, rays, light_of(camera), pose_skeleton(person, view))
    return Image.fromarray(develop(picture, camera, view.seed))


def _plain_room(generator: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A floor and a wall in soft light, with lines that meet at one point."""
    height, width = size
    horizon = round(height * generator.uniform(-0.1, 0.7))
    wall, floor = (_tone(generator) for _ in range(2))
    canvas = Image.new("RGB", (width, height), wall)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, horizon, width, height), fill=floor)
    for _ in range(int(generator.integers(0, 14))):
        x, away = generator.uniform(-0.5, 1.5) * width, generator.uniform(-0.2, 1.2) * width
        shade = tuple(int(part * generator.uniform(0.7, 1.1)) for part in floor)
        draw.line((away, horizon, x, height), fill=shade, width=int(generator.integers(1, 4)))
    light = np.clip(128 + 36 * generator.normal(0, 1, (4, 6)), 0, 255).astype(np.uint8)
    field = Image.fromarray(light).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(canvas, dtype=np.float32) * (np.asarray(field, dtype=np.float32)[..., None] / 128)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _put_things(canvas: Image.Image, generator: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Lay doors, poles, tables, screens, bins, bags on the canvas; the pixels that they cover."""
    cover = Image.new("L", canvas.size)
    for _ in range(count):
        shape = ("box", "pole", "round", "table")[int(generator.integers(4))]
        tall = canvas.height * float(np.exp(generator.uniform(np.log(0.04), np.log(0.7))))
        wide = tall * (generator.uniform(0.03, 0.12) if shape == "pole" else generator.uniform(0.25, 1.8))
        x, y = generator.uniform(-0.1, 1.0) * canvas.width, generator.uniform(-0.1, 0.95) * canvas.height
        corners = (x, y, x + wide, y + tall)
        for surface, fill in ((ImageDraw.Draw(canvas), _tone(generator)), (ImageDraw.Draw(cover), 255)):
            if shape == "round":
                surface.ellipse(corners, fill=fill)
            elif shape == "table":
                surface.ellipse((x, y, x + wide, y + 0.2 * tall), fill=fill)
                surface.rectangle((x + 0.46 * wide, y + 0.1 * tall, x + 0.54 * wide, y + tall), fill=fill)
            else:
                surface.rectangle(corners, fill=fill)
    return np.asarray(cover) > 0


def _tone(generator: np.random.Generator) -> tuple[int, ...]:
    """A colour, mostly a dull one."""
    grey = generator.uniform(15, 245)
    colour = generator.uniform(0, 255, 3)
    share = generator.uniform(0, 0.3) if generator.random() < 0.7 else generator.uniform(0.3, 1)
    return tuple(int(part) for part in grey + share * (colour - grey))


def _box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows) or rows[-1] - rows[0] < 8:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _as_a_camera_sees(canvas: Image.Image, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Blur, light, cast, contrast and noise of a camera."""
    if generator.random() < 0.7:
        canvas = canvas.filter(ImageFilter.GaussianBlur(float(generator.uniform(0.2, 1.6))))
    pixels = np.asarray(canvas, dtype=np.float32) / 255
    pixels = pixels ** np.exp(generator.normal(0, 0.3))
    pixels = pixels * np.exp(generator.normal(0, 0.1, 3)) * np.exp(generator.normal(0, 0.2))
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + (pixels - grey) * generator.uniform(0.3, 1.3)
    middle = pixels.mean()
    pixels = middle + (pixels - middle) * generator.uniform(0.5, 1.2)
    pixels = pixels + generator.normal(0, generator.uniform(0, 0.03), pixels.shape)
    return (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)
