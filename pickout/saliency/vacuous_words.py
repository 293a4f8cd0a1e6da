"""English words that say nothing of how somebody looks, to tell how much masking is wasted on them (AGA, table I).

AGA counts "vacuous words" without a list ("with" is one, it says, and "without" is none); this one is ours and fixed,
so that shares compare across runs. A word is in it when a caption stays as true of its person whatever stands there:
articles, auxiliaries, most prepositions, pronouns and connectives, words for just anybody (person, pedestrian), and
words that only announce clothes (wearing, dressed). Not in it, although they are small:

- negations and exceptions (no, not, neither, without, isnt, except, only): they turn the caption round;
- words of sex (he, her), number (both, two), likeness (same) and side;
- words of how something is worn or where on the body it is, which direction somebody goes or looks, and how far clothes
  reach (over, under, across, around, behind, above the knee, towards the camera, down, up, off, out);
- words that also describe clothes (worn).

Spellings without apostrophe (theyre) are what caption cleaning leaves."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_LISTED = """
    a an the this that these those some any each every either other another such own
    am is are was were be been being has have had having do does did doing done
    can could may might must shall should will would seem seems seemed appear appears appeared
    of in on at to from by with within for about after along among amongst as before beside besides beyond during
    into like near onto per since until upon via
    i me my mine we us our ours you your yours it its they them their theirs itself themselves who whom whose which what
    someone somebody theyre thats there theres here
    and or but so yet if then than because while whereas although though when where whether also too as well just very
    quite rather really again however how why
    person persons people pedestrian pedestrians individual individuals
    wear wears wearing wore dressed clad clothed putting puts
"""
VACUOUS_WORDS = frozenset(_LISTED.split())  # the list, lower-cased


def vacuous_table(texts: Sequence[str], continues: Sequence[bool] | None = None) -> NDArray[np.bool_]:
    """True for ids whose lower-cased text is an empty word. Shape: (vocabulary,). `continues` is True for pieces that
    go on with a word, which are no words; None where that is not known."""
    listed = np.array([text in VACUOUS_WORDS for text in texts], dtype=np.bool_)
    return listed if continues is None else listed & ~np.asarray(continues, dtype=np.bool_)
