"""Camera, time, place in a video and labels of a crop from a table; its time from its EXIF block."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from pickout.errors import AnnotationError, DataMissing, UsageError
from pickout.gallery.printable import printable
from pickout.gallery.storage.rows import Metadata, parse_time

LARGEST_NUMBER = 2**31 - 1
"""Of a frame's number and a box's sides."""
_COUNTS = {"frame": 1, "box": 4}
_EXIF_BLOCK, _EXIF_TAKEN, _EXIF_CHANGED = 0x8769, 0x9003, 0x0132


class MetadataTable:
    """A table of metadata by image: CSV with a header, or one JSON object a line (`.jsonl`, `.ndjson`).

    Columns: `image` (path below the indexed folder, or absolute), `camera`, `time` (ISO 8601), `video`, `frame` (a
    number), `box` (left, top, width and height in pixels) and `track`; every other column becomes a label. An empty
    cell tells nothing.

    Args:
        file: the table.

    Raises:
        DataMissing: there is no such file.
        AnnotationError: no table, no column `image`, a time, frame or box that is none, an image told twice
            differently.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._rows: dict[str, Metadata] = {}
        for record, values in enumerate(_records(file)):
            image = str(values.get("image") or "").strip()
            if not image:
                raise AnnotationError(file, record, "image", "missing; expected the path of a crop")
            metadata = _metadata(file, record, values)
            key = _key(image)
            if self._rows.setdefault(key, metadata) != metadata:
                raise AnnotationError(
                    file, record, "image", f"'{printable(image)}' stands in the table twice, differently"
                )

    def __len__(self) -> int:
        return len(self._rows)

    def names(self, root: Path, image: Path) -> bool:
        """Whether the table has a line for `image`, a path below `root`."""
        return _key(str(image.relative_to(root))) in self._rows or str(image) in self._rows

    def of(self, root: Path, image: Path) -> Metadata:
        """What the table tells about `image`, a path below `root`; nothing where it does not name it."""
        return self._rows.get(_key(str(image.relative_to(root))), self._rows.get(str(image), Metadata()))


def exif_time(content: bytes) -> datetime | None:
    """When the picture was taken according to its EXIF block; None without a usable one."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            exif = image.getexif()
            text = exif.get_ifd(_EXIF_BLOCK).get(_EXIF_TAKEN) or exif.get(_EXIF_CHANGED)
        return datetime.strptime(str(text).strip(" \0"), "%Y:%m:%d %H:%M:%S")
    except Exception:
        # A damaged EXIF block makes Pillow raise nearly anything; the picture itself may be fine.
        return None


def _key(image: str) -> str:
    return image.replace("\\", "/").removeprefix("./")


def _metadata(file: Path, record: int, values: Mapping[str, Any]) -> Metadata:
    told = {str(name).strip(): str(value).strip() for name, value in values.items() if value not in (None, "")}
    told.pop("image")
    try:
        time = parse_time(told.pop("time")) if told.get("time") else None
    except UsageError as error:
        raise AnnotationError(file, record, "time", str(error)) from None
    told.pop("time", None)
    frame = _numbers(file, record, "frame", told.pop("frame", ""))
    box = _numbers(file, record, "box", told.pop("box", ""))
    names = {name: printable(told.pop(name, "")) or None for name in ("camera", "video", "track")}
    return Metadata(
        time=time,
        frame=None if frame is None else frame[0],
        box=None if box is None else (box[0], box[1], box[2], box[3]),
        labels={key: value for key, value in told.items() if value},
        **names,
    )


def whole_numbers(name: str, text: str) -> list[int]:
    """The whole number of `frame`, or the four of `box`, between blanks, commas or brackets.

    Raises:
        UsageError: something else, or larger than a picture or video can have it.
    """
    parts = re.split(r"[\s,;]+", text.strip("[]() "))
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != _COUNTS[name] or any(abs(number) > LARGEST_NUMBER for number in numbers):
        wanted = "a whole number" if name == "frame" else "left, top, width and height in pixels, as 12 40 64 192"
        raise UsageError(f"{name} '{printable(text)}': expected {wanted}")
    return numbers


def _numbers(file: Path, record: int, name: str, text: str) -> list[int] | None:
    """None for an empty cell."""
    try:
        return whole_numbers(name, text) if text else None
    except UsageError as error:
        raise AnnotationError(file, record, name, str(error)) from None


def _records(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataMissing(f"{file}: no such table; give a CSV or JSON-lines file with a column 'image'") from None
    except IsADirectoryError:
        raise DataMissing(f"{file}: is a folder; give a CSV or JSON-lines file with a column 'image'") from None
    except UnicodeDecodeError as error:
        raise AnnotationError(file, None, None, f"is not UTF-8 text (byte {error.start})") from None
    return (
        _json_records(file, text) if file.suffix.lower() in (".jsonl", ".ndjson", ".json") else _csv_records(file, text)
    )


def _json_records(file: Path, text: str) -> Iterator[Mapping[str, Any]]:
    record = 0
    for line in text.split("\n"):  # splitlines would also part a line at letters that JSON allows inside of a text
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise AnnotationError(file, record, None, f"no JSON object: {error}") from None
        if not isinstance(values, dict):
            raise AnnotationError(file, record, None, f"expected one JSON object a line, found {type(values).__name__}")
        yield values
        record += 1


def _csv_records(file: Path, text: str) -> Iterator[Mapping[str, Any]]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if "image" not in (reader.fieldnames or ()):
            found = ", ".join(printable(name) for name in reader.fieldnames or ()) or "nothing"
            raise AnnotationError(file, None, "image", f"no such column in the header (found: {found})")
        for record, values in enumerate(reader):
            if values.pop(None, None):
                raise AnnotationError(file, record, None, "more cells than the header has columns")
            yield {name: value for name, value in values.items() if name}  # the nameless column is a line's number
    except csv.Error as error:
        raise AnnotationError(file, None, None, f"not a CSV table: {error}") from None
