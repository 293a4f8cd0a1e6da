"""What happens to a caption before it is cut into pieces, with the way back to its own characters."""

import html
import re
from dataclasses import dataclass, replace
from typing import Literal

_SURROGATE = re.compile("[\ud800-\udfff]")
_QUOTE = re.compile(r"(?<![^\W_])'(?=(?:[stmd]|re|ve|ll)[^\W_]|t\b)", re.IGNORECASE)
"""A single quote before a word that begins like one of CLIP's endings ('s, 't, 're, 've, 'm, 'll, 'd) and goes on."""
_ENTITY = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")


Cleaning = Literal["none", "albef"]
"""`none`: only what no tokenizer can read is mended; `albef`: captions are rewritten as ALBEF, RaSa and AGA do."""

_DELETED = frozenset(",.'!?\"()*#:;~")
_SPACED = frozenset("-/")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cleaned caption."""

    text: str  # the text to cut into pieces
    # for each character of `text` its position in the caption; None when every character kept its place
    origins: tuple[int, ...] | None = None

    def origin(self, position: int) -> int:
        """Where the character at `position` of `text` stands in the caption."""
        return position if self.origins is None else self.origins[position]


def clean(caption: str, *, entities: bool) -> Cleaned:
    """Make a caption fit for a tokenizer: lone surrogates become U+FFFD."""
    cleaned = Cleaned(_SURROGATE.sub("\ufffd", caption))
    for _ in range(2 if entities else 0):
        cleaned = _resolve(cleaned)
    # Differs from the paper: CLIP leaves the quote, and so misreads the quoted word in training and in queries alike.
    return replace(cleaned, text=_QUOTE.sub(" ", cleaned.text)) if entities else cleaned


def _resolve(cleaned: Cleaned) -> Cleaned:
    text = cleaned.text
    if "&" not in text or html.unescape(text) == text:
        return cleaned
    parts: list[str] = []
    origins: list[int] = []
    done = 0
    for match in _ENTITY.finditer(text):
        kept, resolved = text[done : match.start()], html.unescape(match.group())
        parts += [kept, resolved]
        origins += [*range(done, match.start()), *[match.start()] * len(resolved)]
        done = match.end()
    parts.append(text[done:])
    origins += range(done, len(text))
    return Cleaned("".join(parts), tuple(cleaned.origin(position) for position in origins))


def clean_as_albef(caption: str, words: int | None) -> Cleaned:
    """Lower-case, drop punctuation, split "-" and "/", and keep the first words (ALBEF; RaSa and AGA train with it)."""
    letters = [
        (small, place)
        for place, letter in enumerate(_SURROGATE.sub("\ufffd", caption))
        for small in letter.lower()
        if small not in _DELETED
    ]
    letters = [(" " if letter in _SPACED else letter, place) for letter, place in letters]
    text = "".join(letter for letter, _ in letters)
    marked = {place + offset for place in _places(text, "<person>") for offset in (0, len("<person>") - 1)}
    letters = [pair for place, pair in enumerate(letters) if place not in marked]
    kept = _strip(_collapse(letters))
    if words is not None:
        blanks = [place for place, (letter, _) in enumerate(kept) if letter == " "]
        kept = kept[: blanks[words - 1]] if len(blanks) >= words else kept
    return Cleaned("".join(letter for letter, _ in kept), tuple(place for _, place in kept))


def _places(text: str, part: str) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(part), text)]


def _collapse(letters: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Runs of two or more blanks as one space; a single tab stays."""
    kept: list[tuple[str, int]] = []
    for letter, place in letters:
        if letter.isspace() and kept and kept[-1][0].isspace():
            kept[-1] = (" ", kept[-1][1])
        else:
            kept.append((letter, place))
    return kept


def _strip(letters: list[tuple[str, int]]) -> list[tuple[str, int]]:
    solid = [place for place, (letter, _) in enumerate(letters) if not letter.isspace()]
    return letters[solid[0] : solid[-1] + 1] if solid else []
