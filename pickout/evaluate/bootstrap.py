"""How sure a number is: percentile bootstrap over identities.

Queries of one person are alike, so they are drawn together: a resample draws as many identities as there are, with
replacement, and takes all queries of each as often as it was drawn. The gallery stays as it is. Resampling single
queries instead would give intervals that are too narrow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.config import Settings

_BLOCK = 4_000_000
"""Numbers drawn at a time."""


class BootstrapSettings(Settings):
    """How intervals are drawn."""

    resamples: int = Field(default=2000, ge=0)
    """Number of resamples; 0 leaves the intervals out."""
    seed: int = Field(default=0, ge=0)
    """Seed of the draws, printed with the intervals."""
    level: float = Field(default=0.95, gt=0, lt=1)
    """Coverage of the intervals."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Lower and upper ends, one for each column of the values. Shape of each: (measures,)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


def bootstrap(values: NDArray[np.float64], identity: NDArray[np.int64], settings: BootstrapSettings) -> Intervals:
    """Percentile intervals of the column means.

    Args:
        values: measures of each query. Shape: (queries, measures).
        identity: who each query is about. Shape: (queries,).
        settings: resamples, seed and level.
    """
    people, person = np.unique(identity, return_inverse=True)
    counts = np.bincount(person).astype(np.float64)
    sums = np.stack([np.bincount(person, weights=column) for column in values.T], axis=1)
    generator = np.random.default_rng(settings.seed)
    share, block, means = np.full(len(people), 1 / len(people)), max(1, _BLOCK // len(people)), []
    for start in range(0, settings.resamples, block):
        size = min(block, settings.resamples - start)
        drawn = generator.multinomial(len(people), share, size=size).astype(np.float64)
        means.append(drawn @ sums / (drawn @ counts)[:, None])
    tail = (1 - settings.level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return Intervals(low, high)
