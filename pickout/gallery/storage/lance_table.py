"""Rows in LanceDB."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pickout.errors import GalleryDamaged, GalleryError
from pickout.gallery.storage.columns import (
    ADDED_FIELDS,
    FIELDS,
    MARKED,
    METADATA,
    RESIDENT,
    completed,
    from_arrow,
    to_arrow,
    to_metadata,
    to_resident,
    unpack_tokens,
    values_mark,
)
from pickout.gallery.storage.lance_faults import lance_errors, latest, open_table, read_latest
from pickout.gallery.storage.leftovers import clear_half_written_rows
from pickout.gallery.storage.manifest import FROM_BACKUP, TABLE
from pickout.gallery.storage.rows import Known, Resident, Row
from pickout.gallery.storage.store import KEEP_VERSIONS
from pickout.gallery.vectors.held import HeldVectors, Vectors

_Found = TypeVar("_Found")
_EVERY = 2**31 - 1
_HINT = Path("_versions/latest_version_hint.json")
"""Names the newest version, and nothing else; each change writes it anew."""
_LENGTH_OFF = 1e-2
"""How far the square of a vector's length may be from one; a changed exponent or sign bit of a large number shows."""
_TIDY_FROM, _MOST_PIECES = 0.25, 2000
"""Rows in small pieces as a share of the largest one, and pieces in all, from which they are merged."""


class LanceStore:
    """Rows in a LanceDB table inside the gallery's folder. Paths are kept as bytes, so any file name is possible.

    Args:
        folder: the gallery's folder.
        dimension: length of a vector.
        name: the table's name.
        create: make an empty table where there is none.

    Raises:
        GalleryDamaged: there is no table, or it cannot be read, or its vectors have another length.
        StorageFull: no space left.
    """

    def __init__(self, folder: Path, dimension: int, name: str = TABLE, *, create: bool = False) -> None:
        self._folder, self._name = (folder := folder.absolute()), name  # a relative path may look like an address
        before = [*FIELDS, ("vector", pa.list_(pa.float32(), dimension))]
        self._schema = pa.schema([*before, *ADDED_FIELDS])
        self._dimension = dimension
        with lance_errors(folder):
            self._database = lancedb.connect(str(folder.absolute()))
            if create:
                self._database.create_table(name, schema=self._schema, exist_ok=True)
        self._table = open_table(folder, name)
        found = self._read(lambda table: table.schema)
        self._old = found != self._schema
        # Columns came one after another: a table of any earlier version has the first of them.
        if found not in [pa.schema([*before, *ADDED_FIELDS[:count]]) for count in range(len(ADDED_FIELDS) + 1)]:
            raise GalleryDamaged(
                f"{folder}: its table has other columns than gallery.json says; index again into a new folder"
            )

    @property
    def name(self) -> str:
        """What its table is called."""
        return self._name

    def count(self) -> int:
        """How many rows there are, counting other processes' changes."""
        return self._read(lambda table: int(table.count_rows()))

    def put(self, rows: Sequence[Row]) -> None:
        """Add rows, or replace those of equal id."""
        if not rows:
            return
        if self._old:
            self.upgrade()
        with self._latest() as table:
            merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(to_arrow(rows, self._schema))

    def remove(self, ids: Iterable[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        for some in _slices(list(ids)):
            with self._latest() as table:
                table.delete(_where_ids(some))

    def fetch(self, ids: Iterable[str]) -> dict[str, Row]:
        """The rows of these ids, whole."""
        rows: dict[str, Row] = {}
        for some in _slices(list(ids)):
            rows.update(self._read(_rows, some))
        return rows

    def fetch_tokens(self, ids: Iterable[str]) -> dict[str, NDArray[np.uint16]]:
        """Tokens (tokens, width) of these rows as bfloat16 bit patterns; rows without are left out."""
        found: dict[str, NDArray[np.uint16]] = {}
        for some in _slices(list(ids), 128):
            found.update(self._read(_tokens, some))
        return found

    def upgrade(self) -> None:
        """Bring a table of an older version to this one: its rows get empty new columns."""
        with self._latest() as table:
            missing = [(name, kind) for name, kind in ADDED_FIELDS if name not in table.schema.names]
            if missing:
                table.add_columns(pa.schema(missing))
                table.checkout_latest()
        self._old = False

    def known(self) -> Iterator[Known]:
        """Every row's id, content and metadata."""
        for batch in self._scan("id", "content", *METADATA):
            with lance_errors(self._folder):
                known = [Known(each["id"], each["content"], to_metadata(each)) for each in batch.to_pylist()]
            yield from known

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every row's id and absolute path."""
        for batch in self._scan("id", "root", "path"):
            for values in batch.to_pylist():
                yield values["id"], Path(os.fsdecode(values["root"])) / os.fsdecode(values["path"])

    def marks(self, ids: Iterable[str] | None = None) -> Iterator[tuple[str, bytes]]:
        """Every row's id and mark (see `pickout.gallery.storage.columns.row_mark`), or those of these rows."""
        for where in [None] if ids is None else map(_where_ids, _slices(list(ids))):
            for batch in self._scan("id", *MARKED, where=where):
                with lance_errors(self._folder):
                    marks = [(values["id"], values_mark(values)) for values in batch.to_pylist()]
                yield from marks

    def resident(self, vectors: Callable[[NDArray[np.bytes_]], Vectors] | None = None) -> Resident:
        """The columns that a search reads, in memory: 4 D bytes a row for the vectors and about 60 for the rest.

        Args:
            vectors: makes the vectors, given the ids (N,); none: they are read and held.
        """
        self.version()  # raises where files of the newest version are gone
        return self._read(self._resident, vectors)

    def _resident(self, table: Any, vectors: Callable[[NDArray[np.bytes_]], Vectors] | None) -> Resident:
        batches = []
        held = np.empty((table.count_rows() if vectors is None else 0, self._dimension), dtype=np.float32)
        filled = damaged = 0
        for batch in self._batches(table, (*RESIDENT, *(("vector",) if vectors is None else ()))):
            if vectors is None:
                part = batch.column("vector").flatten().to_numpy(zero_copy_only=False).reshape(-1, self._dimension)
                held[filled : filled + len(part)] = part
                damaged += _damaged(part)
                filled += len(part)
            batches.append(batch.select(RESIDENT))
        schema = pa.schema([self._schema.field(name) for name in RESIDENT])
        columns = pa.Table.from_batches(batches, schema=schema)
        read = to_resident(columns, vectors or (lambda _: HeldVectors(held[:filled])))
        return replace(read, damaged=damaged, version=int(table.version))

    def version(self) -> int:
        """The table's version, counting other processes' changes.

        Raises:
            GalleryDamaged: files of its newest version are gone, so that an earlier one would be read.
        """
        told = self._told_version()  # first, since another process may write a newer one in between
        version = self._read(lambda table: int(table.version))
        if told > version:
            raise GalleryDamaged(
                f"{self._folder}: files of its newest version are gone ({_HINT.name} tells {told}, there is "
                f"{version}), and what was removed since would be there again; put the folder back {FROM_BACKUP}"
            )
        return version

    def compact(self, keep: timedelta = KEEP_VERSIONS) -> None:
        """Merge the small pieces that many commits leave; changes no row. Versions older than `keep` go."""
        with self._latest() as table:
            table.optimize(cleanup_older_than=keep)
            clear_half_written_rows(self._folder / f"{self._name}.lance")

    def tidy(self, keep: timedelta = KEEP_VERSIONS) -> None:
        """As `compact`, once the small pieces hold a quarter of what the largest does, or are very many.

        Merging writes the whole table anew; so adding rows to a large gallery writes each of them a few times, and does
        not write the others every time.
        """
        with self._latest() as table:
            pieces = table.stats()["fragment_stats"]
            rows, largest = table.count_rows(), pieces["lengths"]["max"]
        if pieces["num_fragments"] > 1 and (
            rows - largest >= _TIDY_FROM * largest or pieces["num_fragments"] > _MOST_PIECES
        ):
            self.compact(keep)

    def erase(self, ids: Iterable[str]) -> None:
        """Remove rows, and every trace of these and of all rows removed or replaced before from the table's files.

        The table is written anew without them; then every file that was there before is deleted, whatever its date:
        the library deletes by age, and clocks go back. Readers of other processes read again.

        Raises:
            GalleryError: a file that was there before cannot be deleted; the rows are gone all the same.
        """
        gone = pa.array(list(ids), pa.string())
        folder = self._folder / f"{self._name}.lance"
        before = _files(folder)
        with self._latest() as table:
            schema = table.schema

            def kept() -> Iterator[pa.RecordBatch]:
                for batch in table.search().limit(_EVERY).to_batches():
                    yield batch.filter(pc.invert(pc.is_in(batch.column("id"), gone))).select(schema.names)

            reader = pa.RecordBatchReader.from_batches(schema, kept())
            self._table = self._database.create_table(self._name, data=reader, mode="overwrite")
        for file in before | {folder / _HINT}:  # without the hint, readers list the versions that are there
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise GalleryError(
                    f"{file}: cannot be deleted ({error.strerror}), and may hold what is being erased; the next change "
                    "of the gallery tries again"
                ) from None
        for emptied in {file.parent for file in before}:
            with suppress(OSError):  # most still hold files
                emptied.rmdir()
        if left := sorted(before & _files(folder)):
            raise GalleryError(
                f"{left[0]}: is there again after it was deleted, and may hold what is being erased; the next change "
                "of the gallery tries again"
            )

    def _told_version(self) -> int:
        """The version that the table's own hint tells."""
        hint = self._folder / f"{self._name}.lance" / _HINT
        with lance_errors(self._folder):
            try:
                return int(json.loads(hint.read_bytes())["version"])
            except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
                return 0  # the library does not write it as a whole: a full disk leaves half

    def _scan(self, *columns: str, where: str | None = None) -> Iterator[pa.RecordBatch]:
        """These columns of all rows, which are held together: about 0.1 GB a million rows for an id with a path."""
        yield from self._read(lambda table: list(self._batches(table, columns, where)))

    def _batches(self, table: Any, columns: Sequence[str], where: str | None = None) -> Iterator[pa.RecordBatch]:
        have = [name for name in columns if name in table.schema.names]
        wanted = table.search() if where is None else table.search().where(where)
        schema = pa.schema([self._schema.field(name) for name in columns])
        for batch in wanted.select(have).limit(_EVERY).to_batches():
            yield from completed(pa.Table.from_batches([batch]), schema).to_batches()

    def _read(self, read: Callable[..., _Found], *arguments: object) -> _Found:
        return read_latest(self._table, self._folder, read, *arguments)

    def _latest(self) -> AbstractContextManager[Any]:
        return latest(self._table, self._folder)


def _rows(table: Any, ids: Sequence[str]) -> dict[str, Row]:
    wanted = [name for name in table.schema.names if name != "tokens"]
    found = table.search().where(_where_ids(ids)).select(wanted).limit(len(ids)).to_arrow()
    return {row.id: row for row in from_arrow(found)}


def _tokens(table: Any, ids: Sequence[str]) -> dict[str, NDArray[np.uint16]]:
    if "tokens" not in table.schema.names:
        return {}
    # No filter may name the tokens: it would read those of every row.
    rows = table.search().where(_where_ids(ids)).select(["id", "tokens"]).limit(len(ids)).to_arrow()
    pairs = zip(rows["id"].to_pylist(), rows["tokens"], strict=True)
    return {identifier: unpack_tokens(tokens.as_buffer()) for identifier, tokens in pairs if tokens.is_valid}


def _files(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if not file.is_dir() or file.is_symlink()}


def _damaged(vectors_nD: NDArray[np.float32]) -> int:
    """How many vectors are none of those that are written: of length one, or not finite."""
    return int(np.count_nonzero(~(np.abs(np.einsum("nd,nd->n", vectors_nD, vectors_nD) - 1) <= _LENGTH_OFF)))


def _slices(ids: list[str], length: int = 1000) -> Iterator[list[str]]:
    for start in range(0, len(ids), length):
        yield ids[start : start + length]


def _where_ids(ids: Iterable[str]) -> str:
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in ids)
    return f"id IN ({quoted})"
