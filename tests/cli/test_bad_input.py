"""What bad input gets on the command line: one line that names it, the exit code, and a gallery that is as it was."""

import json
import os
import struct
import zlib
from pathlib import Path

import lancedb
import pytest
from colour_encoder import ColourEncoder

from pickout.cli.model import open_run_data
from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.rows import ADDED_FIELDS
from pickout.gallery.storage.tables import MANIFEST
from tests.gallery.conftest import draw_crop


@pytest.fixture
def gallery(tmp_path):
    for shade, name in enumerate(("lobby/1.png", "lobby/2.png", "yard/3.png")):
        draw_crop(tmp_path / "crops" / name, shade=shade)
    table = tmp_path / "table.csv"
    table.write_text("image,camera,time\nlobby/1.png,lobby,2026-03-01T10:00\nyard/3.png,yard,2026-03-02T10:00\n")
    made = Gallery.create(tmp_path / "people.gallery", ColourEncoder(), run="colour")
    made.add(tmp_path / "crops", table=table)
    return made.path


@pytest.fixture
def pictures(tmp_path):
    """Files that are no pictures, by name."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    folder = tmp_path / "bad"
    folder.mkdir()
    for name, data in (("bomb.png", bomb), ("text.jpg", b"no picture"), ("empty.jpg", b"")):
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "pipe.jpg")
    return folder


def state(folder):
    return {file.relative_to(folder): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def refused(told, code, problem):
    """Exit code, nothing on standard output, and one line that says what is wrong."""
    assert (told[0], told[1]) == (code, "")
    assert problem in told[2] and told[2].strip().startswith("error: ") and len(told[2].strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [
        ("", "the sentence is empty"),
        (" \n\t", "the sentence is empty"),
        ("😀👩‍🦰", "holds no word"),
        ("x" * 100_000, "100000 characters"),
        ("red \udcff", "not valid Unicode"),
    ],
)
@pytest.mark.parametrize("option", [(), ("a coat", "--also"), ("a coat", "--without")])
def test_sentences_that_say_nothing(run, gallery, option, sentence, problem):
    before = state(gallery)
    refused(run("search", gallery, *option, sentence, "--json"), 2, problem)
    assert state(gallery) == before


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        (("--camera", "hall"), "unknown camera 'hall'; known cameras: lobby, yard"),
        (("--camera", ""), "unknown camera ''"),
        (("--after", "2026-13-01"), "is no date or time"),
        (("--after", "2026-03-02", "--before", "2026-03-01"), "no time is after"),
        (("--before", "0001-01-01T00:00+14:00"), "is no date or time"),
        (("--label", "hat=red"), "no crop here has a label"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ("search", "{gallery}", "teal"),
        ("gallery", "remove", "{gallery}", "--yes"),
        ("gallery", "erase", "{gallery}", "--yes"),
        ("gallery", "update", "{gallery}", "--set", "hat=red", "--yes"),
        ("gallery", "export", "{gallery}", "{gallery}.pickout"),
    ],
)
def test_filters_that_no_crop_can_pass(run, gallery, command, filters, problem):
    before = state(gallery)
    refused(run(*(word.format(gallery=gallery) for word in command), *filters, "--json"), 2, problem)
    assert state(gallery) == before and not Path(f"{gallery}.pickout").exists()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("bomb.png", "decompression bomb"),
        ("text.jpg", "not an image"),
        ("empty.jpg", "empty file"),
        ("pipe.jpg", "not an ordinary file"),
        ("absent.jpg", "no such file"),
        (".", "folder"),
    ],
)
def test_a_picture_as_query_that_is_none(run, gallery, pictures, name, problem):
    before = state(gallery)
    refused(run("search", gallery, "--image", pictures / name, "--json"), 3, problem)
    assert state(gallery) == before


@pytest.mark.parametrize("target", ["pipe.jpg", "."])
def test_a_page_never_takes_the_place_of_what_is_no_file(run, gallery, pictures, target):
    kept = (pictures / target).stat()
    refused(run("search", gallery, "teal", "--html", pictures / target), 2, "cannot be written")
    assert (pictures / target).stat().st_mode == kept.st_mode and (pictures / target).stat().st_ino == kept.st_ino


@pytest.fixture
def old(gallery):
    """The gallery as the format before had it."""
    database = lancedb.connect(str(gallery))
    rows = database.open_table("crops").to_arrow().drop_columns([name for name, _ in ADDED_FIELDS])
    database.drop_table("crops")
    database.create_table("crops", rows)
    manifest = json.loads((gallery / MANIFEST).read_text()) | {"format": 1}
    manifest.pop("seal", None)
    (gallery / MANIFEST).write_text(json.dumps(manifest))
    return gallery


@pytest.mark.parametrize(
    ("command", "left"),
    [
        (("gallery", "update", "{gallery}", "--camera", "lobby", "--set", "track=t1", "--yes"), 3),
        (("gallery", "remove", "{gallery}", "--camera", "lobby", "--yes"), 2),
        (("gallery", "erase", "{gallery}", "--camera", "lobby", "--yes"), 2),
        (("gallery", "compact", "{gallery}"), 3),
        (("gallery", "export", "{gallery}", "{gallery}.pickout"), 3),
        (("search", "{gallery}", "teal"), 3),
    ],
)
def test_a_gallery_of_the_format_before_takes_every_change(run, old, command, left):
    assert run("gallery", "verify", old)[0] == 0
    code, _, errors = run(*(word.format(gallery=old) for word in command))
    assert (code, errors.strip()) == (0, "")
    assert json.loads(run("gallery", "info", old, "--json")[1])["rows"] == left
    assert run("gallery", "verify", old, "--files")[0] == 0


@pytest.mark.parametrize(
    "command",
    [
        ("search", "{gallery}", "teal"),
        ("index", "{crops}", "--out", "{gallery}"),
        *(("gallery", name, "{gallery}") for name in ("info", "compact")),
        *(("gallery", name, "{gallery}", "--crop", "*", "--yes") for name in ("remove", "erase")),
        ("gallery", "export", "{gallery}", "{gallery}.pickout"),
        ("gallery", "rebuild", "{gallery}", "--model", "other"),
        ("saved", "{gallery}"),
    ],
)
@pytest.mark.parametrize(
    ("change", "problem"), [({"format": 99}, "format 99"), ({"planet": "Mars"}, "planet"), ("{", "gallery.json")]
)
def test_a_manifest_of_a_later_format_or_changed_by_hand_stops_every_command(run, gallery, command, change, problem):
    file = gallery / MANIFEST
    file.write_text(change if isinstance(change, str) else json.dumps(json.loads(file.read_text()) | change))
    before = state(gallery)
    words = [word.format(gallery=gallery, crops=gallery.parent / "crops") for word in command]
    refused(run(*words), 3, problem)
    assert state(gallery) == before
    code, out, _ = run("gallery", "verify", gallery, "--json")
    assert code == 3 and problem in " ".join(json.loads(out.splitlines()[0]).values())


def test_what_the_reader_of_a_table_assumed_is_printed_without_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.csv").write_text("image,Person\x1bID,split\n1.jpg,1,test\n")
    open_run_data("a model", None, "table", tmp_path)
    told = capsys.readouterr().err
    assert "column 'Person\ufffdID' is read as identity" in told and "\x1b" not in told
