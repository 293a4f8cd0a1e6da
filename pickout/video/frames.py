"""Upright pictures with their times, from a video file, a folder of pictures or a live camera; and one of them by the
number under which its crops are kept."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pickout.data.images import open_image
from pickout.errors import ImageUnreadable, VideoUnreadable

SMALLEST_SIDE, LARGEST_PIXELS = 32, 64 * 2**20
"""Frames below and above this are no recording of people: a crop needs pixels, and a frame must fit into memory."""
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_NO_SEEKING = frozenset({"gif", "h264", "hevc", "mjpeg", "mpeg", "mpegts"})
"""Formats without an index, or whose frames are changes of the one before: they are read from the beginning."""
_FORMATS = "mov,mp4,m4a,matroska,webm,avi,mpegts,mpeg,h264,hevc,m4v,mjpeg,gif"
"""Containers that a file may have. Others (playlists, lists of pieces) name more files or addresses to be read."""
_SHORT = 1.0  # seconds that a recording may end before its container says without a word about it
_PATIENCE = (10.0, 20.0)  # seconds that a live camera may take to open and to send the next frame
_LONGEST_WAIT = 60.0  # seconds between two tries to reach a live camera, at most; they begin with one second and double


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a recording."""

    number: int  # from 0, of all frames that the recording has, whether they were looked at or not
    seconds: float  # since the recording began
    image: NDArray[np.uint8]  # upright sRGB. Shape: (height, width, 3)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment from which a recording can be read on: the frame `number`, `seconds` after the beginning."""

    number: int = 0
    seconds: float = 0.0


BEGINNING = Mark()


class VideoFile:
    """A file that FFmpeg's libraries read; at most `rate` frames a second are given, the others passed over.
    `VideoUnreadable`: no video, without frames, or of a size that no recording of people has."""

    def __init__(self, file: Path, rate: float) -> None:
        self.file, self._rate = file, rate
        self.fault: str | None = None  # where and why reading ended early; None where it did not. Known after `frames`.
        with _opened(str(file)) as stream:
            whole = stream.container
            length = stream.duration * stream.time_base if stream.duration else (whole.duration or 0) / av.time_base
            self.seconds: float | None = float(length) or None
            self.metadata: dict[str, str] = {**whole.metadata, **stream.metadata}
            self.has_index = self.seconds is not None and whole.format.name not in _NO_SEEKING

    def frames(self, begin: Mark = BEGINNING) -> Iterator[Frame]:
        """Frames from `begin` on, in order. Broken packets are passed over; see `fault` for what ended it early. Which
        frames are given depends on their times alone, so that reading on gives what reading through would have."""
        with _opened(str(self.file)) as stream:
            seeks = begin.number > 0 and self.has_index
            if seeks:
                stream.container.seek(int((begin.seconds + _first(stream)) / stream.time_base), stream=stream)
            number = begin.number if seeks else 0
            last, broken = begin.seconds if seeks else 0.0, 0
            slot = self._slot(begin.seconds) if begin.number else -1
            for decoded in _decoded(stream):
                if decoded is None:
                    broken += 1
                    continue
                seconds = _seconds(decoded, stream, number)
                if seeks and seconds <= begin.seconds:
                    continue  # between the key frame that was found and the moment that was meant
                last, number = max(last, seconds), number + 1
                if number > begin.number and self._slot(last) > slot:
                    slot = self._slot(last)
                    yield Frame(number - 1, last, _upright(decoded))
            if not number:
                self.fault = f"no frame could be decoded ({broken} broken packets)"
            elif self.seconds is not None and last + max(_SHORT, 0.02 * self.seconds) < self.seconds:
                self.fault = f"breaks off at {last:.1f} s of {self.seconds:.1f} s; the people before that are kept"
            elif broken:
                self.fault = f"{broken} broken packets were passed over"

    def _slot(self, seconds: float) -> int:
        return int(seconds * self._rate + 1e-6)


class FrameFolder:
    """Pictures of one camera in the order of their names, `rate` a second; numbers in names count as numbers."""

    def __init__(self, folder: Path, rate: float) -> None:
        self._rate = rate
        self._files = sorted((f for f in folder.iterdir() if f.suffix.lower() in PICTURES), key=_natural)
        self.fault: str | None = None
        self.seconds: float | None = len(self._files) / rate
        self.metadata: dict[str, str] = {}

    def frames(self, begin: Mark = BEGINNING) -> Iterator[Frame]:
        """Every picture from `begin` on. One that cannot be read is passed over and told of in `fault`."""
        unreadable = []
        for number, file in enumerate(self._files[begin.number :], start=begin.number):
            try:
                yield Frame(number, number / self._rate, np.asarray(open_image(file)))
            except ImageUnreadable as error:
                unreadable.append(f"{file.name}: {error.reason}")
        if unreadable:
            self.fault = f"{len(unreadable)} pictures could not be read ({unreadable[0]})"


class LiveCamera:
    """A camera that is reached by its address, `rtsp://` or `http://` (MJPEG), again and again with growing pauses
    where it goes away, for so many seconds or, None, until interrupted; `tell` hears of a lost connection."""

    def __init__(
        self, address: str, rate: float, lasts: float | None = None, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._address, self._rate, self.seconds, self._tell = address, rate, lasts, tell
        self.fault: str | None = None
        self.metadata: dict[str, str] = {}

    def frames(self, begin: Mark = BEGINNING) -> Iterator[Frame]:
        """Frames as they come; times are those of this machine's clock."""
        start, pause, number, wanted = time.monotonic(), 1.0, begin.number, 0.0
        lost = 0
        while self.seconds is None or time.monotonic() - start < self.seconds:
            try:
                with _opened(self._address) as stream:
                    for decoded in _decoded(stream):
                        now = time.monotonic() - start
                        if self.seconds is not None and now >= self.seconds:
                            return
                        if decoded is not None and now >= wanted:
                            wanted, pause = now + 1 / self._rate, 1.0
                            yield Frame(number, now, _upright(decoded))
                        number += 1
            except VideoUnreadable as error:
                self._tell(f"{error}; trying again in {pause:.0f} s")
            lost += 1
            self.fault = f"the connection was lost {lost} times"
            left = pause if self.seconds is None else self.seconds - (time.monotonic() - start)
            time.sleep(max(0.0, min(pause, left)))
            pause = min(2 * pause, _LONGEST_WAIT)


@contextmanager
def _opened(address: str) -> Iterator[Any]:
    """The video stream of a file or camera."""
    live, shown = "://" in address, re.sub(r"//[^@/]*@", "//", address)  # without the password that it may hold
    options = {} if live else {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    if address.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    try:
        container = av.open(address, options=options, timeout=_PATIENCE if live else None, metadata_errors="replace")
    except (OSError, av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        more = "" if live else "; an MP4 that was cut off has lost its index"
        raise VideoUnreadable(f"{shown}: cannot be read as a video ({reason}{more})") from None
    with container:
        if not container.streams.video:
            raise VideoUnreadable(f"{shown}: has no video stream")
        stream = container.streams.video[0]
        width, height = stream.codec_context.width, stream.codec_context.height
        if min(width, height) < SMALLEST_SIDE or width * height > LARGEST_PIXELS:
            least = f"frames of {width}x{height} pixels; expected at least {SMALLEST_SIDE} on each side"
            raise VideoUnreadable(f"{shown}: {least} and at most {LARGEST_PIXELS // 2**20} million in all")
        stream.thread_type = "AUTO"
        yield stream


def _decoded(stream: Any) -> Iterator[Any]:
    """Decoded frames; None for a packet that is broken. Ends where the container does, whole or not."""
    try:
        for packet in stream.container.demux(stream):
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                yield None
    except (av.error.FFmpegError, OSError):
        return


def _first(stream: Any) -> float:
    return float((stream.start_time or 0) * stream.time_base)


def _seconds(decoded: Any, stream: Any, number: int) -> float:
    """A frame's time; by its number where the container tells none, as raw H.264 and MJPEG do."""
    if decoded.time is not None:
        return max(0.0, float(decoded.time) - _first(stream))
    return number / float(stream.average_rate or stream.guessed_rate or 25)


def _upright(decoded: Any) -> NDArray[np.uint8]:
    """The frame's pixels, turned as the container's display matrix says (degrees, counter-clockwise)."""
    image = decoded.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, round(decoded.rotation / 90))) if decoded.rotation else image


def _natural(file: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name)]


_SECONDS = 30.0  # how long a frame is looked for at most
_EVERY = 1e6  # frames a second; more than any recording has


def read_still(place: Path, number: int) -> NDArray[np.uint8]:
    """The frame of this number, from 0 as `Frame.number` counts, of a video file or a folder of pictures, upright sRGB
    (height, width, 3). `VideoUnreadable`: it cannot be read, has no such frame, or it takes too long to get there."""
    end = time.monotonic() + _SECONDS
    for frame in _near(place, number):
        if frame.number == number:
            return frame.image
        if frame.number > number:
            break
        if time.monotonic() > end:
            raise VideoUnreadable(f"{place}: frame {number} is not reached in {_SECONDS:.0f} s; play it instead")
    raise VideoUnreadable(f"{place}: has no frame {number}; is it the recording that was looked through?")


def _near(place: Path, number: int) -> Iterator[Frame]:
    if place.is_dir():
        return FrameFolder(place, 1.0).frames(Mark(number))
    file, status = VideoFile(place, _EVERY), place.stat()
    times = _times(place, (status.st_mtime_ns, status.st_size)) if number and file.has_index else ()
    return file.frames(Mark(number, times[number - 1]) if 0 < number < len(times) else BEGINNING)


@lru_cache(maxsize=8)
def _times(place: Path, _: tuple[int, int]) -> tuple[float, ...]:
    """The seconds of every frame of a file, as its container tells them: nothing is decoded. Empty where it tells none,
    or reading them takes too long. Kept, so that the next of its crops is shown at once."""
    found, end = list[float](), time.monotonic() + _SECONDS
    with _opened(str(place)) as stream:
        for packet in stream.container.demux(stream):
            if time.monotonic() > end:
                return ()
            if packet.pts is not None and not packet.is_discard:
                found.append(max(0.0, float(packet.pts * packet.time_base) - _first(stream)))
    return tuple(sorted(found))
