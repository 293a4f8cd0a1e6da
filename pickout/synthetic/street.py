"""A street of drawn people, written in the format of CUHK-PEDES so that its reader reads it."""

import json
import multiprocessing
import os
import signal
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pickout.config import flat, read_toml
from pickout.data.image_changes import STRONG, Picture, change_picture
from pickout.errors import DataError, DataMissing
from pickout.files import half_written, write_atomically
from pickout.pages import picture_bytes, tile
from pickout.synthetic.attributes import Person
from pickout.synthetic.avatars import Avatar, find_avatars, load_avatar
from pickout.synthetic.cameras import Camera, sample_cameras
from pickout.synthetic.captions import describe_image, tokens, write_queries
from pickout.synthetic.drawing import draw_crop
from pickout.synthetic.habits import chance
from pickout.synthetic.outfits import sample_wearer
from pickout.synthetic.people import sample_person, sample_view, twin_of
from pickout.synthetic.settings import StreetSettings as StreetSettings
from pickout.synthetic.surfaces import Part

ANNOTATIONS = "reid_raw.json"
ATTRIBUTES = "attributes.jsonl"
QUERIES = "queries.jsonl"
SETTINGS = "street.toml"
DRAWING = 2  # raised when equal settings would give other pictures or sentences: no folder mixes two drawings
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

ProgressCallback = Callable[[int, int], None]  # with images done and images in all, at the start and after each person
_CAMERAS, _PERSON, _VIEW, _CAPTION, _BODY, _CHANGE, _TWIN = range(7)  # no two purposes of a generator share one


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


Record = dict[str, Any]
Entry = tuple[Record, Record, Record]
"""One written image: its record in the annotation file, its line in the attribute file, and its short queries."""


def draw_identity(job: Job) -> list[Entry]:
    """Draw, mask, describe and write every image of one person, whoever else is drawn. What is there whole is kept."""
    cameras = sample_cameras(job.generator(_CAMERAS), job.settings.cameras)
    choice, body = job.generator(_PERSON, job.identity), job.generator(_BODY, job.identity)
    avatar = None
    if job.avatars and chance(body, job.settings.avatars.share):
        avatar = load_avatar(job.avatars[int(body.integers(len(job.avatars)))])
    person, named = sample_person(choice) if avatar is None else sample_wearer(choice, avatar.outfit, avatar.skin), ""
    if job.settings.twins:
        first = job.identity - (job.identity + 1) % 2  # the odd number of a pair
        known = person if first == job.identity else sample_person(job.generator(_PERSON, first))
        twin, named = twin_of(known, job.generator(_TWIN, first))
        person = known if first == job.identity else twin
    order = choice.permutation(len(cameras))
    numbers = range(job.settings.images)
    return [_image(job, person, named, avatar, cameras[order[number % len(cameras)]], number) for number in numbers]


def _image(job: Job, person: Person, named: str, avatar: Avatar | None, camera: Camera, number: int) -> Entry:
    view, settings = sample_view(job.generator(_VIEW, job.identity, number), person, camera), job.settings
    name = f"p{job.identity:05d}_{camera.name}_{number:02d}"
    file = f"{camera.name}/{name}.jpg"
    image, mask = job.root / "imgs" / file, job.root / "parts" / f"{name}.png"
    parts = None if _left(image) is None else _left(mask)
    if parts is None:
        size = settings.height, settings.width
        drawing = draw_crop(person, view, camera, size, avatar=avatar, others=job.avatars)
        pixels, parts = drawing.image, drawing.parts
        if settings.changed:
            picture = Picture(pixels.astype(np.float32) / np.float32(255), parts)
            pixels = change_picture(picture, STRONG, job.generator(_CHANGE, job.identity, number))
        # Not durable one by one: the whole street is flushed before its annotations are written.
        write_atomically(mask, picture_bytes(Image.fromarray(parts), "PNG", optimize=True), durable=False)
        write_atomically(image, picture_bytes(Image.fromarray(pixels), quality=camera.quality), durable=False)
    covered = np.bincount(parts.ravel(), minlength=len(Part)) / parts.size
    shares = {part.name.lower(): float(covered[part]) for part in Part}
    generator = job.generator(_CAPTION, job.identity, number)
    told = describe_image(person, view, generator, settings.captions, shares, named)
    queries = write_queries(person, view, generator, settings.captions, shares)
    words = [tokens(caption) for caption in told]
    record = {"split": job.split, "captions": told, "file_path": file, "processed_tokens": words, "id": job.identity}
    seen = {str(part.value): part.name.lower() for part in Part if covered[part]}
    facts = {"file_path": file, "id": job.identity, "parts_path": f"parts/{name}.png", "parts": seen}
    if avatar is not None:
        facts["avatar"] = avatar.name
    asked = {"file_path": file, "id": job.identity, "split": job.split, "queries": queries}
    return record, facts | {"person": asdict(person), "view": asdict(view)}, asked


def _left(path: Path) -> NDArray[np.uint8] | None:
    """A picture that an earlier drawing left, whole; None where there is none, or none that can be read."""
    try:
        with Image.open(path) as written:
            return np.asarray(written)
    except (OSError, SyntaxError):
        return None


def draw_street(
    settings: StreetSettings, out: Path, *, workers: int | None = None, progress: ProgressCallback | None = None
) -> Path:
    """Draw a street into the folder `out`, which is returned, or go on with one begun with equal settings. Writes
    `imgs/cam_a/*.jpg`, `parts/*.png` (8-bit part numbers), `reid_raw.json`, `attributes.jsonl` (person, view and part
    names of each image), `queries.jsonl` (short queries about each image) and `street.toml`. Each file is whole or not
    there; the annotation file comes last, once all else is on the disk, so a folder that has it is complete. With more
    than one worker (None: one a usable core), a script must call this below `if __name__ == "__main__":`. `DataError`:
    `out` holds something else or cannot be written, a drawing process was killed, an avatar is broken; `DataMissing`:
    no avatars where the settings say, or no package that reads them; `StorageFull`: no space left."""
    if workers is not None and workers < 1:
        raise DataError(f"workers = {workers}: give at least 1")
    avatars: tuple[Path, ...] = ()
    if settings.avatars.folder is not None:
        avatars = find_avatars(settings.avatars.folder, settings.avatars.take)
        load_avatar(avatars[0])
    _claim(settings, out)
    # One a person, in the order of the annotation file.
    splits = ["train"] * settings.identities + ["val"] * settings.val_identities + ["test"] * settings.test_identities
    jobs = [Job(out, settings, identity, split, avatars) for identity, split in enumerate(splits, 1)]
    total = len(jobs) * settings.images
    report = progress or (lambda _done, _total: None)
    report(0, total)
    written: list[Entry] = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with _drawn(jobs, min(workers or cores, len(jobs))) as drawn:
        for entries in drawn:
            written += entries
            report(len(written), total)
    # Have the images on the disk before the annotations say that they are.
    if hasattr(os, "sync"):
        os.sync()
    records, attributes, queries = ([json.dumps(entry[n]) for entry in written] for n in range(3))
    write_atomically(out / ATTRIBUTES, "\n".join([*attributes, ""]))
    if settings.captions.queries:
        write_atomically(out / QUERIES, "\n".join([*queries, ""]))
    write_atomically(out / ANNOTATIONS, "[\n" + ",\n".join(records) + "\n]\n")
    return out


def draw_strangers(folder: Path, progress: ProgressCallback | None = None) -> Path:
    """People that the shipped model has never seen, as bad cameras would show them: a split `val` to calibrate with."""
    settings = StreetSettings(identities=1, val_identities=100, test_identities=0, images=2, seed=909, changed=True)
    return draw_street(settings, folder / "street", progress=progress)


@contextmanager
def _drawn(jobs: list[Job], workers: int) -> Iterator[Iterator[list[Entry]]]:
    """The entries of each job, in the order of `jobs`."""
    if workers == 1:
        yield map(draw_identity, jobs)
        return
    # Spawned, not forked: a forked copy of a process with running threads may hang.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_follow_parent)
    # Each process does its matrix products in one thread; more would fight for the cores.
    unset = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        yield pool.map(draw_identity, jobs, chunksize=1)
    except BrokenProcessPool:
        why = f"{jobs[0].root}: a drawing process died (out of memory? a script without `if __name__ == '__main__':`?);"
        raise DataError(f"{why} run the same command again to go on, perhaps with fewer workers") from None
    finally:
        for name in unset:
            os.environ.pop(name, None)
        pool.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    """Begin a drawing process: leave Ctrl-C to the parent, and end when the parent ends, however that comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _claim(settings: StreetSettings, out: Path) -> None:
    """Mark `out` as holding this street, or find that it does already."""
    facts = {"drawing": DRAWING, "street": settings.model_dump(mode="json", exclude_none=True, exclude=settings.untold)}
    marker = out / SETTINGS
    if marker.is_file():
        there, here = flat(read_toml(marker)), flat(facts)
        changed = [key for key in sorted(there.keys() | here.keys()) if there.get(key) != here.get(key)]
        if changed:
            changes = "; ".join(f"{key} is {there.get(key)} there, {here.get(key)} here" for key in changed)
            raise DataError(f"{out}: holds a street of other settings ({changes}); draw into another folder")
        for leftover in half_written(out):
            leftover.unlink(missing_ok=True)
        return
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file; give a folder, which may be new")
    if out.is_dir() and any(not path.name.startswith(f".{SETTINGS}.") for path in out.iterdir()):
        raise DataError(f"{out}: holds other files and no {SETTINGS}; draw into a new or empty folder")
    try:
        write_atomically(marker, tomli_w.dumps(facts))
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror}); give a folder that can") from None


_WIDTH, _HEIGHT, _LETTERS = 112, 288, 32  # most pixels of a crop on a sheet, and letters of a line below


def contact_sheet(root: Path, count: int = 10, seed: int = 0, *, columns: int = 5) -> Image.Image:
    """A picture of at most `count` people of the street in `root`, in an order drawn from `seed`. Each is shown by the
    first two images, with a sentence about either. A DataMissing where no complete street is."""
    file = root / ANNOTATIONS
    if not file.is_file():
        raise DataMissing(f"{file}: not there; draw the street first with `pickout data draw {root}`")
    people: dict[int, list[dict[str, Any]]] = {}
    for record in json.loads(file.read_text(encoding="utf-8")):
        people.setdefault(record["id"], []).append(record)
    panels = []
    for identity in np.random.default_rng(seed).permutation(list(people))[: max(1, count)]:
        shown, crops = people[identity][:2], Image.new("RGB", (2 * _WIDTH, _HEIGHT), "white")
        for left, record in zip((0, _WIDTH), shown, strict=False):
            with Image.open(root / "imgs" / record["file_path"]) as image:
                crops.paste(ImageOps.contain(image.convert("RGB"), (_WIDTH - 6, _HEIGHT)), (left, 0))
        panels.append(("\n\n".join(textwrap.fill(record["captions"][0], _LETTERS) for record in shown), crops))
    return tile(panels, across=columns)
