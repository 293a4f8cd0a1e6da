"""Short queries about one picture, as users type them: "teal jacket", "woman with backpack", "man in black, no hat"."""

from collections.abc import Mapping

import numpy as np

from pickout.synthetic.attributes import Person, View
from pickout.synthetic.captions import CaptionSettings
from pickout.synthetic.lexicon import Pen
from pickout.synthetic.mistakes import misspelt, with_mistakes
from pickout.synthetic.phrases import brief, with_article
from pickout.synthetic.sentences import pronouns
from pickout.synthetic.visible import GARMENTS, Item, absent, visible_items

_TOLD = ("hair", "headwear", "bag", "bag", "headwear", "carried", "glasses", "beard", "scarf", "shoes")
"""What a query may name beside garments; twice what people ask for most."""


def write_queries(
    person: Person,
    view: View,
    generator: np.random.Generator,
    settings: CaptionSettings,
    shares: Mapping[str, float] | None = None,
) -> list[str]:
    """`settings.queries` short queries that this picture answers; they may repeat. Arguments as for `captions.describe`."""
    written = []
    for _ in range(settings.queries):
        pen = Pen(generator, settings.plain)
        items = with_mistakes(visible_items(person, view, shares), generator, settings.mistakes)
        text = pronouns(_query(person, view, items, pen), person.sex)
        # People mistype more where nobody reads it.
        text = misspelt(text, pen, min(1.0, 2.0 * settings.mistakes.spelling))
        written.append(text[0].upper() + text[1:] if pen.chance(0.2) else text)
    return written


def _query(person: Person, view: View, items: list[Item], pen: Pen) -> str:
    worn = [item for item in items if item.slot in GARMENTS]
    told = [item for slot in _TOLD for item in items if item.slot == slot and slot not in ("upper", "lower")]
    shown = pen.shuffled(worn)[: pen.pick((1, 1, 2, 2, 3))]
    extra = [pen.pick(told)] if told and pen.chance(0.45) else []
    who = _who(person, pen)
    form = pen.pick(("thing", "who", "who", "who", "keywords", "asked"))
    if form == "thing":
        things = [brief(item, pen) for item in ([pen.pick([*shown, *extra])] if pen.chance(0.6) else [*shown, *extra])]
        return _joined(things, pen)
    if form == "keywords":
        words = [who, *(brief(item, pen) for item in (*shown, *extra)), *_lacking(person, view, pen, 0.1)]
        return pen.pick((" ", ", ")).join(words)
    text = f"{who}{_clad(shown, extra, pen)}"
    text += "".join(f"{pen.pick((', ', ' and ', ' '))}{lack}" for lack in _lacking(person, view, pen, 0.15))
    article = "" if who == "someone" else pen.pick(("the ", "an " if who[0] in "aeiou" else "a "))
    if form == "asked":
        lead = pen.pick(("find", "show me", "looking for", "search for", "where is", "any", "i need", "get me"))
        return f"{lead} {'' if lead == 'any' else article}{text}"
    return pen.pick(("", article)) + text


def _who(person: Person, pen: Pen) -> str:
    if pen.chance(0.3):
        return pen.pick(("person", "person", "someone", "individual") if person.age != "child" else ("child", "kid"))
    return pen.word("people", f"{person.sex} {person.age}")


def _clad(shown: list[Item], extra: list[Item], pen: Pen) -> str:
    """ " in a blue coat with a red bag": garments and what else is seen, each with an article or without."""
    bare = pen.chance(0.4)

    def phrase(item: Item) -> str:
        words = brief(item, pen)
        # "long hair" has no article, and a writer in a hurry leaves it away.
        return words if bare or item.slot in ("hair", "beard") else with_article([], words, [], pen)

    worn = _joined([phrase(item) for item in shown], pen)
    seen = _joined([phrase(item) for item in extra], pen)
    text = f" {pen.pick(('in', 'in', 'wearing', 'with', 'wears', 'dressed in'))} {worn}" if worn else ""
    if not seen:
        return text
    joint = " and" if text.startswith(" with") else pen.pick((" with", " with", " and", " has", ","))
    return f" with {seen}{text}" if text and pen.chance(0.3) else f"{text}{joint if text else ' with'} {seen}"


def _joined(things: list[str], pen: Pen) -> str:
    if len(things) < 2:
        return "".join(things)
    return ", ".join(things[:-1]) + pen.pick((" and ", " and ", ", ", " & ", " with ")) + things[-1]


def _lacking(person: Person, view: View, pen: Pen, probability: float) -> list[str]:
    names = absent(person, view)
    return [pen.say("lacks", pen.pick(names))] if names and pen.chance(probability) else []
