"""Cleaning a caption, and the way back to its characters."""

import html

from hypothesis import given
from hypothesis import strategies as st

from pickout.text.cleaning import clean

pieces = st.sampled_from(
    ["&amp;", "&", "lt;", "&lt;", "&#233;", "&amp;amp;", "&notit;", " red ", "é", "#38;", "x", ";", "&acE;"]
)


def test_entities_are_resolved_twice_and_point_to_their_start() -> None:
    cleaned = clean("a &amp;lt; b", entities=True)
    assert cleaned.text == "a < b"
    assert [cleaned.origin(position) for position in range(5)] == [0, 1, 2, 10, 11]


def test_entities_stay_for_word_pieces() -> None:
    assert clean("a &amp; b", entities=False).text == "a &amp; b"


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert clean("red \ud800 hat", entities=False).text == "red \ufffd hat"


@given(st.lists(pieces, max_size=12).map("".join))
def test_the_text_equals_the_standard_library_twice(caption: str) -> None:
    cleaned = clean(caption, entities=True)
    assert cleaned.text == html.unescape(html.unescape(caption))
    origins = [cleaned.origin(position) for position in range(len(cleaned.text))]
    assert origins == sorted(origins)
    assert all(0 <= origin < len(caption) for origin in origins)
    assert all(cleaned.text[i] == caption[o] or caption[o] == "&" for i, o in enumerate(origins))
