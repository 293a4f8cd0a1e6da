"""The words of captions, read from `lexicon.toml`, and the pen that draws them."""

from collections.abc import Sequence
from typing import TypeVar

from numpy.random import Generator

from pickout.synthetic.habits import chance, read_table

T = TypeVar("T")
LEXICON: dict[str, dict[str, tuple[str, ...]]] = {
    table: {name: tuple(option.strip() for option in line.split("|")) for name, line in rows.items()}
    for table, rows in read_table("lexicon.toml").items()
}
"""By table and name, the synonyms of a name, the plainest first."""
_PLAINEST = 3  # synonyms of a name that a writer of plain words knows


class Pen:
    """Draws the words of one writer, who is British, American, or does not care; all chance comes from `generator`.

    A share `plain` of writers only knows the plainest words.
    """

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
