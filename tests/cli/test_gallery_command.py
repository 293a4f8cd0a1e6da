"""`pickout gallery` on a gallery of drawn people."""

import json

import pytest
from colour_encoder import ColourEncoder

from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from tests.gallery.conftest import draw_crop


@pytest.fixture
def gallery(tmp_path):
    for shade, name in enumerate(("lobby/1.png", "lobby/2.png", "yard/3.png")):
        draw_crop(tmp_path / "crops" / name, shade=shade)
    made = Gallery.create(tmp_path / "people.gallery", ColourEncoder(), run="/runs/demo")
    made.add(tmp_path / "crops", camera_from=CameraFrom.FOLDER)
    return made.path


@pytest.fixture
def run(run):
    return lambda *arguments: run("gallery", *arguments)


def test_info_tells_what_is_there(run, gallery):
    code, out, _ = run("info", gallery, "--json")
    told = json.loads(out)
    assert code == 0 and (told["rows"], told["cameras"], told["run"]) == (3, ["lobby", "yard"], "/runs/demo")
    assert told["bytes"] > 1000
    assert "cameras: lobby, yard" in run("info", gallery)[1]


def test_info_of_a_gallery_without_cameras_leaves_no_empty_line(run, tmp_path):
    made = Gallery.create(tmp_path / "empty.gallery", ColourEncoder())
    out = run("info", made.path)[1]
    assert "cameras: none" in out and not [line for line in out.splitlines() if line.endswith(": ")]


def test_changes_need_a_yes_without_a_terminal(run, gallery):
    code, _, error = run("erase", gallery, "--camera", "lobby")
    assert code == 2 and "this would erase 2 of 3 crops for good; add --yes" in error
    assert json.loads(run("info", gallery, "--json")[1])["rows"] == 3


def test_remove_erase_and_update_say_how_many(run, gallery):
    code, out, _ = run(
        "update", gallery, "--crop", "yard/*", "--set", "track=t9", "--set", "hat=red", "--yes", "--json"
    )
    assert code == 0 and json.loads(out) == {"updated": 1, "rows": 3}
    place = ("--set", "frame=7", "--set", "box=1 2 30 40")
    assert run("update", gallery, "--crop", "yard/*", *place, "--yes")[0] == 0
    opened = Gallery.open(gallery)
    (row,) = opened.rows(opened.choose(["yard/*"])).values()
    assert (row.metadata.frame, row.metadata.box, row.metadata.labels) == (7, (1, 2, 30, 40), {"hat": "red"})
    code, out, _ = run("remove", gallery, "--track", "t9", "--label", "hat=red", "--yes", "--json")
    assert code == 0 and json.loads(out) == {"removed": 1, "rows": 2}
    code, out, _ = run("erase", gallery, "--crop", "lobby/1.png", "--yes", "--json")
    assert code == 0 and json.loads(out) == {"erased": 1, "searches_removed": [], "rows": 1}
    assert run("compact", gallery)[0] == 0


def test_nothing_chosen_unknown_and_nothing_told_have_their_exit_codes(run, gallery):
    assert run("remove", gallery, "--yes")[0] == 2
    assert run("remove", gallery, "--camera", "hall", "--yes")[0] == 2
    assert run("remove", gallery, "--crop", "yard/*", "--camera", "lobby", "--yes")[0] == 4
    assert run("update", gallery, "--camera", "lobby", "--yes")[0] == 2
    for wrong in ("frame=ten", "frame=²", "frame=99999999999999999999", "box=1 2 3"):
        code, out, error = run("update", gallery, "--camera", "lobby", "--set", wrong, "--yes")
        assert (code, out) == (2, "") and "expected" in error, wrong
    assert run("info", gallery.parent)[0] == 3


def test_verify_names_faults_and_exits_with_three(run, gallery):
    assert run("verify", gallery, "--files")[:2] == (0, f"gallery: {gallery}\nfaults: 0\n")
    (gallery / "quarantine.jsonl").write_text("{")
    code, out, error = run("verify", gallery, "--json")
    assert code == 3 and "quarantine.jsonl" in json.loads(out)["what"] and "1 faults" in error
