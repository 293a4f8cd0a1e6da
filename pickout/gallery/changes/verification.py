"""Is a gallery whole? Everything in its folder is read, and each fault names its file."""

import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pickout.errors import PickoutError
from pickout.files import half_written
from pickout.gallery.approximate.build import read_approximation
from pickout.gallery.approximate.far_vectors import kept_codes
from pickout.gallery.audit.heads import log_faults
from pickout.gallery.audit.log import AUDIT
from pickout.gallery.changes.edits import unfinished
from pickout.gallery.changes.retention import read_retention
from pickout.gallery.intake.left_out import read_quarantine, read_suppression
from pickout.gallery.intake.picture import digest, read_file
from pickout.gallery.intake.report import Progress
from pickout.gallery.search.probability import read_calibration
from pickout.gallery.search.saved_searches import SavedSearches
from pickout.gallery.storage.rows import Row, row_id, row_seal
from pickout.gallery.storage.store import FROM_BACKUP, Store
from pickout.gallery.storage.tables import MANIFEST, Manifest, leftover_tables, pending, read_manifest
from pickout.gallery.vectors.exact import Tokens

_AT_ONCE = 200
_AGAIN = "remove it from the gallery and index it again"
_LENGTH_OFF = 1e-3  # how far a vector's length may be from one
_Found = dict[str, tuple[Row | None, Tokens | None]]  # rows with tokens, by id; None where there is none


class Fault(NamedTuple):
    """Something that is not as it should be: where, and what in a few words, with a remedy."""

    file: Path
    what: str

    def as_json(self) -> dict[str, str]:
        """With plain values."""
        return {name: str(value) for name, value in self._asdict().items()}


def verify(gallery: Path, *, files: bool = False, on_progress: Progress = lambda *_: None) -> Iterator[Fault]:
    """Everything that is wrong with the gallery in this folder; nothing for a whole one. With `files` the crops
    themselves are read too. `on_progress` is called with rows done and rows in all."""
    try:
        manifest = read_manifest(gallery)
        yield from _texts(gallery, manifest)
        yield from _rows(gallery, manifest, files, on_progress)
    except PickoutError as error:
        yield Fault(gallery, str(error))


def _rows(gallery: Path, manifest: Manifest, files: bool, on_progress: Progress) -> Iterator[Fault]:
    store = Store(gallery, manifest.model.dimension, manifest.table)
    store.version()
    ids = Counter(known.id for known in store.known())
    for identifier, count in (ids - Counter(list(ids))).items():
        yield Fault(gallery, f"row {identifier} is there {count + 1} times; erase it and index its file again")
    every, missed, shapes = list(ids), list[str](), set[tuple[int, ...]]()
    for start in range(0, len(every), _AT_ONCE):
        some, read = every[start : start + _AT_ONCE], _Found()
        yield from _read(gallery, store, some, read)
        for identifier, (row, tokens) in read.items():
            if row is None:
                missed.append(identifier)
                continue
            yield from row_faults(row, tokens, manifest.model.dimension)
            shapes |= set() if tokens is None else {tokens.shape}
            try:
                if files and digest(read_file(row.file)) != row.content:
                    yield Fault(row.file, "has changed since it was indexed; index its folder again")
            except PickoutError as error:
                yield Fault(row.file, str(error))
        on_progress(start + len(some), len(every))
    there = {identifier for identifier, _ in store.files()} & set(missed) if missed else set[str]()
    if lost := sorted(there - store.fetch(there).keys()):
        what = f"{len(lost)} rows are there but not found by their ids ({lost[0]}, ...): the index over the ids, of an"
        told = f"{what} earlier version, is damaged; any change of the gallery removes it"
        yield Fault(gallery / f"{manifest.table}.lance", told)
    kept_codes(store)
    if len(shapes) > 1:
        yield Fault(gallery, f"tokens of {len(shapes)} shapes {sorted(shapes)}; index again into a new folder")


def _read(gallery: Path, store: Store, ids: list[str], read: _Found) -> Iterator[Fault]:
    """Fill in rows with their tokens; where they cannot be read together, one by one, to tell the damaged ones."""
    try:
        rows, tokens = store.fetch(ids), store.fetch_tokens(ids)
        read.update((key, (rows.get(key), tokens.get(key))) for key in ids)
    except PickoutError as error:
        if len(ids) == 1:
            yield Fault(gallery, f"row {ids[0]}: {error}")
            return
        for identifier in ids:
            yield from _read(gallery, store, [identifier], read)


def _texts(gallery: Path, manifest: Manifest) -> Iterator[Fault]:
    """The small files beside the table."""
    if manifest.seal is not None and manifest.seal != manifest.sealed().seal:
        yield Fault(gallery / MANIFEST, f"was changed by hand; put it back {FROM_BACKUP}")
    of_model = (partial(read_calibration, manifest=manifest), partial(read_approximation, manifest=manifest))
    readers: list[Callable[[Path], object]] = [read_quarantine, read_suppression, read_retention, *of_model]
    for read in (lambda folder: SavedSearches(folder).all(), *readers, pending, unfinished):
        try:
            if read(gallery) and read is unfinished:
                yield Fault(gallery, "an erasure was interrupted; run it, or any other change, again to finish it")
        except PickoutError as error:
            yield Fault(gallery, str(error))
    try:
        yield from (Fault(gallery / AUDIT, told) for told in log_faults(gallery))
    except PickoutError as error:
        yield Fault(gallery / AUDIT, str(error))
    for left in half_written(gallery, below=False):
        yield Fault(left, "left over from an interrupted write; any change of the gallery deletes it")
    with suppress(PickoutError):  # told above
        for folder in leftover_tables(gallery):
            yield Fault(folder, "left over from another model; any change of the gallery deletes it")


def row_faults(row: Row, tokens: Tokens | None, dimension: int) -> Iterator[Fault]:
    """What is wrong with a row that was fetched, its tokens, and its vector of this length."""
    if row.seal is not None and row.seal != row_seal(row, tokens):
        yield Fault(row.file, f"its row was changed by other hands than Pickout's; {_AGAIN}")
    if row.id != row_id(row.file):
        yield Fault(row.file, f"its row has the id of another path ({row.id}); {_AGAIN}")
    length = float(np.linalg.norm(row.vector)) if row.vector.shape == (dimension,) else float("nan")
    if not abs(length - 1) <= _LENGTH_OFF:
        told = f"its vector is none of {dimension} numbers and length 1 (but {length:.3g})"
        yield Fault(row.file, f"{told}; {_AGAIN}")
    try:
        with Image.open(io.BytesIO(row.thumbnail)) as image:
            image.load()
    except Exception:  # Pillow's decoders raise almost any error on damaged data.
        yield Fault(row.file, f"its thumbnail cannot be decoded; {_AGAIN}")
