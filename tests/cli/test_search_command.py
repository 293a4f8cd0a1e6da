"""`pickout search` with richer queries, `pickout saved` and `pickout calibrate`, with the colour encoder as model."""

import io
import json
import sys
from pathlib import Path

import pytest
from colour_encoder import COLOURS, ColourEncoder
from PIL import Image

from pickout.data.data_set import DataSet, ImageRecord, Split
from pickout.gallery.gallery import Gallery
from tests.gallery.conftest import draw_crop


@pytest.fixture
def crops(tmp_path):
    """Sixty-six people: every colour of jacket over every other colour of trousers."""
    for number, top in enumerate(COLOURS):
        for other, bottom in enumerate(list(COLOURS)[:6]):
            draw_crop(tmp_path / "crops" / f"{top}_{bottom}.png", "black", top, bottom, shade=11 * number + other)
    return tmp_path / "crops"


@pytest.fixture
def gallery(tmp_path, crops):
    table = tmp_path / "table.csv"
    files = sorted(file.name for file in crops.iterdir())
    lines = [f"{name},{'ab'[place % 2]},{name.split('_')[0]}" for place, name in enumerate(files)]
    table.write_text("image,camera,top\n" + "\n".join(lines) + "\n")
    made = Gallery.create(tmp_path / "g", ColourEncoder("colour"), run="colour")
    made.add(crops, table=table)
    return made.path


def hits_of(out):
    return [json.loads(line) for line in out.splitlines()][:-1]


def answer_of(out):
    return json.loads(out.splitlines()[-1])["answer"]


def test_every_part_of_a_query_reaches_the_search(run, gallery, crops):
    code, out, errors = run(
        *("search", gallery, "a teal jacket", "--also", "black trousers", "--image", crops / "teal_black.png"),
        *("--without", "red top", "--like", "teal_white.png", "--unlike", "teal_red.png", "--json", "--top", "3"),
    )
    assert code == 0, errors
    assert answer_of(out)["query"] == {
        "texts": ["a teal jacket", "black trousers"],
        "images": [str(crops / "teal_black.png")],
        "without": ["red top"],
        "more_like": ["teal_white.png"],
        "less_like": ["teal_red.png"],
    }
    assert hits_of(out)[0]["path"] == "teal_black.png"


def test_a_picture_alone_is_a_query(run, gallery, crops):
    code, out, _ = run("search", gallery, "--image", crops / "olive_red.png", "--json", "--top", "1")
    assert code == 0 and hits_of(out)[0]["path"] == "olive_red.png"


def test_filters_reach_the_search(run, gallery):
    _, out, _ = run("search", gallery, "jeans", "--not-camera", "a", "--label", "top=teal", "--json", "--top", "99")
    hits = hits_of(out)
    assert len(hits) == 3 and {hit["camera"] for hit in hits} == {"b"}
    assert answer_of(out)["where"] == {"not_cameras": ["a"], "labels": {"top": ["teal"]}}


def test_pages_and_groups(run, gallery):
    whole = hits_of(run("search", gallery, "black hair", "--top", "66", "--json")[1])
    second = hits_of(run("search", gallery, "black hair", "--top", "5", "--page", "2", "--json")[1])
    assert second == whole[5:10]
    code, out, errors = run("search", gallery, "black hair", "--page", "99")
    assert (code, out) == (4, "") and "page 99 is behind the last of 66 crops" in errors
    code, out, _ = run("search", gallery, "teal jacket", "--group", "duplicate", "--set", "duplicate=0.6", "--top", "3")
    assert code == 0 and "+" in out


def test_a_search_is_saved_listed_run_and_removed(run, gallery):
    first = run("search", gallery, "a teal jacket", "--camera", "a", "--save", "teal", "--json")[1]
    assert "teal: a teal jacket; camera a" in run("saved", gallery)[1]
    assert json.loads(run("saved", gallery, "--json")[1])["name"] == "teal"
    assert run("search", gallery, "--saved", "teal", "--json")[1] == first
    code, _, errors = run("search", gallery, "red", "--saved", "teal")
    assert (code, "as it was kept" in errors) == (2, True)
    for beside in (["--camera", "b"], ["--after", "2026-03-01"], ["--before", "2026-03-01"], ["--group", "track"]):
        code, out, errors = run("search", gallery, "--saved", "teal", *beside)
        assert (code, out, "as it was kept" in errors) == (2, "", True), beside
    assert run("saved", gallery, "--remove", "teal") == (0, "", "")
    code, _, errors = run("search", gallery, "--saved", "teal")
    assert (code, "no saved search 'teal'" in errors) == (2, True)


def test_a_terminal_without_the_letters_of_a_name_shows_their_numbers(run, tmp_path, monkeypatch):
    draw_crop(tmp_path / "named" / "café😀.png", "black", "teal", "black")
    made = Gallery.create(tmp_path / "named.gallery", ColourEncoder("colour"), run="colour")
    made.add(tmp_path / "named")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    code, _, errors = run("search", made.path, "a teal jacket")
    terminal.flush()
    assert (code, errors) == (0, "")
    assert rb"caf\xe9\U0001f600.png" in terminal.buffer.getvalue()


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        ([], 2, "nothing to look for"),
        (["--without", "a bag"], 2, "nothing to look for"),
        (["teal", "--label", "top"], 2, "expected NAME=VALUE"),
        (["teal", "--label", "top=pink"], 2, "known values"),
        (["teal", "--during", "2026-03-01"], 2, "no range of time"),
        (["teal", "--track", "t1"], 2, "no crop here has a track"),
        (["teal", "--set", "error=2"], 3, "error"),
        (["teal", "--set", "eror=0.1"], 3, "did you mean 'error'"),
        (["--image", "absent.png"], 3, "absent.png"),
        (["--like", "nobody"], 2, "no crop 'nobody'"),
    ],
)
def test_wrong_words_are_told_in_one_line(run, gallery, arguments, code, problem):
    found, out, errors = run("search", gallery, *arguments)
    assert (found, out) == (code, "")
    assert errors.startswith("error: ") and problem in errors


def test_calibrate_writes_probabilities_that_the_next_search_tells(run, gallery, tmp_path, monkeypatch):
    people = []
    for number, top in enumerate(COLOURS):
        for other, bottom in enumerate(list(COLOURS)[6:]):
            file = draw_crop(tmp_path / "val" / f"{top}_{bottom}.png", "brown", top, bottom, shade=11 * number + other)
            people.append(ImageRecord(file, len(people), (f"brown hair, {top} jacket, {bottom} trousers",)))
    data = DataSet("drawn", Path("drawn"), {"val": Split("drawn", "val", tuple(people))})
    monkeypatch.setattr("pickout.data.registry.open_data", lambda name, root: data)
    code, out, errors = run("calibrate", gallery, "drawn", tmp_path)
    assert code == 0, errors
    assert "expected calibration error over the best ten candidates" in out
    assert (gallery / "calibration.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("search", gallery, "a teal jacket", "--json", "--set", "error=0.2")
    assert 0 <= hits_of(out)[0]["probability"] <= 1
    assert answer_of(out)["error"] == 0.2 and answer_of(out)["no_good_match"] in (True, False)
    code, out, _ = run("search", gallery, "nothing known here")
    assert code == 0 and "No good match" in out and "probability" in out
    code, _, errors = run("calibrate", gallery, "drawn", tmp_path, "--split", "train")
    assert (code, "has no split 'train'; it has val" in errors) == (2, True)
    assert json.loads(run("calibrate", gallery, "drawn", tmp_path, "--json")[1])["crops"] == 66


def test_calibrate_needs_to_know_the_data_set(run, gallery):
    code, _, errors = run("calibrate", gallery)
    assert (code, "name the data set" in errors) == (2, True)


@pytest.mark.parametrize("joined", [True, False])
def test_the_picture_that_is_searched_with_is_not_written_over(run, gallery, tmp_path, joined):
    picture = tmp_path / "me.png"
    Image.new("RGB", (4, 8), "teal").save(picture)
    before, there = picture.read_bytes(), f"{tmp_path}/x/../me.png"
    (tmp_path / "x").mkdir()
    page = [f"--html={there}"] if joined else ["--html", there]
    code, _, errors = run("search", gallery, "--image", picture, *page)
    assert code == 2 and "is what this command reads" in errors
    assert picture.read_bytes() == before
