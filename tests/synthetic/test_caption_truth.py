"""What an attentive writer claims is true: captions are read word by word with tables of their own."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from pickout.synthetic.attributes import Person, Shade, View
from pickout.synthetic.cameras import sample_cameras
from pickout.synthetic.captions import CaptionSettings, MistakeSettings, describe, tokens, write_queries
from pickout.synthetic.people import sample_person, sample_view

ATTENTIVE = CaptionSettings(mistakes=MistakeSettings(colour=0, vague=0, omission=0, side=0, spelling=0))
CAMERAS = sample_cameras(np.random.default_rng(0), 5)

WORDS = tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))


def meanings(table: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Phrase to the names that it may mean."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for name, phrases in WORDS[table].items():
        for phrase in phrases.split(", "):
            key = tuple(tokens(phrase))
            found[key] = (*found.get(key, ()), name)
    return found


THINGS, COLOURS = meanings("things"), meanings("colours")
PATTERNS, SLEEVES = meanings("patterns"), meanings("sleeves")
BETWEEN = set(WORDS["other"]["between"].split())


@dataclass(frozen=True)
class Claim:
    """A noun that may mean `kinds`, with the colours before it and after it, each by the names that it may mean."""

    kinds: tuple[str, ...]
    before: tuple[tuple[str, ...], ...]
    after: tuple[tuple[str, ...], ...]


def marks(caption: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each word or mark as a noun, a colour or itself, longest match first."""
    words = re.findall(r"[,.]|[a-z0-9]+(?:['-][a-z0-9]+)*", caption.lower())
    place = 0
    while place < len(words):
        for length in (4, 3, 2, 1):
            part = tuple(words[place : place + length])
            if part in THINGS or part in COLOURS:
                yield ("noun", THINGS[part]) if part in THINGS else ("colour", COLOURS[part])
                place += length
                break
        else:
            yield "word", (words[place],)
            place += 1


NEGATED = re.compile(
    r"\b(?:no|without a|(?:not )?carrying (?:no|a(?= bag\b))|without) "
    r"(hats?|caps?|headwear|bags?|luggage|belongings|backpack|rucksack|glasses|spectacles|eyewear|beard|jacket|coat|scarf)\b",
    re.IGNORECASE,
)


def denials(caption: str) -> tuple[str, list[tuple[str, ...]]]:
    """The caption without "no hat" and the like, and the kinds that each of those may mean."""
    said = [
        THINGS.get((word.rstrip("s") if word != "glasses" else word,), (word,)) for word in NEGATED.findall(caption)
    ]
    return NEGATED.sub("", caption), said


def claims(caption: str) -> list[Claim]:
    """Read the nouns and their colours: before the noun with adjectives between, or after it."""
    found: list[Claim] = []
    pending: list[tuple[str, ...]] = []
    for kind, value in [*marks(caption), ("word", (".",))]:
        if kind == "noun":
            found.append(Claim(value, tuple(pending), ()))
            pending = []
        elif kind == "colour":
            pending.append(value)
        elif value[0] not in BETWEEN and pending:
            if found:
                found[-1] = replace(found[-1], after=(*found[-1].after, *pending))
            pending = []
    return found


def readings(claims: list[Claim]) -> Iterator[list[Claim]]:
    """Every reading: in "a shirt striped with red and black shoes", red may be said of the shirt or of the shoes."""
    for cuts in product(*(range(max(1, len(claim.before))) for claim in claims)):
        reading: list[Claim] = []
        for cut, claim in zip(cuts, claims, strict=True):
            if cut and reading:
                reading[-1] = replace(reading[-1], after=(*reading[-1].after, *claim.before[:cut]))
            reading.append(replace(claim, before=claim.before[cut:] if reading else claim.before))
        yield reading


def belongings(person: Person, view: View) -> dict[str, tuple[Shade | None, Shade | None]]:
    """Every kind that this picture may show, with its two colours, by rules of this test's own."""
    away, towards = 110 < view.yaw < 250, view.yaw < 60 or view.yaw > 300
    own: dict[str, tuple[Shade | None, Shade | None]] = {"hair": (person.hair.colour, None)}
    own[person.upper.kind] = (person.upper.colour, person.upper.second)
    if person.upper.kind == "blouse" and person.upper.sleeve == "none":
        own["tank top"] = own["blouse"]  # a blouse may be called a top, so this one a "sleeveless top"
    own[person.shoes.kind] = (person.shoes.colour, person.shoes.sole)
    for garment in (person.outer, person.lower):
        if garment is not None:
            own[garment.kind] = (garment.colour, garment.second)
    if person.headwear:
        own[person.headwear.kind] = (person.headwear.colour, None)
    if person.bag and not ((view.yaw < 50 or view.yaw > 310) and person.bag.kind == "backpack"):
        own[person.bag.kind] = (person.bag.colour, None)
    if view.carried:
        own[view.carried.kind] = (view.carried.colour, None)
    for kind, shade in (("scarf", person.scarf), ("socks", person.socks), ("belt", person.belt if towards else None)):
        if shade is not None:
            own[kind] = (shade, None)
    if person.beard and not away:
        own["beard"] = (person.hair.colour, None)
    if person.glasses and not away:
        own[person.glasses] = (None, None)
    return own


def accepts(shades: tuple[Shade | None, Shade | None], colours: tuple[tuple[str, ...], ...], *, first: bool) -> bool:
    """Whether each colour is one of the thing's, and the first before the noun its main one."""
    names = [shade.name for shade in shades if shade is not None]
    names += ["brown"] * ("dark brown" in names)
    return all(set(colour) & set(names) for colour in colours) and (
        not (first and colours) or bool({names[0], names[-1]} & set(colours[0]))
    )


def someone(seed: int) -> tuple[Person, View, str]:
    generator = np.random.default_rng(seed)
    person = sample_person(generator)
    view = sample_view(generator, person, CAMERAS[seed % 5])
    return person, view, describe(person, view, generator, ATTENTIVE.mistakes)


@pytest.fixture(scope="module")
def street() -> list[tuple[Person, View, str]]:
    return [someone(seed) for seed in range(2500)]


def true(claim: Claim, own: dict[str, tuple[Shade | None, Shade | None]]) -> bool:
    return any(
        accepts(own[kind], claim.before, first=True) and accepts(own[kind], claim.after, first=False)
        for kind in claim.kinds
        if kind in own
    )


def test_things_and_colours_that_are_named_are_there(street: list[tuple[Person, View, str]]) -> None:
    read = absent = 0
    for person, view, caption in street:
        own = belongings(person, view)
        told, denied = denials(caption)
        assert all(not set(kinds) & set(own) for kinds in denied), caption
        absent += len(denied)
        said = claims(told)
        assert any(all(true(claim, own) for claim in reading) for reading in readings(said)), (caption, said)
        read += len(said)
    assert read > 8000
    assert absent > 100


def test_the_reader_catches_a_lie(street: list[tuple[Person, View, str]]) -> None:
    lie = (Shade("lilac", (0.5, 0.4, 0.6)), None)
    caught = named = 0
    for person, view, caption in street[:400]:
        own = belongings(person, view) | {person.shoes.kind: lie}
        said = [claim for claim in claims(caption) if person.shoes.kind in claim.kinds and claim.before]
        named += len(said)
        caught += sum(not true(claim, own) for claim in said)
    assert caught == named > 50


def test_sleeves_and_patterns_that_are_named_are_there(street: list[tuple[Person, View, str]]) -> None:
    read = 0
    for person, _, caption in street:
        worn = [garment for garment in (person.upper, person.outer, person.lower) if garment is not None]
        for word in tokens(caption.replace("sleeveless jacket", "jacket")):
            if (word,) in SLEEVES:
                assert person.upper.sleeve in SLEEVES[word,], caption
                read += 1
            if (word,) in PATTERNS:
                assert set(PATTERNS[word,]) & {garment.pattern for garment in worn}, caption
                read += 1
    assert read > 800


@pytest.mark.parametrize(
    ("phrases", "low", "high"),
    [
        (("seen from behind", "facing away", "seen from the back", "back to the camera", "away from us"), 120, 240),
        (("facing the camera", "facing forward", "seen from the front", "towards the camera", "toward us"), -60, 60),
        (("to the right",), 50, 130),
        (("to the left",), 230, 310),
    ],
)
def test_the_view_that_is_named_is_the_view(
    phrases: tuple[str, ...], low: float, high: float, street: list[tuple[Person, View, str]]
) -> None:
    read = 0
    for _, view, caption in street:
        if any(phrase in caption.lower() for phrase in phrases):
            turned = view.yaw if low >= 0 else (view.yaw + 180) % 360 - 180
            assert low <= turned <= high, (view.yaw, caption)
            read += 1
    assert read > 10


def test_sex_pose_and_hands_that_are_named_are_true(street: list[tuple[Person, View, str]]) -> None:
    men, women = (
        {"he", "his", "him", "man", "guy", "boy", "male", "gentleman"},
        {"she", "her", "woman", "lady", "girl", "female"},
    )
    hands = 0
    for person, view, caption in street:
        words = tokens(caption)
        assert not set(words) & (women if person.sex == "man" else men), caption
        assert view.pose == "walking" or not set(words) & {"walking", "strolling", "striding"}, caption
        assert view.pose == "standing" or not set(words) & {"standing", "waiting", "stopping"}, caption
        for word, following in pairwise(words):
            if word in ("left", "right") and following in ("hand", "shoulder", "ear", "hip", "side", "arm"):
                sides = {person.bag.side if person.bag else "", view.carried.hand if view.carried else ""}
                posed = dict(zip(("left", "right"), view.arms, strict=True))[word]
                assert word in sides or (following in ("hand", "arm") and posed != "hanging"), caption
                hands += 1
    assert hands > 100


def test_things_and_colours_in_queries_are_there() -> None:
    read = absent = 0
    for seed in range(1500):
        generator = np.random.default_rng([5, seed])
        person = sample_person(generator)
        view = sample_view(generator, person, CAMERAS[seed % 5])
        own = belongings(person, view)
        for query in write_queries(person, view, generator, ATTENTIVE):
            told, denied = denials(query)
            assert all(not set(kinds) & set(own) for kinds in denied), query
            assert 1 <= len(query.split()) <= 40
            said = claims(told)
            absent += len(denied)
            read += len(said)
            assert any(all(true(claim, own) for claim in reading) for reading in readings(said)), (query, said)
    assert read > 8000
    assert absent > 100
