"""Draw and write the images of one person: what one drawing process does."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.data.changed_picture import Picture
from pickout.data.image_changes import STRONG, change_picture
from pickout.files import write_atomically
from pickout.synthetic.attributes import Person
from pickout.synthetic.avatars import Avatar, load_avatar
from pickout.synthetic.cameras import Camera, sample_cameras
from pickout.synthetic.captions import CaptionSettings, describe_image, tokens
from pickout.synthetic.chances import chance
from pickout.synthetic.drawing import draw_crop
from pickout.synthetic.outfits import sample_wearer
from pickout.synthetic.people import sample_person
from pickout.synthetic.queries import write_queries
from pickout.synthetic.surfaces import Part
from pickout.synthetic.views import sample_view

_CAMERAS, _PERSON, _VIEW, _CAPTION, _BODY, _CHANGE = range(6)
"""What a generator is for; no two purposes share one."""


@dataclass(frozen=True, slots=True)
class Job:
    """One person to draw.

    Args:
        root: the street's folder.
        identity: the person's number.
        split: `train`, `val` or `test`.
        seed: the street's seed.
        images: how many images.
        cameras: how many cameras the street has.
        size: height and width of an image in pixels.
        changed: whether images are as bad cameras would have them.
        captions: how many captions an image gets and how their writer errs.
        avatars: files of the avatars whose bodies people may have; empty draws everybody.
        share: the part of the people who have one.
    """

    root: Path
    identity: int
    split: str
    seed: int
    images: int
    cameras: int
    size: tuple[int, int]
    changed: bool
    captions: CaptionSettings
    avatars: tuple[Path, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One written image: its record in the annotation file, its line in the attribute file, and its short queries."""

    record: dict[str, Any]
    attributes: dict[str, Any]
    queries: dict[str, Any]


def draw_identity(job: Job) -> list[Entry]:
    """Draw, mask, describe and write every image of one person. An image that is there with its mask is kept.

    Nothing depends on any other person, so jobs may run anywhere and in any order.

    Raises:
        StorageFull: no space left while writing.
    """
    cameras = sample_cameras(_generator(job, _CAMERAS), job.cameras)
    choice = _generator(job, _PERSON, job.identity)
    avatar = _avatar(job)
    person = sample_person(choice) if avatar is None else sample_wearer(choice, avatar.outfit, avatar.skin)
    order = choice.permutation(len(cameras))
    return [_image(job, person, avatar, cameras[order[number % len(cameras)]], number) for number in range(job.images)]


def _avatar(job: Job) -> Avatar | None:
    """The person's body; None to draw one."""
    generator = _generator(job, _BODY, job.identity)
    if not job.avatars or not chance(generator, job.share):
        return None
    return load_avatar(job.avatars[int(generator.integers(len(job.avatars)))])


def _image(job: Job, person: Person, avatar: Avatar | None, camera: Camera, number: int) -> Entry:
    view = sample_view(_generator(job, _VIEW, job.identity, number), person, camera)
    name = f"p{job.identity:05d}_{camera.name}_{number:02d}"
    file = f"{camera.name}/{name}.jpg"
    image, mask = job.root / "imgs" / file, job.root / "parts" / f"{name}.png"
    parts = _kept(mask) if _readable(image) else None
    if parts is None:
        drawing = draw_crop(person, view, camera, job.size, avatar=avatar, others=job.avatars)
        pixels, parts = drawing.image, drawing.parts
        if job.changed:
            picture = Picture(pixels.astype(np.float32) / np.float32(255), parts)
            pixels = change_picture(picture, STRONG, _generator(job, _CHANGE, job.identity, number))
        # Not durable one by one: the whole street is flushed before its annotations are written.
        write_atomically(mask, _encoded(parts, "PNG", optimize=True), durable=False)
        write_atomically(image, _encoded(pixels, "JPEG", quality=camera.quality), durable=False)
    generator, shares = _generator(job, _CAPTION, job.identity, number), _shares(parts)
    captions = describe_image(person, view, generator, job.captions, shares)
    queries = write_queries(person, view, generator, job.captions, shares)
    record = {
        "split": job.split,
        "captions": captions,
        "file_path": file,
        "processed_tokens": [tokens(caption) for caption in captions],
        "id": job.identity,
    }
    seen = {str(value): Part(value).name.lower() for value in np.unique(parts).tolist()}
    facts = {"file_path": file, "id": job.identity, "parts_path": f"parts/{name}.png", "parts": seen}
    if avatar is not None:
        facts["avatar"] = avatar.name
    asked = {"file_path": file, "id": job.identity, "split": job.split, "queries": queries}
    return Entry(record, facts | {"person": asdict(person), "view": asdict(view)}, asked)


def _readable(image: Path) -> bool:
    """Whether an earlier drawing left this image, whole."""
    try:
        with Image.open(image) as written:
            written.load()
    except (OSError, SyntaxError):
        return False
    return True


def _kept(mask: Path) -> NDArray[np.uint8] | None:
    """A mask that an earlier drawing left; None where there is none, or none that can be read."""
    try:
        with Image.open(mask) as written:
            return np.asarray(written)
    except (OSError, SyntaxError):
        return None


def _encoded(pixels: NDArray[np.uint8], form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def _shares(parts: NDArray[np.uint8]) -> Mapping[str, float]:
    """The share of the picture that each part with a mask of its own covers."""
    shares = np.bincount(parts.ravel(), minlength=len(Part)) / parts.size
    return {part.name.lower(): float(shares[part]) for part in Part}


def _generator(job: Job, *purpose: int) -> np.random.Generator:
    return np.random.default_rng((job.seed, *purpose))
