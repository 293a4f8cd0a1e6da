"""Weak captions: another sentence about the same person, which may fit another of the person's images better (RaSa)."""

from collections.abc import Sequence

import numpy as np


class WeakCaptions:
    """Draws captions of the same person."""

    def __init__(self, captions: Sequence[str], identities: Sequence[int], probability: float) -> None:
        self.probability = probability
        numbers: dict[str, int] = {}
        self._sentence = [numbers.setdefault(caption, len(numbers)) for caption in captions]
        self._identity = list(identities)
        self._items: dict[int, list[int]] = {}
        for item, identity in enumerate(identities):
            self._items.setdefault(identity, []).append(item)

    def draw(self, item: int, generator: np.random.Generator) -> int:
        """The item whose caption stands beside that of `item`: mostly itself, else any of the person's, itself too."""
        if generator.random() >= self.probability:
            return item
        items = self._items[self._identity[item]]
        return items[int(generator.integers(len(items)))]

    def differ(self, item: int, other: int) -> bool:
        """Whether two items have different sentences, letter for letter, before any cleaning."""
        return self._sentence[item] != self._sentence[other]
