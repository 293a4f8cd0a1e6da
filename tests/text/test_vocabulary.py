"""What a tokenizer's ids stand for."""

from pathlib import Path

from pickout.text.clip import clip_tokenizer
from pickout.text.tokenizer import Tokenizer
from pickout.text.train import train_tokenizer
from pickout.text.wordpiece import wordpiece_tokenizer


def test_word_pieces_tell_special_unused_and_continuing_entries(tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "##l", "black"]))
    vocabulary = wordpiece_tokenizer(file, closing=False).vocabulary
    assert vocabulary.size == 9
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
