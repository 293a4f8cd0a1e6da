"""How the writer of a caption errs: a near colour, a vague word, something left out, left for right."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from pickout.config import Settings
from pickout.synthetic.attributes import Shade
from pickout.synthetic.colours import COLOURS, HAIR_COLOURS, nearest_colour
from pickout.synthetic.lexicon import LEXICON, Pen
from pickout.synthetic.visible import GARMENTS, Item


class MistakeSettings(Settings):
    """How often a writer errs. Each rate is for one thing that the caption could name, 0 never to 1 always."""

    colour: float = Field(default=0.05, ge=0, le=1)
    """A colour is taken for one of the two nearest to it."""
    vague: float = Field(default=0.07, ge=0, le=1)
    """A thing gets a vague word: "top" for "polo shirt", "dark" for "maroon", its details untold."""
    omission: float = Field(default=0.08, ge=0, le=1)
    """A thing in plain sight is left out."""
    side: float = Field(default=0.04, ge=0, le=1)
    """Left is taken for right."""
    spelling: float = Field(default=0.012, ge=0, le=1)
    """A word is misspelt; this rate is for each word of five letters or more, or known to be misspelt often."""


def with_mistakes(items: Sequence[Item], generator: np.random.Generator, settings: MistakeSettings) -> list[Item]:
    """The items as a hurried writer takes them in. One garment remains, where there is one.

    Args:
        items: what the picture shows.
        generator: drawn from equally often for each item, whatever the rates.
        settings: the rates.
    """
    taken = []
    for item in items:
        omitted, wrong, vague, mirrored = generator.random(4)
        rank = int(generator.integers(2))
        if omitted < settings.omission:
            continue
        if wrong < settings.colour and item.colour is not None:
            item = replace(item, colour=_mistaken(item.colour, rank, hair=item.slot in ("hair", "beard")))
        if vague < settings.vague:
            item = replace(item, vague=True)
        if mirrored < settings.side and item.side:
            item = replace(item, side="left" if item.side == "right" else "right")
        taken.append(item)
    if any(item.slot in GARMENTS for item in taken):
        return taken
    return [*[item for item in items if item.slot in GARMENTS][:1], *taken]


def misspelt(text: str, pen: Pen, rate: float) -> str:
    """`text` with some words misspelt: as people often do, else a letter lost, doubled or swapped inside the word."""

    def written(match: re.Match[str]) -> str:
        word = match[0]
        if not pen.chance(rate):
            return word
        known = LEXICON["misspelt"].get(word.lower())
        if known is not None and pen.chance(0.6):
            wrong = pen.pick(known)
            return wrong.capitalize() if word[0].isupper() else wrong
        if len(word) < 5:
            return word
        # The first and the last letter stay: so people err, and "a" before a vowel stays "an".
        place = pen.pick(range(1, len(word) - 2))
        one, two = word[place], word[place + 1]
        return word[:place] + pen.pick((two, one + one + two, two + one, one + pen.pick("aeiou"))) + word[place + 2 :]

    return re.sub(r"(?<![{\w'-])[A-Za-z]{3,}(?![}\w'-])", written, text)


def _mistaken(shade: Shade, rank: int, *, hair: bool) -> Shade:
    near = nearest_colour(shade.rgb, HAIR_COLOURS if hair else COLOURS)
    return Shade([name for name in near if name != shade.name][rank], shade.rgb)
