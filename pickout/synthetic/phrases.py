"""From a thing to a noun phrase: "a navy shirt without sleeves", "black trainers with white soles"."""

import re
from collections.abc import Sequence

from pickout.synthetic.attributes import Item
from pickout.synthetic.habits import LEXICON, Pen


def noun_phrase(item: Item, pen: Pen) -> str:
    """The thing with its article and what is said of it; `{his}` stands for the possessive."""
    if item.slot == "hair":
        return _hair(item, pen)
    noun = _noun(item, pen)
    if item.vague:
        colour = _colour(item, pen)
        return with_article([colour] if colour else [], noun, [], pen)
    before, after = _look(item, pen)
    extra_before, extra_after = _cut(item, pen, noun)
    order = [*extra_before, *before] if pen.chance(0.75) else [*before, *extra_before]
    return with_article(order, noun, [*after, *extra_after][:2], pen)


def brief(item: Item, pen: Pen) -> str:
    """The thing in a few words and without article: "striped blue shirt"."""
    if item.slot == "hair":
        return _hair(item, pen).replace("a bald head", "bald head")
    words = []
    if item.sleeve and item.slot == "upper" and item.kind != "tank top" and pen.chance(0.2):
        words.append(pen.say("sleeves_before", item.sleeve))
    elif item.kind in ("dress", "skirt", "coat", "shorts") and item.length in LEXICON["lengths_before"]:
        words += [pen.say("lengths_before", item.length)] if pen.chance(0.25) else []
    words += [_colour(item, pen)] if pen.chance(0.88) else []
    words += [pen.say("patterns_before", item.pattern)] if item.pattern != "plain" and pen.chance(0.6) else []
    return _joined(*words, _noun(item, pen))


def predicate(item: Item, pen: Pen) -> str:
    """A clause about the thing's colour: "shirt is blue with white stripes", without the possessive before it."""
    noun = _noun(item, pen)
    colour = _colour(item, pen) or "plain"
    if colour in ("dark", "light", "bright"):
        colour += pen.pick((" in colour", "-coloured", ""))
    patterned = not item.vague and item.pattern != "plain" and item.second is not None
    after = _with_second(pen.say("patterns_after", item.pattern), _second(item, pen)) if patterned else ""
    return _joined(noun, "are" if _is_plural(noun) else "is", colour, after)


def with_article(before: Sequence[str], noun: str, after: Sequence[str], pen: Pen) -> str:
    """Words, noun and afterthoughts in one phrase, with "a", "an", "a pair of" or nothing before it."""
    phrase = " ".join([*before, noun, *after])
    if _head(noun) in LEXICON["nouns"]["mass"]:
        return f"{noun} {before[0]}" if _head(noun) == "something" and before else phrase
    if _is_plural(noun):
        return f"a pair of {phrase}" if pen.chance(0.25) else phrase
    return f"{article(phrase)} {phrase}"


def article(phrase: str) -> str:
    """`a` or `an`, by the sound of the first word."""
    return "an" if phrase[0] in "aeiou" and not phrase.startswith(("one", "eu", "uni", "us")) else "a"


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def _noun(item: Item, pen: Pen) -> str:
    if item.vague and pen.chance(0.7):
        return pen.say("vague_kinds", item.slot)
    return pen.word("kinds", item.kind)


def _head(noun: str) -> str:
    return re.split(r" (?:with|over|around|at|of|on) ", noun)[0].split()[-1]


def _is_plural(noun: str) -> bool:
    return _head(noun) in LEXICON["nouns"]["plural"]


def _colour(item: Item, pen: Pen) -> str:
    if item.colour is None:
        return ""
    if item.vague and pen.chance(0.6):
        return "".join(LEXICON["vague_colours"].get(item.colour.name, ()))
    return pen.word("hair_colours" if item.slot in ("hair", "beard") else "colours", item.colour.name)


def _second(item: Item, pen: Pen) -> str:
    return "" if item.second is None else pen.word("colours", item.second.name)


def _look(item: Item, pen: Pen) -> tuple[list[str], list[str]]:
    """Colour and pattern: the words before the noun and those after it."""
    colour, second = _colour(item, pen), _second(item, pen)
    if item.slot in ("carried", "beard") and pen.chance(0.3):
        colour = ""
    shown = [colour] if colour else []
    if item.pattern != "plain":
        before = pen.say("patterns_before", item.pattern)
        form = int(pen.chance(0.6)) + 2 * int(pen.chance(0.5))
        if not second or form == 0:
            return [*shown, before], []
        if form == 1:
            return [f"{colour} and {second}", before], []
        if form == 2:
            return [before], [f"in {colour} and {second}"]
        return shown, [_with_second(pen.say("patterns_after", item.pattern), _second(item, pen))]
    if "logo" in item.tags and second and pen.chance(0.7):
        return shown, [_with_second(pen.say("said", "logo"), second)]
    if "sole" in item.tags and second and item.kind == "trainers" and pen.chance(0.4):
        return ([f"{colour} and {second}"], []) if pen.chance(0.4) else (shown, [f"with {second} soles"])
    return shown, []


def _with_second(text: str, second: str) -> str:
    return text.replace("a {second}", f"{article(second)} {{second}}").replace("{second}", second)


def _cut(item: Item, pen: Pen, noun: str) -> tuple[list[str], list[str]]:
    """Sleeves, length and fit: the words before the noun and those after it."""
    before: list[str] = []
    after: list[str] = []
    if item.kind == "tank top" and pen.chance(0.25):
        after.append(pen.say("sleeves_after", "none"))
    elif item.sleeve and item.slot == "upper" and item.kind != "tank top" and pen.chance(0.5):
        if pen.chance(0.6):
            before.append(pen.say("sleeves_before", item.sleeve))
        else:
            after.append(pen.say("sleeves_after", item.sleeve))
    if item.kind in ("dress", "skirt", "coat", "shorts", "raincoat") and pen.chance(0.4):
        if pen.chance(0.6) and item.kind in ("dress", "skirt"):
            before.insert(0, pen.say("lengths_before", item.length))
        else:
            told = pen.say("lengths_after", item.length)
            after.append(re.sub(r"^that (reach|end|stop)(?:es|s)\b", r"that \1", told) if _is_plural(noun) else told)
    if item.kind == "jeans" and item.length == "calf" and pen.chance(0.4):
        before.append(pen.say("lengths_before", "cropped"))
    fit: list[str] = []
    if "open" in item.tags and pen.chance(0.4):
        fit.append(pen.pick(("open", "unfastened", "unbuttoned" if item.kind in ("cardigan", "blazer") else "open")))
    if "tight" in item.tags and item.kind in ("jeans", "trousers", "t-shirt") and pen.chance(0.35):
        fit.append(pen.pick(("tight", "slim-fitting", "skinny" if item.slot == "lower" else "fitted")))
    if "loose" in item.tags and item.kind != "dress" and pen.chance(0.35):
        fit.append(pen.pick(LEXICON["tags"]["loose"]))
    if item.slot in ("upper", "outer", "lower", "shoes", "bag") and "casual" not in noun and pen.chance(0.07):
        fit.insert(0, pen.say("said", "everyday"))
    for tag, often in (("torn", 0.7), ("tucked", 0.3), ("hood", 0.5)):
        if tag in item.tags and pen.chance(often):
            after.append(pen.pick(LEXICON["tags"][tag]))
    return [*fit, *before], after[:1] if pen.chance(0.7) else after[:2]


def _hair(item: Item, pen: Pen) -> str:
    if item.length == "bald":
        return pen.pick(("a bald head", "a shaved head", "no hair on {his} head", "a bald scalp"))
    colour = _colour(item, pen)
    length = "" if item.style in ("tied", "bun") else pen.say("hair_lengths", item.length)
    if item.vague:
        return _joined(colour if pen.chance(0.5) else length, "hair")
    if item.style in LEXICON["hair_styles"]:
        length = length if pen.chance(0.4) else ""
        if item.style == "ponytail" and pen.chance(0.2):
            return with_article([word for word in (length, colour) if word], "ponytail", [], pen)
        return _joined(length, colour, "hair", pen.say("hair_styles", item.style))
    style = item.style if item.style in ("straight", "wavy", "curly") and pen.chance(0.5) else ""
    words = [word for word in (length, style, colour) if word]
    if len(words) > 1 and pen.chance(0.2):
        words.pop(int(pen.chance(0.5)) * (len(words) - 1))
    return " ".join([*words, "hair"])
