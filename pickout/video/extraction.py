"""One recording from frames to crops, in pieces that end where nobody is in view; before a camera that stands still,
movement helps the detector.

A piece is the unit that a kill cannot halve: the tracker starts afresh at its end, so a run that goes on from there
finds just what a run without interruption would have found."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from supervision import Detections

from pickout.config import Settings
from pickout.files import write_atomically
from pickout.pages import picture_bytes
from pickout.video.boxes import Detector
from pickout.video.frames import BEGINNING, Mark
from pickout.video.recordings import Recording, Source, container_start, moment
from pickout.video.tracks import Sighting, Tracker, TrackSettings

_WIDTH = 160  # width to which frames are reduced: movement of people is coarse, and noise goes
_ADAPTS = 0.02  # share of a new frame in the background: things that are put down belong to it after some 50 frames
_CHANGED = 18.0  # difference of a pixel (of 255) from the background that is no noise
_STANDS = 0.5  # share of changed pixels above which the camera moves, or the light was switched, not people
_STILL, _MOVING = 0.75, 0.3
"""Factor on the score of a box in which nothing moves; share of moving pixels from which the score is left."""


class StandingCamera:
    """The background of a camera that does not move, learnt as its frames come."""

    def __init__(self) -> None:
        self._background: NDArray[np.float32] | None = None

    def weigh(self, image: NDArray[np.uint8], found: Detections) -> Detections:
        """Lower the scores of boxes in which nothing moves: posters, coats on hooks, pillars. A person who sits still
        for long is weighed like these, so a score falls by a quarter at most: a sure box stays. The frame is (height,
        width, 3)."""
        height, width = image.shape[:2]
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX), dtype=np.float32)
        if self._background is None or self._background.shape != small.shape:
            self._background = small
            return found
        changed = np.abs(small - self._background).max(axis=2) > _CHANGED
        self._background += _ADAPTS * (small - self._background)
        if changed.mean() > _STANDS:
            self._background = small
            return found
        if not len(found) or found.confidence is None:
            return found
        sides = np.maximum(found.xyxy * (size[0] / width), 0).astype(int)
        insides = (changed[top : bottom + 1, left : right + 1] for left, top, right, bottom in sides)
        share = [inside.mean() if inside.size else 0.0 for inside in insides]
        found.confidence = found.confidence * np.interp(share, [0.0, _MOVING], [_STILL, 1.0]).astype(np.float32)
        return found


_QUALITY = 92  # of the JPEG files of crops
Item = TypeVar("Item")


class ExtractionSettings(Settings):
    """How recordings are looked through; `pickout video --set` sets them."""

    rate: float = Field(default=5.0, gt=0, le=120)
    """Frames looked at in a second of a recording; people walk, and the tracker needs their boxes to overlap."""
    motion: bool = True  # whether movement before a camera that stands still helps the detector
    tracks: TrackSettings = TrackSettings()  # how boxes become tracks, and which crops stand for one


@dataclass(frozen=True, slots=True)
class Piece:
    """What a stretch of a recording gave."""

    rows: tuple[dict[str, Any], ...]  # one a crop, for the table that `pickout index --table` reads
    mark: Mark  # where the next piece begins
    tracks: int  # tracks of the recording so far
    frames: int  # frames looked at in this piece
    over: bool = False  # whether the recording has been read to its end
    fault: str | None = None  # where and why it broke off, or what was passed over


def extract(
    recording: Recording,
    source: Source,
    detector: Detector,
    settings: ExtractionSettings,
    out: Path,
    *,
    begin: Mark = BEGINNING,
    tracks: int = 0,
    tell: Callable[[float, float | None], None] = lambda *_: None,
) -> Iterator[Piece]:
    """Write the best crops of every person in a recording below `out`. `begin` and `tracks` are those of the last
    piece, to go on from there; `tell` hears the seconds that were looked through, and those there are where that is
    known. `VideoUnreadable`: the recording cannot be read at all; `StorageFull`: no space left."""
    start = recording.start or container_start(source.metadata)
    upcoming, mark, over = ahead(source.frames(begin)), begin, False
    while not over:
        tracker, camera = Tracker(settings.rate, settings.tracks), StandingCamera() if settings.motion else None
        rows, frames = list[dict[str, Any]](), 0
        for frame in chain(upcoming, [None]):
            over = frame is None
            if frame is not None:
                found = detector.detect(frame.image)
                tracker.update(frame, found if camera is None else camera.weigh(frame.image, found))
                frames, mark = frames + 1, Mark(frame.number + 1, frame.seconds)
            for track in tracker.ended(float("inf") if over else mark.seconds):
                tracks += 1
                rows += [_row(each, tracks, recording, start, out) for each in track.chosen(settings.tracks)]
            if over or (rows and tracker.is_quiet(mark.seconds)):
                break
            tell(mark.seconds, source.seconds)
        yield Piece(tuple(rows), mark, tracks, frames, over, source.fault if over else None)
        if not over:
            tell(mark.seconds, source.seconds)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before is in use: decoding and detecting overlap."""
    with ThreadPoolExecutor(1, thread_name_prefix="decoding") as pool:
        waiting = pool.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = pool.submit(next, items, None)
            yield item


def _row(sighting: Sighting, track: int, recording: Recording, start: datetime | None, out: Path) -> dict[str, Any]:
    """Write one crop. Equal recordings and settings give equal names, so that doing it again replaces the file."""
    image = Path(recording.name) / f"t{track:05d}_f{sighting.frame:07d}.jpg"
    write_atomically(out / image, picture_bytes(Image.fromarray(sighting.crop), quality=_QUALITY), durable=False)
    time = moment(start, sighting.seconds)
    told = {"image": str(image), "camera": recording.camera, "time": None if time is None else time.isoformat()}
    told |= {"video": recording.video or recording.place, "track": f"{recording.name}/{track}"}
    return {**told, "frame": sighting.frame, "box": " ".join(map(str, sighting.box))}
