"""The tables of the street, read from the TOML files beside the code, and weighted draws from them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator

from pickout.files import packaged_table

HABITS = packaged_table("pickout.synthetic", "habits.toml")  # how often people are what, wear what and carry what


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


T = TypeVar("T")
LEXICON: dict[str, dict[str, tuple[str, ...]]] = {
    table: {name: tuple(option.strip() for option in line.split("|")) for name, line in rows.items()}
    for table, rows in packaged_table("pickout.synthetic", "lexicon.toml").items()
}  # by table and name, the synonyms of a name, the plainest first
_PLAINEST = 3  # synonyms of a name that a writer of plain words knows


class Pen:
    """A writer's words, British, American or either; a share `plain` of writers only knows the plainest."""

    def __init__(self, generator: Generator, plain: float = 0.0) -> None:
        self._generator = generator
        self._known = _PLAINEST if plain and self.chance(plain) else None
        foreign = self.pick(("american", "british", ""))
        self._foreign = frozenset(LEXICON["writers"][foreign] if foreign else ())

    def pick(self, options: Sequence[T]) -> T:
        """One of `options`, each as likely."""
        return options[int(self._generator.integers(len(options)))]

    def say(self, table: str, name: str) -> str:
        """One of the synonyms of a name; half of the time one of the first few, which are the usual ones."""
        options = self._own(table, name)
        return self.pick(options[:5] if self.chance(0.5) else options)

    def word(self, table: str, name: str) -> str:
        """The plainest synonym half of the time, else one of all: people mostly use the plain word."""
        options = self._own(table, name)
        return options[0] if self.chance(0.5) else self.pick(options)

    def chance(self, probability: float) -> bool:
        """True with `probability`."""
        return chance(self._generator, probability)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in an order as likely as any other."""
        return [items[position] for position in self._generator.permutation(len(items))]

    def _own(self, table: str, name: str) -> tuple[str, ...]:
        """The synonyms without those that this writer would not use; all where none is left."""
        options = LEXICON[table][name]
        own = tuple(option for option in options if self._foreign.isdisjoint(option.split())) or options
        return own[: self._known]
