"""Own data: a table with a row for each caption, as CSV, JSON lines or Parquet."""

import csv
import io
import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pickout.data.annotated import read_text
from pickout.data.reading import Entry, Reading, RecordCheck, show, sound
from pickout.errors import AnnotationError, DataError, DataMissing

COLUMNS = ("image", "caption", "identity", "camera", "time", "split")
"""The columns that are read; `image` must be there. Others are left alone."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Reads a table. Image paths start from the table's folder. It satisfies `Reader`.

    An image may have several rows, one for each caption; they must agree on everything else. Identities may be whole
    numbers or names; names are numbered in order of appearance. Without an identity column each image counts as one
    person, without a split column every row is `train`.
    """

    name: str = "table"
    files: tuple[str, ...] = ("table.csv", "table.jsonl", "table.parquet")

    @property
    def layout(self) -> str:
        """The expected files, as a drawing for people."""
        return f"FOLDER/\n  {' or '.join(self.files)} with the columns {', '.join(COLUMNS)}\n  images, anywhere below"

    def read(self, root: Path) -> Reading:
        """Read a table: `root` is the file, or a folder with one of `files`. No image is opened.

        Raises:
            DataMissing: no table there.
            AnnotationError: the file as a whole cannot be read, or has no image column.
            DataError: a Parquet file, and pyarrow is not installed.
        """
        file = self._find(root.absolute())
        problems: list[AnnotationError] = []
        images: dict[str, Entry] = {}
        names: dict[str, int] = {}
        columns, rows = _rows(file, problems)
        if "image" not in columns:
            found = ", ".join(columns) or "none"
            raise AnnotationError(file, None, "image", f"no such column; found {found} (columns are parted by commas)")
        for number, row in rows:
            try:
                entry = _entry(RecordCheck(file, number), row, columns, names, len(images))
                known = images.get(entry.path)
                images[entry.path] = (
                    entry if known is None else _joined(RecordCheck(file, number), known, entry, columns)
                )
            except AnnotationError as error:
                problems.append(error)
        if not images and not problems:
            raise AnnotationError(file, None, None, "holds no row")
        notes = [note for column, note in _ASSUMED.items() if column not in columns]
        return Reading(self.name, file.parent, file, file.parent, _numbered(images.values()), problems, notes)

    def _find(self, root: Path) -> Path:
        # os.path instead of Path: a name that the system refuses is just missing.
        if os.path.isfile(root):  # noqa: PTH113
            if root.suffix.lower() not in _READERS:
                raise DataMissing(f"{root}: a table ends in {', '.join(_READERS)}")
            return root
        found = [root / name for name in self.files if os.path.isfile(root / name)]  # noqa: PTH113
        if len(found) > 1:
            raise DataMissing(f"{root}: {' and '.join(file.name for file in found)}; give the path of the one you mean")
        if not found:
            state = "no table here" if os.path.isdir(root) else "no such file or folder"  # noqa: PTH112
            raise DataMissing(f"{root}: {state}; expected\n{self.layout}")
        return found[0]


TABLE = Table()

_NAMED = 10**18
"""While reading, people with names are numbered from here, so that they never meet a number."""

_ASSUMED = {
    "identity": "no identity column: each image counts as one person",
    "split": "no split column: every row is train; add one with train, val or test to evaluate",
}


def _entry(check: RecordCheck, row: Row, columns: list[str], names: dict[str, int], images: int) -> Entry:
    path = check.path("image", row.get("image"))
    caption = row.get("caption")
    if caption is not None and not isinstance(caption, str):
        raise check.wrong("caption", f"{show(caption)}; expected a string")
    return Entry(
        record=check.record,
        split=check.split(row.get("split")) if "split" in columns else "train",
        identity=_identity(check, row.get("identity"), names) if "identity" in columns else images,
        path=path,
        captions=(sound(caption),) if caption else (),
        camera=_camera(check, row.get("camera")),
        time=_time(check, row.get("time")),
    )


def _identity(check: RecordCheck, value: Any, names: dict[str, int]) -> int:
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text:
        raise check.wrong("identity", f"{show(value)}; expected a whole number or a name")
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


def _camera(check: RecordCheck, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise check.wrong("camera", f"{show(value)}; expected a name")
    return sound(str(value))


def _time(check: RecordCheck, value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise check.wrong("time", f"{show(value)}; expected a time like 2024-05-31T17:45:00") from None


def _joined(check: RecordCheck, known: Entry, more: Entry, columns: list[str]) -> Entry:
    """The entry of an image that has another row."""
    for name in ("identity", "split", "camera", "time"):
        one, other = getattr(known, name), getattr(more, name)
        if name in columns and one != other:
            raise check.wrong(name, f"{show(other)}, but record {known.record} gives the same image {show(one)}")
    captions = known.captions + more.captions
    return Entry(known.record, known.split, known.identity, known.path, captions, known.camera, known.time)


def _rows(file: Path, problems: list[AnnotationError]) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    return _READERS[file.suffix.lower()](file, problems)


def _csv(file: Path, problems: list[AnnotationError]) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    reader = csv.reader(io.StringIO(read_text(file), newline=""), strict=True)

    def rows() -> Iterator[tuple[int, Row]]:
        try:
            for number, cells in enumerate(cells for cells in reader if cells):
                if len(cells) != len(header):
                    problem = f"{len(cells)} cells; the header has {len(header)}"
                    problems.append(AnnotationError(file, number, None, problem))
                else:
                    yield number, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise AnnotationError(file, None, None, f"not valid CSV at line {reader.line_num}: {error}") from None

    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise AnnotationError(file, None, None, f"not valid CSV at line {reader.line_num}: {error}") from None
    return header, rows()


def _json_lines(file: Path, problems: list[AnnotationError]) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    rows: list[tuple[int, Row]] = []
    columns: dict[str, None] = {}
    lines = [line for line in read_text(file).split("\n") if line.strip()]
    for number, line in enumerate(lines):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(AnnotationError(file, number, None, f"not valid JSON: {error}"))
            continue
        if not isinstance(row, dict):
            problems.append(AnnotationError(file, number, None, f"{show(row)}; expected an object"))
            continue
        rows.append((number, row))
        columns.update(dict.fromkeys(row))
    if not rows and problems:
        raise problems[0]
    return list(columns), iter(rows)


def _parquet(file: Path, problems: list[AnnotationError]) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    del problems
    try:
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{file}: reading Parquet needs pyarrow; install it or save the table as CSV") from None
    try:
        columns = list(parquet.read_schema(file).names)
        table = parquet.read_table(file, columns=[name for name in COLUMNS if name in columns])
        rows: list[Row] = table.to_pylist()
    except Exception as error:  # pyarrow has its own errors, OSError among them.
        raise AnnotationError(file, None, None, f"not a readable Parquet file ({error})") from None
    return columns, enumerate(rows)


_READERS = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
