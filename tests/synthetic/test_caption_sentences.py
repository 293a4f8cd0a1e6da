"""The sentences of the street: their budget, their tone, and that they are true."""

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pickout.synthetic.attributes import Bag, Carried, Item, Person, Shade, View, visible_items
from pickout.synthetic.cameras import sample_cameras
from pickout.synthetic.captions import (
    LONGEST,
    SHORTEST,
    CaptionSettings,
    MistakeSettings,
    describe,
    describe_image,
    misspelt,
    tokens,
    with_mistakes,
    write_queries,
)
from pickout.synthetic.habits import LEXICON, Pen
from pickout.synthetic.people import sample_person, sample_view

ATTENTIVE = MistakeSettings(colour=0, vague=0, omission=0, side=0, spelling=0)
CARELESS = MistakeSettings(colour=1, vague=1, omission=0.9, side=1, spelling=0.5)
CAMERAS = sample_cameras(np.random.default_rng(0), 5)


def someone(seed: int) -> tuple[Person, View, np.random.Generator]:
    generator = np.random.default_rng(seed)
    person = sample_person(generator)
    return person, sample_view(generator, person, CAMERAS[seed % 5]), generator


@pytest.fixture(scope="module")
def written() -> list[str]:
    """5,000 captions: two of each of 2,500 people, by writers who can spell."""
    captions = []
    for seed in range(2500):
        person, view, generator = someone(seed)
        captions += describe_image(person, view, generator, CaptionSettings(mistakes=MistakeSettings(spelling=0)))
    return captions


@pytest.fixture(scope="module")
def queries() -> list[str]:
    """Four short queries about each of 1,000 people."""
    found = []
    for seed in range(1000):
        person, view, generator = someone(seed)
        found += write_queries(person, view, generator, CaptionSettings(mistakes=MistakeSettings(spelling=0)))
    return found


def test_every_caption_has_15_to_45_words(written: list[str]) -> None:
    assert all(SHORTEST <= len(caption.split()) <= LONGEST for caption in written)
    assert (SHORTEST, LONGEST) == (15, 45)


@pytest.mark.parametrize("settings", [ATTENTIVE, CARELESS], ids=["attentive", "careless"])
def test_the_budget_holds_for_any_care(settings: MistakeSettings) -> None:
    for seed in range(800):
        person, view, generator = someone(seed)
        assert 15 <= len(describe(person, view, generator, settings).split()) <= 45


def test_the_budget_holds_when_a_mask_hides_nearly_everything() -> None:
    hidden = dict.fromkeys(
        ("hair", "beard", "glasses", "headwear", "scarf", "outer", "lower", "belt", "socks", "bag", "carried", "shoes"),
        0.0,
    )
    for seed in range(300):
        person, view, generator = someone(seed)
        for upper in (0.0, 0.2):
            caption = describe(person, view, generator, None, hidden | {"upper": upper})
            assert 15 <= len(caption.split()) <= 45


NEVER = """
skin skinned complexion complexioned tanned swarthy ethnic ethnicity race racial asian african european caucasian latino
latina hispanic indian chinese arab arabic western oriental
"""
PEOPLE = "man woman boy girl lady guy male female person gentleman child kid youth pedestrian"
TONES = "black white brown dark light pale fair beige tan yellow red olive"


def test_skin_is_never_named(written: list[str], queries: list[str]) -> None:
    for caption in [*written, *queries]:
        words = tokens(caption)
        assert not set(words) & set(NEVER.split()), caption
        for before, word in pairwise(words):
            assert not (before in TONES.split() and word in PEOPLE.split()), caption


def test_captions_differ_within_and_across_images(written: list[str]) -> None:
    assert all(first != second for first, second in zip(written[::2], written[1::2], strict=True))
    assert len(set(written)) > 0.98 * len(written)


def test_syntax_and_vocabulary_vary(written: list[str]) -> None:
    words = Counter(word for caption in written for word in tokens(caption))
    assert len(words) > 550
    assert len({tuple(tokens(caption)[:3]) for caption in written}) > 700
    sentences = Counter(caption.count(". ") + 1 for caption in written)
    assert min(sentences[1], sentences[2], sentences[3]) > 200
    assert max(words.values()) < 0.1 * words.total()


def test_a_large_street_has_3000_words() -> None:
    """Counted on a quarter of 4,800 images, where half of the words are spelt wrong or rare."""
    spelt = {word for rows in LEXICON.values() for options in rows.values() for word in tokens(" ".join(options))}
    words: set[str] = set()
    for seed in range(1200):
        person, view, generator = someone(seed)
        said = describe_image(person, view, generator, CaptionSettings())
        said += write_queries(person, view, generator, CaptionSettings())
        words |= {word for text in said for word in tokens(text)}
    assert len(words & spelt) > 1350
    assert len(words) > 1900


def test_queries_are_short_and_many_shaped(queries: list[str]) -> None:
    lengths = [len(query.split()) for query in queries]
    assert 4 < np.mean(lengths) < 11
    assert np.mean([length <= 4 for length in lengths]) > 0.15
    assert len(set(queries)) > 0.9 * len(queries)
    denying = [
        query for query in queries if re.search(r"\b(no|without|bareheaded|empty-handed|not|clean-shaven)\b", query)
    ]
    assert 0.04 < len(denying) / len(queries) < 0.3
    assert not any(re.search(r"[{}]|  |\ba a\b|\ba [aeio]\w+ (?:man|woman)", query) for query in queries)


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_misspelling_comes_at_its_rate_and_spares_the_ends_of_words(rate: float) -> None:
    pen = Pen(np.random.default_rng(2))
    words = ["turned", "greenish", "caption", "another", "thousand"]
    text = " ".join(words * 400)
    wrong = misspelt(text, pen, rate).split()
    changed = [(old, new) for old, new in zip(text.split(), wrong, strict=True) if old != new]
    assert abs(len(changed) / 2000 - rate) <= 0.12 * rate**0.5
    assert all(old[0] == new[0] for old, new in changed)


def test_writers_keep_to_their_english(written: list[str]) -> None:
    british, american = ({*LEXICON["writers"][name]} for name in ("british", "american"))
    both = np.mean([bool(british & {*tokens(text)}) and bool(american & {*tokens(text)}) for text in written])
    assert both < 0.06


def test_sentences_are_well_formed(written: list[str]) -> None:
    for caption in written:
        assert caption.endswith(".") and caption[0].isupper(), caption
        assert not re.search(r"[{}]|  | ,|,,|\.\.|\ba a\b|\ban an\b|\band and\b|\bwith with\b", caption), caption
        assert not re.search(
            r"(?<!tucked )(?<!-)\b(wearing|in|on|with|has|wears|of|and|is|sporting|donning|sports|to)[.,]", caption
        ), caption
        assert not re.search(r"\ba (?!one-)[aeio]|\ban [^aeiou]", caption), caption
        assert not re.search(r" (He|She|His|Her)\b(?<![.] He)(?<![.] She)(?<![.] His)(?<![.] Her)", caption), caption
        assert not re.search(r"\ba (?:[^\s,]+ )?(trousers|jeans|shorts|shoes|hair|leggings|glasses)\b", caption), (
            caption
        )


def test_about_half_of_the_words_tell_nothing(written: list[str]) -> None:
    telling = telling_words()
    share = np.mean([word not in telling for caption in written for word in tokens(caption)])
    assert 0.4 < share < 0.6


EMPTY = "a an the of on in with at over around that some no his is are to and something up it has partly person"


TELLING = """
colours hair_colours kinds vague_kinds sleeves_before sleeves_after lengths_before lengths_after patterns_before
patterns_after hair_lengths hair_styles people
"""


def telling_words() -> set[str]:
    """Words for people, colours, things and how these look, from the tables of the package."""
    tables = [rows for name, rows in LEXICON.items() if name in TELLING.split()]
    tables.append({"logo": LEXICON["said"]["logo"]})
    words = {word for table in tables for options in table.values() for option in options for word in tokens(option)}
    return words - set(EMPTY.split())


def test_the_same_generator_writes_the_same_caption() -> None:
    for seed in range(50):
        first, second = (describe(*someone(seed)) for _ in range(2))
        assert first == second


def test_tokens_are_lower_case_words_without_punctuation() -> None:
    assert tokens("The man's T-shirt, off-white; it has 2 logos.") == [
        "the",
        "man's",
        "t-shirt",
        "off-white",
        "it",
        "has",
        "2",
        "logos",
    ]


def facing_away(seed: int) -> tuple[Person, View]:
    person, view, _ = someone(seed)
    return person, replace(view, yaw=180.0, occluder=None)


def test_a_face_is_not_described_from_behind() -> None:
    for seed in range(200):
        person, view = facing_away(seed)
        slots = {item.slot for item in visible_items(replace(person, glasses="glasses", beard=True), view)}
        assert not slots & {"glasses", "beard", "belt"}
        assert all("logo" not in item.tags for item in visible_items(person, view))


def test_a_backpack_is_described_from_behind_only() -> None:
    person, view, _ = someone(3)
    person = replace(person, bag=Bag("backpack", Shade("red", (0.7, 0.1, 0.1)), "left", "back"))
    assert "bag" not in {item.slot for item in visible_items(person, replace(view, yaw=0.0))}
    assert "bag" in {item.slot for item in visible_items(person, replace(view, yaw=180.0))}


@pytest.mark.parametrize(("yaw", "hand", "seen"), [(90.0, "right", True), (90.0, "left", False), (270.0, "left", True)])
def test_the_hand_on_the_far_side_is_not_described(yaw: float, hand: str, seen: bool) -> None:
    person, view, _ = someone(5)
    bottle = Carried("bottle", Shade("white", (0.9, 0.9, 0.9)), hand, "carried")  # type: ignore[arg-type]
    slots = {item.slot for item in visible_items(person, replace(view, yaw=yaw, carried=bottle))}
    assert ("carried" in slots) == seen
    masked = {item.slot for item in visible_items(person, replace(view, yaw=yaw, carried=bottle), {"carried": 0.01})}
    assert "carried" in masked


def test_what_the_mask_hides_is_not_described() -> None:
    person, view = facing_away(1)
    assert "shoes" in {item.slot for item in visible_items(person, view, {"shoes": 0.02})}
    assert "shoes" not in {item.slot for item in visible_items(person, view, {"shoes": 0.0005})}


def counted_mistakes(settings: MistakeSettings) -> Counter[str]:
    """How often each kind of mistake befalls an item, by loops."""
    item = Item("bag", "backpack", Shade("red", (0.78, 0.1, 0.13)), side="left", worn="shoulder")
    other = Item("upper", "shirt", Shade("black", (0.09, 0.09, 0.1)))
    counts: Counter[str] = Counter()
    generator = np.random.default_rng(7)
    for _ in range(4000):
        taken = {each.slot: each for each in with_mistakes([other, item], generator, settings)}
        if "bag" not in taken:
            counts["omission"] += 1
            continue
        bag = taken["bag"]
        counts["colour"] += bag.colour is not None and bag.colour.name != "red"
        counts["vague"] += bag.vague
        counts["side"] += bag.side == "right"
    return counts


@pytest.mark.parametrize("kind", ["colour", "vague", "omission", "side"])
def test_each_kind_of_mistake_comes_at_its_rate_and_alone(kind: str) -> None:
    rates = dict.fromkeys(("colour", "vague", "omission", "side", "spelling"), 0.0) | {kind: 0.2}
    counts = counted_mistakes(MistakeSettings(**rates))
    assert abs(counts[kind] / 4000 - 0.2) < 0.025
    assert all(counts[other] == 0 for other in rates if other != kind)


def test_a_wrong_colour_is_a_near_one() -> None:
    always = MistakeSettings(colour=1, vague=0, omission=0, side=0, spelling=0)
    navy = Item("upper", "shirt", Shade("navy", (0.10, 0.13, 0.30)), sleeve="long", length="hip")
    generator = np.random.default_rng(1)
    taken = Counter(with_mistakes([navy], generator, always)[0].colour.name for _ in range(100))  # type: ignore[union-attr]
    assert len(taken) == 2
    assert not set(taken) & {"navy", "yellow", "white", "orange", "red", "pink"}
