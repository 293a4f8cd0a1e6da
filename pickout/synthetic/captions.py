"""Captions and short queries about a drawn person, in the tone of those that people write, and how writers err."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from pickout.synthetic.attributes import GARMENTS, Item, Person, Shade, Shares, View, absent, visible_items
from pickout.synthetic.cameras import NEUTRAL_CAMERA
from pickout.synthetic.habits import COLOURS, HAIR_COLOURS, LEXICON, Pen, nearest_colour
from pickout.synthetic.people import sample_person, sample_view
from pickout.synthetic.phrases import article, brief, with_article
from pickout.synthetic.sentences import compose, lacking, pronouns
from pickout.synthetic.settings import CaptionSettings, MistakeSettings

SHORTEST, LONGEST = 15, 45  # words of a caption, both ends included
_JOINTS = (" and ", " and ", ", ", " & ", " with ")  # before the last of a query's things
_ASKED = ("hair", "headwear", "bag", "bag", "headwear", "carried", "glasses", "beard", "scarf", "shoes")
"""What a query may name beside garments; twice what people ask for most."""


def describe(
    person: Person,
    view: View,
    generator: Generator,
    mistakes: MistakeSettings | None = None,
    shares: Shares = None,
    named: str = "",
) -> str:
    """One caption of 15 to 45 words about what the picture shows. It never names the skin. All chance comes from
    `generator`; `mistakes` says how often the writer errs, None takes the defaults. The garment in the slot `named` is
    told, and rightly."""
    mistakes = mistakes or MistakeSettings()
    pen = Pen(generator, mistakes.plain)
    items = with_mistakes(visible_items(person, view, shares), generator, mistakes, named)
    main = sorted((item for item in items if item.slot in GARMENTS), key=lambda item: item.slot != named)
    others = pen.shuffled([item for item in items if item.slot not in GARMENTS])
    chosen = main + others
    count = len(main) + int(generator.integers(len(others) + 1))
    endings = 0
    while True:  # four rounds at most in 18,000 captions: one thing is short enough, with endings long enough
        text = compose(person, view, [item for item in items if item in chosen[: max(count, 1)]], pen)
        tail = " ".join(pen.shuffled(LEXICON["said"]["endings"])[:endings])
        caption = pronouns(f"{text} {tail}".strip(), person.sex)
        words = len(caption.split())
        if SHORTEST <= words <= LONGEST:
            return misspelt(caption, pen, mistakes.spelling)
        if words > LONGEST:
            count, endings = max(1, min(count, len(chosen)) - 1), 0
        elif count < len(chosen):
            count += 1
        else:
            endings += 1


def describe_image(
    person: Person, view: View, generator: Generator, settings: CaptionSettings, shares: Shares = None, named: str = ""
) -> list[str]:
    """`settings.per_image` captions of one image, all different; arguments as for `describe`."""
    captions: dict[str, None] = {}
    while len(captions) < settings.per_image:
        captions[describe(person, view, generator, settings.mistakes, shares, named)] = None
    return list(captions)


def drawn_sentences(count: int, *, seed: int) -> list[str]:
    """One caption for each of `count` random people, as if each had been drawn."""
    sentences = []
    for number in range(count):
        generator = np.random.default_rng([seed, number])
        person = sample_person(generator)
        sentences.append(describe(person, sample_view(generator, person, NEUTRAL_CAMERA), generator))
    return sentences


def tokens(caption: str) -> list[str]:
    """The caption's words in lower case without punctuation, as `processed_tokens` of CUHK-PEDES has them."""
    return re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", caption.lower())


def write_queries(
    person: Person, view: View, generator: Generator, settings: CaptionSettings, shares: Shares = None
) -> list[str]:
    """`settings.queries` short queries that this picture answers, perhaps some twice: "teal jacket", "man, no hat"."""
    written = []
    for _ in range(settings.queries):
        pen = Pen(generator, settings.mistakes.plain)
        items = with_mistakes(visible_items(person, view, shares), generator, settings.mistakes)
        text = pronouns(_query(person, view, items, pen), person.sex)
        # People mistype more where nobody reads it.
        text = misspelt(text, pen, min(1.0, 2.0 * settings.mistakes.spelling))
        written.append(text[0].upper() + text[1:] if pen.chance(0.2) else text)
    return written


def _query(person: Person, view: View, items: list[Item], pen: Pen) -> str:
    worn = [item for item in items if item.slot in GARMENTS]
    told = [item for slot in _ASKED for item in items if item.slot == slot]
    shown = pen.shuffled(worn)[: pen.pick((1, 1, 2, 2, 3))]
    extra = [pen.pick(told)] if told and pen.chance(0.45) else []
    if pen.chance(0.3):
        who = pen.pick(("person", "person", "someone", "individual") if person.age != "child" else ("child", "kid"))
    else:
        who = pen.word("people", f"{person.sex} {person.age}")
    form = pen.pick(("thing", "who", "who", "who", "keywords", "asked"))
    names = absent(person, view)
    if form == "thing":
        named = [pen.pick([*shown, *extra])] if pen.chance(0.6) else [*shown, *extra]
        return pen.listed([brief(item, pen) for item in named], _JOINTS, _JOINTS)
    if form == "keywords":
        words = [who, *(brief(item, pen) for item in (*shown, *extra))]
        words += lacking(names, pen) if names and pen.chance(0.1) else []
        return pen.pick((" ", ", ")).join(words)
    text = f"{who}{_clad(shown, extra, pen)}"
    if names and pen.chance(0.15):
        (lack,) = lacking(names, pen)
        text += pen.pick((", ", " and ", " ")) + lack
    start = "" if who == "someone" else pen.pick(("the ", f"{article(who)} "))
    if form == "asked":
        lead = pen.pick(("find", "show me", "looking for", "search for", "where is", "any", "i need", "get me"))
        return f"{lead} {'' if lead == 'any' else start}{text}"
    return pen.pick(("", start)) + text


def _clad(shown: list[Item], extra: list[Item], pen: Pen) -> str:
    """What "in a blue coat with a red bag" says: garments and what else is seen, each with an article or without."""
    bare = pen.chance(0.4)

    def phrase(item: Item) -> str:
        words = brief(item, pen)
        # "long hair" has no article, and a writer in a hurry leaves it away.
        return words if bare or item.slot in ("hair", "beard") else with_article([], words, [], pen)

    worn, seen = (pen.listed([*map(phrase, items)], _JOINTS, _JOINTS) for items in (shown, extra))
    text = f" {pen.pick(('in', 'in', 'wearing', 'with', 'wears', 'dressed in'))} {worn}" if worn else ""
    if not seen:
        return text
    joint = " and" if text.startswith(" with") else pen.pick((" with", " with", " and", " has", ","))
    return f" with {seen}{text}" if text and pen.chance(0.3) else f"{text}{joint if text else ' with'} {seen}"


def with_mistakes(
    items: Sequence[Item], generator: Generator, settings: MistakeSettings, named: str = ""
) -> list[Item]:
    """The items as a hurried writer takes them in, but for the one in the slot `named`, which stays as it is. One
    garment remains, where there is one. The generator is drawn from equally often for each item, whatever the rates."""
    taken = []
    for item in items:
        omitted, wrong, vague, mirrored = generator.random(4)
        rank = int(generator.integers(2))
        if item.slot != named:
            if omitted < settings.omission:
                continue
            if wrong < settings.colour and item.colour is not None:
                near = nearest_colour(item.colour.rgb, HAIR_COLOURS if item.slot in ("hair", "beard") else COLOURS)
                near.remove(item.colour.name)
                item = replace(item, colour=Shade(near[rank], item.colour.rgb))
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
