"""Draw and write the images of one person: what one drawing process does."""

import io
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
from pickout.synthetic.captions import describe_image, tokens, write_queries
from pickout.synthetic.drawing import draw_crop
from pickout.synthetic.habits import chance
from pickout.synthetic.outfits import sample_wearer
from pickout.synthetic.people import sample_person
from pickout.synthetic.settings import StreetSettings
from pickout.synthetic.surfaces import Part
from pickout.synthetic.views import sample_view

_CAMERAS, _PERSON, _VIEW, _CAPTION, _BODY, _CHANGE = range(6)
"""What a generator is for; no two purposes share one."""


@dataclass(frozen=True, slots=True)
class Job:
    """One person to draw."""

    root: Path  # the street's folder
    settings: StreetSettings
    identity: int  # the person's number
    split: str  # train, val or test
    avatars: tuple[Path, ...]  # files of the avatars whose bodies people may have; empty draws everybody

    def generator(self, *purpose: int) -> np.random.Generator:
        """All chance for one purpose."""
        return np.random.default_rng((self.settings.seed, *purpose))


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
    cameras = sample_cameras(job.generator(_CAMERAS), job.settings.cameras)
    choice, body = job.generator(_PERSON, job.identity), job.generator(_BODY, job.identity)
    avatar = None
    if job.avatars and chance(body, job.settings.avatars.share):
        avatar = load_avatar(job.avatars[int(body.integers(len(job.avatars)))])
    person = sample_person(choice) if avatar is None else sample_wearer(choice, avatar.outfit, avatar.skin)
    order = choice.permutation(len(cameras))
    numbers = range(job.settings.images)
    return [_image(job, person, avatar, cameras[order[number % len(cameras)]], number) for number in numbers]


def _image(job: Job, person: Person, avatar: Avatar | None, camera: Camera, number: int) -> Entry:
    view, settings = sample_view(job.generator(_VIEW, job.identity, number), person, camera), job.settings
    name = f"p{job.identity:05d}_{camera.name}_{number:02d}"
    file = f"{camera.name}/{name}.jpg"
    image, mask = job.root / "imgs" / file, job.root / "parts" / f"{name}.png"
    parts = None if _left(image) is None else _left(mask)
    if parts is None:
        size = (settings.height, settings.width)
        drawing = draw_crop(person, view, camera, size, avatar=avatar, others=job.avatars)
        pixels, parts = drawing.image, drawing.parts
        if settings.changed:
            picture = Picture(pixels.astype(np.float32) / np.float32(255), parts)
            pixels = change_picture(picture, STRONG, job.generator(_CHANGE, job.identity, number))
        # Not durable one by one: the whole street is flushed before its annotations are written.
        write_atomically(mask, _encoded(parts, "PNG", optimize=True), durable=False)
        write_atomically(image, _encoded(pixels, "JPEG", quality=camera.quality), durable=False)
    covered = np.bincount(parts.ravel(), minlength=len(Part)) / parts.size
    shares = {part.name.lower(): float(covered[part]) for part in Part}
    generator = job.generator(_CAPTION, job.identity, number)
    captions = describe_image(person, view, generator, settings.captions, shares)
    queries = write_queries(person, view, generator, settings.captions, shares)
    record = {
        "split": job.split,
        "captions": captions,
        "file_path": file,
        "processed_tokens": [tokens(caption) for caption in captions],
        "id": job.identity,
    }
    seen = {str(part.value): part.name.lower() for part in Part if covered[part]}
    facts = {"file_path": file, "id": job.identity, "parts_path": f"parts/{name}.png", "parts": seen}
    if avatar is not None:
        facts["avatar"] = avatar.name
    asked = {"file_path": file, "id": job.identity, "split": job.split, "queries": queries}
    return Entry(record, facts | {"person": asdict(person), "view": asdict(view)}, asked)


def _left(path: Path) -> NDArray[np.uint8] | None:
    """A picture that an earlier drawing left, whole; None where there is none, or none that can be read."""
    try:
        with Image.open(path) as written:
            return np.asarray(written)
    except (OSError, SyntaxError):
        return None


def _encoded(pixels: NDArray[np.uint8], form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()
