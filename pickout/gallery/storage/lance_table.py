"""Rows in LanceDB."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pickout.errors import GalleryDamaged
from pickout.gallery.storage.columns import (
    ADDED_FIELDS,
    FIELDS,
    MARKED,
    METADATA,
    RESIDENT,
    from_arrow,
    to_arrow,
    to_metadata,
    to_resident,
    unpack_tokens,
    values_mark,
)
from pickout.gallery.storage.lance_faults import lance_errors, latest
from pickout.gallery.storage.leftovers import clear_half_written_rows
from pickout.gallery.storage.manifest import TABLE
from pickout.gallery.storage.rows import Known, Resident, Row
from pickout.gallery.storage.store import KEEP_NONE, KEEP_VERSIONS
from pickout.gallery.vectors.held import HeldVectors, Vectors

_EVERY = 2**31 - 1
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
        self._folder, self._name = folder, name
        before = [*FIELDS, ("vector", pa.list_(pa.float32(), dimension))]
        self._schema = pa.schema([*before, *ADDED_FIELDS])
        self._dimension = dimension
        with lance_errors(folder):
            self._database = database = lancedb.connect(str(folder))
            if create:
                self._table = database.create_table(name, schema=self._schema, exist_ok=True)
            else:
                self._table = database.open_table(name)
            found = self._table.schema
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
        with self._latest() as table:
            return int(table.count_rows())

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
            with self._latest() as table:
                wanted = [name for name in table.schema.names if name != "tokens"]
                found = table.search().where(_where_ids(some)).select(wanted).limit(len(some)).to_arrow()
                rows.update((row.id, row) for row in from_arrow(found))
        return rows

    def fetch_tokens(self, ids: Iterable[str]) -> dict[str, NDArray[np.uint16]]:
        """Tokens (tokens, width) of these rows as bfloat16 bit patterns; rows without are left out."""
        found: dict[str, NDArray[np.uint16]] = {}
        for some in _slices(list(ids), 128):
            with self._latest() as table:
                if "tokens" not in table.schema.names:
                    return {}
                # No filter may name the tokens: it would read those of every row.
                rows = table.search().where(_where_ids(some)).select(["id", "tokens"]).limit(len(some)).to_arrow()
                for identifier, tokens in zip(rows["id"].to_pylist(), rows["tokens"], strict=True):
                    if tokens.is_valid:
                        found[identifier] = unpack_tokens(tokens.as_buffer())
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
        batches = []
        held = np.empty((self.count() if vectors is None else 0, self._dimension), dtype=np.float32)
        filled = 0
        for batch in self._scan(*RESIDENT, *(("vector",) if vectors is None else ())):
            if vectors is None:
                part = batch.column("vector").flatten().to_numpy(zero_copy_only=False).reshape(-1, self._dimension)
                if filled + len(part) > len(held):  # another process added rows since we counted
                    held = np.concatenate([held[:filled], np.empty((2 * len(part), self._dimension), np.float32)])
                held[filled : filled + len(part)] = part
                filled += len(part)
            batches.append(batch.select(RESIDENT))
        schema = pa.schema([self._schema.field(name) for name in RESIDENT])
        with lance_errors(self._folder):
            columns = pa.Table.from_batches(batches, schema=schema)
            return to_resident(columns, vectors or (lambda _: HeldVectors(held[:filled])))

    def version(self) -> int:
        """The table's version, counting other processes' changes."""
        with self._latest() as table:
            return int(table.version)

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

        The table is written anew without them, and all files of earlier versions are deleted. Readers of other
        processes read again.
        """
        gone = pa.array(list(ids), pa.string())
        with self._latest() as table:
            schema = table.schema

            def kept() -> Iterator[pa.RecordBatch]:
                for batch in table.search().limit(_EVERY).to_batches():
                    yield batch.filter(pc.invert(pc.is_in(batch.column("id"), gone))).select(schema.names)

            reader = pa.RecordBatchReader.from_batches(schema, kept())
            self._table = self._database.create_table(self._name, data=reader, mode="overwrite")
        with self._latest() as table:
            table.optimize(cleanup_older_than=KEEP_NONE, delete_unverified=True)
            clear_half_written_rows(self._folder / f"{self._name}.lance")

    def told_version(self) -> int:
        """The version that the table's own hint tells; above `version` where files of the newest were taken away."""
        hint = self._folder / f"{self._name}.lance" / "_versions" / "latest_version_hint.json"
        with lance_errors(self._folder):
            try:
                return int(json.loads(hint.read_bytes())["version"])
            except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
                return 0  # the library does not write it as a whole: a full disk leaves half

    def _scan(self, *columns: str, where: str | None = None) -> Iterator[pa.RecordBatch]:
        with self._latest() as table:
            have = [name for name in columns if name in table.schema.names]
            wanted = table.search() if where is None else table.search().where(where)
            for batch in wanted.select(have).limit(_EVERY).to_batches():
                yield batch if len(have) == len(columns) else self._completed(batch, columns)

    def _completed(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        """A batch of an older table with the columns that it lacks, all empty."""
        arrays = [
            batch.column(name)
            if name in batch.schema.names
            else pa.nulls(batch.num_rows, self._schema.field(name).type)
            for name in columns
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([self._schema.field(name) for name in columns]))

    def _latest(self) -> AbstractContextManager[Any]:
        return latest(self._table, self._folder)


def _slices(ids: list[str], length: int = 1000) -> Iterator[list[str]]:
    for start in range(0, len(ids), length):
        yield ids[start : start + length]


def _where_ids(ids: Iterable[str]) -> str:
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in ids)
    return f"id IN ({quoted})"
