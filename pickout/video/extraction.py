"""One recording from frames to crops, in pieces that end where nobody is in view.

A piece is the unit that a kill cannot halve: the tracker starts afresh at its end, so a run that goes on from there
finds just what a run without interruption would have found."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from pydantic import Field

from pickout.config import Settings
from pickout.files import write_atomically
from pickout.video.boxes import Detector
from pickout.video.frames import BEGINNING, Mark
from pickout.video.motion import StandingCamera
from pickout.video.recordings import Recording, Source, container_start, moment
from pickout.video.tracks import Sighting, Track, Tracker, TrackSettings

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
    tracker = Tracker(settings.rate, settings.tracks)
    camera = StandingCamera() if settings.motion else None
    start = recording.start or container_start(source.metadata)
    rows: list[dict[str, Any]] = []
    frames, mark = 0, begin
    for frame in ahead(source.frames(begin)):
        found = detector.detect(frame.image)
        tracker.update(frame, found if camera is None else camera.weigh(frame.image, found))
        for track in tracker.ended(frame.seconds):
            tracks += 1
            rows += _written(track, tracks, recording, start, settings.tracks, out)
        frames, mark = frames + 1, Mark(frame.number + 1, frame.seconds)
        if rows and tracker.is_quiet(frame.seconds):
            yield Piece(tuple(rows), mark, tracks, frames)
            tracker.reset()
            camera = StandingCamera() if settings.motion else None
            rows, frames = [], 0
        tell(frame.seconds, source.seconds)
    for track in tracker.ended(float("inf")):
        tracks += 1
        rows += _written(track, tracks, recording, start, settings.tracks, out)
    yield Piece(tuple(rows), mark, tracks, frames, over=True, fault=source.fault)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before is in use: decoding and detecting overlap."""
    with ThreadPoolExecutor(1, thread_name_prefix="decoding") as pool:
        waiting = pool.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = pool.submit(next, items, None)
            yield item


def _written(
    track: Track, number: int, recording: Recording, start: datetime | None, settings: TrackSettings, out: Path
) -> list[dict[str, Any]]:
    return [_row(sighting, number, recording, start, out) for sighting in track.chosen(settings)]


def _row(sighting: Sighting, track: int, recording: Recording, start: datetime | None, out: Path) -> dict[str, Any]:
    """Write one crop. Equal recordings and settings give equal names, so that doing it again replaces the file."""
    image = Path(recording.name) / f"t{track:05d}_f{sighting.frame:07d}.jpg"
    buffer = io.BytesIO()
    Image.fromarray(sighting.crop).save(buffer, format="JPEG", quality=_QUALITY)
    write_atomically(out / image, buffer.getvalue(), durable=False)
    time = moment(start, sighting.seconds)
    told = {"image": str(image), "camera": recording.camera, "time": None if time is None else time.isoformat()}
    told |= {"video": recording.video or recording.place, "track": f"{recording.name}/{track}"}
    return {**told, "frame": sighting.frame, "box": " ".join(map(str, sighting.box))}
