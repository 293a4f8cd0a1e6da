"""What happens to a caption before it is cut into pieces, with the way back to its own characters."""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

_SURROGATE = re.compile("[\ud800-\udfff]")
_QUOTE = re.compile(r"(?<![^\W_])'(?=(?:[stmd]|re|ve|ll)[^\W_]|t\b)", re.IGNORECASE)
"""A single quote before a word that begins like one of CLIP's endings ('s, 't, 're, 've, 'm, 'll, 'd) and goes on."""
_ENTITY = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")

Cleaning = Literal["none", "albef"]
"""`none`: only what no tokenizer can read is mended; `albef`: captions are rewritten as ALBEF, RaSa and AGA do."""
_ALBEF: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(r"[^\0-@\[-\x7f]"), str.lower),  # capitals, and all that is not ASCII
    (re.compile(r"[,.'!?\"()*#:;~]"), lambda _: ""),
    (re.compile(r"[-/]"), lambda _: " "),
    (re.compile(r"<(?=person>)|(?<=<person)>"), lambda _: ""),
    (re.compile(r"\s{2,}"), lambda _: " "),  # a single tab stays
    (re.compile(r"\A\s+|\s+\Z"), lambda _: ""),
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cleaned caption."""

    text: str  # the text to cut into pieces
    origins: Sequence[int]  # for each character of `text` its position in the caption

    def changed(self, pattern: re.Pattern[str], change: Callable[[str], str]) -> "Cleaned":
        """The same with each match changed; what is put in stands where the match began."""
        parts, origins, done = [""], list[int](), 0
        for match in pattern.finditer(self.text):
            new = change(match[0])
            parts += [self.text[done : match.start()], new]
            origins += [*self.origins[done : match.start()], *[self.origins[match.start()]] * len(new)]
            done = match.end()
        text = "".join([*parts, self.text[done:]])
        return self if text == self.text else Cleaned(text, [*origins, *self.origins[done:]])


def clean(caption: str, *, entities: bool) -> Cleaned:
    """Make any string fit for a tokenizer: lone surrogates become U+FFFD. `entities`, for byte pairs: HTML entities are
    resolved, twice, as CLIP does ("&amp;lt;" is "<"), and a single quote whose word CLIP's rule would take for an
    English ending is a blank: it cuts 'red' into 're and d."""
    cleaned = Cleaned(_SURROGATE.sub("\ufffd", caption), range(len(caption)))
    if not entities:
        return cleaned
    cleaned = cleaned.changed(_ENTITY, html.unescape).changed(_ENTITY, html.unescape)
    # Differs from the paper: CLIP leaves the quote, and so misreads the quoted word in training and in queries alike.
    return replace(cleaned, text=_QUOTE.sub(" ", cleaned.text))


def clean_as_albef(caption: str, words: int | None) -> Cleaned:
    """Lower-case, drop punctuation, split "-" and "/", keep the first `words` or all (ALBEF; RaSa and AGA train so)."""
    cleaned = Cleaned(_SURROGATE.sub("\ufffd", caption), range(len(caption)))
    for pattern, change in _ALBEF:
        cleaned = cleaned.changed(pattern, change)
    kept = len(" ".join(cleaned.text.split(" ")[:words]))
    return Cleaned(cleaned.text[:kept], cleaned.origins[:kept])
