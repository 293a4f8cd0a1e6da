"""The fixed list of empty words."""

import re

import pytest

from pickout.saliency.vacuous_words import VACUOUS_WORDS, vacuous_table

SENTENCES = {
    "a man with a bag": "with",
    "a person in a coat": "person",
    "the woman is wearing a hat that has a brim": "wearing",
    "somebody whose jeans are blue and who can be seen": "can",
}
"""A caption, and a word of it that could go or be another of its kind without making it false."""
TELLING = {
    "negations": "no not nor neither without isnt arent wasnt hasnt doesnt dont cannot cant except only",
    "sex": "he she him her his hers himself herself hes shes man woman",
    "number and likeness": "both two same pair all",
    "how and where it is worn": "over under underneath beneath across around between above below off up down out",
    "place and direction": "behind past toward towards through inside outside left right front back",
    "clothes": "worn short long striped plain carrying holding bag",
}


@pytest.mark.parametrize("word", ["a", "the", "is", "and", "its", *SENTENCES.values()])
def test_words_that_describe_nothing_are_listed(word: str) -> None:
    assert word in VACUOUS_WORDS


@pytest.mark.parametrize("kind", sorted(TELLING))
def test_words_that_change_what_a_caption_says_are_not(kind: str) -> None:
    assert {word for word in TELLING[kind].split() if word in VACUOUS_WORDS} == set()


def test_with_is_empty_and_without_is_not() -> None:
    """AGA's own example."""
    assert "with" in VACUOUS_WORDS
    assert "without" not in VACUOUS_WORDS


def test_no_word_is_a_contracted_negation() -> None:
    assert [word for word in VACUOUS_WORDS if re.fullmatch(r"\w+nt", word)] == []


def test_the_list_is_spelled_as_cleaned_captions_are() -> None:
    assert all(re.fullmatch(r"[a-z]+", word) for word in VACUOUS_WORDS)


def test_the_table_marks_whole_words_alone() -> None:
    texts = ["", "the", "coat", "in", "in"]
    assert vacuous_table(texts).tolist() == [False, True, False, True, True]
    assert vacuous_table(texts, [False, False, False, False, True]).tolist() == [False, True, False, True, False]
