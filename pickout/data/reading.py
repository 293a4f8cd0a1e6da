"""What every reader gives, and how it becomes a data set."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pickout.data.records import DataSet, ImageRecord, Split
from pickout.errors import AnnotationError

SPLITS = ("train", "val", "test")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as the annotation file tells it.

    Args:
        record: position in the file, from 0.
        split: `train`, `val` or `test`.
        identity: the number that the file gives the person.
        path: relative to the image folder.
        captions: in the file's order.
        camera: the camera's name where it is known.
        time: when the image was taken where it is known.
    """

    record: int
    split: str
    identity: int
    path: str
    captions: tuple[str, ...]
    camera: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """An annotation file, read whole.

    Args:
        name: the data set's name in the registry.
        root: the data set's own folder.
        file: the annotation file.
        images: the folder that image paths start from.
        entries: what could be read.
        problems: what could not, in the file's order; a data set has none.
        notes: what the reader had to assume.
    """

    name: str
    root: Path
    file: Path
    images: Path
    entries: Sequence[Entry]
    problems: Sequence[AnnotationError] = ()
    notes: Sequence[str] = ()


class Reader(Protocol):
    """Reads the original files of one data set."""

    @property
    def name(self) -> str:
        """The data set's name in the registry."""

    @property
    def layout(self) -> str:
        """The expected files, as a drawing for people."""

    def read(self, root: Path) -> Reading:
        """Read the annotation file below `root`, the data set's own folder or its parent; no image is opened.

        Raises:
            DataMissing: the annotation file or the image folder is not there.
            AnnotationError: the file as a whole cannot be read.
        """


def to_data_set(reading: Reading) -> DataSet:
    """The data set of a reading. Training identities become 0, 1, ... in ascending order; others stay as they are.

    Raises:
        AnnotationError: the first of the reading's problems.
    """
    if reading.problems:
        raise reading.problems[0]
    ranks = {raw: rank for rank, raw in enumerate(training_identities(reading.entries))}
    records: dict[str, list[ImageRecord]] = defaultdict(list)
    for entry in reading.entries:
        identity = ranks[entry.identity] if entry.split == "train" else entry.identity
        image = reading.images / entry.path
        records[entry.split].append(ImageRecord(image, identity, entry.captions, entry.camera, entry.time))
    splits = {name: Split(reading.name, name, tuple(records[name])) for name in SPLITS if name in records}
    return DataSet(reading.name, reading.root, splits)


def training_identities(entries: Sequence[Entry]) -> list[int]:
    """The file's numbers of the people in the training split, ascending."""
    return sorted({entry.identity for entry in entries if entry.split == "train"})


class RecordCheck:
    """Checks the values of one record and names it in errors.

    Args:
        file: the annotation file.
        record: position in the file, from 0.
    """

    def __init__(self, file: Path, record: int) -> None:
        self.file, self.record = file, record

    def wrong(self, field: str | None, problem: str) -> AnnotationError:
        """The error to raise for a field of this record."""
        return AnnotationError(self.file, self.record, field, problem)

    def split(self, value: Any) -> str:
        """One of the names in `SPLITS`.

        Raises:
            AnnotationError: another value.
        """
        if value not in SPLITS:
            raise self.wrong("split", f"{show(value)}; expected one of {', '.join(SPLITS)}")
        return str(value)

    def path(self, field: str, value: Any) -> str:
        """A relative path that stays below the image folder.

        Raises:
            AnnotationError: not a string, empty, absolute, upward or impossible as a file name.
        """
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(field, f"{show(value)}; expected the path of an image file")
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise self.wrong(field, f"{show(value)} leads out of the image folder; expected a path below it")
        if "\0" in value or _SURROGATE.search(value):
            raise self.wrong(field, f"{show(value)} holds characters that no file name can have")
        return value


def sound(caption: str) -> str:
    """The caption with lone surrogates, which no file or screen can take, as U+FFFD."""
    return _SURROGATE.sub("\ufffd", caption)


def show(value: Any) -> str:
    """A short picture of a wrong value for an error message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
