"""Own data: a table with a row for each caption, as CSV, JSON lines or Parquet."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from unicodedata import normalize

from pickout.data.annotation import Entry, Reader, Reading, RecordCheck, show, sound
from pickout.data.caption_folder import FORMATS, what_it_is
from pickout.data.spreadsheet import ENDINGS, Row, moment, name_of, read_spreadsheet
from pickout.errors import AnnotationError, DataMissing

COLUMNS = ("image", "caption", "identity", "camera", "time", "split")
"""The columns that are read; `image` must be there. Others are left alone."""

T = TypeVar("T")


@dataclass(frozen=True)
class Table(Reader):
    """Reads a table. Image paths start from the table's folder.

    An image may have several rows, one for each caption; they must agree on everything else. Identities may be whole
    numbers or names; names are numbered in order of appearance. Without an identity column each image counts as one
    person, without a split column every row is `train`.
    """

    @property
    def layout(self) -> str:
        """The expected files, as a drawing for people."""
        return f"FOLDER/\n  {' or '.join(self.files)} with the columns {', '.join(COLUMNS)}\n  images, anywhere below"

    def read(self, root: Path) -> Reading:
        """Read a table: `root` is the file, or a folder with one of `files`. No image is opened."""
        file = self._find(root.absolute())
        sheet = read_spreadsheet(file, COLUMNS, others=False)
        problems = list(sheet.problems)
        images: dict[str, Entry] = {}
        names: dict[str, int] = {}
        for number, row in sheet.rows:
            check = RecordCheck(file, number)
            try:
                entry = _entry(check, row, sheet.columns, names, len(images))
                key = normalize("NFC", entry.path)
                images[key] = _joined(check, images[key], entry, sheet.columns) if key in images else entry
            except AnnotationError as error:
                problems.append(error)
        if not images and not problems:
            raise AnnotationError(file, None, None, "holds no row")
        assumed = [note for column, note in _ASSUMED.items() if column not in sheet.columns]
        notes = [*sheet.notes, *assumed]
        return Reading(self.name, file.parent, file, file.parent, _numbered(images.values()), problems, notes)

    def _find(self, root: Path) -> Path:
        # os.path instead of Path: a name that the system refuses is just missing.
        if os.path.isfile(root):  # noqa: PTH113
            if root.suffix.lower() not in ENDINGS:
                raise DataMissing(f"{root}: a table ends in {', '.join(ENDINGS)}{what_it_is(root.parent, [root.name])}")
            return root
        found = [root / name for name in self.files if os.path.isfile(root / name)]  # noqa: PTH113
        if len(found) > 1:
            raise DataMissing(f"{root}: {' and '.join(file.name for file in found)}; give the path of the one you mean")
        if not found:
            state = "no table here" if os.path.isdir(root) else "no such file or folder"  # noqa: PTH112
            raise DataMissing(f"{root}: {state}{what_it_is(root, FORMATS)}; expected\n{self.layout}")
        return found[0]


TABLE = Table(
    "table",
    "Own data",
    "Write a table.csv, table.jsonl or table.parquet beside your images, a row for each caption.",
    ("table.csv", "table.jsonl", "table.parquet"),
)

_NAMED = 10**18
"""While reading, people with names are numbered from here, so that they never meet a number."""

_ASSUMED = {
    "identity": "no identity column: each image counts as one person",
    "split": "no split column: every row is train; add one with train, val or test to evaluate",
}


def _entry(check: RecordCheck, row: Row, columns: Sequence[str], names: dict[str, int], images: int) -> Entry:
    camera = _read(check, row, "camera", name_of)
    return Entry(
        record=check.record,
        split=check.split(row.get("split")) if "split" in columns else "train",
        identity=_identity(check, row.get("identity"), names) if "identity" in columns else images,
        path=check.path("image", row.get("image")),
        captions=_captions(check, row.get("caption")),
        camera=None if camera is None else sound(camera),
        time=_read(check, row, "time", moment),
    )


def _read(check: RecordCheck, row: Row, field: str, read: Callable[[object], T]) -> T | None:
    try:
        return None if row.get(field) is None else read(row[field])
    except ValueError as error:
        raise check.wrong(field, str(error)) from None


def _captions(check: RecordCheck, value: Any) -> tuple[str, ...]:
    """The sentence of a cell, or those of a list in it."""
    captions = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(caption, str) for caption in captions):
        raise check.wrong("caption", f"{show(value)}; expected a string")
    return tuple(map(sound, captions))


def _identity(check: RecordCheck, value: Any, names: dict[str, int]) -> int:
    try:
        text = name_of(value)
    except ValueError:
        raise check.wrong("identity", f"{show(value)}; expected a whole number or a name") from None
    if text.isdecimal() and len(text) <= 18:
        return int(text)
    return names.setdefault(text, _NAMED + len(names))


def _numbered(entries: Collection[Entry]) -> list[Entry]:
    """The entries with named people numbered behind the numbered ones."""
    behind = max((entry.identity + 1 for entry in entries if entry.identity < _NAMED), default=0)
    return [
        entry if entry.identity < _NAMED else replace(entry, identity=entry.identity - _NAMED + behind)
        for entry in entries
    ]


def _joined(check: RecordCheck, known: Entry, more: Entry, columns: Sequence[str]) -> Entry:
    """The entry of an image that has another row."""
    for name in ("identity", "split", "camera", "time"):
        one, other = getattr(known, name), getattr(more, name)
        if name in columns and one != other:
            raise check.wrong(name, f"{show(other)}, but record {known.record} gives the same image {show(one)}")
    return replace(known, captions=known.captions + more.captions)
