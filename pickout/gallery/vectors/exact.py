"""Exact top-k by inner product, less penalties, with a defined order among equal scores; and vectors as a search asks
for them."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

_BLOCK = 65_536  # rows told together by `blocks`, or re-scored at a time, which bounds the memory when very many tie
_GATHERED = 512  # rows gathered at a time
_TOGETHER = 16_384  # rows that one thread scores before it takes the next ones
_GATHER_BELOW = 0.3  # share of allowed rows below which their vectors are gathered instead of scoring all rows
_ROOM = 1024  # rows at least, besides an eighth, for which there is room behind those that are held
_MOST_NEW = 20_000  # rows that were added since, above which all are read
_LENGTH_OFF = 1e-2  # how far the square of a vector's length may be from one; a changed exponent shows
_QUERIES = 32  # queries multiplied with a block at a time

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]  # positions of rows in the arrays of a gallery
Ids = NDArray[np.bytes_]  # (N,) of rows, 32 hexadecimal digits each
Places = NDArray[np.uint64]  # (N,) where rows stand in a table, as LanceDB names it
Tokens = NDArray[np.uint16]  # (tokens, width) of a crop, as bfloat16 bit patterns
Seals = NDArray[np.uint64]  # (N, 2), digests of all that rows hold
Best = tuple[Rows, Doubles]  # rows (k,), best first, and their scores (k,)


class Penalty(NamedTuple):
    """What likeness to something unwanted costs: `weight * max(0, <vector, x> - free)` for a crop x."""

    vector: Floats  # (D,) unit vector of the unwanted
    free: float  # the likeness up to which nothing is taken off
    weight: float  # what each unit beyond it costs


class Aim(NamedTuple):
    """A query as a search needs it: (D,) whose inner product with a crop's is the score before penalties."""

    vector: Floats
    penalties: tuple[Penalty, ...] = ()

    def scores(self, likeness: Callable[[Floats], Any], own: Any = None) -> Any:
        """Scores (n,) of crops, given their `likeness` (n,) to a vector: to its `own`, unless known, less penalties."""
        scores = likeness(self.vector) if own is None else own
        for penalty in self.penalties:
            scores = scores - penalty.weight * np.maximum(likeness(penalty.vector) - penalty.free, 0)
        return scores


def exact_top(
    vectors_ND: Floats, aim: Aim, *, top: int, order_N: Rows, allowed_N: Mask | None = None, rough: Floats | None = None
) -> Best:
    """The `top` rows of largest score, best first: positions (k,) and scores (k,), the inner product with the query,
    less the penalties. Among equal scores the smaller `order_N` comes first. One pass in single precision finds every
    row that could be among the best, or `rough` is that pass; those are scored again in double precision, each row by
    itself. So the answer depends neither on the rows that are `allowed_N` (None: all), nor on the number of threads,
    nor on where a row stands."""
    positions = None if allowed_N is None else np.flatnonzero(allowed_N)
    known = rough if rough is None or positions is None else rough[positions]
    rough = aim.scores(lambda vector: _rough_scores(vectors_ND, vector, positions), known)
    if not 0 < top < len(rough):
        chosen = np.arange(len(rough) if top > 0 else 0)
    else:
        bound = np.partition(rough, len(rough) - top)[len(rough) - top]
        chosen = np.flatnonzero(rough >= bound - 2 * _rounding(vectors_ND, aim))
    if positions is not None:
        chosen = positions[chosen]
    scores = aim.scores(lambda vector: _fine_scores(vectors_ND, vector, chosen))
    best = np.lexsort((order_N[chosen], -scores))[:top]
    return chosen[best], scores[best]


def _rough_scores(vectors_ND: Floats, query_D: Floats, positions: Rows | None) -> Floats:
    """As fast as memory is read: without BLAS, whose product of a matrix and one vector takes up to twice as long."""
    few = positions if positions is not None and len(positions) < _GATHER_BELOW * len(vectors_ND) else None
    count, size = (len(vectors_ND), _TOGETHER) if few is None else (len(few), _GATHERED)
    scores = np.empty(count, dtype=np.float32)

    def block(some: slice) -> None:
        part = vectors_ND[some] if few is None else np.take(vectors_ND, few[some], axis=0, mode="clip")
        np.vecdot(part, query_D, out=scores[some])

    in_threads(block, count, size)
    return scores if few is not None or positions is None else scores[positions]


def _rounding(vectors_ND: Floats, aim: Aim) -> float:
    """Bound on the error of a score in single precision: each inner product's, and a few roundings more a penalty."""
    one = float(vectors_ND.shape[1] * np.finfo(np.float32).eps)
    # A unit vector's product with a crop and the threshold are at most 1; the 4 covers the sums and the product.
    costs = sum(abs(penalty.weight) * (one + 4 * float(np.finfo(np.float32).eps)) for penalty in aim.penalties)
    return one * max(1.0, float(np.linalg.norm(aim.vector))) + costs * (1 + len(aim.penalties))


def _fine_scores(vectors_ND: Floats, query_D: Floats, rows: Rows) -> Doubles:
    query = query_D.astype(np.float64)
    scores = np.empty(len(rows), dtype=np.float64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        # Not a matrix product: BLAS may add up the rows at the end of a block in another order.
        scores[start : start + _BLOCK] = (vectors_ND[block].astype(np.float64) * query).sum(axis=1)
    return scores


class Vectors(Protocol):
    """Unit vectors by row. A row is a position in the arrays of `Resident`."""

    damaged: int  # how many are not of length one, as far as they were read

    def at(self, rows: Sequence[int] | Rows) -> Floats:
        """The vectors (n, D) of these rows; NaN for a row that was removed since the gallery was read."""

    def blocks(self) -> Iterator[tuple[Rows, Floats]]:
        """All rows in pieces: (b,) rows and their vectors (b, D), each row once."""

    def top(self, aim: Aim, *, top: int, order_N: Rows, allowed_N: Mask | None = None) -> Best:
        """The best rows and their scores, as `exact_top` tells them."""


class HeldVectors:
    """All vectors (N, D) in memory; a search misses nothing. Where `seals` (N, 2) tell rows apart, equal ones having
    equal vectors and zeros none, what is read after a change takes over the vectors of rows that are still there.
    `whole` is memory that begins with `array` and has room behind it."""

    def __init__(
        self, array: Floats, seals: Seals | None = None, whole: Floats | None = None, damaged: int = 0
    ) -> None:
        self.array, self.seals, self.damaged, self._whole = array, seals, damaged, whole
        self._scored: dict[bytes, Floats] = {}

    @classmethod
    def room(cls, rows: int, dimension: int) -> Floats:
        """Memory for so many vectors, and some more; what is not written to takes none."""
        return np.empty((rows + rows // 8 + _ROOM, dimension), dtype=np.float32)

    def followed(self, seals: Seals, read: Callable[[Rows], Floats]) -> Self | None:
        """The vectors of the rows that are there now, given their seals: those that are held, and the others by `read`,
        given their positions. Rows that are new go behind those that are held, without copying these. None where so
        many are new that all may as well be read."""
        if self.seals is None or not len(self.seals):
            return None
        held, (then, stays) = len(self.array), known_rows(self.seals, seals)
        new = np.flatnonzero(~stays)
        if len(new) > _MOST_NEW:
            return None
        fresh, rows, whole = read(new), len(seals), self._whole
        behind = len(new) == rows - held and stays[:held].all() and np.array_equal(then[:held], np.arange(held))
        if behind and whole is not None and len(whole) >= rows:
            self._whole = None  # only one can go on from here
            whole[held:rows] = fresh
            return type(self)(whole[:rows], seals, whole, self.damaged + damaged_rows(fresh))
        whole = self.room(rows, self.array.shape[1])
        np.take(self.array, then, axis=0, out=whole[:rows], mode="clip")
        whole[new] = fresh
        return type(self)(whole[:rows], seals, whole, damaged_rows(whole[:rows]))

    def at(self, rows: Sequence[int] | Rows) -> Floats:
        """The vectors (n, D) of these rows."""
        return self.array[np.asarray(rows, dtype=np.int64)]

    def blocks(self) -> Iterator[tuple[Rows, Floats]]:
        """All rows in pieces: (b,) rows and their vectors (b, D)."""
        for start in range(0, len(self.array), _BLOCK):
            block = self.array[start : start + _BLOCK]
            yield np.arange(start, start + len(block)), block

    def top(self, aim: Aim, *, top: int, order_N: Rows, allowed_N: Mask | None = None) -> Best:
        """See `exact_top`."""
        rough = self._scored.get(aim.vector.tobytes())
        return exact_top(self.array, aim, top=top, order_N=order_N, allowed_N=allowed_N, rough=rough)

    @contextmanager
    def scored_together(self, queries_QD: Floats) -> Iterator[None]:
        """Score these queries in one pass over all vectors; `top` within takes the scores from there."""
        scores = np.empty((len(queries_QD), len(self.array)), dtype=np.float32)

        def block(some: slice) -> None:
            scores[:, some] = queries_QD @ self.array[some].T

        in_threads(block, len(self.array), _TOGETHER)
        self._scored = {query.tobytes(): row for query, row in zip(queries_QD, scores, strict=True)}
        try:
            yield
        finally:
            self._scored = {}


def known_rows(held: Seals, seals: Seals) -> tuple[Rows, Mask]:
    """Where each row of `seals` (N, 2) stands among those that are held (M, 2), and which do stand there. A row without
    seal, which is zeros, does not."""
    if not len(held):
        return np.zeros(len(seals), np.int64), np.zeros(len(seals), np.bool_)
    order = np.argsort(held[:, 0], kind="stable")
    then = order[np.minimum(np.searchsorted(held[:, 0], seals[:, 0], sorter=order), len(held) - 1)]
    return then, (held[then] == seals).all(axis=1) & seals.any(axis=1)


def damaged_rows(vectors_ND: Floats) -> int:
    """How many are not of length one and finite, as which they were written."""
    squares = np.einsum("nd,nd->n", vectors_ND, vectors_ND)
    return int(np.count_nonzero(~(np.abs(squares - 1) <= _LENGTH_OFF)))  # NaN compares as damaged


def best_rows(vectors: Vectors, queries_QD: Floats, kept: int) -> tuple[Rows, Floats]:
    """The best rows of many queries at once, in one pass over all vectors and single precision: rows (Q, kept), best
    first, and their scores (Q, kept); -1 and minus infinity where there are fewer rows."""
    rows = np.full((len(queries_QD), kept), -1, dtype=np.int64)
    scores = np.full((len(queries_QD), kept), -np.inf, dtype=np.float32)
    for place, block in vectors.blocks():
        for start in range(0, len(queries_QD), _QUERIES):
            found = queries_QD[start : start + _QUERIES] @ block.T
            for number, new in enumerate(found, start):
                both = np.concatenate([scores[number], new])
                best = np.argpartition(-both, kept - 1)[:kept] if kept < len(both) else np.arange(len(both))
                best = best[np.argsort(-both[best], kind="stable")][:kept]
                rows[number] = np.concatenate([rows[number], place])[best]
                scores[number] = both[best]
    return rows, scores


def in_threads(block: Callable[[slice], None], rows: int, together: int) -> None:
    """`block(some)` of all rows, so many together, in as many threads as this process may use, or as OMP_NUM_THREADS
    says, which numerical libraries go by; in this one where one is enough."""
    blocks = [slice(start, start + together) for start in range(0, rows, together)]
    asked = os.environ.get("OMP_NUM_THREADS", "")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(len(blocks), int(asked) if asked.isdecimal() and int(asked) else usable)
    if threads <= 1:
        list(map(block, blocks))
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="rows") as pool:
        list(pool.map(block, blocks))  # raises what a block has raised
