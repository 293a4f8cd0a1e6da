"""Recordings: sent, looked through for people, indexed; and what hostile ones get."""

import json
import time

import numpy as np
import pytest
from block_people import write_video
from small_server import result_of
from test_onnx_detector import rfdetr

from pickout.gallery.search.filters import Where
from pickout.serve.access import OWNER
from pickout.serve.jobs import Jobs

RECORDINGS, VIDEO = "/v1/galleries/people/recordings", "/v1/galleries/people/video"


@pytest.fixture
def detector(tmp_path):
    (tmp_path / "allowed").mkdir()
    return rfdetr(tmp_path / "allowed" / "people.onnx")


@pytest.fixture
def seeing(serve, detector):
    """A server that may read a detector which sees a person in the middle of each frame."""
    return serve(folders=(detector.parent,), largest_recording=3_000_000)


def send(server, content, name="gate_20260301_093000.mkv", **more):
    return server.client.post(RECORDINGS, params={"name": name}, content=content, **more)


def look(server, detector, recording, **body):
    return server.client.post(VIDEO, json={"recording": recording, "detector": str(detector), **body})


def moving(file, seconds=4):
    """Grey that changes, so that crops are unlike."""
    noise = np.random.default_rng(0).integers(0, 255, (seconds * 20, 12, 16, 3), dtype=np.uint8)
    return write_video(file, seconds, draw=lambda at: noise[int(at * 10)].repeat(10, 0).repeat(10, 1)).read_bytes()


def left(server):
    """Files of recordings that are still there."""
    return [file.name for file in (server.state / "recordings").rglob("*") if file.is_file()]


def test_a_recording_becomes_crops_that_are_found(seeing, detector, tmp_path):
    sent = send(seeing, moving(tmp_path / "x.mkv")).json()
    listed = seeing.client.get(RECORDINGS).json()["recordings"]
    assert [each["recording"] for each in listed] == [sent["recording"]] and listed[0]["bytes"] == sent["bytes"]
    answer = look(seeing, detector, sent["recording"])
    result = result_of(answer)
    assert result["tracks"] == 1 and result["crops"] == result["indexed"]["added"] >= 1
    steps = [json.loads(line)["progress"] for line in answer.text.splitlines() if "progress" in line]
    assert {"looking"} <= {step.get("doing") for step in steps}
    body = {"sentences": ["a person"], "where": {"cameras": ["gate"]}}
    found = seeing.client.post("/v1/galleries/people/search", json=body).json()["candidates"]
    assert len(found) == result["crops"]
    assert {hit["video"] for hit in found} == {"gate_20260301_093000.mkv"}
    assert all(hit["time"].startswith("2026-03-01T09:30:0") and hit["box"] and hit["track"] for hit in found)
    assert str(seeing.state) not in json.dumps(found)
    crop = found[0]["id"]
    assert seeing.client.get(f"/v1/galleries/people/crops/{crop}/original").status_code == 200
    assert left(seeing) == [] and look(seeing, detector, sent["recording"]).status_code == 404
    events = [entry["event"] for entry in seeing.log() if "event" in entry]
    assert events[:2] == ["recording sent", "recordings looked through"]
    file = seeing.galleries["people"].rows([crop])[crop].file
    assert seeing.client.post("/v1/galleries/people/erase", json={"crops": [crop]}).json()["erased"] == 1
    assert not file.exists() and not list(file.parents[1].rglob("*.json*"))


def test_the_same_recording_again_has_the_same_id_and_another_token_does_not_see_it(seeing, tmp_path, detector):
    content = moving(tmp_path / "x.mkv", 1)
    mine, other = seeing.token("index", cameras=["gate", "hall"]), seeing.token("index")
    sent = [send(seeing, content, headers=headers).json()["recording"] for headers in (mine, mine, other)]
    assert sent[0] == sent[1] != sent[2]
    assert len(seeing.client.get(RECORDINGS, headers=mine).json()["recordings"]) == 1
    for call in (seeing.client.delete(f"{RECORDINGS}/{sent[2]}", headers=mine),
                 seeing.client.post(VIDEO, json={"recording": sent[2], "camera": "gate"}, headers=mine)):  # fmt: skip
        assert (call.status_code, call.json()["error"]) == (404, "no recording of this id")
    assert seeing.client.delete(f"{RECORDINGS}/{sent[0]}", headers=mine).status_code == 204
    assert len(left(seeing)) == 2


def test_a_recording_sent_again_takes_no_crop_of_the_gallery_with_it(seeing, detector, tmp_path):
    """Looked through again it adds nothing; deleted, or expired, it leaves the originals of its crops."""
    content = moving(tmp_path / "x.mkv")
    sent = send(seeing, content).json()["recording"]
    crops = result_of(look(seeing, detector, sent))["crops"]
    rows = seeing.galleries["people"].open().choose(where=Where(cameras=["gate"]))
    originals = lambda: {  # noqa: E731
        seeing.client.get(f"/v1/galleries/people/crops/{row}/original").status_code for row in rows
    }
    assert len(rows) == crops and originals() == {200}
    send(seeing, content)
    indexed = result_of(look(seeing, detector, sent))["indexed"]
    assert (indexed["added"], indexed["unchanged"]) == (0, crops) and originals() == {200}
    send(seeing, content)
    assert seeing.client.delete(f"{RECORDINGS}/{sent}").status_code == 204 and originals() == {200}
    send(seeing, content)
    seeing.service.recordings(seeing.galleries["people"]).expire(0, lambda _: False)
    assert left(seeing) == [] and originals() == {200}
    kept = seeing.service.recordings(seeing.galleries["people"])
    (kept.own(OWNER, send(seeing, content).json()["recording"])[0]).write_bytes(b"garbled")
    assert json.loads(look(seeing, detector, sent).text.splitlines()[-1])["kind"] == "VideoError"
    assert originals() == {200}


def test_a_recording_whose_server_died_before_it_was_noted_down_expires(seeing):
    folder = seeing.state / "recordings" / "people" / ("0" * 32)
    folder.mkdir(parents=True)
    (folder / "recording.mp4").write_bytes(b"x")
    kept = seeing.service.recordings(seeing.galleries["people"])
    kept.expire(1, lambda _: False)
    assert left(seeing) == ["recording.mp4"]
    kept.expire(0, lambda _: False)
    assert not folder.exists()


def test_a_recording_of_which_nothing_can_be_read_keeps_no_other_from_expiring(seeing, tmp_path):
    sent = send(seeing, moving(tmp_path / "x.mkv", 1)).json()["recording"]
    garbled = seeing.state / "recordings" / "people" / ("0" * 32)
    garbled.mkdir()
    (garbled / "about.json").write_text("x")
    assert [each["recording"] for each in seeing.client.get(RECORDINGS).json()["recordings"]] == [sent]
    assert seeing.client.delete(f"{RECORDINGS}/{garbled.name}").status_code == 404
    kept = seeing.service.recordings(seeing.galleries["people"])
    kept.expire(1, lambda _: False)
    assert garbled.exists() and len(seeing.client.get(RECORDINGS).json()["recordings"]) == 1
    kept.expire(0, lambda _: False)
    assert not garbled.exists() and left(seeing) == []


def test_a_token_of_some_cameras_looks_through_theirs_only(seeing, tmp_path, detector):
    mine = seeing.token("index", cameras=["gate"])
    sent = send(seeing, moving(tmp_path / "x.mkv", 1), headers=mine).json()["recording"]
    for body in ({}, {"camera": "hall"}, {"folder": str(detector.parent), "recording": None, "camera": "gate"}):
        body = {"recording": sent, **body}
        assert seeing.client.post(VIDEO, json=body, headers=mine).status_code == 403
    assert seeing.client.post(VIDEO, json={"recording": sent}, headers=seeing.token("search")).status_code == 403


def test_a_folder_of_the_server(seeing, detector, tmp_path):
    moving(detector.parent / "yard.mkv", 2)
    body = {"folder": str(detector.parent), "detector": str(detector), "camera": "yard"}
    assert result_of(seeing.client.post(VIDEO, json=body))["indexed"]["added"] >= 1
    assert (detector.parent / "yard.mkv").exists()
    moving(detector.parent / "yard2.mkv", 1)  # one more, later
    again = result_of(seeing.client.post(VIDEO, json=body))["indexed"]
    assert again["added"] >= 1 and again["unchanged"] >= 1
    for wrong in ({"zone": "Mars/Olympus"}, {"start": "yesterday"}, {"start": "2026-01-01"}):  # two recordings
        answer = seeing.client.post(VIDEO, json={**body, **wrong})
        assert answer.status_code == 422 and "--" not in answer.json()["error"]
    assert seeing.client.post(VIDEO, json={**body, "folder": str(tmp_path)}).status_code == 404
    assert seeing.client.post(VIDEO, json={**body, "detector": "/etc/x.onnx"}).status_code == 404
    assert seeing.client.post(VIDEO, json={"detector": str(detector)}).status_code == 422


def playlist(tmp_path):
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{tmp_path}/x.mkv\n#EXT-X-ENDLIST\n".encode()


HOSTILE = {
    "no video": lambda _: b"nothing" * 1000,
    "an mp4 without its index": lambda at: write_video(at / "y.mp4", 2).read_bytes()[:3000],
    "no frames": lambda at: moving(at / "y.mkv", 1)[:700],
    "one pixel": lambda at: write_video(at / "y.avi", 1, draw=lambda _: np.zeros((2, 2, 3), np.uint8)).read_bytes(),
    "16k": lambda at: lying(write_video(at / "y.avi", 1).read_bytes(), 15360, 8640),
    "a playlist": lambda at: moving(at / "x.mkv", 1) and playlist(at),
}


def lying(content, width, height):
    """An AVI whose header claims another size; its stream of MPEG-4 tells it, too, and is taken away."""
    at = content.index(b"strf") + 8
    size = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    return content[: at + 4] + size + content[at + 12 : content.index(b"movi") + 4]


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_recordings_are_told_on_the_job_and_the_server_lives(seeing, detector, tmp_path, what):
    sent = send(seeing, HOSTILE[what](tmp_path), "../../x.m3u8").json()["recording"]
    answer = look(seeing, detector, sent)
    last = json.loads(answer.text.splitlines()[-1])
    assert last["kind"] == "VideoError" and "No such file" not in last["error"], last
    assert sent not in last["error"] and "server's folder" not in last["error"], last
    assert seeing.client.get("/v1/health").status_code == 200
    assert seeing.client.get("/v1/galleries/people").json()["crops"] == 6
    assert seeing.client.delete(f"{RECORDINGS}/{sent}").status_code == 204 and left(seeing) == []


def test_a_recording_that_breaks_off_gives_the_people_before(seeing, detector, tmp_path):
    content = moving(tmp_path / "x.mkv", 4)
    result = result_of(look(seeing, detector, send(seeing, content[: len(content) // 2]).json()["recording"]))
    assert result["indexed"]["added"] >= 1 and any("breaks off" in each for each in result["faults"].values())


def test_recordings_that_are_empty_or_too_large_leave_nothing(seeing):
    def large():
        for _ in range(40):
            yield bytes(100_000)

    for content, status in ((b"", 422), (large(), 413)):
        assert send(seeing, content).status_code == status
    assert left(seeing) == []


def test_a_job_is_cancelled_and_goes_on(seeing, detector, tmp_path, monkeypatch):
    sent = send(seeing, moving(tmp_path / "x.mkv", 4)).json()["recording"]
    with Jobs.turn(seeing.service.jobs, "people", lambda _: None):  # indexing has to wait
        job = look_apart(seeing, detector, sent)
        wait_for(seeing, job, lambda told: told["progress"].get("doing") == "waiting")
        assert seeing.client.delete(f"{RECORDINGS}/{sent}").status_code == 409
        assert seeing.client.delete(f"/v1/jobs/{job}").status_code == 204
        told = wait_for(seeing, job, lambda told: told["ended"])
    assert told["result"] is None and "cancelled" in told["error"]
    assert seeing.client.get("/v1/galleries/people").json()["crops"] == 6
    monkeypatch.setattr("pickout.video.harvest._work", None)  # what was looked through is not looked through again
    assert result_of(look(seeing, detector, sent))["indexed"]["added"] >= 1


def look_apart(server, detector, sent):
    body = {"recording": sent, "detector": str(detector)}
    return server.client.post(VIDEO, params={"follow": "false"}, json=body).json()["job"]


def wait_for(server, job, so):
    until = time.monotonic() + 60
    while not so(told := server.client.get(f"/v1/jobs/{job}").json()):
        assert time.monotonic() < until, told
        time.sleep(0.05)
    return told


def test_recordings_that_nobody_looks_through_are_deleted(seeing, tmp_path, detector):
    send(seeing, moving(tmp_path / "x.mkv", 1))
    seeing.service.tend()
    assert len(left(seeing)) == 2
    seeing.service.recordings(seeing.galleries["people"]).expire(0, lambda _: True)
    assert len(left(seeing)) == 2  # a job is at it
    seeing.service.recordings(seeing.galleries["people"]).expire(0, lambda _: False)
    assert left(seeing) == []
