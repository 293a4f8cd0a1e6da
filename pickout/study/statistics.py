"""Differences between variants: paired over people and seeds, with p-values corrected for how many are compared.

A variant's run and the base's run of the same seed answer the same queries. A resample draws people, the same ones for
both, and seeds, with replacement; all queries of a drawn person count as often as the person was drawn. So an interval
holds both kinds of chance: other people of this kind, and other seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Difference:
    """A variant less the base of comparison.

    Args:
        mean: over seeds and queries.
        low: lower end of the interval.
        high: its upper end.
        p: two-sided, of no difference, not corrected.
    """

    mean: float
    low: float
    high: float
    p: float


def paired_difference(
    variant: NDArray[np.float64],
    base: NDArray[np.float64],
    people: NDArray[np.int64],
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Percentile interval and p-value of a difference of means.

    Args:
        variant: a measure of each query under each seed. Shape: (seeds, queries).
        base: the same of the base, seeds and queries in the same order. Shape: (seeds, queries).
        people: who each query is about. Shape: (queries,).
        resamples: how many are drawn; p is never below 2 / (resamples + 1).
        level: coverage of the interval.
        seed: of the draws.
    """
    names, person = np.unique(people, return_inverse=True)
    counts = np.bincount(person).astype(np.float64)
    sums = np.stack([np.bincount(person, weights=row, minlength=len(names)) for row in variant - base])
    chance = np.random.default_rng(seed)
    drawn_people = chance.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    drawn_seeds = chance.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples) / len(sums)
    means = np.einsum("rs,sp,rp->r", drawn_seeds, sums, drawn_people, optimize=True) / (drawn_people @ counts)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    beyond = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, 2 * (beyond + 1) / (resamples + 1))
    return Difference(float((variant - base).mean()), float(low), float(high), p)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979): among all, a find by chance stays as rare as in one."""
    order = np.argsort(p_values)
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
