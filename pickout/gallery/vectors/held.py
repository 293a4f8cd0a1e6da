"""The vectors of a gallery as a search asks for them: held in memory, or left on disk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from pickout.gallery.vectors.exact import Best, Floats, Mask, Penalty, Rows, exact_top, scores_together

_BLOCK, _TOGETHER = 65_536, 32  # rows told together by `blocks`, and queries multiplied with a block at a time


class Vectors(Protocol):
    """Unit vectors by row. A row is a position in the arrays of `Resident`."""

    def doubt(self, _passed: int, /) -> str | None:
        """What to say beside a search of so many rows, where it may miss some."""

    def kept(self, keep_N: Mask) -> "Vectors":
        """The vectors of some rows, which keep their order."""

    def at(self, rows: Sequence[int] | Rows) -> Floats:
        """The vectors (n, D) of these rows; NaN for a row that was removed since the gallery was read."""

    def blocks(self) -> Iterator[tuple[Rows, Floats]]:
        """All rows in pieces: (b,) rows and their vectors (b, D), each row once."""

    def top(
        self, query_D: Floats, *, top: int, order_N: Rows, allowed_N: Mask | None, penalties: Sequence[Penalty]
    ) -> Best:
        """The best rows and their scores, as `exact_top` tells them."""


class HeldVectors:
    """All vectors (N, D) in memory; a search misses nothing."""

    def __init__(self, array: Floats) -> None:
        self.array = array
        self._scored: dict[bytes, Floats] = {}

    def doubt(self, _passed: int) -> str | None:
        """None: nothing is missed."""
        return None

    def kept(self, keep_N: Mask) -> "HeldVectors":
        """The vectors of some rows, which keep their order; copies them."""
        return HeldVectors(self.array[keep_N])

    def at(self, rows: Sequence[int] | Rows) -> Floats:
        """The vectors (n, D) of these rows."""
        return self.array[np.asarray(rows, dtype=np.int64)]

    def blocks(self) -> Iterator[tuple[Rows, Floats]]:
        """All rows in pieces: (b,) rows and their vectors (b, D)."""
        for start in range(0, len(self.array), _BLOCK):
            block = self.array[start : start + _BLOCK]
            yield np.arange(start, start + len(block)), block

    def top(
        self, query_D: Floats, *, top: int, order_N: Rows, allowed_N: Mask | None, penalties: Sequence[Penalty]
    ) -> Best:
        """See `exact_top`."""
        rough = self._scored.get(query_D.tobytes())
        return exact_top(
            self.array, query_D, top=top, order_N=order_N, allowed_N=allowed_N, penalties=penalties, rough_N=rough
        )

    @contextmanager
    def scored_together(self, queries_QD: Floats) -> Iterator[None]:
        """Score these queries in one pass over all vectors; `top` within takes the scores from there."""
        scores = scores_together(self.array, queries_QD)
        self._scored = {query.tobytes(): row for query, row in zip(queries_QD, scores, strict=True)}
        try:
            yield
        finally:
            self._scored = {}


def best_rows(vectors: Vectors, queries_QD: Floats, kept: int) -> tuple[Rows, Floats]:
    """The best rows of many queries at once, in one pass over all vectors and single precision: rows (Q, kept), best
    first, and their scores (Q, kept); -1 and minus infinity where there are fewer rows."""
    rows = np.full((len(queries_QD), kept), -1, dtype=np.int64)
    scores = np.full((len(queries_QD), kept), -np.inf, dtype=np.float32)
    for place, block in vectors.blocks():
        for start in range(0, len(queries_QD), _TOGETHER):
            found = queries_QD[start : start + _TOGETHER] @ block.T
            for number, new in enumerate(found, start):
                both = np.concatenate([scores[number], new])
                best = np.argpartition(-both, kept - 1)[:kept] if kept < len(both) else np.arange(len(both))
                best = best[np.argsort(-both[best], kind="stable")][:kept]
                rows[number] = np.concatenate([rows[number], place])[best]
                scores[number] = both[best]
    return rows, scores
