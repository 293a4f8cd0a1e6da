"""`pickout gallery approximate` on a gallery of many rows."""

import json
from dataclasses import replace

import pytest

from pickout.cli import model as cli_model
from pickout.cli.app import main
from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.rows import row_id
from tests.gallery.colour_encoder import ColourEncoder
from tests.gallery.conftest import draw_crop


@pytest.fixture
def gallery(tmp_path, monkeypatch):
    """Three hundred rows made of one crop."""
    monkeypatch.setattr(cli_model, "load_model", lambda _run, _device: ColourEncoder())
    draw_crop(tmp_path / "crops" / "0.png")
    made = Gallery.create(tmp_path / "people.gallery", ColourEncoder(), run="demo")
    made.add(tmp_path / "crops")
    (ident,) = made.choose(["0.png"])
    row = made.rows([ident])[ident]
    made._store.put(
        [replace(row, path=f"{number}.png", id=row_id(f"{row.root}/{number}.png")) for number in range(1, 300)]
    )
    return made.path


def call(capsys, *arguments, command="approximate"):
    with pytest.raises(SystemExit) as stop:
        main(["gallery", command, *map(str, arguments)])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_a_small_gallery_is_refused_before_the_model_is_loaded(capsys, gallery, monkeypatch):
    monkeypatch.setattr(cli_model, "load_model", lambda *_: pytest.fail("loaded"))
    code, _, error = call(capsys, gallery)
    assert code == 2
    assert "holds 300 crops, which are searched exactly; an approximate search is for more than 1,000,000" in error


def test_recall_is_told_and_the_index_can_be_removed(capsys, gallery):
    code, out, _ = call(capsys, gallery, "--set", "above=256", "--set", "searches=20", "--set", "faster=0", "--json")
    told = json.loads(out)
    assert (code, told["rows"], told["above"]) == (0, 300, 256)
    assert {each["queries"] for each in told["recalls"]} == {"sentences", "crops"}
    assert told["faster"] >= 0  # of a busy machine, rounded
    code, out, _ = call(capsys, gallery, "--set", "above=256", "--set", "searches=20", "--set", "faster=0")
    assert "recall at 100 1.000" in out
    assert "search: approximate: recall at 100 1.000" in call(capsys, gallery, command="info")[1]
    code, out, _ = call(capsys, gallery, "--off", "--json")
    assert (code, json.loads(out)["search"]) == (0, "exact")
    assert not list(gallery.glob("approximate.*"))


def test_a_search_that_is_not_twice_as_fast_as_an_exact_one_is_refused(capsys, gallery):
    code, out, error = call(capsys, gallery, "--set", "above=256", "--set", "searches=20")
    assert (code, out) == (2, "")
    assert "times as fast as an exact search in memory, 2 was asked for, at a recall at 100 1.000" in error
    assert "--set faster=0" in error and not list(gallery.glob("approximate.*"))
