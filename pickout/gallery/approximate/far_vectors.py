"""Vectors that stay on disk: found through the approximate index, and always scored exactly."""

from collections.abc import Iterator, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from pickout.gallery.approximate.index import NearTable
from pickout.gallery.vectors.exact import Penalty, exact_top

_GATHERED = 20_000
"""Rows that pass a filter up to which all of them are scored, without the index."""
_FEW = 4
"""Rows asked for, for each that passes, up to which their vectors come along; of more they are fetched afterwards."""
_DEEP = 128
"""Candidates are asked for in steps of so many, so that the first pages of a search come from the same ones."""


class FarVectors:
    """Vectors of a gallery too large to hold.

    A search asks the index for several times as many rows as it needs, leaves out those that do not pass the filters,
    and scores the rest exactly from their vectors. Where a filter leaves few rows, all of those are scored instead,
    and nothing is missed.

    Args:
        near: where they are.
        ids_N: the rows' ids.
        dimension: length of a vector.
        probes: partitions that a search looks into.
        oversample: rows asked for, for each that is needed.
        told: what was measured of such a search, in words.
    """

    def __init__(
        self, near: NearTable, ids_N: NDArray[np.bytes_], dimension: int, *, probes: int, oversample: int, told: str
    ) -> None:
        self._near, self._ids, self._dimension = near, ids_N, dimension
        self._probes, self._oversample, self._told = probes, oversample, told
        self._sorted = np.argsort(ids_N)

    def tuned(self, probes: int, oversample: int) -> "FarVectors":
        """The same vectors, searched more or less widely."""
        other = copy(self)
        other._probes, other._oversample = probes, oversample
        return other

    def kept(self, keep_N: NDArray[np.bool_]) -> "FarVectors":
        """The vectors of some rows, which keep their order."""
        other = copy(self)
        other._ids = self._ids[keep_N]
        other._sorted = np.argsort(other._ids)
        return other

    def doubt(self, passed: int) -> str | None:
        """What to say beside a search of `passed` rows, where it may miss some."""
        if passed <= _GATHERED:
            return None
        return f"Searched approximately, so that a good match may be missing: {self._told}."

    def at(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors (n, D) of these rows; NaN for a row that was removed since the gallery was read."""
        wanted = np.asarray(rows, dtype=np.int64)
        found, vectors = self._fetch(wanted)
        place = dict(zip(found.tolist(), vectors, strict=True))
        gone = np.full(self._dimension, np.nan, dtype=np.float32)
        return np.array([place.get(row, gone) for row in wanted.tolist()], np.float32).reshape(-1, self._dimension)

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """All rows in pieces: (b,) rows and their vectors (b, D)."""
        for ids, vectors in self._near.all_vectors():
            rows = self._rows(ids)
            yield rows[rows >= 0], vectors[rows >= 0]

    def top(
        self,
        query_D: NDArray[np.float32],
        *,
        top: int,
        order_N: NDArray[np.int64],
        allowed_N: NDArray[np.bool_] | None,
        penalties: Sequence[Penalty],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """About the best rows, and their exact scores; as `exact_top` where few rows pass."""
        passed = len(self._ids) if allowed_N is None else int(np.count_nonzero(allowed_N))
        if passed <= _GATHERED:
            found, vectors = self._fetch(np.arange(len(self._ids)) if allowed_N is None else np.flatnonzero(allowed_N))
        else:
            limit = self._oversample * -(-top // _DEEP) * _DEEP
            found, vectors = self._nearest(query_D, limit, passed, allowed_N)
        places, scores = exact_top(vectors, query_D, top=top, order_N=order_N[found], penalties=penalties)
        return found[places], scores

    def _nearest(
        self, query_D: NDArray[np.float32], limit: int, passed: int, allowed_N: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """About the best `limit` rows of those that pass, and their vectors."""
        asked = int(limit * len(self._ids) / passed)
        while True:
            vectors = None
            if asked <= _FEW * limit:
                ids, vectors = self._near.near_vectors(query_D, limit=asked, probes=self._widened(asked))
            else:
                ids = self._near.near(query_D, limit=asked, probes=self._widened(asked))
            rows = self._rows(ids)
            keep = rows >= 0 if allowed_N is None else (rows >= 0) & allowed_N[rows]
            if np.count_nonzero(keep) >= min(limit, passed) or asked >= 2 * len(self._ids):
                break
            asked *= 4
        found = rows[keep][:limit]
        return self._fetch(found) if vectors is None else (found, vectors[keep][:limit])

    def _widened(self, limit: int) -> int:
        """Partitions to look into for so many rows: more than the least where the rows asked for are more."""
        return self._probes * -(-limit // (self._oversample * _DEEP))

    def _fetch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Those of `rows` that are still there, and their vectors."""
        ids, vectors = self._near.vectors_of(self._ids[rows].tolist())
        return self._rows(ids), vectors

    def _rows(self, ids: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """The rows of these ids; -1 for ids that came since the gallery was read."""
        if not len(self._ids):
            return np.full(len(ids), -1, dtype=np.int64)
        place = np.searchsorted(self._ids, ids, sorter=self._sorted).clip(max=len(self._ids) - 1)
        rows = self._sorted[place]
        return np.where(self._ids[rows] == ids, rows, -1)
