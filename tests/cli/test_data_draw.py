"""`pickout data draw` as a user meets it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from pickout.cli.app import main

FEW = ["--set", "identities=1", "--set", "val_identities=0", "--set", "test_identities=1", "--set", "images=2"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["data", *arguments])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_it_says_what_was_written_and_what_to_run_next(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    street, sheet = tmp_path / "street", tmp_path / "sheet.png"
    code, out, err = run(capsys, "draw", str(street), *FEW, "--workers", "1", "--sheet", str(sheet))
    assert code == 0
    assert f"{street}: 2 people, 4 images, 8 captions" in out
    assert f"pickout data check street {street}" in out
    assert "4/4" in err and "drawing" in err
    with Image.open(sheet) as picture:
        assert picture.width > 300
    code, out, _ = run(capsys, "check", "street", str(street))
    assert code == 0 and "Nothing is missing or odd." in out


def test_json_is_one_object(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "draw", str(tmp_path / "street"), *FEW, "--workers", "1", "--json")
    assert code == 0
    facts = json.loads(out)
    assert (facts["identities"], facts["images"], facts["captions"]) == (2, 4, 8)
    assert facts["out"] == str(tmp_path / "street") and facts["seconds"] > 0


def test_a_mistaken_setting_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "draw", str(tmp_path / "street"), "--set", "captions.mistakes.colours=0.1")
    assert code == 3 and out == ""
    assert "unknown key 'captions.mistakes.colours' (did you mean 'colour'?)" in err
    assert "Traceback" not in err and not (tmp_path / "street").exists()


def test_a_sheet_that_cannot_be_written_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sheet = str(tmp_path / "file" / "sheet.png")
    code, _, err = run(capsys, "draw", str(tmp_path / "street"), *FEW, "--workers", "1", "--sheet", sheet)
    assert code == 2 and "cannot be written" in err


def test_a_place_that_the_sheet_cannot_have_is_told_before_the_drawing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["data", "draw", str(tmp_path / "street"), "--sheet", str(tmp_path)])
    assert stop.value.code == 2 and not (tmp_path / "street").exists()
