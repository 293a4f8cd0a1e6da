"""Ranks of the relevant gallery items, and of nothing else, from inner products that are the same on every machine; the
measures that follow from them, and how sure those are.

The order of the gallery for a query is by descending score; items of equal score stand in gallery order, as a stable
descending sort leaves them. So the rank of an item is 1 + the number of items scored higher + the number of items
scored equal that stand before it. All measures follow from the ranks of the relevant items alone; a sort of the whole
gallery with positions, the usual way, holds a matrix of 8-byte positions that is never needed.

With r_1 < r_2 < ... < r_R the ranks of a query's R relevant items in the whole gallery, the field's measures are

    R@k   100 if r_1 <= k, else 0
    mAP   100 * mean over j of j / r_j          (average precision over the full ranking)
    mINP  100 * R / r_R                         (inverse negative penalty: how early the last one comes)
    rSum  R@1 + R@5 + R@10, of one direction

each averaged over the queries that have a relevant item (ITSELF, section on evaluation; AGA, same). Queries without one
are left out and counted."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pickout.config import Settings
from pickout.evaluate.processes import ALONE, Share
from pickout.shapes import Float

TIE_RULE = "equal scores rank in gallery order (stable descending sort)"  # the tie rule in words, for reports
GRID_BITS, _GALLERY_BLOCK = 26, 4096  # two factors of so many bits fill float64's 53
_DRAWN_AT_A_TIME = 4_000_000  # counts of people that a block of resamples holds


class ExactProduct:
    """Inner products of all queries with all gallery vectors, some rows at a time, however the work is cut. A float32
    matrix product depends in its last bits on the shape of the block, the number of threads and the library, so two
    runs may order two nearly equal images differently. Here each embedding is first rounded to a grid of 2^-26
    (relative to the longest vector): products are then whole multiples of 2^-52, all partial sums stay below 2^53 of
    these units (by Cauchy-Schwarz), and a float64 matrix product makes no rounding error at all, in whatever order it
    adds. The exact sum is rounded once to float32. The grid moves a score of unit vectors by about 1e-8. `ValueError`:
    the two have different dimensions, or a number is not finite."""

    def __init__(self, queries: Float[Tensor, "queries width"], gallery: Float[Tensor, "gallery width"]) -> None:
        if queries.shape[1] != gallery.shape[1]:
            raise ValueError(f"queries have {queries.shape[1]} numbers each, the gallery {gallery.shape[1]}")
        self._queries, self._gallery = queries, gallery
        self._query_exponent, self._gallery_exponent = _exponent(queries), _exponent(gallery)

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows gallery"]:
        """Exact inner products of queries `start` to `stop` with the whole gallery, float64."""
        product = torch.empty(stop - start, len(self._gallery), dtype=torch.float64)
        rows = _on_grid(self._queries[start:stop], self._query_exponent)
        for left in range(0, len(self._gallery), _GALLERY_BLOCK):
            block = _on_grid(self._gallery[left : left + _GALLERY_BLOCK], self._gallery_exponent)
            torch.mm(rows, block.T, out=product[:, left : left + _GALLERY_BLOCK])
        return product.mul_(2.0 ** (self._query_exponent + self._gallery_exponent - 2 * GRID_BITS))


def mix(products: Sequence[Float[Tensor, "rows gallery"]], weights: Sequence[float]) -> Float[Tensor, "rows gallery"]:
    """The weighted sum of exact float64 products, rounded once to float32 (ITSELF, Eq. 8, with two)."""
    if len(products) == 1 and weights[0] == 1.0:
        return products[0].float()
    total = products[0] * weights[0]
    for product, weight in zip(products[1:], weights[1:], strict=True):
        # Multiplied and added apart: a fused multiply-add may be used for some elements of a block and not for others.
        total += product * weight
    return total.float()


def _exponent(vectors: Tensor) -> int:
    """The least e with every vector's length at most about 2^e; the tolerance keeps unit vectors at 0."""
    blocks = torch.split(vectors, _GALLERY_BLOCK) if len(vectors) else ()
    longest = max((float(block.double().norm(dim=1).max()) for block in blocks), default=0.0)
    if not math.isfinite(longest):
        raise ValueError("an embedding holds a number that is not finite")
    return math.frexp(longest * 0.999)[1]


def _on_grid(vectors: Tensor, exponent: int) -> Tensor:
    return vectors.to(torch.float64, copy=True).mul_(2.0 ** (GRID_BITS - exponent)).round_()


@dataclass(frozen=True, slots=True)
class Relevance:
    """Which gallery items answer which query. The items of query q are at `starts[q]` to `starts[q + 1]`."""

    starts: NDArray[np.int64]  # (queries + 1,)
    columns: NDArray[np.int32]  # positions in the gallery, ascending within a query: (pairs,)
    own: NDArray[np.bool_]  # whether query and item come from the same image: (pairs,)
    gallery: int  # number of gallery items


@dataclass(frozen=True, slots=True)
class RelevantRanks:
    """Ranks of the relevant items; those of query q are at `starts[q]` to `starts[q + 1]`, best first."""

    starts: NDArray[np.int64]  # (queries + 1,)
    ranks: NDArray[np.int32]  # from 1: (pairs,)
    own: NDArray[np.bool_]  # whether query and item come from the same image: (pairs,)
    gallery: NDArray[np.int64]  # number of gallery items of each query: (queries,)

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
    """Pair each query with the gallery items of its identity; the last two are the images that each is or describes."""
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
    """Ranks of some gallery items for one query, from 1, given the scores of the whole gallery."""
    if not len(columns):
        return columns
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
    """Rank by several weighted sums of inner products at once; each product is computed once. `parts` are (queries,
    gallery) embeddings of each part of the score, (items, dimension) float32, and `mixtures` are weights, one for each
    part. A `chunk` of queries is multiplied with the gallery at a time; no result depends on it. Every process, with
    its `share`, returns the whole result: for each mixture the rank of every pair of `relevance`, in its order
    (pairs,). `ValueError`: the embeddings do not fit each other or are not finite."""
    products, columns = [ExactProduct(*part) for part in parts], np.split(relevance.columns, relevance.starts[1:-1])
    chunk = max(1, chunk // len(parts))
    first, last = share.bounds(len(parts[0][0]), 1)
    found: list[list[NDArray[np.int32]]] = [[np.empty(0, np.int32)] for _ in mixtures]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in range(first, last, chunk):
            stop = min(start + chunk, last)
            exact = [product.rows(start, stop) for product in products]
            for ranks, weights in zip(found, mixtures, strict=True):
                ranks.extend(pool.map(rank_row, mix(exact, weights).numpy(), columns[start:stop]))
    return [np.concatenate(share.gather(np.concatenate(ranks))) for ranks in found]


def collect_ranks(ranks: NDArray[np.int32], relevance: Relevance) -> RelevantRanks:
    """Put each query's ranks, one for every pair of `relevance`, in ascending order."""
    counts = np.diff(relevance.starts)
    order = np.lexsort((ranks, np.repeat(np.arange(len(counts)), counts)))
    gallery = np.full(len(counts), relevance.gallery, np.int64)
    return RelevantRanks(relevance.starts, ranks[order], relevance.own[order], gallery)


MEASURES = ("R@1", "R@5", "R@10", "mAP", "mINP", "rSum")
"""Names of the measures, in the order of the columns of `QueryScores.values`."""


@dataclass(frozen=True, slots=True)
class QueryScores:
    """The measures of each query that has a relevant item; all but `excluded` have one entry for each of these."""

    values: NDArray[np.float64]  # in percent, a column for each of MEASURES: (queries, 6)
    first: NDArray[np.int64]  # rank of the best relevant item
    chance: NDArray[np.float64]  # probability in percent that a random item is relevant
    kept: NDArray[np.int64]  # positions of these queries among all
    excluded: int  # queries without a relevant item


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over queries, in percent: first those of `MEASURES`, in their order. `chance` is the R@1 of a random
    ranking, `queries` how many were averaged, `excluded` how many had nothing to find."""

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    mean_average_precision: float
    mean_inverse_negative_penalty: float
    recall_sum: float
    chance: float
    queries: int
    excluded: int

    def named(self) -> dict[str, float]:
        """The measures by their short names (`MEASURES`)."""
        return dict(zip(MEASURES, astuple(self), strict=False))


def score_queries(ranks: RelevantRanks) -> QueryScores:
    """Every measure of every query that has a relevant item."""
    counts = np.diff(ranks.starts)
    kept = np.flatnonzero(counts)
    counts, starts = counts[kept], ranks.starts[:-1][kept]
    ordinal = np.arange(len(ranks.ranks)) - np.repeat(starts, counts) + 1
    precision = np.add.reduceat(ordinal / ranks.ranks, starts) if len(kept) else np.empty(0)
    first, last = ranks.ranks[starts].astype(np.int64), ranks.ranks[starts + counts - 1]
    recalls = [100.0 * (first <= k) for k in (1, 5, 10)]
    values = np.stack([*recalls, 100.0 * precision / counts, 100.0 * counts / last, sum(recalls)], axis=1)
    return QueryScores(values, first, 100.0 * counts / ranks.gallery[kept], kept, len(ranks.starts) - 1 - len(kept))


def average(scores: QueryScores) -> Metrics:
    """Means over queries; `ValueError` where no query has a relevant item."""
    if not len(scores.values):
        raise ValueError("no query has a relevant item in the gallery")
    means = [float(mean) for mean in scores.values.mean(axis=0)]
    return Metrics(*means, float(scores.chance.mean()), len(scores.values), scores.excluded)  # type: ignore[arg-type, call-arg]


def cmc(scores: QueryScores, ranks: int) -> list[float]:
    """Cumulative match characteristic: R@1, R@2, ... up to R@`ranks`, in percent."""
    hits = np.bincount(np.minimum(scores.first, ranks + 1), minlength=ranks + 2)[1 : ranks + 1]
    return [float(share) for share in 100.0 * np.cumsum(hits) / max(len(scores.first), 1)]


class BootstrapSettings(Settings):
    """How intervals are drawn."""

    resamples: int = Field(default=2000, ge=0)  # number of resamples; 0 leaves the intervals out
    seed: int = Field(default=0, ge=0)  # seed of the draws, printed with the intervals
    level: float = Field(default=0.95, gt=0, lt=1)  # coverage of the intervals


def bootstrap(
    values: NDArray[np.float64], identity: NDArray[np.int64], settings: BootstrapSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper ends (measures,) of percentile intervals of the column means, given the measures of each query
    (queries, measures) and whom each is about (queries,).

    A resample draws as many identities as there are, with replacement, and takes all queries of each as often as it was
    drawn, since queries of one person are alike; the gallery stays as it is. Resampling single queries would give
    intervals that are too narrow."""
    people, person = np.unique(identity, return_inverse=True)
    counts = np.bincount(person).astype(np.float64)
    sums = np.stack([np.bincount(person, weights=column) for column in values.T], axis=1)
    generator = np.random.default_rng(settings.seed)
    share, block, means = np.full(len(people), 1 / len(people)), max(1, _DRAWN_AT_A_TIME // len(people)), []
    for start in range(0, settings.resamples, block):
        size = min(block, settings.resamples - start)
        drawn = generator.multinomial(len(people), share, size=size).astype(np.float64)
        means.append(drawn @ sums / (drawn @ counts)[:, None])
    tail = (1 - settings.level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return low, high
