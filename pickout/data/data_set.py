"""What a data set is, once read: images of people, who they show and the sentences about them."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from unicodedata import normalize

from pickout.errors import AnnotationError, DataMissing


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of one person."""

    image: Path  # absolute path of the file; it may be missing until someone opens it
    identity: int  # the person's number. In a training split identities run from 0 without gaps
    captions: tuple[str, ...]  # the sentences about this image, in the file's order; may be empty
    camera: str | None = None  # the camera's name where the data set tells
    time: datetime | None = None  # when the image was taken where the data set tells


@dataclass(frozen=True, slots=True)
class Pair:
    """One training item: a caption and its image. `image` and `caption` are positions in the split."""

    image: int
    caption: str
    identity: int


@dataclass(frozen=True, slots=True)
class Split:
    """The images of one split of a data set."""

    data: str  # the data set's name, for example `cuhk-pedes`
    name: str  # `train`, `val` or `test`
    images: tuple[ImageRecord, ...]  # in the order of the annotation file

    def pairs(self) -> Iterator[Pair]:
        """Every (image, caption) pair, image by image: the training items, and the queries of an evaluation."""
        for position, record in enumerate(self.images):
            for caption in record.captions:
                yield Pair(position, caption, record.identity)

    @property
    def identities(self) -> int:
        """How many different people the split shows."""
        return len({record.identity for record in self.images})


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set on disk, all splits read, no image opened."""

    name: str  # its name in the registry
    root: Path  # the folder it was read from
    splits: dict[str, Split]  # by name; a set without validation split has no `val` entry
    notes: tuple[str, ...] = ()  # what the reader had to assume; every command says so


SPLITS = ("train", "val", "test")
_SPLIT_NAMES = {name: name for name in SPLITS} | {"training": "train", "validation": "val", "testing": "test"}
_READ_BY = {
    "caption_all.json": ", CUHK-PEDES's first release, which has no splits: take reid_raw.json",
    "reid_raw.json": ": use the name cuhk-pedes, or street",
    "data_captions.json": ": use the name rstpreid",
    "ICFG-PEDES.json": ": use the name icfg-pedes",
    **{f"table{ending}": ": use the name table" for ending in (".csv", ".jsonl", ".parquet")},
}  # names of annotation files, and what to do about one that another reader reads
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a split holds."""

    identities: int  # different people
    images: int  # records of the annotation file
    captions: int  # over all images


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as the annotation file tells it."""

    record: int  # position in the file, from 0
    split: str  # one of `SPLITS`
    identity: int  # the number that the file gives the person
    path: str  # relative to the image folder, parted by `/`, without `.` in it
    captions: tuple[str, ...]  # in the file's order
    camera: str | None = None
    time: datetime | None = None  # when the image was taken


@dataclass(frozen=True, slots=True)
class Reading:
    """An annotation file, read whole."""

    file: Path  # the annotation file, in the data set's own folder
    images: Path  # the folder that image paths start from
    entries: Sequence[Entry]  # what could be read
    problems: Sequence[AnnotationError] = ()  # what could not, in the file's order; a data set has none
    notes: Sequence[str] = ()  # what the reader had to assume


@dataclass(frozen=True)
class Reader(ABC):
    """Reads the original files of one data set."""

    name: str  # the data set's name in the registry
    title: str  # its name in papers
    request: str  # where it can be had, one sentence
    files: tuple[str, ...]  # names that the annotation file may have, the usual one first
    layout: str  # the expected files, as a drawing for people
    # the size of each split as the released files count; empty where there is nothing to compare with
    published: Mapping[str, Counts] = field(default_factory=dict, kw_only=True)

    @abstractmethod
    def read(self, root: Path) -> Reading:
        """Read the annotation file; no image is opened. `root` is the file, its folder or, for some, that one's parent.
        A DataMissing where the file or the image folder is not there, an AnnotationError where nothing can be read."""

    def missing(self, place: Path, state: str) -> DataMissing:
        """The error to raise where no annotation file is; it names one that another reader reads."""
        folder = place.parent if is_file(place) else place
        other = next((name for name in _READ_BY if name not in self.files and is_file(folder / name)), None)
        told = f", but {other}{_READ_BY[other]}" if other else ""
        return DataMissing(f"{place}: {state}{told}; {self.name} is expected as\n{self.layout}\n{self.request}")


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """Checks the values of one record and names it in errors."""

    file: Path
    record: int  # position in the file, from 0

    def wrong(self, field: str | None, problem: str) -> AnnotationError:
        """The error to raise for a field of this record."""
        return AnnotationError(self.file, self.record, field, problem)

    def split(self, value: Any) -> str:
        """One of the names in `SPLITS`; capitals, and the long forms of the names, are read as well."""
        split = _SPLIT_NAMES.get(value.strip().casefold()) if isinstance(value, str) else None
        if split is None:
            raise self.wrong("split", f"{show(value)}; expected one of {', '.join(SPLITS)}")
        return split

    def path(self, field: str, value: Any) -> str:
        """A relative path that stays below the image folder, in one form: `/` for a backslash, and no `.` in it."""
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(field, f"{show(value)}; expected the path of an image file")
        path = PurePosixPath(value.replace("\\", "/"))
        if PureWindowsPath(value).anchor or ".." in path.parts:
            raise self.wrong(field, f"{show(value)} leads out of the image folder; expected a path below it")
        if "\0" in value or _SURROGATE.search(value):
            raise self.wrong(field, f"{show(value)} holds characters that no file name can have")
        return str(path)


def is_file(path: Path) -> bool:
    """Whether a file is there. Not `Path.is_file`: a name that the system refuses is just missing."""
    return os.path.isfile(path)  # noqa: PTH113


def spelt_on_disk(folder: Path, path: str) -> Path:
    """`folder / path`, with accents as the disk has them: composed (NFC), or apart (NFD) as macOS writes them."""
    # os.path.lexists and not Path.exists, for the same names.
    found = folder / path
    if path.isascii() or os.path.lexists(found):
        return found
    for part in PurePosixPath(path).parts:
        spellings = (folder / normalize(form, part) for form in ("NFC", "NFD"))
        folder = next((file for file in spellings if os.path.lexists(file)), folder / part)
    return folder


def read_text(file: Path) -> str:
    """The text of an annotation file."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 text (byte {error.start}); save it as UTF-8"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    raise AnnotationError(file, None, None, problem)


def told_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object (`object_pairs_hook`); a ValueError where it names a field twice, of which JSON keeps the last."""
    values = dict(pairs)
    if len(values) < len(pairs):
        name = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise ValueError(f"the field {show(name)} stands twice in {show(values)}; keep one")
    return values


def sound(caption: str) -> str:
    """The caption with lone surrogates, which no file or screen can take, as U+FFFD."""
    return _SURROGATE.sub("\ufffd", caption)


def show(value: Any) -> str:
    """A short picture of a wrong value for an error message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
