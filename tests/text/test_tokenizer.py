"""What holds for tokenizers of every kind."""

import itertools
import pickle
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pickout.errors import CheckpointError
from pickout.text.tokenizer import SpecialTokens, Tokenizer, TokenizerSettings

same_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
any_text = st.text(st.characters(codec=None), max_size=40) | st.text("ared bluhts'-&;.<>[MASK]|", max_size=40)


@same_fixture
@given(caption=any_text)
def test_any_text_gives_start_pieces_end_padding(tokenizer: Tokenizer, caption: str) -> None:
    ids = tokenizer.encode([caption])
    assert ids.shape == (1, 12) and ids.dtype == np.int64
    row, special = ids[0].tolist(), tokenizer.special
    end = row.index(special.end)
    assert row[0] == special.start
    assert row[end + 1 :] == [special.padding] * (11 - end)
    assert all(0 <= value < tokenizer.vocabulary_size for value in row)
    assert not {special.start, special.end, special.mask} & set(row[1:end])
    assert tokenizer.mask(ids)[0].tolist() == [position <= end for position in range(12)]


@same_fixture
@given(caption=any_text)
def test_words_are_slices_of_the_caption_that_share_out_its_pieces(tokenizer: Tokenizer, caption: str) -> None:
    words = tokenizer.words(caption)
    assert all(caption[word.start : word.stop] == word.text and word.text for word in words)
    assert all(one.stop <= two.start for one, two in itertools.pairwise(words))
    positions = [position for word in words for position in word.positions]
    assert positions == sorted(set(positions))
    assert set(positions) <= set(range(1, 1 + len(tokenizer.pieces(caption))))


@same_fixture
@given(captions=st.lists(any_text, max_size=5))
def test_a_batch_equals_its_captions_one_by_one(tokenizer: Tokenizer, captions: list[str]) -> None:
    many = captions * 20
    together = tokenizer.encode(many)
    assert together.shape == (len(many), 12)
    for row, caption in zip(together, many, strict=True):
        assert row.tolist() == tokenizer.encode([caption])[0].tolist()


@same_fixture
@given(caption=any_text)
def test_a_round_trip_through_one_text_changes_nothing(tokenizer: Tokenizer, caption: str) -> None:
    again = Tokenizer.from_json(tokenizer.to_json())
    assert (again.kind, again.context, again.special) == (tokenizer.kind, tokenizer.context, tokenizer.special)
    assert again.vocabulary_size == tokenizer.vocabulary_size
    assert again.encode([caption]).tolist() == tokenizer.encode([caption]).tolist()
    assert again.words(caption) == tokenizer.words(caption)
    assert again.to_json() == tokenizer.to_json()


def test_worker_processes_can_take_it_along(tokenizer: Tokenizer) -> None:
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.encode(["a red hat"]).tolist() == tokenizer.encode(["a red hat"]).tolist()


def test_a_long_caption_is_cut_with_its_end_kept(tokenizer: Tokenizer) -> None:
    row = tokenizer.encode(["red " * 50])[0].tolist()
    assert row[0] == tokenizer.special.start and row[-1] == tokenizer.special.end
    assert len(tokenizer.pieces("red " * 50)) == 10
    words = tokenizer.words("red " * 50)
    assert len(words) == 50
    assert words[0].positions[0] == 1 and words[-1].positions == ()


def test_an_empty_caption_is_start_and_end(tokenizer: Tokenizer) -> None:
    for caption in ("", "   \n\t"):
        row = tokenizer.encode([caption])[0].tolist()
        assert row[:3] == [tokenizer.special.start, tokenizer.special.end, tokenizer.special.padding]
        assert tokenizer.words(caption) == []
    assert tokenizer.encode([]).shape == (0, 12)


@pytest.mark.parametrize("unit", ["a", "red hat ", "😀", "漢", "!", " ", "&amp;", "ก็", "7", "\x00", "\ud800"])
def test_a_hundred_thousand_characters_take_less_than_seconds(tokenizer: Tokenizer, unit: str) -> None:
    caption = (unit * 100_000)[:100_000]
    began = time.process_time()
    row = tokenizer.encode([caption])[0]
    tokenizer.words(caption)
    assert time.process_time() - began < 10
    assert row[0] == tokenizer.special.start


def test_punctuation_is_told_from_words(tokenizer: Tokenizer) -> None:
    spoken = {word.text: word.spoken for word in tokenizer.words("a red's hat.")}
    assert spoken == {"a": True, "red's": True, "hat": True, ".": False}


def test_decoding_gives_the_words_and_shows_what_is_hidden(tokenizer: Tokenizer) -> None:
    row = tokenizer.encode(["a red hat"])[0]
    assert tokenizer.decode(row) == "a red hat"
    red = tokenizer.words("a red hat")[1].positions
    row[list(red)] = tokenizer.special.mask
    assert tokenizer.decode(row) == " ".join(["a", *["<mask>"] * len(red), "hat"])


def test_without_closing_token_the_padding_tells_the_length() -> None:
    special = SpecialTokens(padding=0, start=1, end=None, mask=2)
    assert special.ids() == (0, 1, 2)
    assert SpecialTokens(0, start=8, end=9, mask=7).ids() == (0, 7, 8, 9)


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"pickout_tokenizer": 1}'])
def test_a_damaged_text_is_an_error_that_names_its_source(damage: str) -> None:
    with pytest.raises(CheckpointError, match=r"runs/demo/tokenizer\.json"):
        Tokenizer.from_json(damage, "runs/demo/tokenizer.json")


def test_a_text_of_a_later_format_is_refused(tokenizer: Tokenizer) -> None:
    later = tokenizer.to_json().replace('"pickout_tokenizer": 1', '"pickout_tokenizer": 9')
    with pytest.raises(CheckpointError, match="format 9"):
        Tokenizer.from_json(later)


def test_a_truncated_text_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(CheckpointError, match="not a Pickout tokenizer"):
        Tokenizer.from_json(tokenizer.to_json()[:-40])


def test_a_context_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 4"):
        TokenizerSettings(context=2)
