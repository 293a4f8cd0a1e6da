"""One frame of a recording, by the number under which its crops are kept."""

import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pickout.errors import VideoUnreadable
from pickout.video.frames import BEGINNING, Frame, FrameFolder, Mark, VideoFile

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
    times = _times(place, (status.st_mtime_ns, status.st_size)) if number else ()
    return file.frames(Mark(number, times[number - 1]) if 0 < number < len(times) else BEGINNING)


@lru_cache(maxsize=8)
def _times(place: Path, _: tuple[int, int]) -> tuple[float, ...]:
    """When each frame of a file is; kept, so that the next of its crops is shown at once."""
    return VideoFile(place, _EVERY).times(_SECONDS)
