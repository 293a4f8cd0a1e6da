"""From things to sentences: who it is, what is worn, held and done, in a syntax that changes all the time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pickout.synthetic.attributes import Person, View
from pickout.synthetic.lexicon import LEXICON, Pen
from pickout.synthetic.phrases import article, noun_phrase, place_of, predicate
from pickout.synthetic.visible import Item, absent, facing, near_side


@dataclass(frozen=True, slots=True)
class Notes:
    """What a caption is going to say, in phrases.

    Args:
        who: the person without article, "slim young man".
        noun: the last word or two of it, "man".
        looks: hair, beard and glasses.
        clothes: what is worn, as noun phrases.
        colours: the same as clauses, "shirt is blue".
        holds: what is carried, as participles, "carrying a bag on one shoulder".
        doing: what the person does and where, as participles, "walking away from the camera".
        lacks: what the person has not, "without a hat"; mostly empty.
    """

    who: str
    noun: str
    looks: tuple[str, ...]
    clothes: tuple[str, ...]
    colours: tuple[str, ...]
    holds: tuple[str, ...]
    doing: tuple[str, ...]
    lacks: tuple[str, ...]


def take_notes(person: Person, view: View, items: Sequence[Item], pen: Pen) -> Notes:
    """Put each thing into a phrase of its own."""
    noun = pen.say("people", f"{person.sex} {person.age}")
    build = "slim" if person.build < 0.2 else "heavy" if person.build > 0.8 else ""
    who = f"{pen.say('builds', build)} {noun}" if build and pen.chance(0.35) else noun
    worn = [item for item in items if item.slot in _WORN]
    return Notes(
        who=who,
        noun=noun,
        looks=tuple(noun_phrase(item, pen) for item in items if item.slot in ("hair", "beard", "glasses")),
        clothes=_clothes(worn, pen),
        colours=tuple(predicate(item, pen) for item in worn if item.slot in ("outer", "upper", "lower", "shoes")),
        holds=tuple(_held(item, view, pen) for item in items if item.slot in ("bag", "carried")),
        doing=_doing(view, pen),
        lacks=_lacks(person, view, pen) if pen.chance(0.12) else (),
    )


def _lacks(person: Person, view: View, pen: Pen) -> tuple[str, ...]:
    names = absent(person, view)
    return (pen.say("lacks", pen.pick(names)),) if names else ()


def compose(notes: Notes, pen: Pen) -> str:
    """The notes in sentences of a form drawn from the pen. `{He}`, `{he}`, `{his}`, `{him}` stand for the pronouns."""
    return " ".join(_sentence(text) for text in pen.pick(_FORMS)(notes, pen))


def pronouns(text: str, sex: str) -> str:
    """Fill the pronouns in."""
    he, his, him = ("he", "his", "him") if sex == "man" else ("she", "her", "her")
    for mark, word in (("{he}", he), ("{his}", his), ("{him}", him)):
        text = text.replace(mark, word).replace(mark.title(), word.title())
    return text


_WORN = ("outer", "upper", "lower", "shoes", "headwear", "scarf", "socks", "belt")


def listed(phrases: Sequence[str], pen: Pen) -> str:
    """The phrases as one list: "a, b and c"."""
    if len(phrases) < 2:
        return "".join(phrases)
    if len(phrases) == 2:
        return pen.pick((" and ", " and ", " with ", " as well as ", " along with ")).join(phrases)
    last = pen.pick((" and ", ", and ", " and also ", ", with "))
    return ", ".join(phrases[:-1]) + last + phrases[-1]


def _clothes(worn: Sequence[Item], pen: Pen) -> tuple[str, ...]:
    phrases = {item.slot: noun_phrase(item, pen) for item in worn}
    if "outer" in phrases and "upper" in phrases:
        outer, upper = phrases.pop("outer"), phrases.pop("upper")
        top = pen.pick((f"{outer} over {upper}", f"{upper} under {outer}", f"{outer} with {upper} underneath"))
        phrases = {"upper": top, **phrases}
    order = list(phrases)
    if pen.chance(0.15):
        order = pen.shuffled(order)
    return tuple(phrases[slot] for slot in order)


def _held(item: Item, view: View, pen: Pen) -> str:
    thing, place = noun_phrase(item, pen), place_of(item, pen)
    if item.kind == "suitcase" and not item.vague:
        return f"{pen.pick(('pulling', 'wheeling') if view.pose == 'walking' else ('holding', 'with'))} {thing}"
    if item.worn == "looked at":
        return pen.pick(
            (f"looking at {thing} {place}", f"looking down at {thing}", f"holding {thing} in front of {{him}}")
        )
    if item.worn == "at the ear":
        return pen.pick(
            (f"talking on {thing}", f"holding {thing} to {{his}} {item.side} ear", f"speaking into {thing}")
        )
    if item.worn == "overhead":
        return pen.pick((f"holding {thing} over {{his}} head", f"sheltering under {thing}", f"holding up {thing}"))
    verb = pen.pick(("carrying", "carrying", "with", "wearing" if item.worn == "back" else "holding"))
    if item.worn in ("shoulder", "across") and verb == "holding":
        verb = "carrying"
    return f"{verb} {thing} {place}" if pen.chance(0.8) else f"{verb} {thing}"


def _doing(view: View, pen: Pen) -> tuple[str, ...]:
    side = facing(view)
    pose, where = pen.say("poses", view.pose), pen.say("places", view.background)
    if view.pose == "standing":
        where = where.replace("past ", "by ")
        first = pose if pen.chance(0.4) else f"{pose} {where}"
    else:
        heading = pen.say("headings", side)
        if side == "side" and pen.chance(0.5):
            heading = f"to the {near_side(view)}"
        first = f"{pose} {pen.pick((heading, heading, where, ''))}".strip()
    seen = pen.say("views", side)
    doing = [first, seen] if pen.chance(0.5) else [seen, first]
    hands = {name: arm for name, arm in zip(("left", "right"), view.arms, strict=True) if arm in LEXICON["arms"]}
    shown = [name for name in hands if side == "front" or (side == "side" and near_side(view) == name)]
    if shown and view.carried is None and pen.chance(0.5):
        doing[0] += " " + pen.say("arms", hands[shown[0]]).replace("{side}", shown[0])
    return tuple(doing)


def _sentence(text: str) -> str:
    text = " ".join(text.replace(" ,", ",").split()).rstrip(".,") + "."
    if text.startswith("{"):
        mark, brace, rest = text.partition("}")
        return mark.title() + brace + rest
    return text[0].upper() + text[1:]


def _subject(notes: Notes, pen: Pen) -> str:
    return pen.pick((f"{article(notes.who)} {notes.who}", f"the {notes.who}", f"the {notes.who}", f"this {notes.who}"))


def _again(notes: Notes, pen: Pen) -> str:
    return pen.pick(("{he}", "{he}", "{he}", f"the {notes.noun}"))


def _having(notes: Notes, pen: Pen) -> str:
    return f" {pen.say('said', 'having')} {listed(notes.looks, pen)}" if notes.looks else ""


def _is(participle: str, pen: Pen) -> str:
    """A participle as the predicate of a sentence."""
    if participle.startswith("with "):
        return pen.pick(("has ", "is seen with ", "also has ")) + participle.removeprefix("with ")
    return pen.pick(("is ", "is ", "is also ", "appears to be ")) + participle


def _lacking(lack: str) -> str:
    """A negation as the predicate of a sentence: "no hat" is had, "bareheaded" and "without a hat" are."""
    return f"has {lack}" if lack.startswith(("no ", "nothing ")) else f"is {lack}"


def _rest(notes: Notes, pen: Pen, *, looks: bool) -> list[str]:
    """Sentences for what the first one has not said."""
    said: list[str] = []
    if looks and notes.looks:
        said.append(f"{_again(notes, pen)} {pen.say('said', 'has')} {listed(notes.looks, pen)}")
    said += [f"{_again(notes, pen)} {_is(hold, pen)}" for hold in notes.holds]
    said += [f"{_again(notes, pen)} {_lacking(lack)}" for lack in notes.lacks]
    if pen.chance(0.45):
        said.append(f"{_again(notes, pen)} is {notes.doing[0]}")
    if len(said) > 1 and pen.chance(0.5):
        last = said.pop().removeprefix("{he} ").removeprefix(f"the {notes.noun} ")
        said[-1] += f" and {last}"
    return said


def _one_sentence(notes: Notes, pen: Pen) -> list[str]:
    lacks = [f"with {lack}" if lack.startswith(("no ", "nothing ")) else lack for lack in notes.lacks]
    tail = [*notes.holds, *lacks, *notes.doing[: int(pen.chance(0.6))]]
    text = f"{_subject(notes, pen)}{_having(notes, pen)} {pen.say('said', 'wears')} {listed(notes.clothes, pen)}"
    return [
        text
        + "".join(f", {part}" for part in tail[:-1])
        + (f"{pen.pick((', ', ' and is '))}{tail[-1]}" if tail else "")
    ]


def _statements(notes: Notes, pen: Pen) -> list[str]:
    head = f"{_subject(notes, pen)} {pen.say('said', 'wears')} {listed(notes.clothes, pen)}"
    return [head, *_rest(notes, pen, looks=True)]


def _two_about_clothes(notes: Notes, pen: Pen) -> list[str]:
    cut = max(1, len(notes.clothes) - 1)
    said = [
        f"{_subject(notes, pen)}{_having(notes, pen)} {pen.say('said', 'wears')} {listed(notes.clothes[:cut], pen)}"
    ]
    if notes.clothes[cut:]:
        said.append(f"{pen.say('said', 'wears_too')} {notes.clothes[cut]}")
    return said + _rest(notes, pen, looks=False)


def _pronoun_first(notes: Notes, pen: Pen) -> list[str]:
    looks = (
        f"{{he}} {pen.pick(('has', 'has', 'is seen with'))} {listed(notes.looks, pen)} and " if notes.looks else "{he} "
    )
    return [f"{looks}{pen.say('said', 'wears')} {listed(notes.clothes, pen)}", *_rest(notes, pen, looks=False)]


def _participle_first(notes: Notes, pen: Pen) -> list[str]:
    start = f"{pen.say('said', 'wearing')} {listed(notes.clothes, pen)}"
    return [f"{start}, {_subject(notes, pen)}{_having(notes, pen)} is {notes.doing[0]}", *_holding(notes, pen)]


def _view_first(notes: Notes, pen: Pen) -> list[str]:
    start = f"{notes.doing[0]}, {_subject(notes, pen)} {pen.say('said', 'wears')} {listed(notes.clothes, pen)}"
    said = [f"{_again(notes, pen)} {pen.say('said', 'has')} {listed(notes.looks, pen)}"] if notes.looks else []
    return [start, *said, *_holding(notes, pen)]


def _introduced(notes: Notes, pen: Pen) -> list[str]:
    who = f"{article(notes.who)} {notes.who}{_having(notes, pen)}"
    clothes = f"{pen.say('said', 'wearing')} {listed(notes.clothes, pen)}"
    return [f"{pen.say('said', 'openers')} {who} {clothes}", *_rest(notes, pen, looks=False)]


def _by_colour(notes: Notes, pen: Pen) -> list[str]:
    if not notes.colours:
        return _statements(notes, pen)
    start = f"{_subject(notes, pen)}{_having(notes, pen)} is {notes.doing[0]}"
    colours = [f"{{his}} {clause}" for clause in notes.colours]
    joined = [" and ".join(colours[place : place + 2]) for place in range(0, len(colours), 2)]
    return [start, *joined, *_holding(notes, pen)]


def _telegram(notes: Notes, pen: Pen) -> list[str]:
    parts = [
        notes.who,
        *notes.looks,
        f"{pen.say('said', 'wearing')} {listed(notes.clothes, pen)}",
        *notes.holds,
        *notes.lacks,
        *notes.doing,
    ]
    return [", ".join(part for part in parts if part)]


def _fragments(notes: Notes, pen: Pen) -> list[str]:
    """Notes without verbs, a full stop after each or after a few."""
    parts = [notes.who, *notes.looks, *notes.clothes, *notes.holds, *notes.lacks, notes.doing[0]]
    said, step = [], 1 + int(pen.chance(0.5))
    for place in range(0, len(parts), step):
        said.append(", ".join(parts[place : place + step]))
    return said


def _report(notes: Notes, pen: Pen) -> list[str]:
    """A form filled in: label, then what was seen."""
    labels = pen.pick((("Subject", "Clothing", "Carrying"), ("Person", "Wearing", "With"), ("Who", "Outfit", "Also")))
    said = [f"{labels[0]}: {', '.join((notes.who, *notes.looks))}", f"{labels[1]}: {', '.join(notes.clothes)}"]
    held = [*(hold.removeprefix("carrying ").removeprefix("with ") for hold in notes.holds), *notes.lacks]
    return [*said, *([f"{labels[2]}: {', '.join(held)}"] if held else []), notes.doing[0]]


def _search(notes: Notes, pen: Pen) -> list[str]:
    """What somebody asks who looks for the person."""
    lead = pen.pick(("I am looking for", "We are searching for", "Please find", "Find", "Show me", "Try to locate"))
    clothes = f"{pen.say('said', 'wearing')} {listed(notes.clothes, pen)}"
    tail = "".join(f", {part}" for part in (*notes.holds, *notes.lacks))
    return [f"{lead} {article(notes.who)} {notes.who}{_having(notes, pen)} {clothes}{tail}"]


def _spoken(notes: Notes, pen: Pen) -> list[str]:
    """As one would tell a colleague."""
    lead = pen.pick(("{he}'s got on", "{he}'s wearing", "{he}'s in", "So {he}'s wearing", "Looks like {he}'s wearing"))
    said = [f"{lead} {listed(notes.clothes, pen)}, {article(notes.who)} {notes.who}{_having(notes, pen)}"]
    said += [f"{{he}}'s {hold}" for hold in notes.holds]
    said += [
        f"{{he}}'s got {lack}" if lack.startswith(("no ", "nothing ")) else f"{{he}}'s {lack}" for lack in notes.lacks
    ]
    return [*said, *([f"{{he}}'s {notes.doing[0]}"] if pen.chance(0.5) else [])]


def _holding(notes: Notes, pen: Pen) -> list[str]:
    return [f"{_again(notes, pen)} {_is(' and '.join(notes.holds), pen)}"] if notes.holds else []


_FORMS: tuple[Callable[[Notes, Pen], list[str]], ...] = (
    _one_sentence,
    _one_sentence,
    _statements,
    _statements,
    _two_about_clothes,
    _two_about_clothes,
    _pronoun_first,
    _pronoun_first,
    _participle_first,
    _view_first,
    _introduced,
    _by_colour,
    _telegram,
    _telegram,
    _fragments,
    _fragments,
    _report,
    _search,
    _spoken,
)
