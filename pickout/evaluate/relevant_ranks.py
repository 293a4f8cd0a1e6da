"""Ranks of the relevant gallery items, and of nothing else.

The order of the gallery for a query is by descending score; items of equal score stand in gallery order, as a stable
descending sort leaves them. So the rank of an item is 1 + the number of items scored higher + the number of items
scored equal that stand before it in the gallery. All measures follow from the ranks of the relevant items alone; a sort
of the whole gallery with positions, the usual way, holds a matrix of 8-byte positions that is never needed.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pickout.evaluate.exact_product import ExactProduct, mix
from pickout.evaluate.processes import ALONE, Share

TIE_RULE = "equal scores rank in gallery order (stable descending sort)"
"""The tie rule in words, for reports."""


@dataclass(frozen=True, slots=True)
class Relevance:
    """Which gallery items answer which query. The items of query q are at `starts[q]` to `starts[q + 1]`.

    Args:
        starts: Shape: (queries + 1,).
        columns: positions in the gallery, ascending within a query. Shape: (pairs,).
        own: True where query and item come from the same image. Shape: (pairs,).
        gallery: number of gallery items.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    own: NDArray[np.bool_]
    gallery: int


@dataclass(frozen=True, slots=True)
class RelevantRanks:
    """Ranks of the relevant items; those of query q are at `starts[q]` to `starts[q + 1]`, best first.

    Args:
        starts: Shape: (queries + 1,).
        ranks: from 1. Shape: (pairs,).
        own: True where query and item come from the same image. Shape: (pairs,).
        gallery: number of gallery items of each query. Shape: (queries,).
    """

    starts: NDArray[np.int64]
    ranks: NDArray[np.int32]
    own: NDArray[np.bool_]
    gallery: NDArray[np.int64]

    def without_own(self) -> "RelevantRanks":
        """The ranks after each query's own items left its gallery; everything behind them moves up."""
        removed = np.concatenate([[0], np.cumsum(self.own, dtype=np.int64)])
        before = removed[:-1] - np.repeat(removed[self.starts[:-1]], np.diff(self.starts))
        kept = ~self.own
        starts = np.concatenate([[0], np.cumsum(kept, dtype=np.int64)])[self.starts]
        ranks = (self.ranks - before)[kept].astype(np.int32)
        return RelevantRanks(starts, ranks, self.own[kept], self.gallery - np.diff(removed[self.starts]))


def find_relevant(
    query_identity: NDArray[np.int64],
    gallery_identity: NDArray[np.int64],
    query_image: NDArray[np.int64],
    gallery_image: NDArray[np.int64],
) -> Relevance:
    """Pair each query with the gallery items of its identity.

    Args:
        query_identity: Shape: (queries,).
        gallery_identity: Shape: (gallery,).
        query_image: the image a query is or describes. Shape: (queries,).
        gallery_image: the image a gallery item is or describes. Shape: (gallery,).
    """
    order = np.argsort(gallery_identity, kind="stable")
    ordered = gallery_identity[order]
    left = np.searchsorted(ordered, query_identity, side="left")
    counts = np.searchsorted(ordered, query_identity, side="right") - left
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    within = np.arange(starts[-1]) - np.repeat(starts[:-1], counts)
    columns = order[np.repeat(left, counts) + within]
    own = np.repeat(query_image, counts) == gallery_image[columns]
    return Relevance(starts, columns.astype(np.int32), own, len(gallery_identity))


def rank_row(scores: NDArray[np.float32], columns: NDArray[np.int32]) -> NDArray[np.int32]:
    """Ranks of some gallery items for one query, from 1, under the tie rule of this module.

    Args:
        scores: of the whole gallery. Shape: (gallery,).
        columns: the items whose ranks are wanted, at least one. Shape: (items,).
    """
    wanted = scores[columns]
    rivals = np.sort(scores[scores >= wanted.min()])
    right = np.searchsorted(rivals, wanted, side="right")
    if np.any(right - np.searchsorted(rivals, wanted, side="left") > 1):
        ranks = np.empty(len(scores), np.int32)
        ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1, dtype=np.int32)
        return ranks[columns]
    return (len(rivals) - right + 1).astype(np.int32)


def rank(
    queries: Tensor, gallery: Tensor, relevance: Relevance, *, chunk: int = 1024, share: Share = ALONE
) -> RelevantRanks:
    """Rank the relevant items of every query by inner product; as `rank_mixtures` with one part of weight 1."""
    pairs = rank_mixtures([(queries, gallery)], [(1.0,)], relevance, chunk=chunk, share=share)[0]
    return collect_ranks(pairs, relevance)


def rank_mixtures(
    parts: Sequence[tuple[Tensor, Tensor]],
    mixtures: Sequence[Sequence[float]],
    relevance: Relevance,
    *,
    chunk: int = 1024,
    share: Share = ALONE,
) -> list[NDArray[np.int32]]:
    """Rank by several weighted sums of inner products at once; each product is computed once.

    Args:
        parts: (queries, gallery) embeddings of each part of the score. Shape of each: (items, dimension), float32.
        mixtures: weights, one for each part.
        relevance: which items are relevant.
        chunk: products of queries with the gallery held at a time; memory grows with it, no result depends on it.
        share: this process's part; every process returns the whole result.

    Returns:
        For each mixture the rank of every pair of `relevance`, in its order. Shape of each: (pairs,).

    Raises:
        ValueError: the embeddings do not fit each other or are not finite.
    """
    products, starts = [ExactProduct(*part) for part in parts], relevance.starts
    chunk = max(1, chunk // len(parts))
    first, last = share.bounds(len(parts[0][0]), 1)
    found: list[list[NDArray[np.int32]]] = [[np.empty(0, np.int32)] for _ in mixtures]

    def rank_query(query: int, scores: NDArray[np.float32]) -> NDArray[np.int32]:
        columns = relevance.columns[starts[query] : starts[query + 1]]
        return rank_row(scores, columns) if len(columns) else columns

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in range(first, last, chunk):
            stop = min(start + chunk, last)
            exact = [product.rows(start, stop) for product in products]
            for ranks, weights in zip(found, mixtures, strict=True):
                ranks.extend(pool.map(rank_query, range(start, stop), mix(exact, weights).numpy()))
    return [np.concatenate(share.gather(np.concatenate(ranks))) for ranks in found]


def collect_ranks(ranks: NDArray[np.int32], relevance: Relevance) -> RelevantRanks:
    """Put each query's ranks in ascending order.

    Args:
        ranks: of every pair of `relevance`. Shape: (pairs,).
        relevance: which items are relevant.
    """
    counts = np.diff(relevance.starts)
    order = np.lexsort((ranks, np.repeat(np.arange(len(counts)), counts)))
    gallery = np.full(len(counts), relevance.gallery, np.int64)
    return RelevantRanks(relevance.starts, ranks[order], relevance.own[order], gallery)
