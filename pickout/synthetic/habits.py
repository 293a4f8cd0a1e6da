"""The tables of the street, read from the TOML files beside the code, and weighted draws from them."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
from numpy.random import Generator


def read_table(name: str) -> dict[str, Any]:
    """The content of the package's file `name`."""
    return tomllib.loads(resources.files("pickout.synthetic").joinpath(name).read_text(encoding="utf-8"))


HABITS = read_table("habits.toml")
"""How often people are what, wear what and carry what."""


def pick(generator: Generator, weights: Mapping[Any, float]) -> Any:
    """One key of `weights`, drawn with probability in proportion to its value; None for the key `nothing`."""
    keys = list(weights)
    total = np.cumsum(np.fromiter(weights.values(), dtype=np.float64, count=len(keys)))
    place = float(generator.random()) * total[-1]
    key = keys[min(int(np.searchsorted(total, place, side="right")), len(keys) - 1)]
    return None if key == "nothing" else key


def habit(generator: Generator, *path: str) -> Any:
    """One key of the table at `path` in `HABITS`, drawn like `pick`."""
    table: Any = HABITS
    for name in path:
        table = table[name]
    return pick(generator, table)


def chance(generator: Generator, probability: float) -> bool:
    """True with `probability`."""
    return float(generator.random()) < probability
