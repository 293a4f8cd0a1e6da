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

from pickout.files import packaged_text

VACUOUS_WORDS = frozenset(packaged_text("pickout.saliency", "vacuous_words.txt").split())  # the list, lower-cased


def vacuous_table(texts: Sequence[str], continues: Sequence[bool] | None = None) -> NDArray[np.bool_]:
    """True for ids whose lower-cased text is an empty word. Shape: (vocabulary,). `continues` is True for pieces that
    go on with a word, which are no words; None where that is not known."""
    listed = np.array([text in VACUOUS_WORDS for text in texts], dtype=np.bool_)
    return listed if continues is None else listed & ~np.asarray(continues, dtype=np.bool_)
