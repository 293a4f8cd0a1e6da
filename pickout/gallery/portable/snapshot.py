"""A table's rows as of one moment, while other processes go on changing it."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa

from pickout.errors import GalleryError, PickoutError
from pickout.gallery.storage.columns import completed

_EVERY = 2**31 - 1
_FIRST = 16
"""Rows read together at the beginning, before it is known how large they are."""
_MOST = 1024


class Snapshot:
    """The rows of one version of a gallery's table, read piece by piece.

    Args:
        gallery: the gallery's folder.
        table: the table's name.
        schema: the columns that are wanted; those that an older table lacks are empty.
        piece: rows are read in pieces of about this many bytes.

    Raises:
        GalleryError: the table cannot be read.
    """

    def __init__(self, gallery: Path, table: str, schema: pa.Schema, *, piece: int = 4 * 2**20) -> None:
        self._gallery, self._schema, self._piece = gallery, schema, piece
        with self._reading():
            opened: Any = lancedb.connect(str(gallery)).open_table(table)
            opened.checkout(opened.version)
            self._table = opened

    def positions(self, ids: Collection[str] | None = None) -> list[int]:
        """Where the rows lie, in the table's order: of all of them, or of those with one of `ids`.

        Raises:
            GalleryError: another process has deleted this version meanwhile, or the table is damaged.
        """
        wanted = None if ids is None else frozenset(ids)
        found: list[int] = []
        with self._reading():
            for batch in self._table.search().select(["id"]).with_row_id(True).limit(_EVERY).to_batches():
                places = batch.column("_rowid").to_pylist()
                if wanted is not None:
                    names = batch.column("id").to_pylist()
                    places = [place for place, name in zip(places, names, strict=True) if name in wanted]
                found.extend(places)
        return sorted(found)

    def read(self, positions: list[int]) -> Iterator[pa.Table]:
        """The rows at these positions, in their order.

        Raises:
            GalleryError: as for `positions`.
        """
        start, length = 0, _FIRST
        while start < len(positions):
            some = positions[start : start + length]
            with self._reading():
                rows = completed(self._table.take_row_ids(some).to_arrow(), self._schema)
                if rows.num_rows != len(some):
                    raise ValueError(f"{rows.num_rows} rows instead of {len(some)}")
            yield rows
            start += length
            length = int(np.clip(self._piece * rows.num_rows // max(rows.nbytes, 1), 1, _MOST))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except PickoutError:
            raise
        except Exception as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise GalleryError(
                f"{self._gallery}: its rows cannot be read as they were ({first[:200]}); another process erased crops "
                "or changed the model meanwhile: run again. If it happens again: pickout gallery verify"
            ) from error
