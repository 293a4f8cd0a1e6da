"""English words that say nothing of how somebody looks, to tell how much masking is wasted on them (AGA, table I).

AGA counts "vacuous words" without a list; this one is ours and fixed, so that shares compare across runs. It holds
articles, auxiliaries, prepositions, pronouns (though some tell the sex) and connectives, words for just anybody
(person, pedestrian), and words that only announce clothes (wearing, dressed). Nouns and adjectives of sex, age, number,
side, posture and what is carried tell people apart and are not in it, nor are words that also describe clothes (down,
up, off). Spellings without apostrophe (shes) are what caption cleaning leaves.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pickout.shapes import Bool

_ARTICLES = "a an the this that these those some any each every both either neither no other another such same own"
_AUXILIARIES = """
    am is are was were be been being isnt arent wasnt has have had having hasnt do does did doing done doesnt dont
    can could may might must shall should will would cannot cant seem seems seemed appear appears appeared
"""
_PREPOSITIONS = """
    of in on at to from by with without within for about above across after against along among amongst around as before
    behind below beneath beside besides between beyond during except inside into like near onto out outside over past
    per since through throughout toward towards under underneath until upon via
"""
_PRONOUNS = """
    i me my mine we us our ours you your yours he him his she her hers it its they them their theirs himself herself
    itself themselves who whom whose which what someone somebody hes shes theyre thats there theres here
"""
_CONNECTIVES = """
    and or but nor so yet if then than because while whereas although though when where whether also too as well just
    only not very quite rather really again however how why
"""
_ANYBODY = "person persons people pedestrian pedestrians individual individuals"
_ANNOUNCING = "wear wears wearing wore worn dressed clad clothed putting puts"

VACUOUS_WORDS: frozenset[str] = frozenset(
    " ".join([_ARTICLES, _AUXILIARIES, _PREPOSITIONS, _PRONOUNS, _CONNECTIVES, _ANYBODY, _ANNOUNCING]).split()
)
"""The list, lower-cased."""


def vacuous_table(texts: Sequence[str], continues: Sequence[bool] | None = None) -> Bool[Tensor, " vocabulary"]:
    """True for ids that stand for an empty word.

    Args:
        texts: what each id stands for, lower-cased; empty for special entries.
        continues: True for pieces that go on with a word, which are no words; None where that is not known.
    """
    listed = torch.tensor([text in VACUOUS_WORDS for text in texts], dtype=torch.bool)
    if continues is None:
        return listed
    return listed & ~torch.as_tensor(continues, dtype=torch.bool)
