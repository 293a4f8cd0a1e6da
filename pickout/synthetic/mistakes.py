"""How the writer of a caption errs: a near colour, a vague word, something left out, left for right."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from pickout.config import Settings
from pickout.synthetic.attributes import Shade
from pickout.synthetic.colours import COLOURS, HAIR_COLOURS, nearest_colour
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


def _mistaken(shade: Shade, rank: int, *, hair: bool) -> Shade:
    near = nearest_colour(shade.rgb, HAIR_COLOURS if hair else COLOURS)
    return Shade([name for name in near if name != shade.name][rank], shade.rgb)
