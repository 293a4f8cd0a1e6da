"""English words that say nothing of how somebody looks, to tell how much masking is wasted on them (AGA, table I).

AGA counts "vacuous words" without a list ("with" is one, it says, and "without" is none); that in `vacuous_words.toml`,
which says what is in it, is ours and fixed, so that shares compare across runs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pickout.files import packaged_table

VACUOUS_WORDS = frozenset(" ".join(packaged_table("pickout.saliency", "vacuous_words.toml").values()).split())


def vacuous_table(texts: Sequence[str], continues: Sequence[bool] | None = None) -> NDArray[np.bool_]:
    """True for ids of empty words by lower-cased texts, no pieces that continue a word. Shape: (vocabulary,)."""
    listed = np.array([text in VACUOUS_WORDS for text in texts], dtype=np.bool_)
    return listed if continues is None else listed & ~np.asarray(continues, dtype=np.bool_)
