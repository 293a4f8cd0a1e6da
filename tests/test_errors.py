"""Every kind of error has an exit code a script can rely on."""

import errno
import inspect
import os
import pickle

import pytest

from pickout import errors
from pickout.cli.app import main


def _classes() -> dict[str, type[errors.PickoutError]]:
    return {n: c for n, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.PickoutError)}


def test_exit_codes() -> None:
    codes = {name: cls.exit_code for name, cls in _classes().items()}
    assert {name for name, code in codes.items() if code == 2} == {"UsageError"}
    assert {name for name, code in codes.items() if code == 4} == {"NothingFound"}
    assert {code for name, code in codes.items() if name not in ("UsageError", "NothingFound")} == {3}


def test_an_annotation_error_names_file_record_and_field() -> None:
    error = errors.AnnotationError("a.json", 3, "captions", "expected a list")
    assert str(error) == "a.json, record 3, field 'captions': expected a list"


def test_an_error_that_comes_from_another_process_is_what_it_was() -> None:
    more = (errors.AnnotationError("a.json", 3, "captions", "expected a list"), errors.ServerBusy("later", 30))
    plain = (each(f"of {name}") for name, each in _classes().items() if "__init__" not in vars(each))
    for error in (*plain, *more, errors.ImageUnreadable("a.png", "is empty")):
        found = pickle.loads(pickle.dumps(error))
        assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))


def test_the_command_line_prints_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise errors.GalleryMissing("g: no gallery here; make one with 'pickout index'")

    monkeypatch.setattr("pickout.cli.app.command", lambda name: broken)
    with pytest.raises(SystemExit) as stop:
        main(["demo"])
    assert stop.value.code == 3
    assert capsys.readouterr().err == "error: g: no gallery here; make one with 'pickout index'\n"


def _said(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    def broken() -> None:
        raise error

    monkeypatch.setattr("pickout.cli.app.command", lambda name: broken)
    with pytest.raises(SystemExit) as stop:
        main(["demo"])
    return stop.value.code, capsys.readouterr().err


def test_ctrl_c_is_one_line_and_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = _said(KeyboardInterrupt(), monkeypatch, capsys)
    assert code == 130
    assert told == "error: interrupted; run the same command again to go on where it can\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EACCES, "permission denied"), (errno.EIO, "input/output")],
)
def test_what_the_system_refuses_is_one_line_with_the_path(
    number: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = _said(OSError(number, os.strerror(number), "some/file"), monkeypatch, capsys)
    assert code == 3
    assert told.startswith("error: some/file: ")
    assert words in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[2Jkey\x07", "�[2Jkey�"),
        ("a\u202etxt.exe", "a�txt.exe"),
        ("\x9b31m", "�31m"),
        ("lone \udce9", "lone �"),
        ("zero\u200bwidth\u2028line", "zero�width�line"),
        ("kept: é 全 \u3000 \xa0", "kept: é 全 \u3000 \xa0"),
    ],
)
def test_no_name_in_any_error_controls_the_terminal(
    name: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = errors.AnnotationError("a.json", 3, name, "wrong")
    assert error.field == name
    assert str(error) == f"a.json, record 3, field '{shown}': wrong"
    _, told = _said(error, monkeypatch, capsys)
    assert told == f"error: {error}\n"
    _, told = _said(OSError(errno.EACCES, "Permission denied", name), monkeypatch, capsys)
    assert told.startswith(f"error: {shown}: permission denied")


def test_a_name_cannot_begin_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, told = _said(errors.CheckpointMismatch("left over: key\nerror: all is lost\r"), monkeypatch, capsys)
    assert told == "error: left over: key\n  error: all is lost�\n"


def test_a_name_of_any_length_leaves_a_message_that_can_be_read() -> None:
    told = str(errors.RecipeError("recipe.toml: unknown key '" + "k" * 1_000_000 + "'; remove it"))
    assert len(told) < 5000
    assert told.startswith("recipe.toml: unknown key 'kkk")
    assert told.endswith("kkk'; remove it")
