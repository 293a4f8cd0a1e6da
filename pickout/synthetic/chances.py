"""Small weighted draws."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def pick(generator: np.random.Generator, weights: Mapping[Any, float]) -> Any:
    """One key of `weights`, drawn with probability in proportion to its value."""
    keys = list(weights)
    total = np.cumsum(np.fromiter(weights.values(), dtype=np.float64, count=len(keys)))
    place = float(generator.random()) * total[-1]
    return keys[min(int(np.searchsorted(total, place, side="right")), len(keys) - 1)]


def chance(generator: np.random.Generator, probability: float) -> bool:
    """True with `probability`."""
    return float(generator.random()) < probability
