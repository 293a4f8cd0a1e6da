import numpy as np
import pytest
import torch

from pickout.errors import UsageError
from pickout.explain.evidence import drop_words, hide_patches, phrase_of
from pickout.explain.pair import Grid, make_pair


def test_told_words_are_those_that_the_model_reads(pair, sentence):
    assert [pair.words[n].text for n in pair.told] == sentence.replace(",", "").replace(".", "").split()


def test_a_word_that_the_context_cuts_off_is_not_told(load_tiny, picture, sentence):
    model = load_tiny("dual", context=6)
    pair = make_pair(model, sentence, picture)
    assert 0 < len(pair.told) < 11
    assert any(word.spoken and not word.positions for word in pair.words)


@pytest.mark.parametrize("sentence", ["", "   ", "...!?", "\N{SNOWMAN}", "\x00"])
def test_a_sentence_without_words_is_refused(model, picture, sentence):
    with pytest.raises(UsageError, match="describe a person"):
        make_pair(model, sentence, picture)


def test_patches_are_where_the_tower_cuts_them(pair):
    cover = pair.grid.cover()
    assert cover.shape == (8, 32, 16)
    assert cover.sum(axis=0).tolist() == np.ones((32, 16), int).tolist()
    assert cover[3, 8:16, 8:16].all()


def test_overlapping_patches_share_pixels():
    cover = Grid(rows=1, columns=2, patch=4, stride=2, height=4, width=6).cover()
    assert cover[0].sum() == cover[1].sum() == 16
    assert (cover[0] & cover[1]).sum() == 8


@pytest.mark.parametrize("own", [False, True])
def test_hidden_patches_show_the_filling_and_nothing_else_changes(pair, own):
    kept = np.ones((2, 8), bool)
    kept[1, 3] = False
    whole, changed = hide_patches(pair, kept, own=own)
    assert torch.equal(whole, pair.pixels)
    expected = pair.pixels.clone()
    colour = pair.pixels.mean(dim=(1, 2)) if own else torch.zeros(3)
    expected[:, 8:16, 8:16] = colour[:, None, None]
    assert torch.equal(changed, expected)
    assert not torch.equal(changed, whole)


def test_dropping_words_gives_the_ids_of_the_sentence_without_them(model, pair, sentence):
    dropped = [n for n, word in enumerate(pair.words) if word.text in ("pale", "blue")]
    without = model.tokenizer.encode([sentence.replace(" pale blue", "")])[0]
    assert drop_words(pair, dropped, model.tokenizer.special.padding).tolist() == without.tolist()


def test_a_phrase_ends_at_punctuation_and_empty_words(pair):
    texts = [pair.words[n].text for n in pair.told]
    phrases = {text: [texts[n] for n in phrase_of(pair, place)] for place, text in enumerate(texts)}
    assert phrases["blue"] == ["pale", "blue", "blouse"]
    assert phrases["jeans"] == ["dark", "jeans"]
    assert phrases["and"] == ["and"]


def test_a_phrase_reaches_two_words_to_each_side(model, picture):
    pair = make_pair(model, "red green blue white black brown grey", picture)
    assert list(phrase_of(pair, 3)) == [1, 2, 3, 4, 5]
    assert list(phrase_of(pair, 0)) == [0, 1, 2]
