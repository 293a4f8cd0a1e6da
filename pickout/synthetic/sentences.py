"""From things to sentences: who it is, what is worn, held and done, in a syntax that changes all the time."""

from collections.abc import Sequence

from pickout.synthetic.attributes import Item, Person, View, absent, facing, near_side
from pickout.synthetic.habits import LEXICON, Pen
from pickout.synthetic.phrases import article, noun_phrase, predicate

_WORN = ("outer", "upper", "lower", "shoes", "headwear", "scarf", "socks", "belt")


class _Notes:
    """What a caption is going to say, each thing in a phrase of its own, and the pen that joins the phrases."""

    def __init__(self, person: Person, view: View, items: Sequence[Item], pen: Pen) -> None:
        self.pen = pen
        self.noun = pen.say("people", f"{person.sex} {person.age}")
        build = "slim" if person.build < 0.2 else "heavy" if person.build > 0.8 else ""
        self.who = f"{pen.say('builds', build)} {self.noun}" if build and pen.chance(0.35) else self.noun
        self.a_person = f"{article(self.who)} {self.who}"
        worn = [item for item in items if item.slot in _WORN]
        self.looks = [noun_phrase(item, pen) for item in items if item.slot in ("hair", "beard", "glasses")]
        phrases = {item.slot: noun_phrase(item, pen) for item in worn}
        if "outer" in phrases and "upper" in phrases:
            outer, upper = phrases.pop("outer"), phrases.pop("upper")
            top = pen.pick((f"{outer} over {upper}", f"{upper} under {outer}", f"{outer} with {upper} underneath"))
            phrases = {"upper": top, **phrases}
        self.clothes = pen.shuffled(list(phrases.values())) if pen.chance(0.15) else list(phrases.values())
        # Clauses such as "shirt is blue".
        self.colours = [predicate(item, pen) for item in worn if item.slot in ("outer", "upper", "lower", "shoes")]
        # Participles such as "carrying a bag on one shoulder", "walking away from the camera".
        self.holds = [_held(item, view, pen) for item in items if item.slot in ("bag", "carried")]
        self.doing = _doing(view, pen)
        self.lacks = lacking(absent(person, view), pen) if pen.chance(0.12) else []

    def _subject(self) -> str:
        return self.pen.pick((self.a_person, f"the {self.who}", f"the {self.who}", f"this {self.who}"))

    def _again(self) -> str:
        return self.pen.pick(("{he}", "{he}", "{he}", f"the {self.noun}"))

    def _having(self) -> str:
        """Hair, beard and glasses after "with" or the like, or nothing."""
        return f" {self.pen.say('said', 'having')} {self._listed(self.looks)}" if self.looks else ""

    def _dressed(self, verb: str) -> str:
        """The clothes after a verb, `wears` or `wearing`."""
        return f"{self.pen.say('said', verb)} {self._listed(self.clothes)}"

    def _listed(self, phrases: Sequence[str]) -> str:
        two = (" and ", " and ", " with ", " as well as ", " along with ")
        return self.pen.listed(phrases, two, (" and ", ", and ", " and also ", ", with "))

    def _looking(self) -> list[str]:
        return [f"{self._again()} {self.pen.say('said', 'has')} {self._listed(self.looks)}"] if self.looks else []

    def _holding(self) -> list[str]:
        return [f"{self._again()} {self._has_or_is(' and '.join(self.holds))}"] if self.holds else []

    def _has_or_is(self, participle: str) -> str:
        """A participle as the predicate of a sentence."""
        if participle.startswith("with "):
            return self.pen.pick(("has ", "is seen with ", "also has ")) + participle.removeprefix("with ")
        return self.pen.pick(("is ", "is ", "is also ", "appears to be ")) + participle

    def _rest(self, said: list[str]) -> list[str]:
        """Sentences for what the first one has not said, after those of `said`."""
        said += [f"{self._again()} {self._has_or_is(hold)}" for hold in self.holds]
        said += [f"{self._again()} {'has' if _is_noun(lack) else 'is'} {lack}" for lack in self.lacks]
        if self.pen.chance(0.45):
            said.append(f"{self._again()} is {self.doing[0]}")
        if len(said) > 1 and self.pen.chance(0.5):
            last = said.pop().removeprefix("{he} ").removeprefix(f"the {self.noun} ")
            said[-1] += f" and {last}"
        return said

    def sentences(self, form: str) -> list[str]:
        """Everything in sentences, without capitals and full stops, of a form of the lexicon."""
        pen, dressed = self.pen, self._dressed
        match form:
            case "one_sentence":
                lacks = [f"with {lack}" if _is_noun(lack) else lack for lack in self.lacks]
                tail = [*self.holds, *lacks, *self.doing[: int(pen.chance(0.6))]]
                text = ", ".join((f"{self._subject()}{self._having()} {dressed('wears')}", *tail[:-1]))
                return [text + pen.pick((", ", " and is ")) + tail[-1] if tail else text]
            case "two_about_clothes":
                cut = max(1, len(self.clothes) - 1)
                start = f"{self._subject()}{self._having()}"
                said = [f"{start} {pen.say('said', 'wears')} {self._listed(self.clothes[:cut])}"]
                said += [f"{pen.say('said', 'wears_too')} {last}" for last in self.clothes[cut:]]
                return said + self._rest([])
            case "pronoun_first":
                has = pen.pick(("has", "has", "is seen with")) if self.looks else ""
                looks = f"{has} {self._listed(self.looks)} and " if has else ""
                return [f"{{he}} {looks}{dressed('wears')}", *self._rest([])]
            case "participle_first":
                start = f"{dressed('wearing')}, {self._subject()}{self._having()} is {self.doing[0]}"
                return [start, *self._holding()]
            case "view_first":
                return [f"{self.doing[0]}, {self._subject()} {dressed('wears')}", *self._looking(), *self._holding()]
            case "introduced":
                person = f"{self.a_person}{self._having()} {dressed('wearing')}"
                return [f"{pen.say('said', 'openers')} {person}", *self._rest([])]
            case "by_colour" if self.colours:
                start = f"{self._subject()}{self._having()} is {self.doing[0]}"
                colours = [f"{{his}} {clause}" for clause in self.colours]
                pairs = (" and ".join(colours[at : at + 2]) for at in range(0, len(colours), 2))
                return [start, *pairs, *self._holding()]
            case "telegram":
                return [", ".join((self.who, *self.looks, dressed("wearing"), *self.holds, *self.lacks, *self.doing))]
            case "fragments":  # notes without verbs, a full stop after each or after two
                parts = [self.who, *self.looks, *self.clothes, *self.holds, *self.lacks, self.doing[0]]
                step = 1 + int(pen.chance(0.5))
                return [", ".join(parts[at : at + step]) for at in range(0, len(parts), step)]
            case "report":  # a form filled in: label, then what was seen
                labels = pen.pick(LEXICON["forms"]["report"]).split(", ")
                held = [*(hold.removeprefix("carrying ").removeprefix("with ") for hold in self.holds), *self.lacks]
                rows = zip(labels, ((self.who, *self.looks), self.clothes, held), strict=True)
                return [*(f"{label}: {', '.join(things)}" for label, things in rows if things), self.doing[0]]
            case "search":  # what somebody asks who looks for the person
                lead, clothes = pen.pick(LEXICON["forms"]["search"]), dressed("wearing")
                return [", ".join((f"{lead} {self.a_person}{self._having()} {clothes}", *self.holds, *self.lacks))]
            case "spoken":  # as one would tell a colleague
                lead = pen.pick(LEXICON["forms"]["spoken"])
                said = [f"{lead} {self._listed(self.clothes)}, {self.a_person}{self._having()}"]
                lacks = [f"got {lack}" if _is_noun(lack) else lack for lack in self.lacks]
                said += [f"{{he}}'s {thing}" for thing in (*self.holds, *lacks)]
                return [*said, *([f"{{he}}'s {self.doing[0]}"] if pen.chance(0.5) else [])]
        return [f"{self._subject()} {dressed('wears')}", *self._rest(self._looking())]


def compose(person: Person, view: View, items: Sequence[Item], pen: Pen) -> str:
    """What the view shows of the person and the items, in sentences of a form drawn from the pen."""
    said = []
    for text in _Notes(person, view, items, pen).sentences(pen.pick(LEXICON["forms"]["caption"])):
        text = " ".join(text.replace(" ,", ",").split()).rstrip(".,") + "."
        mark, brace, rest = text.partition("}")
        said.append(mark.title() + brace + rest if text.startswith("{") else text[0].upper() + text[1:])
    return " ".join(said)


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


def _held(item: Item, view: View, pen: Pen) -> str:
    thing = noun_phrase(item, pen)
    place = pen.say("places_worn", item.worn if item.worn in LEXICON["places_worn"] else "hand")
    place = place.replace("{side}", item.side)
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
