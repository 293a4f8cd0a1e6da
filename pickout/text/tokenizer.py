"""From a caption to token ids and back, with the words that the pieces form."""

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from tokenizers import Tokenizer as Backend
from tokenizers import decoders

from pickout.config import Settings, parse_settings
from pickout.errors import CheckpointError
from pickout.text.cleaning import Cleaned, Cleaning, clean, clean_as_albef

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
        return tuple(sorted({number for number in astuple(self) if number is not None}))


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


def read_vocabulary(
    kind: str, entries: tuple[str, ...], special: SpecialTokens, seen_whole: frozenset[int] | None = None
) -> Vocabulary:
    """The vocabulary of a tokenizer, from each id's piece as it is spelt. `seen_whole` are ids that were a whole word
    in the captions that a `trained` vocabulary was learnt from: its byte pairs alone do not tell "jacket" from "jack",
    which is only on the way to it."""
    none = np.array([_NO_WORD.fullmatch(entry) is not None for entry in entries], dtype=np.bool_)
    none[list(special.ids())] = True
    wordpiece, letters = kind == "wordpiece", decoders.ByteLevel()
    marked = np.array([entry.startswith("##") if wordpiece else not entry.startswith(BLANK) for entry in entries])
    if wordpiece:
        texts = [entry.removeprefix("##") for entry in entries]
    else:
        texts = [letters.decode([entry.removesuffix("</w>")]).strip() for entry in entries]  # U+FFFD for half a letter
    shown = tuple("" if hidden else text.lower() for text, hidden in zip(texts, none, strict=True))
    whole = None
    if wordpiece or (kind == "trained" and seen_whole is not None):
        # In BERT's spelling every entry without ## is a word of its own, or a letter or mark.
        alone = [text.isalnum() and (wordpiece or n in (seen_whole or ())) for n, text in enumerate(shown)]
        whole = np.array(alone, np.bool_) & ~marked
    return Vocabulary(special, shown, ~none, None if kind == "clip" else marked & ~none, whole)


FORMAT = 1  # version of the text that `Tokenizer.to_json` writes

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|(?:[^\w\s]|_)+")
# Below this many captions one thread is faster, and no thread pool is left behind for a later fork.
_FEW = 64

SMALLEST = 256 + 4  # the least size of a trained vocabulary: an entry for each byte and four special ones
LARGEST = 1_000_000  # the most entries of a trained vocabulary
LONGEST = 10_000
"""The most tokens of a row: far above any model's, and below what a slip or a hostile file may take in memory."""


class TokenizerSettings(Settings):
    """How captions become tokens."""

    kind: Literal["clip", "wordpiece", "trained"] = "clip"
    """CLIP's byte pairs, BERT's word pieces, or byte pairs learnt from the training captions."""
    file: Path | None = None
    """The vocabulary: bpe_simple_vocab_16e6.txt.gz for clip, vocab.txt for wordpiece, none for trained."""
    context: int = Field(default=77, ge=4, le=LONGEST)  # tokens in a row, start and end included (CLIP: 77)
    vocabulary_size: int = Field(default=2000, ge=SMALLEST, le=LARGEST)
    """The most entries of a trained vocabulary; the other kinds take what their file holds."""
    closing: bool = True
    """Whether an end token closes a row of a wordpiece or trained tokenizer (ALBEF, RaSa and AGA: no)."""
    cleaning: Cleaning = "none"
    """What happens to a caption first; `albef` lower-cases it and drops punctuation (ALBEF, RaSa and AGA)."""
    words: int | None = Field(default=None, ge=1)  # words kept by `albef` cleaning (RaSa, AGA: 50); none: all


@dataclass(frozen=True, slots=True)
class Word:
    """A word or a run of punctuation of a caption."""

    text: str  # as the caption spells it
    start: int  # first character in the caption
    stop: int  # one behind the last character
    positions: tuple[int, ...]  # where its pieces stand in the encoded row; empty when the context cut the word off

    @property
    def spoken(self) -> bool:
        """Whether it is a word or a number, not punctuation."""
        return self.text[0].isalnum()


class Tokenizer:
    """Captions to rows of ids: start, pieces, end, padding. Use the constructors of this package to make one. No
    caption can produce a special id: specials written out in a caption are ordinary text. `backend` cuts text into
    pieces, without special tokens; `seen` is `seen_whole` of `read_vocabulary`."""

    def __init__(
        self, settings: TokenizerSettings, backend: Backend, special: SpecialTokens, seen: frozenset[int] | None = None
    ) -> None:
        self.kind, self.context, self.cleaning = settings.kind, settings.context, settings.cleaning
        self.special, self.seen_whole = special, seen
        self._backend, self._longest = backend, settings.words
        self._room = self.context - (1 if special.end is None else 2)

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are, special ones included."""
        return int(self._backend.get_vocab_size(with_added_tokens=False))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What each id stands for."""
        entries = [""] * self.vocabulary_size
        for entry, number in self._backend.get_vocab(with_added_tokens=False).items():
            entries[number] = entry
        return read_vocabulary(self.kind, tuple(entries), self.special, self.seen_whole)

    def encode(self, captions: Sequence[str]) -> NDArray[np.int64]:
        """Ids of any strings, padded or cut to the context, the end token kept. Shape: (captions, context)."""
        rows = np.full((len(captions), self.context), self.special.padding, dtype=np.int64)
        texts = [self._clean(caption).text for caption in captions]
        if len(texts) < _FEW:
            encodings = [self._backend.encode(text, add_special_tokens=False) for text in texts]
        else:
            encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        for row, encoding in zip(rows, encodings, strict=True):
            ids = encoding.ids[: self._room]
            row[0] = self.special.start
            row[1 : 1 + len(ids)] = ids
            if self.special.end is not None:
                row[1 + len(ids)] = self.special.end
        return rows

    def mask(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """True where a token of `ids` is not padding. Both of shape (captions, context)."""
        # CLIP's padding id is also a piece, so the end token decides.
        if self.special.end is None:
            return np.not_equal(ids, self.special.padding)
        last = (ids == self.special.end).argmax(axis=1)
        inside: NDArray[np.bool_] = np.less_equal(np.arange(ids.shape[1])[None, :], last[:, None])
        return inside

    def pieces(self, caption: str) -> list[str]:
        """The caption's pieces as the vocabulary spells them, without special tokens and cut to the context."""
        text = self._clean(caption).text
        return list(self._backend.encode(text, add_special_tokens=False).tokens[: self._room])

    def words(self, caption: str) -> list[Word]:
        """The caption's words in order, each with the token positions of its pieces. Words do not depend on the
        vocabulary: runs of letters and digits with inner apostrophes ("he's"), and runs of punctuation. A word that the
        tokenizer drops altogether (control characters) is left out."""
        cleaned = self._clean(caption)
        offsets = self._backend.encode(cleaned.text, add_special_tokens=False).offsets
        firsts = [cleaned.origins[start] for start, _ in offsets]
        matches = list(WORD.finditer(caption))
        begins = [bisect_left(firsts, place) for place in (*(match.start() for match in matches), len(caption))]
        words = []
        for match, (begun, ended) in zip(matches, pairwise(begins), strict=True):
            if ended > begun:
                positions = range(1 + begun, 1 + min(ended, self._room))
                words.append(Word(match[0], *match.span(), tuple(positions)))
        return words

    def decode(self, ids: Sequence[int] | NDArray[np.int64]) -> str:
        """Text of one row: special tokens dropped, a hidden piece shown as `<mask>`. Case and spacing are lost."""
        parts: list[str] = []
        run: list[int] = []
        for token in (int(value) for value in ids):
            if token == self.special.end:
                break
            if token == self.special.mask:
                parts += [self._backend.decode(run), "<mask>"]
                run = []
            elif token not in (self.special.start, self.special.padding):
                run.append(token)
        parts.append(self._backend.decode(run))
        return " ".join(part.strip() for part in parts if part.strip())

    def _clean(self, caption: str) -> Cleaned:
        if self.cleaning == "albef":
            return clean_as_albef(caption, self._longest)
        return clean(caption, entities=self.kind != "wordpiece")

    def to_json(self) -> str:
        """Everything that is needed to build the same tokenizer again, as one JSON text."""
        content: dict[str, Any] = {
            "pickout_tokenizer": FORMAT,
            "kind": self.kind,
            "context": self.context,
            "special": asdict(self.special),
            "backend": json.loads(self._backend.to_str()),
        }
        if self.cleaning != "none":
            content |= {"cleaning": self.cleaning, "words": self._longest}
        if self.seen_whole is not None:
            content["seen_whole"] = sorted(self.seen_whole)
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, source: str = "tokenizer.json") -> "Tokenizer":
        """The tokenizer that `to_json` described; a CheckpointError, which names `source`, where it is damaged."""
        try:
            content: Any = json.loads(text)
            if content["pickout_tokenizer"] != FORMAT:
                raise CheckpointError(f"{source}: tokenizer format {content['pickout_tokenizer']}, not {FORMAT}")
            described, special = content["backend"], SpecialTokens(**content["special"])
            ids, size, fault = described["model"]["vocab"].values(), len(described["model"]["vocab"]), ""
            # The library takes memory by the largest id, and ends the process where it gets none.
            if sorted(ids, key=repr) != sorted(range(size), key=repr):
                fault = f"the ids of its {size:,} entries do not go from 0 to {size - 1:,} without a gap"
            elif wrong := [number for number in special.ids() if type(number) is not int or not 0 <= number < size]:
                fault = f"the special id {wrong[0]!r} is none of its {size:,} entries"
            if described.get("added_tokens") or described.get("padding") or described.get("truncation"):
                fault = "it adds, pads or cuts tokens by itself, as none of ours does"
            if fault:
                raise CheckpointError(f"{source}: not a Pickout tokenizer: {fault}; restore the file")
            told = {name: content[name] for name in ("cleaning", "words") if name in content}
            told |= {"kind": content["kind"], "context": content["context"]}
            settings = parse_settings(TokenizerSettings, told, source=source)
            seen = frozenset(content["seen_whole"]) if "seen_whole" in content else None
            return cls(settings, Backend.from_str(json.dumps(described)), special, seen)
        except CheckpointError:
            raise
        except Exception as error:  # The library raises bare Exception on a damaged model.
            raise CheckpointError(f"{source}: not a Pickout tokenizer ({type(error).__name__}: {error})") from None
