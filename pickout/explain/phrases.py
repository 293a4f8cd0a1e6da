"""Which words belong together: "a pale blue blouse" is one thing to a model, so its words share what it adds."""

from pickout.explain.pair import Pair
from pickout.saliency.vacuous_words import VACUOUS_WORDS

REACH = 2
"""Words to each side that may belong to a word's phrase."""


def phrase_of(pair: Pair, told: int) -> range:
    """The told words that stand in one phrase with a told word, itself included.

    A phrase is a run of telling words without punctuation, cut-off or empty words ("a", "with", "wearing") between
    them, at most `REACH` to each side. An empty word is its own phrase.

    Args:
        pair: whose sentence.
        told: position in `pair.told`.

    Returns:
        Positions in `pair.told`.
    """
    if not _tells(pair, told):
        return range(told, told + 1)
    first = last = told
    while first > max(0, told - REACH) and _adjoin(pair, first - 1) and _tells(pair, first - 1):
        first -= 1
    while last < min(len(pair.told) - 1, told + REACH) and _adjoin(pair, last) and _tells(pair, last + 1):
        last += 1
    return range(first, last + 1)


def _tells(pair: Pair, told: int) -> bool:
    return pair.words[pair.told[told]].text.lower() not in VACUOUS_WORDS


def _adjoin(pair: Pair, told: int) -> bool:
    """Whether nothing stands between a told word and the next, but perhaps a hyphen."""
    here, there = pair.told[told], pair.told[told + 1]
    return all(pair.words[n].text == "-" for n in range(here + 1, there))
