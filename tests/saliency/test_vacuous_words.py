"""The fixed list of empty words."""

import re

import pytest

from pickout.saliency.vacuous_words import VACUOUS_WORDS, vacuous_table


@pytest.mark.parametrize("word", ["a", "the", "is", "with", "his", "and", "wearing", "person", "shes"])
def test_words_that_describe_nothing_are_listed(word: str) -> None:
    assert word in VACUOUS_WORDS


@pytest.mark.parametrize(
    "word", ["man", "woman", "two", "left", "short", "black", "carrying", "down", "bag", "walking"]
)
def test_words_that_tell_people_apart_are_not(word: str) -> None:
    assert word not in VACUOUS_WORDS


def test_the_list_is_spelled_as_cleaned_captions_are() -> None:
    assert all(re.fullmatch(r"[a-z]+", word) for word in VACUOUS_WORDS)


def test_the_table_marks_whole_words_alone() -> None:
    texts = ["", "the", "coat", "in", "in"]
    assert vacuous_table(texts).tolist() == [False, True, False, True, True]
    assert vacuous_table(texts, [False, False, False, False, True]).tolist() == [False, True, False, True, False]
