"""What a tokenizer knows of a sentence, with a vocabulary learnt from a few captions, CLIP's and BERT's."""

import pytest

from pickout.text.build import build_tokenizer
from pickout.text.familiarity import familiarity, learnt_words
from pickout.text.tokenizer import TokenizerSettings

CAPTIONS = [
    "A woman in a teal jacket and black leggings, carrying a backpack.",
    "The man wears a red coat, blue trousers and white trainers.",
    "A young person with a yellow top and dark shorts.",
] * 30


@pytest.fixture(scope="module")
def trained():
    return build_tokenizer(TokenizerSettings(kind="trained", vocabulary_size=400, context=60), CAPTIONS)


def test_a_caption_like_those_it_learnt_from_is_known(trained):
    found = familiarity(trained, "The woman wears a teal coat and white shorts.")
    assert (found.words, found.unknown, found.foreign, found.strange, found.cut) == (9, (), 0.0, 0.0, 0)


def test_single_words_it_does_not_know_are_named_once(trained):
    found = familiarity(trained, "A woman with skis, skis and a teal jacket.")
    assert found.unknown == ("skis",)
    assert found.strange == pytest.approx(2 / 9)
    assert found.foreign == 0


@pytest.mark.parametrize("sentence", ["青い上着の女性", "женщина в синей куртке", "امرأة ترتدي سترة زرقاء"])
def test_a_script_it_does_not_know_is_foreign(trained, sentence):
    found = familiarity(trained, sentence)
    assert found.foreign == 1.0 and found.strange == 1.0


def test_words_behind_the_context_are_counted(trained):
    found = familiarity(trained, "A woman in a teal jacket and black leggings " * 8)
    assert (found.words, found.cut) == (72, 72 - 58)


def test_punctuation_alone_is_no_word(trained):
    assert familiarity(trained, "?!").words == 0


def test_the_published_vocabularies_know_english_and_say_what_they_do_not(shared):
    clip = build_tokenizer(TokenizerSettings(file=shared / "vocab/bpe_simple_vocab_16e6.txt.gz"))
    bert = build_tokenizer(TokenizerSettings(kind="wordpiece", file=shared / "vocab/vocab.txt"))
    for tokenizer in (clip, bert):
        assert familiarity(tokenizer, "A woman in a teal jacket, black leggings and headphones.").unknown == ()
        assert "qxzvk" in familiarity(tokenizer, "A woman with a qxzvk.").unknown
    assert familiarity(bert, "a woman 👩 with a ꙮꙮ bag").unknown == ("ꙮꙮ",)
    assert familiarity(clip, "a woman with a ꙮꙮ bag").unknown == ("ꙮꙮ",)


@pytest.mark.parametrize("sentence", ["a 'red' coat", "'teal jacket'", "a 'woman' in 'TEAL'", "he's in her 'red' coat"])
def test_a_quoted_word_is_read_like_any_other(trained, sentence, shared):
    clip = build_tokenizer(TokenizerSettings(file=shared / "vocab/bpe_simple_vocab_16e6.txt.gz"))
    bert = build_tokenizer(TokenizerSettings(kind="wordpiece", file=shared / "vocab/vocab.txt"))
    for tokenizer in (trained, clip, bert):
        plain = sentence.replace(" '", " ").replace("' ", " ").strip("'")
        assert {word.text for word in tokenizer.words(plain)} <= {word.text for word in tokenizer.words(sentence)}
        assert not {word.lower() for word in familiarity(tokenizer, sentence).unknown} & {"red", "teal", "woman"}


@pytest.mark.parametrize("word", ["red", "small", "teal", "velvet", "dark", "llama", "maroon", "t"])
def test_a_quote_before_the_letters_of_an_english_ending_takes_none_of_them(word):
    """'s, 't, 're, 've, 'm, 'll and 'd are endings to CLIP."""
    learnt = [f"a {word} hat", "he's in the woman 's coat"] * 9
    tokenizer = build_tokenizer(TokenizerSettings(kind="trained", vocabulary_size=500, context=60), learnt)
    assert tokenizer.pieces(f"a '{word} hat") == tokenizer.pieces(f"a {word} hat")
    assert word in [found.text for found in tokenizer.words(f"a '{word}' hat")]
    assert familiarity(tokenizer, f"a '{word}' hat").unknown == ()
    assert "\u0120's" in tokenizer.pieces("the woman 's coat")


LEARNT = frozenset(learnt_words([*CAPTIONS, "A woman with a scraf.", "The man isn't in a red jacket."]))


def test_a_word_counts_as_learnt_from_two_captions_on():
    assert {"woman", "teal", "trainers"} <= LEARNT and not LEARNT & {"scraf", "isn't", ",", "."}


@pytest.mark.parametrize(
    ("sentence", "unknown", "meant"),
    [
        ("a woman in a teal jacket with a tattoo", ("tattoo",), ("",)),
        ("The MAN wears Trousers and a Jaket", ("Jaket",), ("jacket",)),
        ("a man's jackets, a woman’s trainer", (), ()),  # singular, plural, whose
        ("she saw women and men: no, he isn't in red", ("she", "no", "he"), ("", "", "")),  # these captions have none
        ("a cap and a coal", ("cap", "coal"), ("", "")),  # short words are like too many others
    ],
)
def test_what_a_model_never_learnt_is_asked_of_its_captions_and_not_of_its_vocabulary(shared, sentence, unknown, meant):
    bert = build_tokenizer(TokenizerSettings(kind="wordpiece", file=shared / "vocab/vocab.txt"))
    assert "tattoo" not in familiarity(bert, sentence).unknown
    found = familiarity(bert, sentence, LEARNT)
    assert (found.unknown, found.meant) == (unknown, meant)
