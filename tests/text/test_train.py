"""Vocabularies learnt from captions."""

import hashlib
import os
import subprocess
import sys

import pytest

from pickout.errors import DataError
from pickout.text.build import train_tokenizer

CAPTIONS = [
    "A man wears a red shirt, blue trousers and white shoes.",
    "The woman carries a red handbag over a grey-blue jacket &amp; wears a hat.",
    "A man with a red hat and blue jeans.",
] * 3


def test_special_ids_stand_around_the_vocabulary() -> None:
    tokenizer = train_tokenizer(CAPTIONS, vocabulary_size=300, context=30)
    assert tokenizer.vocabulary_size == 300
    special = tokenizer.special
    assert (special.padding, special.mask, special.start, special.end) == (0, 297, 298, 299)
    ids = tokenizer.encode(CAPTIONS)
    assert (ids.argmax(axis=1) == (ids == special.end).argmax(axis=1)).all()


def test_frequent_words_become_one_piece_wherever_they_stand() -> None:
    tokenizer = train_tokenizer(CAPTIONS, vocabulary_size=400, context=30)
    ids = {word: tokenizer.encode([word])[0, 1:-1].tolist() for word in ("blue", "grey-blue", "Blue")}
    assert len(tokenizer.pieces("blue")) == 1
    assert ids["blue"] == ids["Blue"]
    assert ids["blue"][0] in ids["grey-blue"]


def test_a_smaller_vocabulary_needs_more_pieces() -> None:
    small, large = (train_tokenizer(CAPTIONS, vocabulary_size=size) for size in (270, 400))
    assert len(small.pieces(CAPTIONS[0])) > len(large.pieces(CAPTIONS[0]))


def test_text_never_seen_is_spelt_in_bytes_and_read_back() -> None:
    tokenizer = train_tokenizer(CAPTIONS, vocabulary_size=300)
    row = tokenizer.encode(["żółty 😀 帽"])[0]
    assert tokenizer.decode(row) == "żółty 😀 帽"


def test_no_captions_give_the_bytes_alone() -> None:
    tokenizer = train_tokenizer([])
    assert tokenizer.vocabulary_size == 260
    assert tokenizer.decode(tokenizer.encode(["red"])[0]) == "red"


@pytest.mark.parametrize(("empty", "cleaning"), [("", "none"), (" ", "none"), ("...", "albef"), ("", "albef")])
def test_captions_without_a_word_teach_nothing(empty: str, cleaning: str) -> None:
    alone, beside = (train_tokenizer(texts, 300, cleaning=cleaning) for texts in (CAPTIONS, [empty, *CAPTIONS, empty]))
    assert beside.to_json() == alone.to_json()


def test_a_vocabulary_too_small_for_the_bytes_is_refused() -> None:
    with pytest.raises(DataError, match="at least 260"):
        train_tokenizer(CAPTIONS, vocabulary_size=259)


def test_equal_captions_give_equal_tokenizers_in_any_process() -> None:
    program = (
        "import hashlib, sys; from pickout.text.build import train_tokenizer; "
        f"print(hashlib.sha256(train_tokenizer({CAPTIONS!r}, 380).to_json().encode()).hexdigest()); "
        "assert 'torch' not in sys.modules"
    )
    here = hashlib.sha256(train_tokenizer(CAPTIONS, 380).to_json().encode()).hexdigest()
    for threads in ("1", "4"):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == here
