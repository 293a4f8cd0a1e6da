"""A gallery's vectors in parts, each held by a worker of a Ray cluster; their exact answers are merged."""

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pickout.cluster.workers import Workers
from pickout.errors import ServerBusy
from pickout.gallery.storage.memory import MakeVectors, batches, matrix, slices, taken
from pickout.gallery.storage.rows import Located, Resident
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Aim, Best, Floats, HeldVectors, Mask, Rows, damaged_rows, known_rows

_BLOCK = 65_536  # rows that are fetched at a time
_ATTEMPTS = 4
_NUMBERS = count()


class _Columns(NamedTuple):
    """What tells rows apart, and how they are found in the table."""

    ids: NDArray[np.bytes_]  # (N,)
    seals: NDArray[np.uint64]  # (N, 2)
    places: NDArray[np.uint64]  # (N,) where they stood in the table
    order: Rows  # (N,) the smaller comes first among equal scores


@dataclass(frozen=True, slots=True)
class _Part:
    """What a worker needs to know to read its rows."""

    folder: Path
    table: str
    dimension: int
    columns: _Columns
    before: int | None  # the number of the part it held before, whose vectors stay where the rows are equal

    def read(self, rows: Rows) -> Floats:
        """The vectors of some, as the table has them now; NaN for one that is not there any more."""
        names, ids = ["id", "vector"], [each.decode() for each in self.columns.ids[rows]]
        at = {each: number for number, each in enumerate(ids)}
        found = np.full((len(rows), self.dimension), np.nan, np.float32)

        def take(some: pa.Table) -> None:
            chosen = some.filter(pc.is_in(some["id"], pa.array(ids, pa.string())))
            if len(chosen):
                found[[at[each] for each in chosen["id"].to_pylist()]] = matrix(chosen["vector"].combine_chunks())

        def look(table: Any) -> None:
            for some in slices(ids, _BLOCK):
                take(taken(table, names, Located({each: int(self.columns.places[rows[at[each]]]) for each in some})))
            if np.isnan(found[:, 0]).any():  # moved, since pieces were merged, or gone
                for batch in batches(table, names):
                    take(pa.Table.from_batches([batch]))

        Store(self.folder, self.dimension, self.table).read(look)
        return found


class _VectorWorker:
    """Parts of galleries by number. It answers None for one it does not know: it stands in for a worker that died."""

    def __init__(self) -> None:
        self._parts: dict[int, tuple[HeldVectors, Mask, Rows]] = {}

    def hold(self, number: int, part: _Part) -> int:
        """Read a part; how many of its vectors are damaged."""
        before = self._parts.get(part.before) if part.before is not None else None
        held = None if before is None else before[0].followed(part.columns.seals, part.read)
        held = held or HeldVectors(part.read(np.arange(len(part.columns.ids))), part.columns.seals)
        there = ~np.isnan(held.array[:, 0])  # a row that was removed meanwhile is found no more
        self._parts[number] = (held, there, part.columns.order)
        return damaged_rows(held.array[there])

    def top(self, number: int, aim: Aim, top: int, allowed: Mask | None) -> Best | None:
        """The best of a part, as `exact_top` tells them."""
        if number not in self._parts:
            return None
        held, there, order = self._parts[number]
        allowed = allowed if there.all() else there if allowed is None else allowed & there
        return held.top(aim, top=top, order_N=order, allowed_N=allowed)

    def at(self, number: int, rows: Rows) -> Floats | None:
        """The vectors of some rows of a part."""
        return self._parts[number][0].at(rows) if number in self._parts else None

    def forget(self, number: int) -> None:
        """Let go of a part."""
        self._parts.pop(number, None)


def vector_workers(number: int | None) -> Workers:
    """Workers for `ClusterVectors`, of any galleries."""
    return Workers(_VectorWorker, number)


class ClusterVectors:
    """The vectors of a gallery's rows, in as many parts as there are workers. A search asks all of them, exactly, and
    answers what one process would. Where a worker dies, the one that takes its place reads its part again. Rows that
    were held `before` stay with their worker."""

    def __init__(
        self, workers: Workers, store: Store, columns: _Columns, before: "ClusterVectors | None" = None
    ) -> None:
        self._workers, self._store, self._columns, self._number = workers, store, columns, next(_NUMBERS)
        self._before, rows = None if before is None else before._number, len(columns.ids)
        self._part = np.full(rows, -1, np.int64)  # which part each row is in
        if before is not None:
            then, stays = known_rows(before._columns.seals, columns.seals)
            self._part[stays] = before._part[then[stays]]
        new, sizes = np.flatnonzero(self._part < 0), np.bincount(self._part[self._part >= 0], minlength=workers.number)
        room = np.maximum(0, -(-rows // workers.number) - sizes)
        self._part[new] = np.repeat(np.arange(workers.number), room)[: len(new)]
        self._rows_of = [np.flatnonzero(self._part == part) for part in range(workers.number)]
        self._at = np.empty(rows, np.int64)  # which of its part's rows each is
        for own in self._rows_of:
            self._at[own] = np.arange(len(own))
        weakref.finalize(self, workers.tell, "forget", self._number).atexit = False
        self.damaged = sum(self._hold(range(workers.number)))

    @staticmethod
    def maker(workers: Workers, store: Store, before: Resident | None = None) -> MakeVectors:
        """Makes them as the rows of a table are read."""
        known = before.vectors if before is not None and isinstance(before.vectors, ClusterVectors) else None
        return lambda _table, *columns: ClusterVectors(workers, store, _Columns(*columns), known)

    def at(self, rows: Sequence[int] | Rows) -> Floats:
        """The vectors (n, D) of these rows; NaN for a row that was removed since the gallery was read."""
        wanted, found = np.asarray(rows, np.int64), np.empty((len(rows), self._store.dimension), np.float32)
        where = {part: np.flatnonzero(self._part[wanted] == part) for part in set(self._part[wanted].tolist())}
        for part, vectors in self._ask("at", {part: (self._at[wanted[own]],) for part, own in where.items()}).items():
            found[where[part]] = vectors
        return found

    def blocks(self) -> Iterator[tuple[Rows, Floats]]:
        """All rows in pieces: (b,) rows and their vectors (b, D)."""
        for start in range(0, len(self._part), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(self._part)))
            yield rows, self.at(rows)

    def top(self, aim: Aim, *, top: int, order_N: Rows, allowed_N: Mask | None = None) -> Best:
        """See `exact_top`: the best of all parts' best."""
        allowed = [None if allowed_N is None else allowed_N[rows] for rows in self._rows_of]
        found = self._ask("top", {part: (aim, top, own) for part, own in enumerate(allowed)})
        rows = np.concatenate([self._rows_of[part][best] for part, (best, _) in found.items()])
        scores = np.concatenate([scores for _, scores in found.values()])
        best = np.lexsort((order_N[rows], -scores))[:top]
        return rows[best], scores[best]

    def _hold(self, parts: Iterable[int]) -> Iterable[int]:
        """Let workers read their parts; how many of the vectors are damaged."""
        about = (self._store.folder, self._store.name, self._store.dimension)
        columns = {part: _Columns._make(each[self._rows_of[part]] for each in self._columns) for part in parts}
        told = {part: (self._number, _Part(*about, own, self._before)) for part, own in columns.items()}
        return self._workers.ask("hold", told).values()

    def _ask(self, method: str, asked: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        """What the workers give; one that does not know its part reads it first. `ServerBusy` where they die again and
        again."""
        found = dict[int, Any]()
        for _ in range(_ATTEMPTS):
            missing = [part for part in asked if found.get(part) is None]
            if not missing:
                return found
            if found:
                self._hold(missing)
            found |= self._workers.ask(method, {part: (self._number, *asked[part]) for part in missing})
        raise ServerBusy(f"{self._store.folder}: a worker that holds a part of it dies again and again", 30)
