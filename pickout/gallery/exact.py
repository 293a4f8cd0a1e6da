"""Exact top-k by inner product, with a defined order among equal scores."""

import numpy as np
from numpy.typing import NDArray

_BLOCK = 65_536
"""Rows re-scored at a time; bounds the extra memory when very many rows tie."""
_GATHERED = 1024
"""Rows gathered at a time."""
_GATHER_BELOW = 0.3
"""Share of allowed rows below which their vectors are gathered instead of scoring all rows."""


def exact_top(
    vectors_ND: NDArray[np.float32],
    query_D: NDArray[np.float32],
    *,
    top: int,
    order_N: NDArray[np.int64],
    allowed_N: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The `top` rows of largest inner product with the query, best first.

    One pass in single precision finds every row that could be among the best; those are scored again in double
    precision, each row by itself. So the answer depends neither on the filter, nor on the number of threads, nor on
    where a row stands, and equal vectors have equal scores. Among equal scores the smaller `order_N` comes first.

    Args:
        vectors_ND: the gallery's vectors.
        query_D: the query's vector.
        top: how many rows at most.
        order_N: a different number for each row.
        allowed_N: rows that may be returned; None: all.

    Returns:
        Positions (k,) in `vectors_ND` and their scores (k,), k <= top.
    """
    positions, rough = _rough_scores(vectors_ND, query_D, allowed_N)
    if not 0 < top < len(rough):
        chosen = np.arange(len(rough) if top > 0 else 0)
    else:
        bound = np.partition(rough, len(rough) - top)[len(rough) - top]
        chosen = np.flatnonzero(rough >= bound - 2 * _rounding(vectors_ND, query_D))
    if positions is not None:
        chosen = positions[chosen]
    scores = _fine_scores(vectors_ND, query_D, chosen)
    best = np.lexsort((order_N[chosen], -scores))[:top]
    return chosen[best], scores[best]


def _rough_scores(
    vectors_ND: NDArray[np.float32], query_D: NDArray[np.float32], allowed_N: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64] | None, NDArray[np.float32]]:
    """Scores of the allowed rows, and those rows' positions (None: all of them)."""
    if allowed_N is None:
        return None, vectors_ND @ query_D
    positions = np.flatnonzero(allowed_N)
    if len(positions) < _GATHER_BELOW * len(vectors_ND):
        return positions, _gathered_scores(vectors_ND, query_D, positions)
    return positions, (vectors_ND @ query_D)[positions]


def _gathered_scores(
    vectors_ND: NDArray[np.float32], query_D: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Scores of some rows, through a buffer that stays in the processor's cache.

    Without BLAS: its threads wait for each other longer than such a small product takes.
    """
    scores = np.empty(len(rows), dtype=np.float32)
    buffer = np.empty((_GATHERED, vectors_ND.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), _GATHERED):
        block = rows[start : start + _GATHERED]
        part = np.take(vectors_ND, block, axis=0, out=buffer[: len(block)], mode="clip")
        np.einsum("nd,d->n", part, query_D, out=scores[start : start + _GATHERED])
    return scores


def _rounding(vectors_ND: NDArray[np.float32], query_D: NDArray[np.float32]) -> float:
    """Bound on the error of a single-precision inner product of unit vectors with the query."""
    return float(vectors_ND.shape[1] * np.finfo(np.float32).eps * max(1.0, float(np.linalg.norm(query_D))))


def _fine_scores(
    vectors_ND: NDArray[np.float32], query_D: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    query = query_D.astype(np.float64)
    scores = np.empty(len(rows), dtype=np.float64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        # Not a matrix product: BLAS may add up the rows at the end of a block in another order.
        scores[start : start + _BLOCK] = (vectors_ND[block].astype(np.float64) * query).sum(axis=1)
    return scores
