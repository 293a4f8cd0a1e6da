"""Tokenizers from settings."""

from pathlib import Path

import pytest

from pickout.config import parse_settings
from pickout.errors import CheckpointError, DataMissing, RecipeError
from pickout.text.build import build_tokenizer
from pickout.text.tokenizer import Tokenizer, TokenizerSettings


def test_each_kind_is_built_from_its_settings(merges: Path, wordpieces: Path) -> None:
    clip = build_tokenizer(TokenizerSettings(file=merges, context=9))
    assert (clip.kind, clip.context) == ("clip", 9)
    open_ended = build_tokenizer(TokenizerSettings(kind="wordpiece", file=wordpieces, closing=False))
    assert open_ended.kind == "wordpiece" and open_ended.special.end is None
    trained = build_tokenizer(TokenizerSettings(kind="trained", vocabulary_size=270), ["a red hat"] * 4)
    assert trained.kind == "trained" and trained.vocabulary_size <= 270


def test_settings_are_read_from_a_recipe() -> None:
    settings = parse_settings(TokenizerSettings, {"kind": "clip", "file": "vocab/merges.txt"}, source="recipe.toml")
    assert settings.file == Path("vocab/merges.txt") and settings.context == 77


def test_what_a_kind_needs_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"tokenizer\.file.*bpe_simple_vocab"):
        build_tokenizer(TokenizerSettings())
    with pytest.raises(RecipeError, match=r"tokenizer\.file.*vocab\.txt"):
        build_tokenizer(TokenizerSettings(kind="wordpiece"))
    with pytest.raises(RecipeError, match="training captions"):
        build_tokenizer(TokenizerSettings(kind="trained"))
    with pytest.raises(DataMissing, match=r"absent\.txt"):
        build_tokenizer(TokenizerSettings(file=tmp_path / "absent.txt"))


def test_albefs_form_of_a_tokenizer_survives_saving(wordpieces: Path) -> None:
    for settings in (
        TokenizerSettings(kind="wordpiece", file=wordpieces, context=12, closing=False, cleaning="albef", words=3),
        TokenizerSettings(kind="trained", vocabulary_size=290, context=12, closing=False, cleaning="albef", words=3),
    ):
        tokenizer = build_tokenizer(settings, ["a red hat", "a black coat"] * 3)
        again = Tokenizer.from_json(tokenizer.to_json())
        captions = ["A red, red HAT!", "a-b/c d"]
        assert (again.encode(captions) == tokenizer.encode(captions)).all()
        assert again.special.end is None
        assert (tokenizer.encode(["A red, red HAT!"]) == tokenizer.encode(["a red red"])).all()
        assert tokenizer.mask(tokenizer.encode(["a red"]))[0, 0]
        assert [word.text for word in tokenizer.words("A red, HAT!")] == ["A", "red", "HAT"]


def test_clip_takes_captions_as_they_are(merges: Path) -> None:
    with pytest.raises(RecipeError, match=r"tokenizer\.cleaning"):
        build_tokenizer(TokenizerSettings(file=merges, cleaning="albef"))


def test_an_unknown_cleaning_is_refused() -> None:
    settings = TokenizerSettings(kind="trained", vocabulary_size=270, cleaning="albef")
    text = build_tokenizer(settings, ["a red hat"] * 4).to_json().replace('"albef"', '"other"')
    with pytest.raises(CheckpointError, match=r"not a Pickout tokenizer.*'cleaning' = 'other'"):
        Tokenizer.from_json(text)
