"""A street of drawn people, written in the format of CUHK-PEDES so that its reader reads it."""

import json
import multiprocessing
import os
import signal
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import tomli_w
from pydantic import Field, model_validator

from pickout.config import Settings, read_toml
from pickout.errors import DataError
from pickout.files import half_written, write_atomically
from pickout.synthetic.avatars import Take, find_avatars, load_avatar
from pickout.synthetic.captions import CaptionSettings
from pickout.synthetic.identities import Entry, Job, draw_identity

ANNOTATIONS = "reid_raw.json"
ATTRIBUTES = "attributes.jsonl"
QUERIES = "queries.jsonl"
SETTINGS = "street.toml"

DRAWING = 2
"""Raised whenever equal settings would give other pictures or sentences, so that two drawings never mix in a folder."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

ProgressCallback = Callable[[int, int], None]
"""Called with the images done and the images in all, once at the start and after each identity."""


class AvatarSettings(Settings):
    """Rigged, textured bodies in place of drawn ones."""

    folder: Path | None = None
    """Folder of avatars, see docs/street.md; without one, everybody is drawn."""
    share: float = Field(default=1.0, ge=0, le=1)
    """The part of the people who are avatars; the others are drawn."""
    take: Take = "all"
    """`train` or `held-out` takes only the bodies of that part, so that a second street shows none of the first's."""


class StreetSettings(Settings):
    """What to draw. Equal settings give equal bytes, whatever the number of workers."""

    identities: int = Field(default=1000, ge=1, le=99_999)
    """People of the training split; they are numbered from 1 without gaps."""
    val_identities: int = Field(default=100, ge=0, le=99_999)
    """People of the validation split, numbered after the training people."""
    test_identities: int = Field(default=100, ge=0, le=99_999)
    """People of the test split, numbered last."""
    images: int = Field(default=4, ge=1, le=99)
    """Images of each person."""
    cameras: int = Field(default=5, ge=1, le=26)
    """Cameras in the street; with two or more, everybody with two images is seen by at least two of them."""
    seed: int = Field(default=1, ge=0, lt=2**63)
    """The number from which everything is drawn."""
    height: int = Field(default=192, ge=32, le=1024)
    """Height of an image in pixels."""
    width: int = Field(default=64, ge=16, le=1024)
    """Width of an image in pixels."""
    changed: bool = False
    """Whether each image is as a bad camera would have it (`STRONG` of `pickout.data.image_changes`), for measuring."""
    captions: CaptionSettings = CaptionSettings()
    """How many sentences an image gets, and how often their writer errs."""
    avatars: AvatarSettings = AvatarSettings()
    """Rendered people."""

    @model_validator(mode="after")
    def _numbers_fit(self) -> "StreetSettings":
        if self.people > 99_999:
            raise ValueError("identities, val_identities and test_identities together must stay below 100000")
        return self

    @property
    def people(self) -> int:
        """Everybody in the three splits."""
        return self.identities + self.val_identities + self.test_identities


def draw_street(
    settings: StreetSettings, out: Path, *, workers: int | None = None, progress: ProgressCallback | None = None
) -> Path:
    """Draw a street into the folder `out`, or go on with one that was interrupted.

    Writes `imgs/cam_a/*.jpg`, `parts/*.png` (8-bit part numbers), `reid_raw.json`, `attributes.jsonl` (person, view and
    part names of each image), `queries.jsonl` (short queries about each image) and `street.toml`. Each file is whole or
    not there; an image that is there with its mask is kept. The annotation file comes last, once all else is on the
    disk, so a folder that has it is complete.

    With more than one worker, a script must call this below `if __name__ == "__main__":`, as for any spawned process.

    Args:
        settings: what to draw.
        out: the folder; new, empty, or begun with equal settings.
        workers: drawing processes; None takes one a usable core.
        progress: told how far it is.

    Returns:
        `out`.

    Raises:
        DataError: `out` holds something else or cannot be written, a drawing process was killed, or an avatar is
            broken.
        DataMissing: no avatars in the folder that the settings name, or no package that reads them.
        StorageFull: no space left; run again after freeing some.
    """
    if workers is not None and workers < 1:
        raise DataError(f"workers = {workers}: give at least 1")
    jobs = plan(settings, out)
    _claim(settings, out)
    total = len(jobs) * settings.images
    report = progress or _silent
    report(0, total)
    written: list[Entry] = []
    with _drawn(jobs, workers or usable_cores()) as drawn:
        for entries in drawn:
            written += entries
            report(len(written), total)
    _flush()
    write_atomically(out / ATTRIBUTES, "".join(json.dumps(entry.attributes) + "\n" for entry in written))
    if settings.captions.queries:
        write_atomically(out / QUERIES, "".join(json.dumps(entry.queries) + "\n" for entry in written))
    write_atomically(out / ANNOTATIONS, "[\n" + ",\n".join(json.dumps(entry.record) for entry in written) + "\n]\n")
    return out


def plan(settings: StreetSettings, out: Path) -> list[Job]:
    """One job a person, in the order of the annotation file: training, validation, test."""
    ends = {"train": settings.identities, "val": settings.identities + settings.val_identities, "test": settings.people}
    chosen = settings.avatars
    avatars = () if chosen.folder is None else find_avatars(chosen.folder, chosen.take)
    if avatars:
        load_avatar(avatars[0])
    return [
        Job(
            root=out,
            identity=identity,
            split=next(split for split, end in ends.items() if identity <= end),
            seed=settings.seed,
            images=settings.images,
            cameras=settings.cameras,
            size=(settings.height, settings.width),
            changed=settings.changed,
            captions=settings.captions,
            avatars=avatars,
            share=chosen.share,
        )
        for identity in range(1, settings.people + 1)
    ]


@contextmanager
def _drawn(jobs: list[Job], workers: int) -> Iterator[Iterator[list[Entry]]]:
    """The entries of each job, in the order of `jobs`."""
    if min(workers, len(jobs)) == 1:
        yield map(draw_identity, jobs)
        return
    # Spawned, not forked: a forked copy of a process with running threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_follow_parent)
    try:
        with _one_thread_each():
            yield pool.map(draw_identity, jobs, chunksize=1)
    except BrokenProcessPool:
        raise DataError(
            f"{jobs[0].root}: a drawing process died (out of memory? a script without `if __name__ == '__main__':`?); "
            "run the same command again to go on, perhaps with fewer workers"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started in this block do their matrix products in one thread; more would fight for the cores."""
    unset = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)


def _follow_parent() -> None:
    """Begin a drawing process: leave Ctrl-C to the parent, and end when the parent ends, however that comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _flush() -> None:
    """Have the images on the disk before the annotations say that they are."""
    if hasattr(os, "sync"):
        os.sync()


def _silent(_done: int, _total: int) -> None:
    """Progress that nobody asked for."""


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _claim(settings: StreetSettings, out: Path) -> None:
    """Mark `out` as holding this street, or find that it does already."""
    told = settings.model_dump(mode="json", exclude_none=True, exclude=None if settings.changed else {"changed"})
    wanted = tomli_w.dumps({"drawing": DRAWING, "street": told})
    marker = out / SETTINGS
    if marker.is_file():
        changes = list(_differences(read_toml(marker), tomllib.loads(wanted)))
        if changes:
            raise DataError(
                f"{out}: holds a street of other settings ({'; '.join(changes[:3])}); "
                "draw into another folder, or delete this one first"
            )
        for leftover in half_written(out):
            leftover.unlink(missing_ok=True)
        return
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file; give a folder, which may be new")
    if out.is_dir() and any(not path.name.startswith(f".{SETTINGS}.") for path in out.iterdir()):
        raise DataError(f"{out}: holds other files and no {SETTINGS}; draw into a new or empty folder")
    try:
        write_atomically(marker, wanted)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror}); give a folder that can") from None


def _differences(found: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted(found.keys() | wanted.keys()):
        old, new = found.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key} is {old} there, {new} here"
