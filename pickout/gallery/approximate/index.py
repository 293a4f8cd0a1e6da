"""An approximate index inside a gallery's table, by LanceDB: an inverted file over quantised vectors.

Vectors are quantised to one bit a number (RaBitQ, Gao and Long, 2024). docs/journal.md tells why not by product
quantisation.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
from lancedb.index import BTree, IvfRq, IvfSq
from numpy.typing import NDArray

from pickout.gallery.storage.lance_faults import latest, open_table, read_latest

_Found = TypeVar("_Found")
_INDEX = "near"
_IDS = "ids"
_EVERY = 2**31 - 1
_AT_ONCE = 1000
"""Ids in one question to the table."""
FEWEST = 256
"""Rows that can be indexed: partitions are found from so many rows each."""
Codes = Literal["bits", "bytes"]
"""What stands for a number of a vector in the index: a bit (RaBitQ), or a byte (its place between least and most)."""


class NearTable:
    """Vectors on disk, found by nearness or by id, through the index of one table.

    Rows that came after it was built are compared one by one, so none is missed for that.

    Args:
        folder: the gallery's folder.
        dimension: length of a vector.
        name: the table's name.

    Raises:
        GalleryDamaged: the table cannot be read.
    """

    def __init__(self, folder: Path, dimension: int, name: str) -> None:
        self._folder, self._dimension = folder, dimension
        self._table = open_table(folder, name)

    def is_built(self) -> bool:
        """Whether there is an index over the vectors."""
        return self._read(lambda table: any(index.name == _INDEX for index in table.list_indices()))

    def build(self, *, partitions: int, codes: Codes) -> None:
        """Build the index anew, and one over the ids, by which rows are found. The caller holds the gallery's lock.

        Args:
            partitions: into how many the rows are divided.
            codes: what stands for a number of a vector.
        """
        kind = IvfRq if codes == "bits" else IvfSq
        config = kind(distance_type="dot", num_partitions=partitions)
        with self._latest() as table, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few rows a partition, which is what was asked for
            table.create_index("id", config=BTree(), name=_IDS)
            table.create_index("vector", config=config, name=_INDEX)

    def drop(self) -> None:
        """Remove the index. The caller holds the gallery's lock."""
        with self._latest() as table:
            for index in table.list_indices():
                table.drop_index(index.name)

    def near(self, query_D: NDArray[np.float32], *, limit: int, probes: int) -> NDArray[np.bytes_]:
        """Ids (k,) of about the best `limit` rows by inner product, the best of `probes` partitions, best first."""

        def read(table: Any) -> NDArray[np.bytes_]:
            return _ids(_nearest(table, query_D, limit, probes).select(["id", "_distance"]).to_arrow()["id"])

        return self._read(read)

    def near_vectors(
        self, query_D: NDArray[np.float32], *, limit: int, probes: int
    ) -> tuple[NDArray[np.bytes_], NDArray[np.float32]]:
        """As `near`, with the vectors (k, D)."""

        def read(table: Any) -> tuple[NDArray[np.bytes_], NDArray[np.float32]]:
            rows = _nearest(table, query_D, limit, probes).select(["id", "vector", "_distance"]).to_arrow()
            return _ids(rows["id"]), self._matrix(rows["vector"].combine_chunks())

        return self._read(read)

    def vectors_of(self, ids: Sequence[bytes]) -> tuple[NDArray[np.bytes_], NDArray[np.float32]]:
        """Those of these ids that are there, and their vectors (n, D), in any order."""

        def read(table: Any, some: Sequence[bytes]) -> tuple[NDArray[np.bytes_], NDArray[np.float32]]:
            quoted = ", ".join(f"'{identifier.decode()}'" for identifier in some)
            rows = table.search().where(f"id IN ({quoted})").select(["id", "vector"]).limit(len(some)).to_arrow()
            return _ids(rows["id"]), self._matrix(rows["vector"].combine_chunks())

        parts = [(np.empty(0, "S32"), np.empty((0, self._dimension), np.float32))]
        parts += [self._read(read, ids[start : start + _AT_ONCE]) for start in range(0, len(ids), _AT_ONCE)]
        names, vectors = zip(*parts, strict=True)
        return np.concatenate(names), np.concatenate(vectors)

    def all_vectors(self) -> Iterator[tuple[NDArray[np.bytes_], NDArray[np.float32]]]:
        """All ids and vectors in pieces."""
        with self._latest() as table:
            for batch in table.search().select(["id", "vector"]).limit(_EVERY).to_batches():
                yield _ids(batch.column("id")), self._matrix(batch.column("vector"))

    def _matrix(self, column: Any) -> NDArray[np.float32]:
        return np.asarray(column.flatten().to_numpy(zero_copy_only=False).reshape(-1, self._dimension), np.float32)

    def _read(self, read: Callable[..., _Found], *arguments: object) -> _Found:
        return read_latest(self._table, self._folder, read, *arguments)

    def _latest(self) -> AbstractContextManager[Any]:
        return latest(self._table, self._folder)


def fitting_partitions(rows: int) -> int:
    """The square root of the rows, so that partitions are as many as each has rows."""
    return max(1, round(math.sqrt(rows)))


def fitting_codes(dimension: int) -> Codes:
    """Bits where they fill whole bytes, which the index asks for."""
    return "bits" if dimension % 8 == 0 else "bytes"


def _nearest(table: Any, query_D: NDArray[np.float32], limit: int, probes: int) -> Any:
    return table.search(query_D, vector_column_name="vector").distance_type("dot").nprobes(probes).limit(limit)


def _ids(column: pa.ChunkedArray) -> NDArray[np.bytes_]:
    return np.array(column.to_pylist(), dtype="S32")
