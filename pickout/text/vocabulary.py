"""What a tokenizer's ids stand for, for methods that hide, propose or group pieces."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_NO_WORD = re.compile(r"\[(?:UNK|unused\d+|PAD|CLS|SEP|MASK)\]|<\|.*\|>")
"""Entries of a vocabulary that stand for no text."""
BLANK = "\u0120"  # how byte-level pieces spell the blank before a word


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids that stand for no text."""

    padding: int  # fills the row behind the caption
    start: int  # opens every row
    end: int | None  # closes every row; None for a tokenizer without closing token (AGA's use of BERT's)
    mask: int  # stands for a hidden piece

    def ids(self) -> tuple[int, ...]:
        """The special ids in ascending order."""
        ends = () if self.end is None else (self.end,)
        return tuple(sorted({self.padding, self.start, self.mask, *ends}))


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Every id of a tokenizer. Shape of the arrays: (ids,)."""

    special: SpecialTokens
    texts: tuple[str, ...]  # lower-cased, without marks of the vocabulary; empty for special entries
    proposable: NDArray[np.bool_]  # True for ids that may stand in a caption: no special, unknown or unused entry
    # True for pieces that go on with the word of the piece before; None where the spelling does not tell (CLIP)
    continues: NDArray[np.bool_] | None
    # True for pieces that are a word by themselves, and not the start of one or a mark; None where that is not known
    # (CLIP; a vocabulary that was learnt before it was kept)
    whole_words: NDArray[np.bool_] | None

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.texts)


def ids_fault(vocabulary: Mapping[str, int], special: SpecialTokens) -> str:
    """What keeps entries of whatever a file holds from having ids from 0 on without a gap; empty where nothing does."""
    if sorted(vocabulary.values(), key=repr) != sorted(range(len(vocabulary)), key=repr):
        return f"the ids of its {len(vocabulary):,} entries do not go from 0 to {len(vocabulary) - 1:,} without a gap"
    wrong = [number for number in special.ids() if type(number) is not int or not 0 <= number < len(vocabulary)]
    return f"the special id {wrong[0]!r} is none of its {len(vocabulary):,} entries" if wrong else ""


def read_vocabulary(
    kind: str, entries: tuple[str, ...], special: SpecialTokens, seen_whole: frozenset[int] | None = None
) -> Vocabulary:
    """The vocabulary of a tokenizer, from each id's piece as it is spelt.

    `seen_whole` are ids that were a whole word in the captions that a `trained` vocabulary was learnt from: its byte
    pairs alone do not tell "jacket" from "jack", which is only on the way to it.
    """
    none = np.array([_NO_WORD.fullmatch(entry) is not None for entry in entries], dtype=np.bool_)
    none[list(special.ids())] = True
    wordpiece = kind == "wordpiece"
    marked = np.array([entry.startswith("##") if wordpiece else not entry.startswith(BLANK) for entry in entries])
    texts = [entry.removeprefix("##") if wordpiece else _plain(entry) for entry in entries]
    shown = tuple("" if hidden else text.lower() for text, hidden in zip(texts, none, strict=True))
    whole = None
    if wordpiece or (kind == "trained" and seen_whole is not None):
        # In BERT's spelling every entry without ## is a word of its own, or a letter or mark.
        alone = [text.isalnum() and (wordpiece or n in (seen_whole or ())) for n, text in enumerate(shown)]
        whole = np.array(alone, np.bool_) & ~marked
    return Vocabulary(special, shown, ~none, None if kind == "clip" else marked & ~none, whole)


def _plain(entry: str) -> str:
    """A byte-level piece as text; bytes that are no whole letter become U+FFFD."""
    pieces = (bytes([byte_letters()[c]]) if c in byte_letters() else c.encode() for c in entry.removesuffix("</w>"))
    return b"".join(pieces).decode("utf-8", errors="replace").strip()


@lru_cache(maxsize=1)
def byte_letters() -> dict[str, int]:
    """The letter that stands for each byte in byte-level vocabularies (GPT-2, CLIP), in their order: printable bytes as
    they are, the rest in order from U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [value for value in range(256) if value not in printable]
    return {chr(value): value for value in printable} | {chr(256 + n): value for n, value in enumerate(rest)}
