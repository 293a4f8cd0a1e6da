"""`pickout video`: from recordings to a gallery on the command line, and what wrong words get."""

import json
import sys
from pathlib import Path

import pytest

from pickout.cli.app import main

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("video", "gallery")]

from block_people import BlockDetector, write_video
from colour_encoder import ColourEncoder

from pickout.gallery.gallery import Gallery


@pytest.fixture
def run(monkeypatch, capsys):
    """run(arguments...) -> (exit code, stdout, stderr); blocks are people, the model is the colour encoder."""
    monkeypatch.setattr("pickout.cli.model.load_model", lambda *_: ColourEncoder())
    for place in ("pickout.video", "pickout.video.harvest"):
        monkeypatch.setattr(f"{place}.make_detector", lambda name, threads=None: BlockDetector())

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["video", *map(str, arguments)])
        return int(stop.value.code or 0), *capsys.readouterr()

    return call


def test_recordings_become_a_gallery_that_is_searched_by_camera_and_time(run, tmp_path):
    write_video(tmp_path / "in" / "lobby_20260301_093000.mkv" if not (tmp_path / "in").mkdir() else "")
    words = (
        tmp_path / "in",
        "--out",
        tmp_path / "out",
        "--detector",
        "m.onnx",
        "--gallery",
        tmp_path / "g",
        "--model",
        "x",
    )
    code, out, _ = run(*words)
    assert code == 0 and "crops of 2 tracks in 1 recordings" in out
    hits = Gallery.open(tmp_path / "g", ColourEncoder()).search("teal")
    best = hits[0]
    assert best.camera == "lobby" and best.metadata.track == "lobby_20260301_093000/1"
    assert best.time.isoformat().startswith("2026-03-01T09:30:0") and best.metadata.box is not None


def test_json_tells_each_recording_and_nobody_is_exit_code_four(run, tmp_path):
    write_video(tmp_path / "a.mkv", seconds=0.8)
    code, out, error = run(
        tmp_path / "a.mkv", "--out", tmp_path / "out", "--detector", "m.onnx", "--workers", "1", "--json"
    )
    told = json.loads(out)
    assert code == 4 and "nobody was found" in error
    assert told["recordings"]["a"]["over"] and told["crops"] == 0 and told["failed"] == {}


def test_what_could_not_be_read_is_not_called_empty(run, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
    words = ("--out", tmp_path / "out", "--detector", "m.onnx", "--workers", "1", "--json")
    code, out, error = run(tmp_path / "a.mp4", tmp_path / "b.mp4", *words)
    told = json.loads(out)
    assert code == 3 and "none of 2 recordings could be read" in error and "nobody" not in error
    assert {name: entry["fault"] for name, entry in told["recordings"].items()} == told["failed"] != {}
    write_video(tmp_path / "c.mkv", seconds=0.8)
    code, out, error = run(tmp_path / "a.mp4", tmp_path / "c.mkv", *words)
    assert code == 4 and "nobody was found in 1 of 2 recordings" in error, error


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("none.mp4",), 3, "none.mp4"),
        (("a.mkv", "--zone", "Mars/Olympus"), 2, "Mars/Olympus"),
        (("a.mkv", "--start", "yesterday"), 2, "yesterday"),
        (("a.mkv", "--camera-from", "moon"), 2, "moon"),
        (("a.mkv", "--set", "rate=0"), 3, "rate"),
    ],
)
def test_wrong_words_are_told_before_anything_is_made(run, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mkv", seconds=0.5)
    found, _, error = run(*words, "--out", "out", "--detector", "m.onnx")
    assert found == code and said in error and not (tmp_path / "out").exists()


def test_a_detector_that_is_none_is_told(tmp_path, capsys):
    write_video(tmp_path / "a.mkv", seconds=0.5)
    for detector, code in (("yolo", 2), (str(tmp_path / "none.onnx"), 3)):
        with pytest.raises(SystemExit) as stop:
            main(["video", str(tmp_path / "a.mkv"), "--out", str(tmp_path / "out"), "--detector", detector])
        assert stop.value.code == code and detector in capsys.readouterr().err


def test_without_its_libraries_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        main(["video", "a.mkv", "--out", str(tmp_path / "out"), "--detector", "m.onnx"])
    assert stop.value.code == 2 and "pip install 'pickout[video]'" in capsys.readouterr().err
