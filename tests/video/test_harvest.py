"""From recordings to crops: who is there, nothing twice or lost after a kill, and what bad folders get."""

import json
from dataclasses import replace

import numpy as np
import pytest
from block_people import COLOURS, write_video
from PIL import Image

from pickout.errors import VideoError
from pickout.gallery.intake.metadata import MetadataTable
from pickout.video.extraction import ExtractionSettings, Piece
from pickout.video.harvest import LEDGER, TABLE, Ledger, harvest
from pickout.video.recordings import find_recordings

SETTINGS = ExtractionSettings(rate=10)


def rows(out):
    return [json.loads(line) for line in (out / TABLE).read_text().splitlines()]


def contents(out):
    """Everything that a run leaves, by relative path."""
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


def run(recording, out, **more):
    return harvest(find_recordings([str(recording)]), out, "blocks", SETTINGS, **more)


def test_each_person_is_a_track_with_its_best_crops(tmp_path, recording, block_detector):
    report = run(recording, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert report.tracks == 2 and report.crops == len(found) and not report.failed
    by_track = {track: [row for row in found if row["track"] == track] for track in {row["track"] for row in found}}
    assert sorted(by_track) == ["lobby_20260301_093000/1", "lobby_20260301_093000/2"]
    for colour, (_, crops) in zip(COLOURS.values(), sorted(by_track.items()), strict=True):
        assert 1 <= len(crops) <= 3
        for row in crops:
            picture = np.asarray(Image.open(tmp_path / "out" / row["image"]))
            assert np.abs(picture[-10, picture.shape[1] // 2].astype(int) - colour).max() < 60
            _, _, width, height = map(int, row["box"].split())
            assert picture.shape[:2] == (height, width)
            seconds = row["frame"] / 10
            assert row["time"].startswith(f"2026-03-01T09:30:{int(seconds):02d}")
            assert row["camera"] == "lobby" and row["video"] == str(recording)


def test_the_table_is_one_that_indexing_reads(tmp_path, recording, block_detector):
    run(recording, tmp_path / "out")
    table = MetadataTable(tmp_path / "out" / TABLE, tmp_path / "out")
    for row in rows(tmp_path / "out"):
        told = table.of(tmp_path / "out" / row["image"])
        assert (told.camera, told.track, told.frame) == ("lobby", row["track"], row["frame"])
        assert told.box == tuple(map(int, row["box"].split()))


@pytest.mark.parametrize("dies_after", [1, 2])
@pytest.mark.parametrize("dies_in", ["the rows", "the ledger", "the next frame"])
def test_a_run_that_is_killed_and_run_again_leaves_what_one_run_leaves(
    tmp_path, recording, block_detector, monkeypatch, dies_after, dies_in
):
    run(recording, tmp_path / "whole")
    calls = []

    class Killed(BaseException):
        pass

    def dying(ledger, out, name, piece):
        calls.append(name)
        if len(calls) < dies_after:
            return commit(ledger, out, name, piece)
        if dies_in == "the rows":
            with (out / TABLE).open("a") as table:
                table.write('{"image": "half')
        elif dies_in == "the ledger":
            monkeypatch.setattr(Ledger, "write", lambda *_: (_ for _ in ()).throw(Killed))
            commit(ledger, out, name, piece)
        else:
            commit(ledger, out, name, piece)
        raise Killed

    commit, write = Ledger.commit, Ledger.write
    monkeypatch.setattr(Ledger, "commit", dying)
    with pytest.raises(Killed):
        run(recording, tmp_path / "out")
    monkeypatch.setattr(Ledger, "commit", commit)
    monkeypatch.setattr(Ledger, "write", write)
    run(recording, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_recording_that_is_done_is_not_looked_at_again(tmp_path, recording, block_detector, monkeypatch):
    first = run(recording, tmp_path / "out")
    monkeypatch.setattr("pickout.video.harvest.make_detector", None)
    again = run(recording, tmp_path / "out")
    assert again.crops == first.crops


def test_a_recording_that_cannot_be_read_stops_no_other(tmp_path, recording, block_detector):
    bad = tmp_path / "bad.mp4"
    bad.write_text("nothing")
    report = harvest(find_recordings([str(bad), str(recording)]), tmp_path / "out", "blocks", SETTINGS)
    assert report.tracks == 2
    assert "bad.mp4" in report.failed["bad"]


def test_a_recording_that_breaks_off_gives_the_people_before(tmp_path, block_detector):
    file = write_video(tmp_path / "hall.mkv", codec="libx264")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    report = run(file, tmp_path / "out")
    assert report.tracks == 1
    assert "breaks off" in report.recordings["hall"].fault


def test_other_settings_another_recording_and_foreign_folders_are_refused(tmp_path, recording, block_detector):
    run(recording, tmp_path / "out")
    other = SETTINGS.model_copy(update={"rate": 3.0})
    with pytest.raises(VideoError, match="other settings"):
        harvest(find_recordings([str(recording)]), tmp_path / "out", "blocks", other)
    with recording.open("ab") as file:
        file.write(b"more")
    with pytest.raises(VideoError, match="give another folder"):
        run(recording, tmp_path / "out")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.txt").write_text("mine")
    with pytest.raises(VideoError, match="holds other files"):
        run(recording, tmp_path / "photos")
    assert contents(tmp_path / "photos") == {"mine.txt": b"mine"}
    (tmp_path / "out" / LEDGER).write_text("{")
    with pytest.raises(VideoError, match="garbled"):
        run(recording, tmp_path / "out")


def test_what_goes_wrong_in_the_work_is_not_taken_for_another_run(tmp_path, recording, block_detector):
    def full(*_):
        raise BlockingIOError("a pipe is full")

    with pytest.raises(BlockingIOError, match="a pipe is full"):
        run(recording, tmp_path / "out", say=full)


def test_two_runs_do_not_write_into_one_folder(tmp_path, recording, block_detector):
    seen = []

    def say(_name, _what, _length):
        if not seen:
            seen.append(1)
            with pytest.raises(VideoError, match="another pickout video"):
                run(recording, tmp_path / "out")

    run(recording, tmp_path / "out", say=say)
    assert seen


def test_a_track_over_the_end_of_a_recording_counts(tmp_path, block_detector):
    file = write_video(tmp_path / "short.mkv", seconds=3)
    assert run(file, tmp_path / "out").tracks == 1


def test_pieces_end_only_where_nobody_is_in_view(tmp_path, recording, block_detector):
    from pickout.video.extraction import extract

    (found,) = find_recordings([str(recording)])
    pieces = list(extract(found, found.source(10), block_detector, SETTINGS, tmp_path))
    assert [piece.over for piece in pieces] == [False, True]
    assert 5.8 < pieces[0].mark.seconds < 7.5
    assert isinstance(pieces[0], Piece) and replace(pieces[0], rows=()).tracks == 1
