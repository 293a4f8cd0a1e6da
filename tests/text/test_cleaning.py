"""Cleaning a caption, and the way back to its characters."""

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from pickout.text.cleaning import clean, clean_as_albef

pieces = st.sampled_from(
    ["&amp;", "&", "lt;", "&lt;", "&#233;", "&amp;amp;", "&notit;", " red ", "é", "#38;", "x", ";", "&acE;"]
)


def test_entities_are_resolved_twice_and_point_to_their_start() -> None:
    cleaned = clean("a &amp;lt; b", entities=True)
    assert cleaned.text == "a < b"
    assert list(cleaned.origins) == [0, 1, 2, 10, 11]


def test_entities_stay_for_word_pieces() -> None:
    assert clean("a &amp; b", entities=False).text == "a &amp; b"


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert clean("red \ud800 hat", entities=False).text == "red \ufffd hat"


@given(st.lists(pieces, max_size=12).map("".join))
def test_the_text_equals_the_standard_library_twice(caption: str) -> None:
    cleaned = clean(caption, entities=True)
    assert cleaned.text == html.unescape(html.unescape(caption))
    origins = list(cleaned.origins)
    assert origins == sorted(origins)
    assert all(0 <= origin < len(caption) for origin in origins)
    assert all(cleaned.text[i] == caption[o] or caption[o] == "&" for i, o in enumerate(origins))


def test_albefs_cleaning_of_the_specification() -> None:
    """AGA spec, E9."""
    caption = "The man's T-shirt is black/white; he wears (blue) jeans.\n"
    assert clean_as_albef(caption, 50).text == "the mans t shirt is black white he wears blue jeans"


def test_albefs_cleaning_names_a_person_and_closes_gaps() -> None:
    assert clean_as_albef("  A  <person>\t , in red -- coat ", None).text == "a person in red coat"
    assert clean_as_albef("", 50).text == clean_as_albef(" ., ", 50).text == ""


def test_albefs_cleaning_keeps_the_first_words() -> None:
    assert clean_as_albef("one two-three four", 3).text == "one two three"
    assert clean_as_albef("one two", 2).text == "one two"


@given(st.lists(st.sampled_from(["T-shirt", "İ", "<person>", "  ", "\t", "a", ".", "/", "x'y", "\n"]), max_size=12))
def test_every_cleaned_letter_points_to_where_it_came_from(parts: list[str]) -> None:
    caption = "".join(parts)
    cleaned = clean_as_albef(caption, None)
    places = list(cleaned.origins)
    assert places == sorted(places)
    for letter, place in zip(cleaned.text, places, strict=True):
        assert letter in caption[place].lower() or (
            letter == " " and (caption[place] in "-/" or caption[place].isspace())
        )


def _albef_by_rules(caption: str, words: int) -> str:
    """The specification's steps one after the other, on plain text."""
    text = caption.lower()
    for mark in ",.'!?\"()*#:;~":
        text = text.replace(mark, "")
    text = text.replace("-", " ").replace("/", " ").replace("<person>", "person")
    text = re.sub(r"\s{2,}", " ", text).rstrip("\n").strip()
    return " ".join(text.split(" ")[:words])


@given(st.text(alphabet="aB -/.,'<person>\t\n!x", max_size=40), st.integers(1, 6))
def test_albefs_cleaning_equals_its_rules_in_a_row(caption: str, words: int) -> None:
    assert clean_as_albef(caption, words).text == _albef_by_rules(caption, words)
