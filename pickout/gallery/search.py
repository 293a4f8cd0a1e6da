"""From a sentence's vector to ranked rows: filter first, then search exactly."""

import unicodedata

import numpy as np
from numpy.typing import NDArray

from pickout.errors import UsageError
from pickout.gallery.exact import exact_top
from pickout.gallery.rows import Resident
from pickout.gallery.where import Where, allowed, check_where

LONGEST_SENTENCE = 10_000
"""Characters; a description of a person needs no more, and a model reads far fewer."""


def clean_sentence(sentence: str) -> str:
    """`sentence` on one line, blanks collapsed.

    Raises:
        UsageError: it holds no letter or digit, is far too long, or is no Unicode text.
    """
    try:
        sentence.encode()
    except UnicodeEncodeError:
        raise UsageError("the sentence is not valid Unicode text") from None
    words = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in sentence).split()
    if not words:
        raise UsageError("the sentence is empty; describe the person, for example 'a woman in a teal jacket'")
    if len(sentence) > LONGEST_SENTENCE:
        raise UsageError(
            f"the sentence has {len(sentence)} characters; describe the person in at most {LONGEST_SENTENCE}"
        )
    clean = " ".join(words)
    if not any(letter.isalnum() for letter in clean):
        raise UsageError(f"'{clean[:40]}' holds no word; describe the person, for example 'a woman in a teal jacket'")
    return clean


def ranked(resident: Resident, query_D: NDArray[np.float32], *, top: int, where: Where) -> list[tuple[str, float]]:
    """Ids and scores of the `top` best rows that pass the filters, best first; equal scores by path.

    Raises:
        UsageError: a filter names what no crop has.
    """
    check_where(where, resident)
    positions, scores = exact_top(
        resident.vectors, query_D, top=top, order_N=resident.order, allowed_N=allowed(where, resident)
    )
    return [(resident.ids[position].decode(), float(score)) for position, score in zip(positions, scores, strict=True)]
