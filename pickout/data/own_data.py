"""Own data: a table with a row for each caption, as CSV, JSON lines or Parquet."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from pickout.data.annotation import Entry, Reader, Reading, RecordCheck, is_file, show, sound, what_it_is
from pickout.data.spreadsheet import ENDINGS, Row, Spreadsheet, moment, name_of, read_spreadsheet
from pickout.errors import AnnotationError, DataMissing

COLUMNS = ("image", "caption", "identity", "camera", "time", "split")
"""The columns that are read; `image` must be there. Others are left alone."""
_NAMED = 10**18
"""While reading, people with names are numbered from here, so that they never meet a number."""
_ASSUMED = {
    "identity": "no identity column: each image counts as one person",
    "split": "no split column: every row is train; add one with train, val or test to evaluate",
}


@dataclass(frozen=True)
class Table(Reader):
    """Reads a table. Image paths start from the table's folder.

    An image may have several rows, one for each caption; they must agree on everything else. Identities may be whole
    numbers or names; names are numbered in order of appearance, behind the numbers.
    """

    @property
    def layout(self) -> str:
        """The expected files, as a drawing for people."""
        return f"FOLDER/\n  {' or '.join(self.files)} with the columns {', '.join(COLUMNS)}\n  images, anywhere below"

    def read(self, root: Path) -> Reading:
        """Read a table: `root` is the file, or a folder with one of `files`."""
        file = self._find(root.absolute())
        sheet = read_spreadsheet(file, COLUMNS, others=False)
        problems = list(sheet.problems)
        images: dict[str, Entry] = {}
        names: dict[str, int] = {}
        for number, row in sheet.rows:
            check = RecordCheck(file, number)
            try:
                entry = _entry(check, row, sheet, names, len(images))
                key = normalize("NFC", entry.path)
                images[key] = _joined(check, images[key], entry, sheet) if key in images else entry
            except AnnotationError as error:
                problems.append(error)
        if not images and not problems:
            raise AnnotationError(file, None, None, "holds no row")
        behind = max((entry.identity + 1 for entry in images.values() if entry.identity < _NAMED), default=0)
        entries = [
            entry if entry.identity < _NAMED else replace(entry, identity=entry.identity - _NAMED + behind)
            for entry in images.values()
        ]
        assumed = [note for column, note in _ASSUMED.items() if column not in sheet.columns]
        return Reading(self.name, file, file.parent, entries, problems, [*sheet.notes, *assumed])

    def _find(self, root: Path) -> Path:
        if is_file(root):
            if root.suffix.lower() not in ENDINGS:
                raise DataMissing(f"{root}: a table ends in {', '.join(ENDINGS)}{what_it_is(root.parent, [root.name])}")
            return root
        found = [root / name for name in self.files if is_file(root / name)]
        if len(found) > 1:
            raise DataMissing(f"{root}: {' and '.join(file.name for file in found)}; give the path of the one you mean")
        if not found:
            state = "no table here" if os.path.isdir(root) else "no such file or folder"  # noqa: PTH112
            raise self.missing(root, state, [root])
        return found[0]


TABLE = Table(
    "table",
    "Own data",
    "Write a table.csv, table.jsonl or table.parquet beside your images, a row for each caption.",
    ("table.csv", "table.jsonl", "table.parquet"),
)


def _entry(check: RecordCheck, row: Row, sheet: Spreadsheet, names: dict[str, int], images: int) -> Entry:
    captions, identity, field = row.get("caption"), images, "camera"
    captions = captions if isinstance(captions, list) else [] if captions is None else [captions]
    if not all(isinstance(caption, str) for caption in captions):
        raise check.wrong("caption", f"{show(row['caption'])}; expected a string")
    if "identity" in sheet.columns:
        identity = _identity(check, row.get("identity"), names)
    try:
        camera = None if row.get(field) is None else sound(name_of(row[field]))
        field = "time"
        time = None if row.get(field) is None else moment(row[field])
    except ValueError as error:
        raise check.wrong(field, str(error)) from None
    split = check.split(row.get("split")) if "split" in sheet.columns else "train"
    path = check.path("image", row.get("image"))
    return Entry(check.record, split, identity, path, tuple(map(sound, captions)), camera, time)


def _identity(check: RecordCheck, value: Any, names: dict[str, int]) -> int:
    try:
        text = name_of(value)
    except ValueError:
        raise check.wrong("identity", f"{show(value)}; expected a whole number or a name") from None
    return int(text) if text.isdecimal() and len(text) <= 18 else names.setdefault(text, _NAMED + len(names))


def _joined(check: RecordCheck, known: Entry, more: Entry, sheet: Spreadsheet) -> Entry:
    """The entry of an image that has another row."""
    for name in ("identity", "split", "camera", "time"):
        one, other = getattr(known, name), getattr(more, name)
        if name in sheet.columns and one != other:
            raise check.wrong(name, f"{show(other)}, but record {known.record} gives the same image {show(one)}")
    return replace(known, captions=known.captions + more.captions)
