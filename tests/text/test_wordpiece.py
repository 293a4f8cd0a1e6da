"""BERT's tokenizer: golden ids and words cut from the left."""

from pathlib import Path

import pytest

from pickout.errors import DataError, DataMissing
from pickout.text.build import wordpiece_tokenizer
from pickout.text.tokenizer import Tokenizer

GOLDEN = {
    "a photo of a cat": [101, 1037, 6302, 1997, 1037, 4937, 102],
    "A woman with a teal jacket, black leggings and sneakers.": [
        *[101, 1037, 2450, 2007, 1037, 5572, 2140, 6598, 1010, 2304, 4190, 4726, 2015, 1998, 28130, 1012, 102]
    ],
    "He's wearing grey-blue jeans & flip-flops.": [
        *[101, 2002, 1005, 1055, 4147, 4462, 1011, 2630, 6312, 1004, 11238, 1011, 28583, 2015, 1012, 102]
    ],
    "Café T-SHIRT 100%": [101, 7668, 1056, 1011, 3797, 2531, 1003, 102],
}


@pytest.fixture(scope="session")
def published(shared: Path) -> Tokenizer:
    return wordpiece_tokenizer(shared / "vocab" / "vocab.txt")


@pytest.mark.parametrize("caption", GOLDEN)
def test_golden_ids(published: Tokenizer, caption: str) -> None:
    row = published.encode([caption])[0].tolist()
    assert row == GOLDEN[caption] + [0] * (64 - len(GOLDEN[caption]))
    assert published.vocabulary_size == 30522
    assert published.special.ids() == (0, 101, 102, 103)


@pytest.mark.parametrize("caption", GOLDEN)
def test_without_closing_token_the_separator_is_gone(shared: Path, caption: str) -> None:
    open_ended = wordpiece_tokenizer(shared / "vocab" / "vocab.txt", closing=False)
    ids = open_ended.encode([caption])
    wanted = GOLDEN[caption][:-1]
    assert ids[0].tolist() == wanted + [0] * (64 - len(wanted))
    assert open_ended.mask(ids).sum() == len(wanted)
    assert open_ended.special.end is None


def test_words_gather_their_pieces(published: Tokenizer) -> None:
    words = {word.text: word.positions for word in published.words("a teal jacket, black leggings")}
    assert words == {"a": (1,), "teal": (2, 3), "jacket": (4,), ",": (5,), "black": (6,), "leggings": (7, 8, 9)}


def test_special_entries_written_in_a_caption_are_text(wordpieces: Path) -> None:
    tokenizer = wordpiece_tokenizer(wordpieces, context=20)
    row = tokenizer.encode(["[MASK] [SEP] a"])[0].tolist()
    assert row.count(4) == 0 and row.count(3) == 1 and row[-1] == 0


def test_a_small_vocabulary_cuts_greedily(wordpieces: Path) -> None:
    tokenizer = wordpiece_tokenizer(wordpieces, context=12, closing=False)
    assert tokenizer.pieces("Red LEGGINGS, a hat.") == ["red", "leg", "##ging", "##s", "[UNK]", "a", "hat", "."]
    assert tokenizer.encode(["red " * 20])[0].tolist() == [2] + [6] * 11
    assert tokenizer.decode(tokenizer.encode(["red leggings"])[0]) == "red leggings"


def test_a_file_with_carriage_returns_reads_alike(tmp_path: Path, wordpieces: Path) -> None:
    other = tmp_path / "windows.txt"
    other.write_bytes(wordpieces.read_bytes().replace(b"\n", b"\r\n"))
    assert wordpiece_tokenizer(other).to_json() == wordpiece_tokenizer(wordpieces).to_json()


def test_a_missing_file_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="bert-base-uncased"):
        wordpiece_tokenizer(tmp_path / "absent.txt")


@pytest.mark.parametrize(("content", "told"), [(b"a\nb\n", "lacks"), (b"\xff\xfe", "cannot be read"), (b"", "lacks")])
def test_a_file_that_is_no_vocabulary_is_an_error(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "vocab.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=told):
        wordpiece_tokenizer(file)
