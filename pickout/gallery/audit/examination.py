"""What is wrong with an audit log, by itself and against heads that were signed earlier."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pickout.errors import GalleryDamaged
from pickout.gallery.audit.heads import Head, check_signature, given_out, leaf, root, verifier
from pickout.gallery.audit.log import MENDED, entry, is_cut, key_of, lines, showed

_COLUMNS = ("number", "time", "user", "via", "purpose", "kind", "sentence", "where", "results", "rows", "details")
_GARBLED = "line {} is garbled: the file was changed, or a write was cut off"


@dataclass(frozen=True, slots=True)
class Examined:
    """How many entries, the root over them, how many earlier heads they were held against, and what is wrong."""

    size: int
    root: bytes
    heads: int
    faults: tuple[str, ...]


def examine(gallery: Path, heads: Sequence[Head] = (), key_file: Path | None = None) -> Examined:
    """Hold a log against itself, the heads that it gave out, and heads that somebody else kept. Entries behind the last
    head can be changed unseen: hand out heads often. A GalleryError where the log cannot be read."""
    faults, every = list(log_faults(gallery)), list(heads)
    leaves = [leaf(line) for line in lines(gallery)]
    try:
        every += given_out(gallery)
    except GalleryDamaged as error:
        faults.append(str(error))
    key = verifier(gallery, key_file) if every else ""
    for head in every:
        try:
            check_signature(head, key)
        except GalleryDamaged as error:
            faults.append(str(error))
            continue
        if head.size > len(leaves):
            faults.append(f"a head of {head.size} entries was signed, {len(leaves)} are left: the log was truncated")
        elif root(leaves[: head.size]) != head.root:
            faults.append(f"the first {head.size} entries are not those that were signed: changed, deleted or replaced")
    return Examined(len(leaves), root(leaves), len(every), tuple(dict.fromkeys(faults)))


def log_faults(gallery: Path) -> Iterator[str]:
    """Lines that are no entries. One that a kill cut off, and whose next writer said so, is none of them."""
    garbled: tuple[int, str] | None = None
    for number, line in enumerate(lines(gallery), start=1):
        values = entry(line)
        if garbled is not None and (not values or (values.get("event"), values.get("sha256")) != (MENDED, garbled[1])):
            yield _GARBLED.format(garbled[0])
        garbled = (number, hashlib.sha256(line).hexdigest()) if values is None else None
    if garbled is not None:
        yield _GARBLED.format(garbled[0])
    if is_cut(gallery):
        yield "the last line is garbled: a write was cut off; the next search or change will say so in the log"


def entries_showing(gallery: Path, crop: str) -> list[tuple[int, dict[str, Any]]]:
    """The entries, with their numbers from 1, that provably showed a crop. None once it was erased."""
    if (key := key_of(gallery, crop)) is None:
        return []
    numbered = enumerate((entry(line) for line in lines(gallery)), start=1)
    return [(number, values) for number, values in numbered if values and showed(values, crop, key)]


def numbered_entries(gallery: Path, start: int = 1) -> Iterator[dict[str, Any]]:
    """Every entry from number `start` on, with its number; of a cut line only that it is one."""
    for number, line in enumerate(lines(gallery, start - 1), start=start):
        told = entry(line) or {"event": "cut line"}
        yield {"number": number} | told | {"number": number}  # it comes first, and no entry tells another one


def as_csv(entries: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Entries as lines of CSV with a header. A cell that a spreadsheet would run gets a quote before it."""
    known = {*_COLUMNS, "change", "event", "nonce", "shown", "query"}
    yield _csv_row(_COLUMNS)
    for values in entries:
        kind = values.get("change") or values.get("event") or "search"
        details = {name: value for name, value in values.items() if name not in known}
        cells = {**values, "kind": kind, "details": details or ""}
        yield _csv_row([cells.get(name, "") for name in _COLUMNS])


def _csv_row(values: Sequence[Any]) -> str:
    row, runs = io.StringIO(), ("=", "+", "-", "@", "\t", "\r")
    texts = [json.dumps(value) if isinstance(value, dict) else str(value) for value in values]
    csv.writer(row).writerow([f"'{text}" if text.startswith(runs) else text for text in texts])
    return row.getvalue()
