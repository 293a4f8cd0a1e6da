"""Vectors that stay on disk: found through an index inside a gallery's table, and always scored exactly.

The index is LanceDB's: an inverted file over vectors quantised to one bit a number (RaBitQ, Gao and Long, 2024).
docs/journal.md tells why not by product quantisation."""

import warnings
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, Literal

import numpy as np
from lancedb.index import BTree, IvfRq, IvfSq
from numpy.typing import NDArray

from pickout.gallery.storage.reading import batches, matrix
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Best, Floats, Mask, Penalties, Rows, exact_top

FEWEST = 256  # rows that can be indexed: partitions are found from so many rows each
Codes = Literal["bits", "bytes"]  # for a number of a vector: a bit (RaBitQ), or its place between least and most
_INDEX = "near"
_GATHERED = 20_000  # rows that pass a filter up to which all of them are scored, without the index
_FEW = 4  # rows asked for, for each that passes, up to which their vectors come along and need no fetching
_DEEP = 128  # candidates are asked for in steps of so many, so that the first pages of a search come from the same ones

_Found = tuple[NDArray[np.bytes_], Floats]


def build_index(store: Store, partitions: int, codes: Codes) -> None:
    """Build the index anew, and one over the ids, by which rows are found. The caller holds the gallery's lock."""
    kind = IvfRq if codes == "bits" else IvfSq
    config = kind(distance_type="dot", num_partitions=partitions)
    with store.latest() as table, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few rows a partition, which is what was asked for
        table.create_index("id", config=BTree(), name="ids")
        table.create_index("vector", config=config, name=_INDEX)


def drop_index(store: Store) -> None:
    """Remove both indices. The caller holds the gallery's lock."""
    with store.latest() as table:
        for index in table.list_indices():
            table.drop_index(index.name)


def has_index(store: Store) -> bool:
    """Whether there is an index over the vectors."""
    return store.read(lambda table: any(index.name == _INDEX for index in table.list_indices()))


def near(store: Store, query_D: Floats, limit: int, probes: int, *, vectors: bool) -> _Found:
    """About the best `limit` rows by inner product in the best `probes` partitions, best first: ids (k,), and vectors
    (k, D) or none. Rows newer than the index are compared one by one."""
    columns = ["id", "_distance", *(["vector"] if vectors else [])]

    def read(table: Any) -> _Found:
        search = table.search(query_D, vector_column_name="vector").distance_type("dot").nprobes(probes).limit(limit)
        rows = search.select(columns).to_arrow()
        found = matrix(rows["vector"].combine_chunks()) if vectors else np.empty((0, len(query_D)), np.float32)
        return _ids(rows["id"]), found

    return store.read(read)


class FarVectors:
    """Vectors of a gallery too large to hold. A search asks the index, in `probes` partitions, for `oversample` times
    as many rows as it needs, leaves out those that do not pass the filters, and scores the rest exactly. `told` says
    what was measured of such a search."""

    def __init__(self, store: Store, ids_N: NDArray[np.bytes_], probes: int, oversample: int, told: str) -> None:
        self._store, self._ids = store, ids_N
        self._probes, self._oversample, self._told = probes, oversample, told
        self._sorted = np.argsort(ids_N)

    def tuned(self, probes: int, oversample: int) -> "FarVectors":
        """The same vectors, searched more or less widely."""
        other = copy(self)
        other._probes, other._oversample = probes, oversample
        return other

    def kept(self, keep_N: Mask) -> "FarVectors":
        """The vectors of some rows, which keep their order."""
        return FarVectors(self._store, self._ids[keep_N], self._probes, self._oversample, self._told)

    def doubt(self, passed: int) -> str | None:
        """What to say beside a search of `passed` rows, where it may miss some."""
        note = f"Searched approximately, so that a good match may be missing: {self._told}."
        return None if passed <= _GATHERED else note

    def at(self, rows: Sequence[int] | Rows) -> Floats:
        """The vectors (n, D) of these rows; NaN for a row that was removed since the gallery was read."""
        wanted = np.asarray(rows, dtype=np.int64)
        found, vectors = self._fetch(wanted)
        place = dict(zip(found.tolist(), vectors, strict=True))
        gone = np.full(self._store.dimension, np.nan, dtype=np.float32)
        return np.array([place.get(row, gone) for row in wanted.tolist()], np.float32).reshape(-1, len(gone))

    def blocks(self) -> Iterator[tuple[Rows, Floats]]:
        """All rows in pieces: (b,) rows and their vectors (b, D)."""
        with self._store.latest() as table:
            for batch in batches(table, ["id", "vector"]):
                rows, vectors = self._rows(_ids(batch["id"])), matrix(batch["vector"])
                yield rows[rows >= 0], vectors[rows >= 0]

    def top(self, query_D: Floats, *, top: int, order_N: Rows, allowed_N: Mask | None, penalties: Penalties) -> Best:
        """About the best rows, and their exact scores; as `exact_top` where few rows pass."""
        passed = len(self._ids) if allowed_N is None else int(np.count_nonzero(allowed_N))
        if passed <= _GATHERED:
            found, vectors = self._fetch(np.arange(len(self._ids)) if allowed_N is None else np.flatnonzero(allowed_N))
        else:
            limit = self._oversample * -(-top // _DEEP) * _DEEP
            found, vectors = self._nearest(query_D, limit, passed, allowed_N)
        places, scores = exact_top(vectors, query_D, top=top, order_N=order_N[found], penalties=penalties)
        return found[places], scores

    def _nearest(self, query_D: Floats, limit: int, passed: int, allowed_N: Mask | None) -> tuple[Rows, Floats]:
        """About the best `limit` rows of those that pass, and their vectors."""
        asked = int(limit * len(self._ids) / passed)
        while True:
            # More partitions than the least where the rows asked for are more.
            probes, along = self._probes * -(-asked // (self._oversample * _DEEP)), asked <= _FEW * limit
            ids, vectors = near(self._store, query_D, asked, probes, vectors=along)
            rows = self._rows(ids)
            keep = rows >= 0 if allowed_N is None else (rows >= 0) & allowed_N[rows]
            if np.count_nonzero(keep) >= min(limit, passed) or asked >= 2 * len(self._ids):
                break
            asked *= 4
        found = rows[keep][:limit]
        return (found, vectors[keep][:limit]) if along else self._fetch(found)

    def _fetch(self, rows: Rows) -> tuple[Rows, Floats]:
        """Those of `rows` that are still there in any order, and their vectors."""
        ids, vectors = [np.empty(0, "S32")], [np.empty((0, self._store.dimension), np.float32)]
        for batch in self._store.scan(["id", "vector"], [identifier.decode() for identifier in self._ids[rows]]):
            ids.append(_ids(batch["id"]))
            vectors.append(matrix(batch["vector"]))
        return self._rows(np.concatenate(ids)), np.concatenate(vectors)

    def _rows(self, ids: NDArray[np.bytes_]) -> Rows:
        """The rows of these ids; -1 for ids that came since the gallery was read."""
        if not len(self._ids):
            return np.full(len(ids), -1, dtype=np.int64)
        place = np.searchsorted(self._ids, ids, sorter=self._sorted).clip(max=len(self._ids) - 1)
        rows = self._sorted[place]
        return np.where(self._ids[rows] == ids, rows, -1)


def _ids(column: Any) -> NDArray[np.bytes_]:
    return np.array(column.to_pylist(), dtype="S32")
