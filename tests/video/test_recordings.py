"""Camera and time from names, folders, containers and options."""

from datetime import datetime

import pytest

from pickout.errors import DataMissing, UsageError
from pickout.video.recordings import container_start, find_recordings, moment, sent_recording


@pytest.mark.parametrize(
    ("name", "camera", "start"),
    [
        ("lobby_20260301_093000.mp4", "lobby", datetime(2026, 3, 1, 9, 30)),
        ("2026-03-01T09-30-05-gate 2.mkv", "gate 2", datetime(2026, 3, 1, 9, 30, 5)),
        ("ch01_20260301093005.avi", "ch01", datetime(2026, 3, 1, 9, 30, 5)),
        ("20260301_093000.mp4", "20260301_093000", datetime(2026, 3, 1, 9, 30)),
        ("roof.mp4", "roof", None),
        ("roof_20261399_999999.mp4", "roof_20261399_999999", None),
        ("roof_20260231_093000.mp4", "roof", None),
        ("12345678901234567890.mp4", "12345678901234567890", None),
    ],
)
def test_names_tell_camera_and_time(tmp_path, name, camera, start):
    (tmp_path / name).touch()
    (found,) = find_recordings([str(tmp_path / name)])
    assert (found.camera, found.start) == (camera, start)


def test_times_without_zone_are_turned_into_the_gallerys(tmp_path):
    file = tmp_path / "lobby_20260701_093000.mp4"
    file.touch()
    (found,) = find_recordings([str(file)], zone="Europe/Berlin")
    assert found.start == datetime(2026, 7, 1, 7, 30)
    (stated,) = find_recordings([str(file)], start=datetime(2026, 7, 1, 12), zone="Europe/Berlin")
    assert stated.start == datetime(2026, 7, 1, 10)


def test_a_folder_gives_all_below_it_and_equal_names_are_told_apart(tmp_path):
    for name in ("a/x.mp4", "b/x.MP4", "b/notes.txt", "c/y.avi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_recordings([str(tmp_path)], camera_from="folder")
    assert [(each.name, each.camera) for each in found] == [("x", "a"), ("x-2", "b"), ("y", "c")]


def test_a_recording_that_is_named_twice_is_looked_through_once(tmp_path, monkeypatch):
    (tmp_path / "lobby.mp4").touch()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "lobby.mp4")
    monkeypatch.chdir(tmp_path)
    for places in (["lobby.mp4", "lobby.mp4"], [str(tmp_path), "./lobby.mp4"], ["link.mp4", "lobby.mp4"]):
        assert len(find_recordings(places)) == 1, places
    assert len(find_recordings(["rtsp://camera/1", "rtsp://camera/2"])) == 2


def test_times_beyond_the_calendar_are_refused_or_not_known(tmp_path):
    file = tmp_path / "x.mkv"
    file.touch()
    for start, zone in (("0001-01-01T00:00", "Asia/Tokyo"), ("9999-12-31T23:00", "America/New_York")):
        with pytest.raises(UsageError, match="calendar"):
            find_recordings([str(file)], start=datetime.fromisoformat(start), zone=zone)
    for told in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "\u202e", "2" * 100_000):
        assert container_start({"creation_time": told}) is None
    last = container_start({"creation_time": "9999-12-31T23:59:59Z"})
    assert moment(last, 0.5) is not None and moment(last, 2.0) is None and moment(last, 1e16) is None


def test_bad_places_are_told(tmp_path):
    with pytest.raises(DataMissing, match="no such recording"):
        find_recordings([str(tmp_path / "none")])
    with pytest.raises(DataMissing, match="neither recordings"):
        find_recordings([str(tmp_path)])
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="2 recordings"):
        find_recordings([str(tmp_path)], start=datetime(2026, 1, 1))
    for zone in ("Mars/Olympus", "../../etc/passwd", ""):
        with pytest.raises(UsageError, match="zone "):
            find_recordings([str(tmp_path / "a.mp4")], zone=zone)


@pytest.mark.parametrize(
    ("told", "start"),
    [
        ("2017-09-26T16:57:49.000000Z", datetime(2017, 9, 26, 16, 57, 49)),
        ("2017-09-26T16:57:49+02:00", datetime(2017, 9, 26, 14, 57, 49)),
        ("1904-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("\x1b[31mred", None),
        ("", None),
    ],
)
def test_a_containers_time_is_taken_where_it_can_be_true(told, start):
    assert container_start({"creation_time": told}) == start
    assert container_start({}) is None


def test_a_frames_time_is_the_starts_and_its_own():
    assert moment(datetime(2026, 3, 1, 9), 61.2345) == datetime(2026, 3, 1, 9, 1, 1, 234000)
    assert moment(None, 5) is None


@pytest.mark.parametrize("name", ["NA", "None", "12.0", "hall ", "\u00a0NA", "nan"])
def test_a_camera_that_its_table_would_read_otherwise_is_refused(tmp_path, name):
    file = tmp_path / "a.mp4"
    file.touch()
    with pytest.raises(UsageError, match="give it another name"):
        find_recordings([str(file)], camera=name)
    with pytest.raises(UsageError, match="give it another name"):
        sent_recording(file, "a.mp4", "x", camera=name, start=None, zone="UTC")
    assert find_recordings([str(file)], camera="hall 12")[0].camera == "hall 12"
