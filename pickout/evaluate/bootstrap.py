"""How sure a number is: percentile bootstrap over identities, since queries of one person are alike.

A resample draws as many identities as there are, with replacement, and takes all queries of each as often as it was
drawn; the gallery stays as it is. Resampling single queries would give intervals that are too narrow."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.config import Settings

_DRAWN_AT_A_TIME = 4_000_000


class BootstrapSettings(Settings):
    """How intervals are drawn."""

    resamples: int = Field(default=2000, ge=0)  # number of resamples; 0 leaves the intervals out
    seed: int = Field(default=0, ge=0)  # seed of the draws, printed with the intervals
    level: float = Field(default=0.95, gt=0, lt=1)  # coverage of the intervals


def bootstrap(
    values: NDArray[np.float64], identity: NDArray[np.int64], settings: BootstrapSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper ends (measures,) of percentile intervals of the column means, given the measures of each query
    (queries, measures) and whom each is about (queries,)."""
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
