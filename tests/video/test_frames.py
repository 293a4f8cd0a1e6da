"""Frames of every container: times, order, rotation, breaks; what is no recording is told with its remedy."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import av
import numpy as np
import pytest
from block_people import frame_at, write_video
from PIL import Image
from rtsp_camera import RtspCamera, rtsp_server

from pickout.errors import VideoUnreadable
from pickout.video.frames import FrameFolder, LiveCamera, Mark, VideoFile

CONTAINERS = [
    ("a.mp4", "mpeg4"),
    ("a.mkv", "libx264"),
    ("a.avi", "mpeg4"),
    ("a.webm", "libvpx"),
    ("a.mov", "libx264"),
    ("a.gif", "gif"),
    ("a.ts", "libx264"),
    ("a.h264", "libx264"),
    ("a.mjpeg", "mjpeg"),
]


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_every_container_gives_its_frames_in_order(tmp_path, name, codec):
    source = VideoFile(write_video(tmp_path / name, codec=codec), rate=5)
    frames = list(source.frames())
    raw = name.endswith(("h264", "mjpeg"))  # no times inside: 25 a second are assumed
    assert len(frames) == (24 if raw else 60)
    gaps = np.diff([frame.seconds for frame in frames])
    assert gaps == pytest.approx(0.2, abs=0.041)
    assert source.fault is None
    middle = frames[len(frames) // 5]
    expected = frame_at(middle.number / 10)
    assert np.abs(middle.image.astype(int) - expected).mean() < (20 if codec == "gif" else 8)  # 256 dithered colours


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
@pytest.mark.parametrize("at", [0, 1, 7, 20])
def test_reading_on_gives_what_reading_through_gives(tmp_path, name, codec, at):
    source = VideoFile(write_video(tmp_path / name, codec=codec), rate=5)
    through = list(source.frames())
    on = list(source.frames(Mark(through[at].number + 1, through[at].seconds)))
    assert [(f.number, f.seconds) for f in on] == [(f.number, f.seconds) for f in through[at + 1 :]]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(on, through[at + 1 :], strict=True))


def test_variable_frame_rates_are_read_by_time(tmp_path):
    times = [0, 0.1, 0.15, 1.0, 1.05, 1.1, 3.0, 3.9, 4.0]
    source = VideoFile(write_video(tmp_path / "v.mkv", codec="libx264", times=times), rate=2)
    assert [frame.seconds for frame in source.frames()] == pytest.approx([0, 1.0, 3.0, 3.9, 4.0], abs=0.002)


@pytest.mark.parametrize(("turn", "matrix"), [(-90, (0, 1, -1, 0)), (90, (0, -1, 1, 0)), (180, (-1, 0, 0, -1))])
def test_a_recording_is_turned_upright(tmp_path, turn, matrix):
    """The display matrix in the track's header, as telephones write it."""
    file = write_video(tmp_path / "turned.mp4", seconds=1)
    data = bytearray(file.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    for place, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[start + place : start + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    plain = next(VideoFile(file, 5).frames()).image
    file.write_bytes(data)
    turned = next(VideoFile(file, 5).frames()).image
    assert np.array_equal(turned, np.rot90(plain, turn // 90))


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx")])
def test_a_file_that_breaks_off_gives_what_was_before_and_says_where(tmp_path, name, codec):
    file = write_video(tmp_path / name, codec=codec)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    source = VideoFile(file, 5)
    frames = list(source.frames())
    assert 10 < len(frames) < 40
    assert f"breaks off at {frames[-1].seconds:.0f}"[:-1] in source.fault


def test_broken_packets_are_passed_over_and_counted(tmp_path):
    file = write_video(tmp_path / "a.mkv", codec="libx264")
    data = bytearray(file.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 400] = b"\x5a" * 400
    file.write_bytes(data)
    source = VideoFile(file, 5)
    assert len(list(source.frames())) > 30
    assert "broken packets were passed over" in source.fault


def _text(file):
    file.write_text("no video")


def _empty(file):
    file.write_bytes(b"")


def _pixel(file):
    write_video(file, seconds=0.3, draw=lambda _: np.zeros((2, 2, 3), np.uint8))


def _flat(file):
    write_video(file, seconds=0.3, draw=lambda _: np.zeros((16, 640, 3), np.uint8))


def _cut(file):
    data = write_video(file).read_bytes()
    file.write_bytes(data[: len(data) // 2])


def _header(file):
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        container.start_encoding()


def _sound(file):
    with av.open(str(file), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())


@pytest.mark.parametrize("make", [_text, _empty, _pixel, _flat, _cut, _header, _sound])
def test_what_is_no_recording_of_people_is_told(tmp_path, make):
    file = tmp_path / "x.mp4"
    make(file)
    with pytest.raises(VideoUnreadable, match=r"x\.mp4"):
        list(VideoFile(file, 5).frames())


def test_a_recording_without_frames_gives_none_and_says_so(tmp_path):
    _header(tmp_path / "x.avi")
    source = VideoFile(tmp_path / "x.avi", 5)
    assert list(source.frames()) == [] and "no frame could be decoded" in source.fault


def test_an_mp4_with_its_index_in_front_that_breaks_off_gives_what_was_before(tmp_path):
    file = write_video(tmp_path / "x.mp4", options={"movflags": "faststart"})
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    source = VideoFile(file, 5)
    assert 10 < len(list(source.frames())) < 40 and "breaks off at" in source.fault


def test_frames_too_large_for_memory_are_refused_before_one_is_decoded(tmp_path, monkeypatch):
    file = write_video(tmp_path / "x.mkv")
    monkeypatch.setattr("pickout.video.frames.LARGEST_PIXELS", 120 * 160 - 1)
    monkeypatch.setattr("pickout.video.frames._decoded", None)
    with pytest.raises(VideoUnreadable, match="160x120"):
        VideoFile(file, 5)


def test_a_folder_of_pictures_is_read_by_number_and_an_unreadable_one_is_told(tmp_path):
    for number in (1, 2, 10):
        Image.new("RGB", (64, 64), (number * 20, 0, 0)).save(tmp_path / f"f{number}.png")
    (tmp_path / "f3.png").write_bytes(b"\x89PNG broken")
    source = FrameFolder(tmp_path, rate=2)
    frames = list(source.frames())
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [20, 40, 200]
    assert [frame.seconds for frame in frames] == [0, 0.5, 1.5]
    assert "f3.png" in source.fault


class _Camera(BaseHTTPRequestHandler):
    """MJPEG over HTTP, as cameras send it; every connection breaks off after 8 pictures."""

    connections = 0

    def do_GET(self):
        type(self).connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(8):
            buffer = BytesIO()
            Image.fromarray(frame_at(1 + number / 10)).save(buffer, format="JPEG")
            picture = buffer.getvalue()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            self.wfile.write(head.encode() + picture + b"\r\n")
            time.sleep(0.05)

    def log_message(self, *_):
        pass


def test_a_live_camera_that_goes_away_is_reached_again():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    words = []
    try:
        camera = LiveCamera(f"http://user:secret@127.0.0.1:{server.server_port}/", 20, lasts=4, tell=words.append)
        frames = list(camera.frames())
    finally:
        server.shutdown()
        server.server_close()
    assert _Camera.connections >= 2
    assert len(frames) > 8
    assert [f.number for f in frames] == sorted({f.number for f in frames})
    assert "connection was lost" in camera.fault
    assert "secret" not in f"{camera.fault} {words}"


def test_an_rtsp_camera_that_hangs_up_is_reached_again():
    server = rtsp_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        camera = LiveCamera(f"rtsp://user:secret@127.0.0.1:{server.server_address[1]}/main", 20, lasts=7)
        frames = list(camera.frames())
    finally:
        server.shutdown()
        server.server_close()
    assert RtspCamera.connections >= 2 and len(frames) > 5
    sent = [frame_at(1 + number / 10) for number in range(len(RtspCamera.frames))]
    assert min(np.abs(frames[-1].image.astype(int) - each).mean() for each in sent) < 4
    assert [f.seconds for f in frames] == sorted(f.seconds for f in frames)
    assert "connection was lost" in camera.fault and "secret" not in camera.fault


def test_a_camera_that_is_not_there_is_told_and_given_up_when_the_time_is_over():
    words = []
    began = time.monotonic()
    camera = LiveCamera("http://127.0.0.1:9/", 5, lasts=1.5, tell=words.append)
    assert list(camera.frames()) == []
    assert time.monotonic() - began < 10
    assert words and "cannot be read" in words[0] and "again in 1 s" in words[0]


@pytest.mark.parametrize("name", ["y.m3u8", "y.ffconcat", "y.mkv"])
def test_files_that_name_other_files_are_not_followed(tmp_path, name):
    write_video(tmp_path / "x.ts", 2, codec="libx264")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{tmp_path}/x.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / name).write_text(playlist if name == "y.m3u8" else "ffconcat version 1.0\nfile x.ts\n")
    with pytest.raises(VideoUnreadable, match=name):
        VideoFile(tmp_path / name, 5)
