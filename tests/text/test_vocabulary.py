"""What a tokenizer's ids stand for."""

import json
from pathlib import Path

from pickout.text.build import clip_tokenizer, train_tokenizer, wordpiece_tokenizer
from pickout.text.tokenizer import Tokenizer


def test_word_pieces_tell_special_unused_and_continuing_entries(tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "##l", "black"]))
    vocabulary = wordpiece_tokenizer(file, closing=False).vocabulary
    assert len(vocabulary.texts) == 9
    assert vocabulary.texts == ("", "", "", "", "", "", "tea", "l", "black")
    # [SEP] is no special id of a tokenizer that closes no row, and still nothing to propose.
    assert vocabulary.proposable.tolist() == [False] * 6 + [True] * 3
    assert vocabulary.continues is not None
    assert vocabulary.continues.tolist() == [False] * 7 + [True, False]


def test_the_pieces_of_a_word_spell_it_in_a_trained_vocabulary() -> None:
    tokenizer = train_tokenizer(["a woman in a teal jacket, a café"] * 3 + ["jackets"], 290, 60)
    vocabulary = tokenizer.vocabulary
    assert vocabulary.continues is not None
    for word in tokenizer.words("The woman wears leggings, jackets"):
        ids = [int(tokenizer.encode(["The woman wears leggings, jackets"])[0, place]) for place in word.positions]
        assert "".join(vocabulary.texts[number] for number in ids) == word.text.lower()
        assert [bool(vocabulary.continues[number]) for number in ids] == [False] + [True] * (len(ids) - 1)
        assert all(vocabulary.proposable[number] for number in ids)
    assert not any(vocabulary.proposable[number] for number in tokenizer.special.ids())


def test_the_vocabulary_survives_saving() -> None:
    tokenizer = train_tokenizer(["a teal jacket"], 270, 20)
    again = Tokenizer.from_json(tokenizer.to_json()).vocabulary
    assert again.texts == tokenizer.vocabulary.texts
    assert again.proposable.tolist() == tokenizer.vocabulary.proposable.tolist()


def test_clip_pieces_do_not_tell_where_a_word_goes_on(shared: Path) -> None:
    vocabulary = clip_tokenizer(shared / "vocab" / "bpe_simple_vocab_16e6.txt.gz").vocabulary
    assert vocabulary.continues is None
    assert vocabulary.texts[2308] == "woman"
    assert not vocabulary.proposable[[0, 49405, 49406, 49407]].any()


def test_whole_words_of_a_learnt_vocabulary_are_those_that_its_captions_had() -> None:
    captions = ["a man in a red jacket, a t-shirt & reddish jeans"] * 4 + ["a café", "2 jackets"]
    tokenizer = train_tokenizer(captions, 400, 60)
    vocabulary = tokenizer.vocabulary
    assert vocabulary.whole_words is not None
    found = {vocabulary.texts[n] for n in vocabulary.whole_words.nonzero()[0]}
    # On the way to "jacket" the byte pairs hold "ja", "jack" and so on, which look like words and are none.
    begun = {text for text, goes_on in zip(vocabulary.texts, vocabulary.continues, strict=True) if not goes_on}
    assert {"j", "ja"} & begun
    assert (
        found == {"a", "man", "in", "red", "jacket", "t", "shirt", "reddish", "jeans", "café", "2", "jackets"} & begun
    )
    assert {"red", "jacket", "reddish", "shirt"} <= found
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.vocabulary.whole_words.tolist() == vocabulary.whole_words.tolist()
    assert again.to_json() == tokenizer.to_json()


def test_a_tokenizer_of_before_does_not_tell_whole_words_and_keeps_its_text() -> None:
    content = json.loads(train_tokenizer(["a teal jacket"], 270, 20).to_json())
    content.pop("seen_whole")
    older = json.dumps(content, ensure_ascii=False)
    tokenizer = Tokenizer.from_json(older)
    assert tokenizer.vocabulary.whole_words is None
    assert tokenizer.to_json() == older


def test_whole_words_of_berts_vocabulary_are_entries_without_mark(tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    file.write_text("\n".join([*special, "tea", "##l", "black", ";", "##s"]))
    vocabulary = wordpiece_tokenizer(file).vocabulary
    assert vocabulary.whole_words.tolist() == [False] * 6 + [True, False, True, False, False]
