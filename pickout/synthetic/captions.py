"""Sentences about a drawn person, in the tone of those that people wrote for CUHK-PEDES and RSTPReid."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from pickout.config import Settings
from pickout.synthetic.attributes import Person, View
from pickout.synthetic.cameras import NEUTRAL_CAMERA
from pickout.synthetic.lexicon import LEXICON, Pen
from pickout.synthetic.mistakes import MistakeSettings, misspelt, with_mistakes
from pickout.synthetic.people import sample_person
from pickout.synthetic.sentences import compose, pronouns, take_notes
from pickout.synthetic.views import sample_view
from pickout.synthetic.visible import GARMENTS, Item, visible_items

SHORTEST, LONGEST = 15, 45
"""Words of a caption, both ends included."""

_ATTEMPTS = 40


class CaptionSettings(Settings):
    """How many sentences an image gets, and how often their writer errs."""

    per_image: int = Field(default=2, ge=1, le=10)
    """Captions of each image, all different."""
    queries: int = Field(default=4, ge=0, le=20)
    """Short queries about each image, as users type them, in a file of their own."""
    plain: float = Field(default=0.0, ge=0, le=1)
    """The share of writers who only use the plainest words: "blue", "jacket"."""
    mistakes: MistakeSettings = MistakeSettings()
    """How often the writer errs."""


def describe(
    person: Person,
    view: View,
    generator: np.random.Generator,
    settings: CaptionSettings | None = None,
    shares: Mapping[str, float] | None = None,
) -> str:
    """One caption of 15 to 45 words about what the picture shows. It never names the skin.

    Args:
        person: who it is.
        view: how the picture shows the person.
        generator: all chance comes from it.
        settings: how often the writer errs; None takes the defaults.
        shares: the share of the crop that each slot of `visible.Item` covers, from the part mask; None goes by the
            view alone.
    """
    settings = settings or CaptionSettings()
    pen = Pen(generator, settings.plain)
    seen = visible_items(person, view, shares)
    mistakes = settings.mistakes
    items = with_mistakes(seen, generator, mistakes)
    main = [item for item in items if item.slot in GARMENTS]
    others = pen.shuffled([item for item in items if item.slot not in GARMENTS])
    chosen = main + others
    count = len(main) + int(generator.integers(len(others) + 1))
    endings = 0
    for _ in range(_ATTEMPTS):
        told = _in_order(chosen[: max(count, 1)], items)
        caption = _written(person, view, told, endings, pen)
        words = len(caption.split())
        if SHORTEST <= words <= LONGEST:
            return misspelt(caption, pen, mistakes.spelling)
        if words > LONGEST:
            count, endings = max(1, min(count, len(chosen)) - 1), 0
        elif count < len(chosen):
            count += 1
        else:
            endings += 1
    return _plainly(person, view, chosen[0], pen)


def describe_image(
    person: Person,
    view: View,
    generator: np.random.Generator,
    settings: CaptionSettings,
    shares: Mapping[str, float] | None = None,
) -> list[str]:
    """`settings.per_image` captions of one image, all different; arguments as for `describe`."""
    captions: list[str] = []
    while len(captions) < settings.per_image:
        caption = describe(person, view, generator, settings, shares)
        if caption not in captions:
            captions.append(caption)
    return captions


def tokens(caption: str) -> list[str]:
    """The caption's words in lower case without punctuation, as `processed_tokens` of CUHK-PEDES has them."""
    return re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", caption.lower())


def _in_order(chosen: Sequence[Item], items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item in chosen]


def _written(person: Person, view: View, items: Sequence[Item], endings: int, pen: Pen) -> str:
    text = compose(take_notes(person, view, items, pen), pen)
    tail = " ".join(pen.shuffled(LEXICON["said"]["endings"])[:endings])
    return pronouns(f"{text} {tail}".strip(), person.sex)


def _plainly(person: Person, view: View, item: Item, pen: Pen) -> str:
    """The last resort: one thing, then as many fillers as the budget asks for."""
    notes = take_notes(person, view, [item], pen)
    thing = (*notes.clothes, *notes.looks, *(hold.split(" ", 1)[1] for hold in notes.holds))[0]
    text = f"The {notes.noun} has {thing}."
    for ending in LEXICON["said"]["endings"]:
        if len(text.split()) >= SHORTEST:
            break
        text += f" {ending}"
    return pronouns(text, person.sex)


def drawn_sentences(count: int, *, seed: int) -> list[str]:
    """One caption for each of `count` random people, as if each had been drawn."""
    sentences = []
    for number in range(count):
        generator = np.random.default_rng([seed, number])
        person = sample_person(generator)
        sentences.append(describe(person, sample_view(generator, person, NEUTRAL_CAMERA), generator))
    return sentences
