"""Settings are strict and their errors name the key, the value and the remedy."""

from pathlib import Path

import pytest

from pickout.config import Settings, apply_overrides, nearest, parse_settings, read_toml, to_toml
from pickout.errors import RecipeError


class Inner(Settings):
    learning_rate: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)


class Outer(Settings):
    name: str
    epochs: int = 3
    inner: Inner = Inner()
    folder: Path | None = None


def test_values_arrive() -> None:
    got = parse_settings(Outer, {"name": "a", "inner": {"betas": [0.5, 0.6]}, "folder": "x"}, source="r.toml")
    assert got == Outer(name="a", inner=Inner(betas=(0.5, 0.6)), folder=Path("x"))


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(
        RecipeError, match=r"r\.toml: unknown key 'inner\.learnin_rate' \(did you mean 'learning_rate'\?\)"
    ):
        parse_settings(Outer, {"name": "a", "inner": {"learnin_rate": 1}}, source="r.toml")


def test_an_unknown_key_near_nothing_lists_what_is_known() -> None:
    with pytest.raises(RecipeError, match=r"known: epochs, folder, inner, name"):
        parse_settings(Outer, {"name": "a", "zzz": 1}, source="r.toml")


@pytest.mark.parametrize("value", ["5", 2.5, True, [1]])
def test_a_wrong_type_is_refused_and_shown(value: object) -> None:
    with pytest.raises(RecipeError, match=r"'train\.epochs' = "):
        parse_settings(Outer, {"name": "a", "epochs": value}, source="r.toml", prefix="train")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(RecipeError, match="missing key 'name'"):
        parse_settings(Outer, {}, source="r.toml")


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"(?s)name.*epochs.*inner"):
        parse_settings(Outer, {"name": 1, "epochs": "x", "inner": {"b": 1}}, source="r.toml")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Outer(name="a").name = "b"  # type: ignore[misc]


def test_toml_round_trip(tmp_path: Path) -> None:
    settings = Outer(name="ä 'quoted'", epochs=7, folder=Path("a/b"))
    file = tmp_path / "s.toml"
    file.write_text(to_toml(settings), encoding="utf-8")
    assert parse_settings(Outer, read_toml(file), source=str(file)) == settings


@pytest.mark.parametrize(("content", "message"), [(b"a = ", "not valid TOML"), (b"\xff\xfe", "cannot be read")])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=rf"broken\.toml: {message}"):
        read_toml(file)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml: no such file"):
        read_toml(tmp_path / "none.toml")


def test_overrides_are_read_as_toml_and_leave_the_original_alone() -> None:
    before = {"train": {"epochs": 1}}
    got = apply_overrides(before, ["train.epochs=5", "train.name=plain text", "model.layers=[5, 12]", "a.b.c=true"])
    assert got == {"train": {"epochs": 5, "name": "plain text"}, "model": {"layers": [5, 12]}, "a": {"b": {"c": True}}}
    assert before == {"train": {"epochs": 1}}


@pytest.mark.parametrize(("pair", "message"), [("epochs", "expected key.path=value"), ("a.b=1", "'a' is a value")])
def test_a_wrong_override_is_refused(pair: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        apply_overrides({"a": 1}, [pair])


def test_nearest_is_silent_about_nothing() -> None:
    assert nearest("x", []) == ""
