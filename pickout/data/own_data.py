"""Own data: a table with a row for each caption, as CSV, JSON lines or Parquet."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from pickout.data.data_set import Entry, Reader, Reading, RecordCheck, is_file, show, sound
from pickout.data.spreadsheet import ENDINGS, SYNONYMS, Row, Spreadsheet, letters_of, moment, name_of, read_spreadsheet
from pickout.errors import AnnotationError, DataError, DataMissing
from pickout.files import write_atomically

COLUMNS = ("image", "caption", "identity", "camera", "time", "split")
"""The columns that are read; `image` must be there. Others are left alone."""
_NAMED = 10**18  # while reading, people with names are numbered from here, so that they never meet a number
_ASSUMED = {
    "identity": "no identity column: each image counts as one person",
    "split": "no split column: every row is train; add one with train, val or test to evaluate",
}


@dataclass(frozen=True)
class Table(Reader):
    """Reads a table. Image paths start from the table's folder. An image may have several rows, one for each caption;
    they must agree on everything else. Identities are whole numbers, or names, which are numbered behind these."""

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
        return Reading(file, file.parent, entries, problems, [*sheet.notes, *assumed])

    def _find(self, root: Path) -> Path:
        if is_file(root):
            if root.suffix.lower() not in ENDINGS:
                raise self.missing(root, f"a table ends in {', '.join(ENDINGS)}")
            return root
        found = [root / name for name in self.files if is_file(root / name)]
        if len(found) > 1:
            raise DataMissing(f"{root}: {' and '.join(file.name for file in found)}; give the path of the one you mean")
        if not found:
            state = "no table here" if os.path.isdir(root) else "no such file or folder"  # noqa: PTH112
            raise self.missing(root, state)
        return found[0]


TABLE = Table(
    "table",
    "Own data",
    "Write a table.csv, table.jsonl or table.parquet beside your images, a row for each caption.",
    ("table.csv", "table.jsonl", "table.parquet"),
    "FOLDER/\n  table.csv or table.jsonl or table.parquet with the columns "
    f"{', '.join(COLUMNS)}\n  images, anywhere below",
)


def _entry(check: RecordCheck, row: Row, sheet: Spreadsheet, names: dict[str, int], images: int) -> Entry:
    captions, identity, field = row.get("caption"), images, "identity"
    captions = captions if isinstance(captions, list) else [] if captions is None else [captions]
    if not all(isinstance(caption, str) for caption in captions):
        raise check.wrong("caption", f"{show(row['caption'])}; expected a string")
    try:
        if "identity" in sheet.columns:
            text = name_of(row.get("identity"))
            number = text.isdecimal() and len(text) <= 18
            identity = int(text) if number else names.setdefault(text, _NAMED + len(names))
        field = "camera"
        camera = None if row.get(field) is None else sound(name_of(row[field]))
        field = "time"
        time = None if row.get(field) is None else moment(row[field])
    except ValueError as error:
        raise check.wrong(field, str(error)) from None
    split = check.split(row.get("split")) if "split" in sheet.columns else "train"
    path = check.path("image", row.get("image"))
    return Entry(check.record, split, identity, path, tuple(map(sound, captions)), camera, time)


def _joined(check: RecordCheck, known: Entry, more: Entry, sheet: Spreadsheet) -> Entry:
    """The entry of an image that has another row."""
    for name in ("identity", "split", "camera", "time"):
        one, other = getattr(known, name), getattr(more, name)
        if name in sheet.columns and one != other:
            raise check.wrong(name, f"{show(other)}, but record {known.record} gives the same image {show(one)}")
    return replace(known, captions=known.captions + more.captions)


OURS = ("image", "caption", "identity", "camera")  # columns that a data set of the hub may have
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_SPLITS = {"validation": "val", "dev": "val", "valid": "val"}


def fetch_rows(repository: str, out: Path, columns: Mapping[str, str] | None = None) -> int:
    """Read a data set of the hub (or a folder) through `datasets` and write a table that the reader `table` reads.
    Images keep the bytes that the hub has; how many there are comes back. `columns` are theirs, by our names, where
    they are called otherwise than in `SYNONYMS`. A DataError where `datasets`, a column or an image is missing, the
    folder `out` is not empty, or the data set cannot be read."""
    if out.exists() and any(out.iterdir()):
        raise DataMissing(f"{out}: is not empty; give a new folder")
    try:
        import datasets
    except ImportError:
        raise DataError("reading a data set of the hub needs a package more: pip install 'pickout[datasets]'") from None
    try:
        found = datasets.load_dataset(repository)
    except Exception as error:  # Whatever reads somebody's data: the library has no root of its own.
        told = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise DataError(f"{repository}: cannot be read ({told}); check the name and the network") from None
    roots = [Path(datasets.config.HF_CACHE_HOME), *([Path(repository)] if Path(repository).is_dir() else [])]
    lines: list[str] = []
    count = 0
    for split, rows in found.items():
        names = _columns(f"{repository}, split {split}", rows.column_names, columns or {})
        rows = rows.cast_column(names["image"], datasets.Image(decode=False))
        for number, row in enumerate(rows):
            facts = {ours: row[theirs] for ours, theirs in names.items()}
            captions = facts.pop("caption")
            texts: Iterable[Any] = [captions] if isinstance(captions, str) else captions or ()
            facts["image"] = _write(facts["image"] or {}, out, f"{split}-{number:07d}", roots)
            facts["split"] = _SPLITS.get(split, split)
            lines += [json.dumps({**facts, "caption": str(text)}, ensure_ascii=False, default=str) for text in texts]
            count += 1
    write_atomically(out / "table.jsonl", "".join(f"{line}\n" for line in lines))
    return count


def _columns(source: str, there: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Their columns by our names."""
    plain = {letters_of(name): name for name in reversed(there)}
    names = {ours: next((plain[key] for key in (ours, *sorted(SYNONYMS[ours])) if key in plain), "") for ours in OURS}
    names |= given
    absent = [ours for ours in ("image", "caption", *given) if names.get(ours) not in there]
    if absent:
        why = f"{source}: no column for {', '.join(absent)}; it has {', '.join(there)}. Name it:"
        raise DataError(f"{why} --column {absent[0]}=NAME")
    return {ours: theirs for ours, theirs in names.items() if theirs}


def _write(image: Mapping[str, Any], out: Path, name: str, roots: Sequence[Path]) -> str:
    """Write one image as its own bytes; its path from the table's folder."""
    path, data = Path(str(image.get("path") or "")), image.get("bytes")
    # A row may name any file of this machine, so a path counts only below the roots.
    if data is None and path.is_file() and any(path.resolve().is_relative_to(root.resolve()) for root in roots):
        data = path.read_bytes()
    if data is None:
        raise DataError(f"{name}: the row has no image")
    ending = path.suffix.lower() if path.suffix.lower() in _ENDINGS else ".jpg"
    write_atomically(out / "images" / f"{name}{ending}", data, durable=False)
    return f"images/{name}{ending}"
