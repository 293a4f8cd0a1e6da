"""The words of captions, read from `lexicon.toml`, and the pen that draws them."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TypeVar

import numpy as np

Words = tuple[str, ...]
T = TypeVar("T")


def _read() -> Mapping[str, Mapping[str, Words]]:
    text = resources.files("pickout.synthetic").joinpath("lexicon.toml").read_text(encoding="utf-8")
    return {
        table: {name: tuple(option.strip() for option in line.split("|")) for name, line in rows.items()}
        for table, rows in tomllib.loads(text).items()
    }


LEXICON = _read()
"""By table and name, the synonyms of a name, the plainest first."""

PLAINEST = 3
"""Synonyms of a name that a writer of plain words knows."""

_FOREIGN = {
    "british": frozenset(LEXICON["writers"]["american"]),
    "american": frozenset(LEXICON["writers"]["british"]),
    "either": frozenset[str](),
}


class Pen:
    """Draws the words of one writer, who is British, American, or does not care.

    Args:
        generator: all chance comes from it.
        plain: the share of writers who only know the plainest words.
    """

    def __init__(self, generator: np.random.Generator, plain: float = 0.0) -> None:
        self._generator = generator
        self._known = PLAINEST if plain and self.chance(plain) else None
        self._foreign = _FOREIGN[self.pick(("british", "american", "either"))]

    def pick(self, options: Sequence[T]) -> T:
        """One of `options`, each as likely."""
        return options[int(self._generator.integers(len(options)))]

    def say(self, table: str, name: str) -> str:
        """One of the synonyms of a name; half of the time one of the first few, which are the usual ones."""
        options = self._own(LEXICON[table][name])[: self._known]
        return self.pick(options[:5] if self.chance(0.5) else options)

    def word(self, table: str, name: str) -> str:
        """The plainest synonym half of the time, else one of all: people mostly use the plain word."""
        options = self._own(LEXICON[table][name])[: self._known]
        return options[0] if self.chance(0.5) else self.pick(options)

    def chance(self, probability: float) -> bool:
        """True with `probability`."""
        return float(self._generator.random()) < probability

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in an order as likely as any other."""
        return [items[position] for position in self._generator.permutation(len(items))]

    def _own(self, options: Words) -> Words:
        """The options without those that this writer would not use; all where none is left."""
        return tuple(option for option in options if self._foreign.isdisjoint(option.split())) or options
