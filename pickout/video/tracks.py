"""Boxes of one person over time, and the best crops of each."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydantic import Field
from supervision import Detections
from trackers import ByteTrackTracker, CBIoUTracker

from pickout.config import Settings
from pickout.video.frames import Frame

_REFERENCE_RATE = 30.0  # the library counts its patience in frames of a recording with this many a second
_HELD = 4  # candidates held for each crop that will be kept, so that a better one later has something to replace
_TALLEST = 640  # pixels in height that larger crops are reduced to: no model here reads more, memory stays bounded
_TRACKERS: dict[str, Any] = {"bytetrack": ByteTrackTracker, "cbiou": CBIoUTracker}
_GRID = (4, 8)  # columns and rows of the mean colours by which two crops are compared


class TrackSettings(Settings):
    """How boxes become tracks, and which crops stand for one."""

    tracker: Literal["bytetrack", "cbiou"] = "bytetrack"
    """ByteTrack (Zhang et al., arXiv 2110.06864) or C-BIoU (Yang et al., arXiv 2211.14317); docs/video.md compares."""
    confident: float = Field(default=0.5, gt=0, le=1)
    """Score from which a box begins a track; both go on with boxes below it."""
    patience: float = Field(default=2.0, gt=0)  # seconds that a person may be hidden without becoming another track
    least: int = Field(default=2, ge=1)  # frames that a track must be seen in to count
    per_track: int = Field(default=3, ge=1)  # crops of a track at most
    margin: float = Field(default=0.04, ge=0, le=0.5)
    """What is added on each side of a box, as a share of it: detectors cut hair and shoes."""
    smallest: int = Field(default=40, ge=8)  # height in pixels below which a crop shows too little to be described
    alike: float = Field(default=6.0, ge=0)
    """Mean difference of colours (of 255) below which two crops of a track are alike, and one of them is enough."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One crop of a track."""

    frame: int  # the frame's number
    seconds: float  # since the recording began
    box: tuple[int, int, int, int]  # left, top, width and height in the frame's pixels
    quality: float  # by which crops of one track are compared: large, sharp, whole, sure
    crop: NDArray[np.uint8]  # its pixels, perhaps reduced. Shape: (height, width, 3)
    colours: NDArray[np.float32]  # mean colours of a coarse grid


@dataclass(slots=True, eq=False)
class Track:
    """One person as far as the boxes tell, while they are in view."""

    last: float  # when it was last seen, in seconds
    seen: int = 0  # in how many frames
    best: list[Sighting] = field(default_factory=list)  # candidates for its crops, best first

    def chosen(self, settings: TrackSettings) -> list[Sighting]:
        """The best crops that are not alike, in the order of time."""
        kept: list[Sighting] = []
        for sighting in self.best:
            far = (float(np.abs(sighting.colours - other.colours).mean()) >= settings.alike for other in kept)
            if len(kept) < settings.per_track and all(far):
                kept.append(sighting)
        return sorted(kept, key=lambda sighting: sighting.frame)


class Tracker:
    """Tracks over the frames of one recording, `rate` a second."""

    def __init__(self, rate: float, settings: TrackSettings) -> None:
        self._settings = settings
        common: dict[str, Any] = {
            "lost_track_buffer": round(settings.patience * _REFERENCE_RATE),
            "frame_rate": rate,
            "track_activation_threshold": settings.confident,
            "high_conf_det_threshold": settings.confident,
            "minimum_consecutive_frames": settings.least,
        }
        if settings.tracker == "cbiou":
            common["instant_first_frame_activation"] = False
        self._library = _TRACKERS[settings.tracker](**common)
        self._tracks: dict[int, Track] = {}
        self._last = -1.0

    def update(self, frame: Frame, found: Detections) -> None:
        """Take note of the boxes of the next frame."""
        if len(found):
            self._last = frame.seconds
        for box, score, number in self.follow(found, frame.seconds):
            track = self._tracks.setdefault(number, Track(frame.seconds))
            track.last, track.seen = frame.seconds, track.seen + 1
            sighting, limit = _sighting(frame, box, score, self._settings), _HELD * self._settings.per_track
            if sighting is not None and (len(track.best) < limit or sighting.quality > track.best[-1].quality):
                track.best = sorted([*track.best, sighting], key=lambda each: (-each.quality, each.frame))[:limit]

    def follow(self, found: Detections, seconds: float) -> Iterator[tuple[NDArray[np.floating], float, int]]:
        """Box, score and number of each track that is seen in the next frame, at `seconds`; recordings whose frames
        come unevenly are followed by their times."""
        tracked = self._library.update(found, timestamp=seconds)
        if tracked.tracker_id is None or tracked.confidence is None:
            return
        for box, score, number in zip(tracked.xyxy, tracked.confidence, tracked.tracker_id, strict=True):
            if number >= 0:
                yield box, float(score), int(number)

    def ended(self, now: float) -> Iterator[Track]:
        """Tracks that are over: not seen for longer than a hidden person is waited for."""
        for key in [key for key, track in self._tracks.items() if now - track.last > self._settings.patience]:
            track = self._tracks.pop(key)
            if track.seen >= self._settings.least and track.best:
                yield track

    def is_quiet(self, now: float) -> bool:
        """Whether nobody is in view or waited for, so that nothing before this moment matters to what follows."""
        return not self._tracks and now - self._last > self._settings.patience


def _sighting(frame: Frame, box: NDArray[np.floating], score: float, settings: TrackSettings) -> Sighting | None:
    height, width = frame.image.shape[:2]
    left, top, right, bottom = (float(side) for side in box)
    aside, above = settings.margin * (right - left), settings.margin * (bottom - top)
    x0, y0 = max(0, int(left - aside)), max(0, int(top - above))
    x1, y1 = min(width, int(np.ceil(right + aside))), min(height, int(np.ceil(bottom + above)))
    if y1 - y0 < settings.smallest or x1 - x0 < settings.smallest // 5:
        return None
    picture = Image.fromarray(frame.image[y0:y1, x0:x1])
    # How much edges there are at the size that a model reads, between 0 and 1: blurred crops have few.
    small = picture.convert("L").resize((64, 192), Image.Resampling.BILINEAR)
    edges = np.asarray(small.filter(ImageFilter.FIND_EDGES), dtype=np.float32)[1:-1, 1:-1].mean()
    sharpness = float(edges / (edges + 16.0))
    if picture.height > _TALLEST:
        size = (max(1, round(picture.width * _TALLEST / picture.height)), _TALLEST)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    cut = sum((left <= 1, top <= 1, right >= width - 1, bottom >= height - 1))
    quality = score * min(1.0, (y1 - y0) / 256) * sharpness * 0.5**cut
    colours = np.asarray(picture.resize(_GRID, Image.Resampling.BOX), dtype=np.float32)
    return Sighting(frame.number, frame.seconds, (x0, y0, x1 - x0, y1 - y0), quality, np.asarray(picture), colours)
