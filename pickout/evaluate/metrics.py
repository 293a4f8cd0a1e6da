"""The field's measures, from the ranks of the relevant items.

With r_1 < r_2 < ... < r_R the ranks of a query's R relevant items in the whole gallery:

    R@k   100 if r_1 <= k, else 0
    mAP   100 * mean over j of j / r_j          (average precision over the full ranking)
    mINP  100 * R / r_R                         (inverse negative penalty: how early the last one comes)
    rSum  R@1 + R@5 + R@10, of one direction

each averaged over the queries that have a relevant item (ITSELF, section on evaluation; AGA, same). Queries without one
are left out and counted.
"""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.evaluate.relevant_ranks import RelevantRanks

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
    """Means over queries, in percent: first those of `MEASURES`, in their order.

    `chance` is the R@1 of a random ranking, `queries` how many were averaged, `excluded` how many had nothing to find.
    """

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
