"""From things to sentences: who it is, what is worn, held and done, in a syntax that changes all the time."""

from collections.abc import Callable, Sequence

from pickout.synthetic.attributes import Person, View
from pickout.synthetic.lexicon import LEXICON, Pen
from pickout.synthetic.phrases import article, noun_phrase, place_of, predicate
from pickout.synthetic.visible import Item, absent, facing, near_side

_WORN = ("outer", "upper", "lower", "shoes", "headwear", "scarf", "socks", "belt")


class Notes:
    """What a caption is going to say, each thing in a phrase of its own, and the pen that joins the phrases."""

    def __init__(self, person: Person, view: View, items: Sequence[Item], pen: Pen) -> None:
        self.pen = pen
        self.noun = pen.say("people", f"{person.sex} {person.age}")
        build = "slim" if person.build < 0.2 else "heavy" if person.build > 0.8 else ""
        self.who = f"{pen.say('builds', build)} {self.noun}" if build and pen.chance(0.35) else self.noun
        worn = [item for item in items if item.slot in _WORN]
        self.looks = [noun_phrase(item, pen) for item in items if item.slot in ("hair", "beard", "glasses")]
        self.clothes = _clothes(worn, pen)
        # Clauses such as "shirt is blue".
        self.colours = [predicate(item, pen) for item in worn if item.slot in ("outer", "upper", "lower", "shoes")]
        # Participles such as "carrying a bag on one shoulder", "walking away from the camera".
        self.holds = [_held(item, view, pen) for item in items if item.slot in ("bag", "carried")]
        self.doing = _doing(view, pen)
        self.lacks = lacking(absent(person, view), pen) if pen.chance(0.12) else []

    def a_person(self) -> str:
        """The person with an article."""
        return f"{article(self.who)} {self.who}"

    def subject(self) -> str:
        """The person at first mention."""
        return self.pen.pick((self.a_person(), f"the {self.who}", f"the {self.who}", f"this {self.who}"))

    def again(self) -> str:
        """The person at a later mention."""
        return self.pen.pick(("{he}", "{he}", "{he}", f"the {self.noun}"))

    def having(self) -> str:
        """Hair, beard and glasses after "with" or the like, or nothing."""
        return f" {self.pen.say('said', 'having')} {self.listed(self.looks)}" if self.looks else ""

    def dressed(self, verb: str) -> str:
        """The clothes after a verb, `wears` or `wearing`."""
        return f"{self.pen.say('said', verb)} {self.listed(self.clothes)}"

    def listed(self, phrases: Sequence[str]) -> str:
        """The phrases as one list: "a, b and c"."""
        if len(phrases) < 2:
            return "".join(phrases)
        if len(phrases) == 2:
            return self.pen.pick((" and ", " and ", " with ", " as well as ", " along with ")).join(phrases)
        last = self.pen.pick((" and ", ", and ", " and also ", ", with "))
        return ", ".join(phrases[:-1]) + last + phrases[-1]

    def looking(self) -> list[str]:
        """A sentence about hair, beard and glasses, where they are told."""
        return [f"{self.again()} {self.pen.say('said', 'has')} {self.listed(self.looks)}"] if self.looks else []

    def holding(self) -> list[str]:
        """A sentence about all that is carried, where something is."""
        return [f"{self.again()} {self.has_or_is(' and '.join(self.holds))}"] if self.holds else []

    def has_or_is(self, participle: str) -> str:
        """A participle as the predicate of a sentence."""
        if participle.startswith("with "):
            return self.pen.pick(("has ", "is seen with ", "also has ")) + participle.removeprefix("with ")
        return self.pen.pick(("is ", "is ", "is also ", "appears to be ")) + participle

    def rest(self, said: list[str]) -> list[str]:
        """Sentences for what the first one has not said, after those of `said`."""
        said += [f"{self.again()} {self.has_or_is(hold)}" for hold in self.holds]
        said += [f"{self.again()} {'has' if _is_noun(lack) else 'is'} {lack}" for lack in self.lacks]
        if self.pen.chance(0.45):
            said.append(f"{self.again()} is {self.doing[0]}")
        if len(said) > 1 and self.pen.chance(0.5):
            last = said.pop().removeprefix("{he} ").removeprefix(f"the {self.noun} ")
            said[-1] += f" and {last}"
        return said


def compose(notes: Notes) -> str:
    """The notes in sentences of a form drawn from the pen. `{He}`, `{he}`, `{his}`, `{him}` stand for the pronouns."""
    return " ".join(_sentence(text) for text in notes.pen.pick(_FORMS)(notes))


def pronouns(text: str, sex: str) -> str:
    """Fill the pronouns in."""
    he, his, him = ("he", "his", "him") if sex == "man" else ("she", "her", "her")
    for mark, word in (("{he}", he), ("{his}", his), ("{him}", him)):
        text = text.replace(mark, word).replace(mark.title(), word.title())
    return text


def lacking(names: Sequence[str], pen: Pen) -> list[str]:
    """One of the things of these names as something that is not there: "no hat", "bareheaded"."""
    return [pen.say("lacks", pen.pick(names))] if names else []


def _is_noun(lack: str) -> bool:
    """Whether a negation is something one has ("no hat") rather than is ("bareheaded", "without a hat")."""
    return lack.startswith(("no ", "nothing "))


def _sentence(text: str) -> str:
    text = " ".join(text.replace(" ,", ",").split()).rstrip(".,") + "."
    mark, brace, rest = text.partition("}")
    return mark.title() + brace + rest if text.startswith("{") else text[0].upper() + text[1:]


def _clothes(worn: Sequence[Item], pen: Pen) -> list[str]:
    phrases = {item.slot: noun_phrase(item, pen) for item in worn}
    if "outer" in phrases and "upper" in phrases:
        outer, upper = phrases.pop("outer"), phrases.pop("upper")
        top = pen.pick((f"{outer} over {upper}", f"{upper} under {outer}", f"{outer} with {upper} underneath"))
        phrases = {"upper": top, **phrases}
    return pen.shuffled(list(phrases.values())) if pen.chance(0.15) else list(phrases.values())


def _held(item: Item, view: View, pen: Pen) -> str:
    thing, place = noun_phrase(item, pen), place_of(item, pen)
    if item.kind == "suitcase" and not item.vague:
        return f"{pen.pick(('pulling', 'wheeling') if view.pose == 'walking' else ('holding', 'with'))} {thing}"
    if item.worn in LEXICON["uses"]:
        use = pen.pick(LEXICON["uses"][item.worn])
        return use.replace("{thing}", thing).replace("{place}", place).replace("{side}", item.side)
    verb = pen.pick(("carrying", "carrying", "with", "wearing" if item.worn == "back" else "holding"))
    if item.worn in ("shoulder", "across") and verb == "holding":
        verb = "carrying"
    return f"{verb} {thing} {place}" if pen.chance(0.8) else f"{verb} {thing}"


def _doing(view: View, pen: Pen) -> list[str]:
    side, near = facing(view), near_side(view)
    pose, where = pen.say("poses", view.pose), pen.say("places", view.background)
    if view.pose == "standing":
        first = pose if pen.chance(0.4) else f"{pose} {where.replace('past ', 'by ')}"
    else:
        heading = pen.say("headings", side)
        if near and pen.chance(0.5):
            heading = f"to the {near}"
        first = f"{pose} {pen.pick((heading, heading, where, ''))}".strip()
    seen = pen.say("views", side)
    doing = [first, seen] if pen.chance(0.5) else [seen, first]
    arms = zip(("left", "right"), view.arms, strict=True)
    shown = [(hand, arm) for hand, arm in arms if arm in LEXICON["arms"] and (side == "front" or near == hand)]
    if shown and view.carried is None and pen.chance(0.5):
        hand, arm = shown[0]
        doing[0] += " " + pen.say("arms", arm).replace("{side}", hand)
    return doing


def _one_sentence(n: Notes) -> list[str]:
    lacks = [f"with {lack}" if _is_noun(lack) else lack for lack in n.lacks]
    tail = [*n.holds, *lacks, *n.doing[: int(n.pen.chance(0.6))]]
    text = f"{n.subject()}{n.having()} {n.dressed('wears')}" + "".join(f", {part}" for part in tail[:-1])
    return [text + n.pen.pick((", ", " and is ")) + tail[-1] if tail else text]


def _statements(n: Notes) -> list[str]:
    return [f"{n.subject()} {n.dressed('wears')}", *n.rest(n.looking())]


def _two_about_clothes(n: Notes) -> list[str]:
    cut = max(1, len(n.clothes) - 1)
    said = [f"{n.subject()}{n.having()} {n.pen.say('said', 'wears')} {n.listed(n.clothes[:cut])}"]
    said += [f"{n.pen.say('said', 'wears_too')} {last}" for last in n.clothes[cut:]]
    return said + n.rest([])


def _pronoun_first(n: Notes) -> list[str]:
    looks = f"{n.pen.pick(('has', 'has', 'is seen with'))} {n.listed(n.looks)} and " if n.looks else ""
    return [f"{{he}} {looks}{n.dressed('wears')}", *n.rest([])]


def _participle_first(n: Notes) -> list[str]:
    return [f"{n.dressed('wearing')}, {n.subject()}{n.having()} is {n.doing[0]}", *n.holding()]


def _view_first(n: Notes) -> list[str]:
    return [f"{n.doing[0]}, {n.subject()} {n.dressed('wears')}", *n.looking(), *n.holding()]


def _introduced(n: Notes) -> list[str]:
    person = f"{n.a_person()}{n.having()} {n.dressed('wearing')}"
    return [f"{n.pen.say('said', 'openers')} {person}", *n.rest([])]


def _by_colour(n: Notes) -> list[str]:
    if not n.colours:
        return _statements(n)
    start = f"{n.subject()}{n.having()} is {n.doing[0]}"
    colours = [f"{{his}} {clause}" for clause in n.colours]
    return [start, *(" and ".join(colours[at : at + 2]) for at in range(0, len(colours), 2)), *n.holding()]


def _telegram(n: Notes) -> list[str]:
    return [", ".join((n.who, *n.looks, n.dressed("wearing"), *n.holds, *n.lacks, *n.doing))]


def _fragments(n: Notes) -> list[str]:
    """Notes without verbs, a full stop after each or after two."""
    parts = [n.who, *n.looks, *n.clothes, *n.holds, *n.lacks, n.doing[0]]
    step = 1 + int(n.pen.chance(0.5))
    return [", ".join(parts[at : at + step]) for at in range(0, len(parts), step)]


def _report(n: Notes) -> list[str]:
    """A form filled in: label, then what was seen."""
    labels = n.pen.pick((("Subject", "Clothing", "Carrying"), ("Person", "Wearing", "With"), ("Who", "Outfit", "Also")))
    held = [*(hold.removeprefix("carrying ").removeprefix("with ") for hold in n.holds), *n.lacks]
    told = zip(labels, ((n.who, *n.looks), n.clothes, held), strict=True)
    return [*(f"{label}: {', '.join(things)}" for label, things in told if things), n.doing[0]]


def _search(n: Notes) -> list[str]:
    """What somebody asks who looks for the person."""
    lead = n.pen.pick(("I am looking for", "We are searching for", "Please find", "Find", "Show me", "Try to locate"))
    clothes = n.dressed("wearing")
    return [", ".join((f"{lead} {n.a_person()}{n.having()} {clothes}", *n.holds, *n.lacks))]


def _spoken(n: Notes) -> list[str]:
    """As one would tell a colleague."""
    lead = n.pen.pick(
        ("{he}'s got on", "{he}'s wearing", "{he}'s in", "So {he}'s wearing", "Looks like {he}'s wearing")
    )
    said = [f"{lead} {n.listed(n.clothes)}, {n.a_person()}{n.having()}"]
    said += [f"{{he}}'s {told}" for told in (*n.holds, *(f"got {x}" if _is_noun(x) else x for x in n.lacks))]
    return [*said, *([f"{{he}}'s {n.doing[0]}"] if n.pen.chance(0.5) else [])]


_FORMS: tuple[Callable[[Notes], list[str]], ...] = (
    _one_sentence, _one_sentence, _statements, _statements, _two_about_clothes, _two_about_clothes, _pronoun_first,
    _pronoun_first, _participle_first, _view_first, _introduced, _by_colour, _telegram, _telegram, _fragments,
    _fragments, _report, _search, _spoken,
)  # fmt: skip
