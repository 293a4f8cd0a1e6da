"""Is a gallery whole? Everything in its folder is read, and each fault names its file."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pickout.errors import PickoutError
from pickout.gallery.audit import AUDIT
from pickout.gallery.calibration import read_calibration
from pickout.gallery.erasing import unfinished
from pickout.gallery.manifest import Manifest, read_manifest
from pickout.gallery.quarantine import read_quarantine
from pickout.gallery.reading import digest, read_file
from pickout.gallery.rows import Row
from pickout.gallery.saved import SavedSearches
from pickout.gallery.store import LanceStore

_AT_ONCE = 200
_LENGTH_OFF = 1e-3
"""How far a vector's length may be from one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be.

    Args:
        file: where.
        what: in a few words, with a remedy.
    """

    file: Path
    what: str

    def as_json(self) -> dict[str, str]:
        """With plain values."""
        return {name: str(value) for name, value in asdict(self).items()}


def verify(
    gallery: Path, *, files: bool = False, on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Iterator[Fault]:
    """Everything that is wrong with a gallery; nothing for a whole one.

    Args:
        gallery: the gallery's folder.
        files: whether the crops themselves are read too: those that are gone or changed are named.
        on_progress: called with rows done and rows in all.
    """
    try:
        manifest = read_manifest(gallery)
    except PickoutError as error:
        yield Fault(gallery, str(error))
        return
    yield from _texts(gallery, manifest)
    try:
        store = LanceStore(gallery, manifest.model.dimension)
        ids = Counter(known.id for known in store.known())
        for identifier, count in ids.items():
            if count > 1:
                yield Fault(gallery, f"row {identifier} is there {count} times; erase it and index its file again")
        every, shapes = list(ids), set[tuple[int, int]]()
        for start in range(0, len(every), _AT_ONCE):
            some = every[start : start + _AT_ONCE]
            for row in store.fetch(some).values():
                yield from _row(row, manifest.model.dimension, files=files)
            shapes |= {(tokens.shape[0], tokens.shape[1]) for tokens in store.fetch_tokens(some).values()}
            on_progress(start + len(some), len(every))
        if len(shapes) > 1:
            yield Fault(gallery, f"tokens of {len(shapes)} shapes {sorted(shapes)}; index again into a new folder")
    except PickoutError as error:
        yield Fault(gallery, str(error))


def _texts(gallery: Path, manifest: Manifest) -> Iterator[Fault]:
    """The small files beside the table."""
    readers: tuple[Callable[[], object], ...] = (
        lambda: read_quarantine(gallery),
        lambda: SavedSearches(gallery).all(),
        lambda: read_calibration(gallery, manifest),
    )
    for read in readers:
        try:
            read()
        except PickoutError as error:
            yield Fault(gallery, str(error))
    try:
        if unfinished(gallery):
            yield Fault(gallery, "an erasure was interrupted; run it, or any other change, again to finish it")
    except PickoutError as error:
        yield Fault(gallery, str(error))
    audit = gallery / AUDIT
    if audit.exists():
        for number, line in enumerate(audit.read_bytes().splitlines(), start=1):
            try:
                json.loads(line)
            except ValueError:
                yield Fault(audit, f"line {number} is garbled: the file was changed, or a write was cut off")
    for left in sorted(gallery.glob(".*.part")):
        yield Fault(left, "left over from an interrupted write; delete it")


def _row(row: Row, dimension: int, *, files: bool) -> Iterator[Fault]:
    length = float(np.linalg.norm(row.vector)) if row.vector.shape == (dimension,) else float("nan")
    if not abs(length - 1) <= _LENGTH_OFF:
        told = f"its vector is none of {dimension} numbers and length 1 (but {length:.3g})"
        yield Fault(row.file, f"{told}; index it again")
    try:
        with Image.open(io.BytesIO(row.thumbnail)) as image:
            image.load()
    except Exception:  # Pillow's decoders raise almost any error on damaged data.
        yield Fault(row.file, "its thumbnail cannot be decoded; index it again")
    box = row.metadata.box
    if box is not None and (box[2] <= 0 or box[3] <= 0):
        yield Fault(row.file, f"its box {list(box)} has no area; tell it again with pickout index --table")
    if files:
        try:
            if digest(read_file(row.file)) != row.content:
                yield Fault(row.file, "has changed since it was indexed; index its folder again")
        except PickoutError as error:
            yield Fault(row.file, str(error))
