"""What happens to a caption before it is cut into pieces, with the way back to its own characters."""

import html
import re
from dataclasses import dataclass

_SURROGATE = re.compile("[\ud800-\udfff]")
_ENTITY = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cleaned caption.

    Args:
        text: the text to cut into pieces.
        origins: for each character of `text` its position in the caption; None when every character kept its place.
    """

    text: str
    origins: tuple[int, ...] | None = None

    def origin(self, position: int) -> int:
        """Where the character at `position` of `text` stands in the caption."""
        return position if self.origins is None else self.origins[position]


def clean(caption: str, *, entities: bool) -> Cleaned:
    """Make a caption fit for a tokenizer: lone surrogates become U+FFFD.

    Args:
        caption: any string.
        entities: whether HTML entities are resolved, twice, as CLIP does ("&amp;lt;" is "<").
    """
    cleaned = Cleaned(_SURROGATE.sub("\ufffd", caption))
    for _ in range(2 if entities else 0):
        cleaned = _resolve(cleaned)
    return cleaned


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
