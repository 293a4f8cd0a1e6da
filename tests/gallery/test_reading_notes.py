"""Sentences that a model cannot read are said so beside the candidates, not refused."""

import pytest
from colour_encoder import COLOURS, THIRDS, ColourEncoder

from pickout.gallery.gallery import Gallery
from pickout.gallery.search.query import Query
from pickout.text.familiarity import Familiarity

KNOWN = {*COLOURS, *(word for words in THIRDS.values() for word in words), "a", "in", "and", "with", "woman"}


class ReadingEncoder(ColourEncoder):
    """Knows its own words, reads eight of them, and takes letters beyond ASCII for another script."""

    def familiarity(self, sentence):
        words = sentence.lower().split()
        seen = words[:8]
        unknown = [word for word in seen if word not in KNOWN]
        letters = sum(map(len, seen))
        foreign = sum(len(word) for word in seen if not word.isascii()) / letters
        return Familiarity(
            len(words), tuple(dict.fromkeys(unknown)), foreign, len(unknown) / len(seen), max(0, len(words) - 8)
        )


@pytest.fixture
def reading(gallery):
    return Gallery.open(gallery.path, ReadingEncoder())


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("青い上着の女性", "is in a script that the model does not know"),
        ("une veste bleue avec un sac", "hardly in words that the model knows"),
        ("a woman in teal jacket and skis and skis", "learnt 'skis'; it may guess. The model read the first 8 of 9"),
        ("skis", "The model never learnt 'skis'; it may guess."),
    ],
)
def test_what_cannot_be_read_is_noted_and_searched_all_the_same(reading, sentence, said):
    answer = reading.ask(sentence)
    assert len(answer.hits) == 6
    assert any(said in note for note in answer.notes)


def test_the_unknown_words_are_told_apart_from_the_notes(reading):
    assert reading.ask("a woman in teal jacket and skis").as_json()["unknown"] == {"skis": ""}


def test_a_sentence_in_known_words_has_no_note(reading, gallery):
    assert reading.ask("a woman in a teal jacket").notes == ()
    assert gallery.ask("青い上着の女性").notes == ()  # an encoder that cannot tell says nothing


def test_every_sentence_of_a_query_is_looked_at(reading):
    answer = reading.ask(Query(["a woman", "eine Frau in Blau"], without=["ein Rucksack dabei"]))
    assert [note.split("'")[1] for note in answer.notes] == ["eine Frau in Blau", "ein Rucksack dabei"]
