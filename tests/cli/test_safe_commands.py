"""What commands refuse, ask and say: places for pages, questions without an answer, damage, names of others."""

import io
import json
import sys

import pytest
from colour_encoder import ColourEncoder

from pickout.cli.terminal import write
from pickout.errors import UsageError
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from tests.gallery.conftest import draw_crop


@pytest.fixture
def gallery(tmp_path):
    for shade, name in enumerate(("lobby/1.png", "lobby/2.png", "yard\x1b[31m\u00a0/3.png")):
        draw_crop(tmp_path / "crops" / name, shade=shade)
    made = Gallery.create(tmp_path / "people.gallery", ColourEncoder(), run="colour")
    made.add(tmp_path / "crops", camera_from=CameraFrom.FOLDER)
    return made.path


@pytest.mark.parametrize("name", ["gallery.json", "searches.json", "new.html", "crops.lance/new.html", "link"])
def test_a_page_does_not_go_into_a_gallerys_folder(run, gallery, tmp_path, name):
    before = {file: file.read_bytes() for file in gallery.rglob("*") if file.is_file()}
    if name == "link":
        (tmp_path / "page.html").symlink_to(gallery / "gallery.json")
    page = tmp_path / "page.html" if name == "link" else gallery / name
    code, out, error = run("search", gallery, "teal", "--html", page)
    assert (code, out) == (2, "") and "lies in a gallery's folder; give another place for it" in error
    assert {file: file.read_bytes() for file in gallery.rglob("*") if file.is_file()} == before


def test_no_command_writes_into_a_gallerys_folder(gallery):
    before = (gallery / "gallery.json").read_bytes()
    for name in ("gallery.json", "crops.lance/page.html"):
        with pytest.raises(UsageError, match="lies in a gallery's folder"):
            write(gallery / name, "--out", lambda: "text")
    assert (gallery / "gallery.json").read_bytes() == before


def test_a_page_that_is_there_is_replaced(run, gallery, tmp_path):
    (tmp_path / "page.html").write_text("<!doctype html>old")
    assert run("search", gallery, "teal", "--html", tmp_path / "page.html")[0] == 0
    assert "Candidates, not identifications" in (tmp_path / "page.html").read_text()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("typed", ["", "n\n", "\n", "what\n"])
@pytest.mark.parametrize("change", [("remove",), ("erase",), ("update", "--set", "track=t")])
def test_a_question_without_a_yes_changes_nothing(run, gallery, monkeypatch, change, typed):
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    code, out, error = run("gallery", change[0], gallery, *change[1:], "--camera", "lobby")
    assert (code, out.strip()) == (2, "") and f"not confirmed: {change[0]} 2 of 3 crops" in error
    assert Gallery.open(gallery).count() == 3


@pytest.mark.parametrize("change", [("remove",), ("erase",), ("update", "--set", "track=t")])
def test_ctrl_c_at_a_question_is_an_interruption(run, gallery, monkeypatch, change):
    class Interrupted(Terminal):
        def readline(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Interrupted())
    code, out, error = run("gallery", change[0], gallery, *change[1:], "--camera", "lobby")
    assert (code, out.strip()) == (130, "")
    assert error.splitlines()[-1] == "error: interrupted; run the same command again to go on where it can"
    assert Gallery.open(gallery).count() == 3


def test_a_yes_is_one(run, gallery, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert run("gallery", "remove", gallery, "--camera", "lobby")[0] == 0
    assert Gallery.open(gallery).count() == 1


@pytest.mark.parametrize("stdin", [None, "closed", "no terminal"])
def test_without_anybody_to_ask_it_wants_yes(run, gallery, monkeypatch, stdin):
    stream = None if stdin is None else io.StringIO("y\n")
    if stdin == "closed":
        stream.close()
    monkeypatch.setattr("sys.stdin", stream)
    code, _, error = run("gallery", "erase", gallery, "--camera", "lobby")
    if stdin is None:
        sys.stdin.close()  # the program opens a stream that is empty in its place
    assert code == 2 and "this would erase 2 of 3 crops for good; add --yes" in error


def test_damage_is_shown_said_and_told_by_the_exit_code(run, gallery, tmp_path):
    for file in (gallery / "crops.lance" / "data").iterdir():
        file.write_bytes(file.read_bytes().replace(b"yard", b"card"))
    code, out, error = run("search", gallery, "teal", "--json", "--html", tmp_path / "page.html")
    *hits, answer = map(json.loads, out.splitlines())
    assert code == 3 and len(hits) == 3 and len(answer["answer"]["faults"]) == 1
    assert "the row is not as it was written" in error and "pickout gallery verify names every fault" in error
    assert "the row is not as it was written" in (tmp_path / "page.html").read_text()


def test_names_of_others_put_no_control_characters_on_the_terminal(run, gallery, tmp_path):
    gallery_json = gallery / "gallery.json"
    told = json.loads(gallery_json.read_text())
    told["model"]["name"] = "evil\x1b[2J"
    gallery_json.write_text(json.dumps(told))
    (gallery / "searches.json").write_text(
        json.dumps([{"name": "\x1b]0;x\x07", "query": {"texts": ["a\x1b[1mb"]}, "where": {}, "group": "\x1b[5m",
                     "saved": "2026-01-01T00:00:00", "user": "\x9b"}])
    )  # fmt: skip
    table = tmp_path / "t.csv"
    table.write_text("image,time\nlobby/1.png,\x1b[7mnever\n")
    commands = [
        ("gallery", "info", gallery),
        ("gallery", "verify", gallery),
        ("search", gallery, "teal"),
        ("search", gallery, "teal", "--saved", "\x1b[8m"),
        ("search", gallery, "--saved", "\x1b]0;x\x07"),
        ("search", gallery, "teal", "--camera", "\x1b[8m"),
        ("search", gallery, "teal", "--label", "\x1b[8m=1"),
        ("search", gallery, "--like", "\x1b[8m"),
        ("saved", gallery),
        ("index", tmp_path / "crops", "--out", gallery, "--table", table),
        ("gallery", "remove", gallery, "--crop", "\x1b[8m\x07", "--yes"),
        ("gallery", "update", gallery, "--crop", "lobby/*", "--set", "box=\x1b[8m", "--yes"),
        ("gallery", "export", gallery, tmp_path / "no\x1b[8m" / "such" / "\x07"),
    ]
    for command in commands:
        _, out, error = run(*command)
        assert not {"\x1b", "\x07", "\x9b"} & set(out + error), command


def test_an_address_is_refused_before_a_model_is_loaded(run, gallery, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pickout.cli.model.load_model", lambda model, device: pytest.fail("loaded"))
    code, out, error = run("index", tmp_path / "crops", "--out", "s3://bucket/g", "--model", "colour")
    assert (code, out) == (3, "") and "is an address; a gallery is a folder on this machine" in error
    assert not (tmp_path / "s3:").exists()


@pytest.mark.parametrize(
    "there", [b"\xff\xd8\xff\xe0 a photograph", b"\x89PNG\r\n\x1a\n", b'{"mine": 1}', b"notes", b"PK\x03\x04"]
)
def test_a_page_does_not_replace_a_file_of_another_kind(run, gallery, tmp_path, there):
    (tmp_path / "mine").write_bytes(there)
    code, out, error = run("search", gallery, "teal", "--html", tmp_path / "mine")
    assert (code, out) == (2, "") and "which would be lost; give another place" in error
    assert (tmp_path / "mine").read_bytes() == there


def test_nothing_is_written_over_what_the_command_reads(run, gallery, tmp_path):
    picture = draw_crop(tmp_path / "mine.png", shade=9)
    before = picture.read_bytes()
    code, out, error = run("search", gallery, "--image", picture, "--html", picture)
    assert (code, out) == (2, "") and "mine.png" in error
    assert picture.read_bytes() == before


def test_a_page_with_pictures_of_people_is_its_owners_alone(run, gallery, tmp_path):
    assert run("search", gallery, "teal", "--html", tmp_path / "page.html")[0] == 0
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("pattern", ["", "/", "[", "a[b"])
def test_a_pattern_that_fits_nothing_is_refused(run, gallery, tmp_path, pattern):
    code, out, error = run("index", tmp_path / "crops", "--out", gallery, "--exclude", pattern)
    assert (code, out) == (2, "") and f"exclude '{pattern}'" in error


def test_what_is_known_is_taken_back_by_an_empty_value(run, gallery):
    assert run("gallery", "update", gallery, "--crop", "lobby/*", "--set", "hat=red", "--yes")[0] == 0
    assert (
        run("gallery", "update", gallery, "--crop", "lobby/1.png", "--set", "camera=", "--set", "hat=", "--yes")[0] == 0
    )
    opened = Gallery.open(gallery)
    told = [opened.rows(opened.choose([name]))[opened.choose([name])[0]].metadata for name in ("1.png", "2.png")]
    assert [(each.camera, dict(each.labels)) for each in told] == [(None, {}), ("lobby", {"hat": "red"})]


@pytest.mark.parametrize(
    ("name", "column"), [("cam", "camera"), ("Date", "time"), ("Track ID", "track"), ("bbox", "box")]
)
def test_a_label_by_another_name_of_a_column_is_refused(run, gallery, name, column):
    code, out, error = run("gallery", "update", gallery, "--crop", "lobby/*", "--set", f"{name}=1", "--yes")
    assert (code, out) == (2, "") and f"write {column}=" in error


def test_a_rule_says_what_it_does_and_whom_it_does_not_meet(run, gallery):
    code, out, _ = run("retention", "set", gallery, "--days", "3", "--camera", "loby=2")
    assert code == 0 and "no crop has the camera 'loby' so far" in out and "lobby" in out
    assert "rules: other cameras: 3 days, loby: 2 days" in out and "due: 0" in out and "undated: 3" in out
    for wrong in (
        ("--days", "-1"),
        ("--days", "nan"),
        ("--days", "40000"),
        ("--camera", "a=x"),
        ("--camera", "=3"),
        ("--camera", "a"),
    ):
        code, out, error = run("retention", "set", gallery, *wrong)
        assert (code, out) == (2, "") and wrong[1].split("=")[0] in error and "0 to 36500 days" in error, wrong
    code, out, error = run("retention", "lift", gallery, "nope")
    assert (code, out) == (3, "") and "no hold of this id; there is none" in error


def test_few_crops_are_not_calibrated_before_anything_is_drawn(run, gallery, monkeypatch):
    monkeypatch.setattr("pickout.cli.model.drawn_people", lambda **_: pytest.fail("people are being drawn"))
    code, out, error = run("calibrate", gallery)
    assert (code, out) == (3, "") and "3 crops; a gallery can be calibrated once it holds 50" in error


@pytest.mark.parametrize("content", [None, b"no head", b"\xff\xfe"])
def test_a_head_that_is_none_is_bad_input_and_named_once(run, gallery, tmp_path, content):
    if content is not None:
        (tmp_path / "head").write_bytes(content)
    code, out, error = run("audit", "verify", gallery, "--head", tmp_path / "head")
    assert (code, out) == (3, "") and error.count(str(tmp_path / "head")) == 1


def test_a_filter_by_what_an_empty_gallery_does_not_know_finds_nothing(run, gallery, tmp_path):
    opened = Gallery.open(gallery)
    opened.remove(opened.choose(["*.png"]))
    code, out, error = run("search", gallery, "teal", "--camera", "lobby")
    assert (code, out) == (4, "") and "holds no crops" in error
