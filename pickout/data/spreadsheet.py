"""Tables as spreadsheets and data frames write them: the one reader of training data and of a gallery's metadata."""

import csv
import difflib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any
from unicodedata import normalize

from pickout.data.data_set import read_text, show, told_once
from pickout.errors import AnnotationError, DataMissing
from pickout.files import packaged_table

Row = Mapping[str, Any]
Table = tuple[list[str], Iterable[tuple[int, Sequence[Any]]]]  # header; row numbers from 0, cells

_TABLES = packaged_table("pickout.data", "columns.toml")
SYNONYMS: Mapping[str, frozenset[str]] = {name: frozenset(names.split()) for name, names in _TABLES["columns"].items()}
_MISSING = frozenset(_TABLES["missing"]["values"])
ENDINGS = (".csv", ".jsonl", ".ndjson", ".parquet")
"""Endings of the files that are read; a table with another one is taken for CSV by who reads it all the same."""

_NAMELESS = re.compile(r"(Unnamed: \d+|__index_level_\d+__)?")  # columns with the numbers of a data frame's rows
_WHOLE = re.compile(r"([+-]?\d+)(\.0*)?")
_NEAR = 0.75
_TYPED = "\ufeff \t\r\n\f\v"  # blanks that nobody means at the ends of a cell; others may belong to a name
_BLANKS = _TYPED + "\xa0"


@dataclass(frozen=True, slots=True)
class Spreadsheet:
    """A table, read whole."""

    columns: Sequence[str]  # their standard names where they have one, else as the file has them
    # position in the file, from 0, and the cells by column; a missing value is None, a float that is a whole number is
    # an int. Rows without any value are left out
    rows: Sequence[tuple[int, Row]]
    problems: Sequence[AnnotationError]  # rows that could not be read
    notes: Sequence[str]  # which column was read as which


def read_spreadsheet(file: Path, known: Sequence[str], *, others: bool) -> Spreadsheet:
    """Read a table: CSV with a header, JSON lines with an object each, or Parquet; by its ending, else CSV. `known` are
    the columns that are wanted, keys of `SYNONYMS`; `image` among them must be there. `others` tells whether other
    columns count too: then one with nearly the name of a missing column is noted, else it is an error. `DataMissing`:
    there is no such file; `AnnotationError`: it cannot be read as a whole, has no image column, or a column twice."""
    if not file.is_file():
        raise DataMissing(f"{file}: no such table; give a CSV, JSON-lines or Parquet file with a column 'image'")
    problems: list[AnnotationError] = []
    readers = {".parquet": _parquet} | dict.fromkeys((".jsonl", ".ndjson", ".json"), _json_lines)
    header, cells = readers.get(file.suffix.lower(), _csv)(file, problems)
    names, notes = _standard_names(file, header, known, others=others)
    rows = []
    for number, values in cells:
        # Names of cameras and labels keep blanks that a person, a split or a number is not told by.
        each = {name: value for name, value in zip(names, values, strict=True) if name is not None}
        row = {name: _cell(value, _TYPED if others else _BLANKS) for name, value in each.items()}
        if any(value is not None for value in row.values()):
            rows.append((number, row))
    return Spreadsheet([name for name in names if name is not None], rows, problems, notes)


def name_of(value: object) -> str:
    """A name as text, composed (NFC); a whole number loses the `.0` that a data frame gave it. Else a ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{show(value)}; expected a name or a whole number")
    return whole(normalize("NFC", str(value)))


def whole(text: str) -> str:
    """`12` for `12.0`, any other text as it is."""
    found = _WHOLE.fullmatch(text)
    return found[1] if found else text


def is_whole(value: object) -> bool:
    """Whether a cell is missing or a whole number, written as `12` or `12.0`."""
    return value is None or _WHOLE.fullmatch(str(value)) is not None


def moment(value: object) -> datetime:
    """The time in a cell: ISO 8601, or a Parquet time or date (its midnight). Else a ValueError."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    try:
        return datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{show(value)}; expected a time like 2024-05-31T17:45:00") from None


def _cell(value: Any, blanks: str) -> Any:
    if isinstance(value, str):
        text = value.strip(blanks)
        return None if text.strip(_BLANKS) in _MISSING else text
    if isinstance(value, float | Decimal):
        return None if value != value else int(value) if value % 1 == 0 else value
    return value


def kept(text: str) -> str | None:
    """What a table that is written by a program and read by this one keeps of a name; None: no value."""
    return whole(str(_cell(text, _TYPED) or "")) or None


def column_of(name: str) -> str | None:
    """The column that a table's header means by `name`, by its own or another name; None where it means none."""
    plain = letters_of(name)
    return next((column for column, names in SYNONYMS.items() if plain == column or plain in names), None)


def letters_of(name: str) -> str:
    """What counts of a column's name: letters and figures, small."""
    return re.sub(r"[\W_]", "", name).casefold()


def _standard_names(
    file: Path, header: Sequence[str], known: Sequence[str], *, others: bool
) -> tuple[list[str | None], list[str]]:
    """Each column's standard name, its own, or None where it has none; and which were read as which."""
    names = [normalize("NFC", name.strip(_BLANKS)) for name in header]
    plain = [letters_of(name) for name in names]
    standard: list[str | None] = [None if _NAMELESS.fullmatch(name) else name for name in names]
    notes, missing = [], []
    for column in known:
        exact = [place for place, name in enumerate(plain) if name == column]
        like = [place for place, name in enumerate(plain) if name in SYNONYMS[column]]
        places = exact or like
        if exact and others:
            notes += [f"column '{names[place]}' is taken as it is, since {column} is there too" for place in like]
        if len(places) > 1:
            found = " and ".join(f"'{names[place]}'" for place in places)
            raise AnnotationError(file, None, column, f"the columns {found} both mean {column}; keep one or rename one")
        for place in places:
            standard[place] = column
            notes += [] if exact else [f"column '{names[place]}' is read as {column}"]
        missing += [] if places else [column]
    twice = [name for name, count in Counter(name.casefold() for name in standard if name).items() if count > 1]
    if twice:
        raise AnnotationError(file, None, twice[0], "a column of this name stands in the header twice; rename one")
    left = {letters: name for letters, name in zip(plain, names, strict=True) if name not in known}
    for column in missing:
        near = difflib.get_close_matches(column, left, n=1, cutoff=_NEAR)
        if near and others and column != "image":
            notes.append(f"column '{left[near[0]]}' is taken as it is; call it {column} if it means that")
        elif near:
            problem = f"no such column, but '{left[near[0]]}'; rename one that means it"
            raise AnnotationError(file, None, column, problem)
    if "image" in missing:
        found = ", ".join(names) or "none"
        raise AnnotationError(file, None, "image", f"no such column; found {found} (columns are parted by commas)")
    return standard, notes


def _csv(file: Path, problems: list[AnnotationError]) -> Table:
    reader = csv.reader(io.StringIO(read_text(file), newline=""), strict=True)
    try:
        lines = [cells for cells in reader if any(cell.strip(_BLANKS) for cell in cells)]
    except csv.Error as error:
        raise AnnotationError(file, None, None, f"not valid CSV at line {reader.line_num}: {error}") from None
    header, rows = lines[0] if lines else [], []
    for number, cells in enumerate(lines[1:]):
        if len(cells) < len(header) or any(cells[len(header) :]):
            problem = f"{len(cells)} cells; the header has {len(header)}"
            problems.append(AnnotationError(file, number, None, problem))
        else:
            rows.append((number, cells[: len(header)]))
    return header, rows


def _json_lines(file: Path, problems: list[AnnotationError]) -> Table:
    rows: list[tuple[int, Row]] = []
    # splitlines would also part a line at letters that JSON allows inside of a text.
    for number, line in enumerate(line for line in read_text(file).split("\n") if line.strip()):
        try:
            row, problem = json.loads(line, object_pairs_hook=told_once), ""
        except (ValueError, RecursionError) as error:
            row, problem = None, f"not valid JSON: {error}"
        if isinstance(row, dict):
            rows.append((number, row))
        else:
            problems.append(AnnotationError(file, number, None, problem or f"{show(row)}; expected an object"))
    if not rows and problems:
        raise problems[0]
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    return columns, ((number, [row.get(name) for name in columns]) for number, row in rows)


def _parquet(file: Path, _: list[AnnotationError]) -> Table:
    import pyarrow

    from pickout.data.parquet import read_table

    try:
        table = read_table(file.read_bytes())
    except Exception as error:  # pyarrow has its own errors, OSError among them.
        raise AnnotationError(file, None, None, f"not a readable Parquet file ({error})") from None
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pyarrow.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python's times end at microseconds
            column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
        columns.append(list[Any]())
        for row, cell in enumerate(column):
            try:
                value = cell.as_py()
                columns[-1].append(value.decode() if isinstance(value, bytes) else value)
            except Exception as error:  # a date after the year 9999, a zone that nobody knows, bytes that are no text
                raise AnnotationError(file, row, name, f"cannot be read ({error})") from None
    return list(table.column_names), enumerate(zip_longest(*columns))
