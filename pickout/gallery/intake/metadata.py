"""Camera, time, place in a video and labels of a crop: from a table, its name or folder, its EXIF block."""

import io
import posixpath
import re
from collections.abc import Callable, Collection
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from unicodedata import normalize

from PIL import Image
from PIL.ExifTags import IFD, Base

from pickout.data.images import without_notes
from pickout.data.spreadsheet import Row, is_whole, read_spreadsheet, whole
from pickout.errors import AnnotationError, UsageError
from pickout.gallery.storage.rows import LARGEST_NUMBER, Metadata, parse_time, storable, without_zone

CAPTIONS = ("caption", "captions")  # columns that a table of metadata may have, and that are no labels
_NAMES = ("camera", "video", "track")
_COLUMNS = ("image", "time", "frame", "box", *_NAMES)
_BLANK = " \0"
_NAMED_CAMERA = re.compile(r"(?:^|[_-])c(?:am)?[_-]?(\d+)(?=s\d|[_.-]|$)", re.IGNORECASE)


class CameraFrom(StrEnum):
    """Where a crop's camera comes from when no table tells."""

    NONE = "none"  # nowhere
    FOLDER = "folder"  # the folder the file lies in, for example `cam_a/0001.jpg`: cam_a. Files at the top have none.
    NAME = "name"  # the part `c5` of the file's name, as Market-1501, DukeMTMC-reID and RSTPReid write it: c5


def camera_of(root: Path, image: Path, source: CameraFrom) -> str | None:
    """The camera that `image`'s name or folder tells, None where it tells none."""
    if source is CameraFrom.FOLDER:
        return None if image.parent == root else storable(image.parent.name)
    found = _NAMED_CAMERA.search(image.stem) if source is CameraFrom.NAME else None
    return f"c{int(found[1])}" if found else None


class MetadataTable:
    """A table of metadata by image (path below the folder `root` that is indexed, or absolute): `camera`, `time`,
    `video`, `frame`, `box`, `track`, and labels, but no captions. An empty cell tells nothing. `AnnotationError` for a
    value that is none, and for an image told twice differently; else as of `read_spreadsheet`."""

    def __init__(self, file: Path, root: Path) -> None:
        sheet = read_spreadsheet(file, _COLUMNS, others=True)
        sentences = [name for name in sheet.columns if name.lower() in CAPTIONS]
        left = [f"{file}: column '{name}' is left out: a sentence is no label" for name in sentences]
        self._file, self._root, self.notes = file, root, (*sheet.notes, *left)
        if sheet.problems:
            raise sheet.problems[0]
        counted = {name for name in sheet.columns if all(is_whole(row[name]) for _, row in sheet.rows)}
        self._rows: dict[str, Metadata] = {}
        for record, every in sheet.rows:
            values = {name: value for name, value in every.items() if name not in sentences}
            if values["image"] is None:
                raise AnnotationError(file, record, "image", "missing; expected the path of a crop")
            image, metadata = str(values["image"]), _metadata(file, record, values, counted)
            if self._rows.setdefault(_place(image), metadata) != metadata:
                raise AnnotationError(file, record, "image", f"'{image}' stands in the table twice, differently")
        self._asked, self._places, self._spelled = set[str](), dict[str, str](), dict[str, list[str]]()
        """Each row by the place of its image, and the places that may be spelled in another way by how they are
        plainly."""
        for key, metadata in self._rows.items():
            place = _place(str(root), key)
            first = self._places.setdefault(place, key)
            if self._rows[first] != metadata:
                raise AnnotationError(file, None, "image", f"'{first}' and '{key}' are one file, told differently")
            if first == key and (not place.isascii() or "\\" in place):
                self._spelled.setdefault(_plainly(place), []).append(place)

    def of(self, image: Path) -> Metadata | None:
        """What the table tells about `image`, a path below the root; None where it does not name it."""
        place = _place(str(image))
        if place not in self._places and self._spelled:
            # Another file may have the very name that a row has; this one is meant where there is none.
            others = self._spelled.get(_plainly(place), [])
            place = next((other for other in others if not _is_another(Path(other), image)), place)
        if (key := self._places.get(place)) is None:
            return None
        self._asked.add(key)
        return self._rows[key]

    def unasked(self) -> list[str]:
        """A note where rows name no image that `of` was asked for."""
        unasked = [key for key in self._rows if key not in self._asked]
        if not unasked:
            return []
        return [f"{self._file}: {len(unasked)} rows name no image below {self._root}, the first '{unasked[0]}'"]


def exif_time(content: bytes) -> datetime | None:
    """When the picture was taken according to its EXIF block (2.31, with its offset), as `without_zone` keeps times."""
    try:
        with Image.open(io.BytesIO(without_notes(content))) as image:
            exif = image.getexif()
            block = exif.get_ifd(IFD.Exif)
        text, offset = block.get(Base.DateTimeOriginal), block.get(Base.OffsetTimeOriginal)
        if not text:
            text, offset = exif.get(Base.DateTime), block.get(Base.OffsetTime)
        time = datetime.strptime(str(text).strip(_BLANK), "%Y:%m:%d %H:%M:%S")
    except Exception:
        # A damaged EXIF block makes Pillow raise nearly anything; the picture itself may be fine.
        return None
    try:
        return without_zone(datetime.strptime(f"{time} {str(offset).strip(_BLANK)}", "%Y-%m-%d %H:%M:%S %z"))
    except (ValueError, OverflowError):
        return time


def _place(*parts: str) -> str:
    """A path as it is compared: joined, without `.` and `..`."""
    return posixpath.normpath(posixpath.join(*parts))


def _plainly(place: str) -> str:
    """With slashes, and letters in Unicode's composed form."""
    return posixpath.normpath(normalize("NFC", place.replace("\\", "/")))


def _is_another(file: Path, image: Path) -> bool:
    try:
        return not file.samefile(image)
    except OSError:  # it is not there
        return False


def _metadata(file: Path, record: int, values: Row, counted: Collection[str]) -> Metadata:
    told = {storable(name): storable(str(value)) for name, value in values.items() if value is not None}
    labels = {key: whole(value) if key in counted else value for key, value in told.items() if key not in _COLUMNS}
    read: dict[str, Any] = {name: whole(told.get(name, "")) or None for name in _NAMES}
    for name, reader in READERS.items():
        try:
            read[name] = reader(told[name]) if told.get(name) else None
        except UsageError as error:
            raise AnnotationError(file, record, name, str(error)) from None
    return Metadata(labels=labels, **read)


def whole_numbers(name: str, text: str) -> list[int]:
    """The whole number of `frame`, or the four of `box`, between blanks, commas or brackets; `UsageError` for else."""
    parts = re.split(r"[\s,;]+", text.strip("[]() \xa0"))
    try:
        numbers = [int(whole(part)) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != {"frame": 1, "box": 4}[name] or any(abs(number) > LARGEST_NUMBER for number in numbers):
        wanted = "a whole number" if name == "frame" else "left, top, width and height in pixels, as 12 40 64 192"
        raise UsageError(f"{name} '{text}': expected {wanted}")
    if name == "box" and min(numbers[2:]) < 1:
        raise UsageError(f"box '{text}': its width and height must be 1 or more")
    return numbers


READERS: dict[str, Callable[[str], Any]] = {
    "time": parse_time,
    "frame": lambda text: whole_numbers("frame", text)[0],
    "box": lambda text: tuple(whole_numbers("box", text)),
}  # what reads the metadata that is no mere name; `UsageError` for what it is not
