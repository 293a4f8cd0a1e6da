"""`pickout demo` at a small size: every stage, its numbers, and a second call that only searches."""

import json
from pathlib import Path

import pytest

from pickout.cli.app import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_SMALL = [
    "street.identities=24",
    "street.val_identities=6",
    "street.test_identities=8",
    "street.height=96",
    "street.width=32",
    "sampler.batch=16",
    "schedule.epochs=2",
    "schedule.warm_up=1",
]


def _demo(out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[dict[str, object]]:
    settings = [word for pair in _SMALL for word in ("--set", pair)]
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--train", "--out", str(out), "--json", *settings, *more])
    told = capsys.readouterr()
    assert stop.value.code == 0, told.err
    return [json.loads(line) for line in told.out.splitlines()]


def test_the_demo_goes_from_nothing_to_a_page_and_then_only_searches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    lines = _demo(out, capsys)
    stages = [line["number"] for line in lines if line["event"] == "stage"]
    (measured,) = (line for line in lines if line["event"] == "measured")
    assert stages == [1, 2, 3, 4, 5]
    assert measured["identities"] == 8
    assert measured["images"] == 16
    assert measured["queries"] == 32
    assert measured["chance"] == pytest.approx(100 * 2 / 16)
    page = (out / "results.html").read_text(encoding="utf-8")
    assert page.count("<figure") == 3 * 9

    weights = (out / "run" / "model.safetensors").stat().st_mtime_ns
    _demo(out, capsys, "--sentence", "somebody in a purple hat", "--top", "4")
    page = (out / "results.html").read_text(encoding="utf-8")
    assert "somebody in a purple hat" in page
    assert page.count("<figure") == 4
    assert (out / "run" / "model.safetensors").stat().st_mtime_ns == weights
    settings = [word for pair in _SMALL for word in ("--set", pair)]
    with pytest.raises(SystemExit):
        main(["demo", "--train", "--out", str(out), *settings])
    told = capsys.readouterr().out
    assert " s\n" in told and "\ufffd" not in told  # which stands for what no terminal should be sent


def test_a_wrong_key_is_told_before_anything_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for pair, message in (("street.identitis=3", "street.identities"), ("schedule.epoch=3", "schedule.epochs")):
        with pytest.raises(SystemExit) as stop:
            main(["demo", "--train", "--out", str(tmp_path / "demo"), "--set", pair])
        assert stop.value.code == 3
        assert message.rpartition(".")[2] in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_without_training_the_shipped_model_searches_people_that_it_has_never_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(out), "--json", "--set", "street.test_identities=6", "--top", "3"])
    told = capsys.readouterr()
    assert stop.value.code == 0, told.err
    stages = [json.loads(line)["number"] for line in told.out.splitlines() if '"stage"' in line]
    assert stages == [1, 2, 3] and not (out / "run").exists()
    assert (out / "results.html").read_text(encoding="utf-8").count("<figure") == 9
    own = out / "people" / "imgs"
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(tmp_path / "own"), "--crops", str(own), "--json", "--sentence", "a red top"])
    assert stop.value.code == 0
    assert (tmp_path / "own" / "imgs.gallery").is_dir() and not (tmp_path / "own" / "people").exists()


def test_what_does_not_go_together_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, message in (
        (["--train", "--crops", str(tmp_path)], 2, "leave --train out"),
        (["--set", "schedule.epochs=3"], 2, "only --train has a recipe"),
        (["--crops", str(tmp_path / "nowhere")], 3, "no such folder"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["demo", "--out", str(tmp_path / "demo"), *words])
        assert (stop.value.code, message in capsys.readouterr().err) == (code, True)
