"""Which recordings there are, and what their names and containers tell: camera and time."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, count
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pickout.data.spreadsheet import kept
from pickout.errors import DataMissing, UsageError
from pickout.video.frames import PICTURES, FrameFolder, LiveCamera, VideoFile

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".ts", ".mts", ".h264", ".264", ".mjpeg", ".mjpg", ".gif")
_NAMED_TIME = re.compile(r"(20\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)[-_.T ]?([0-2]\d)[-_.:]?([0-5]\d)[-_.:]?([0-5]\d)")
"""Date and time as recorders write them: 20260301_142500, 2026-03-01T14-25-00, ch01_20260301142500."""
_LIVE = ("rtsp://", "rtsps://", "http://", "https://")

CameraFrom = Literal["file", "folder"]
"""Where a recording's camera comes from: the file's name, without a date and time in it, or the folder it lies in."""

Source = VideoFile | FrameFolder | LiveCamera


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording and what is known of it before it is read."""

    name: str  # what its crops and table rows are called by; unlike any other's
    place: str  # a file, a folder of pictures, or an address
    camera: str  # its camera's name
    start: datetime | None
    """When it began, without zone, in the gallery's time (UTC where a zone is known); None: not known."""
    video: str | None = None  # what rows call it; None: by its place

    def source(
        self, rate: float, *, lasts: float | None = None, tell: Callable[[str], None] = lambda _: None
    ) -> Source:
        """Its frames, at most `rate` a second. `VideoUnreadable`: it cannot be read at all."""
        if self.place.startswith(_LIVE):
            return LiveCamera(self.place, rate, lasts, tell)
        place = Path(self.place)
        return FrameFolder(place, rate) if place.is_dir() else VideoFile(place, rate)

    @property
    def is_live(self) -> bool:
        """Whether it is a camera, not a file."""
        return self.place.startswith(_LIVE)


def find_recordings(
    places: Sequence[str],
    *,
    camera: str | None = None,
    camera_from: CameraFrom = "file",
    start: datetime | None = None,
    zone: str = "UTC",
) -> list[Recording]:
    """The recordings in `places`: files, folders of recordings or of pictures, addresses. All are of `camera`, or it
    comes from `camera_from`; `start` is when the recording began, where there is one and neither name nor container
    tells right; `zone`, as Europe/Berlin, is that of `start` and of times in names. `DataMissing`: a place is not
    there, or has no recording; `UsageError`: an unknown zone, or `start` for several."""
    every = [file for place in places for file in _below(place)]
    # The same recording may be named twice, or lie in a folder that is named too.
    files = list({each if each.startswith(_LIVE) else os.path.realpath(each): each for each in every}.values())
    if start is not None and len(files) > 1:
        raise UsageError(f"start is one moment, but there are {len(files)} recordings; give them one by one")
    local = _zone(zone)
    found: dict[str, Recording] = {}
    for place in files:
        live = place.startswith(_LIVE)
        stem = re.sub(r"[^\w.-]+", "_", re.sub(r"^\w+://([^@/]*@)?", "", place)) if live else Path(place).stem
        name = next(name for name in chain([stem], (f"{stem}-{n}" for n in count(2))) if name not in found)
        told = _named(camera or (_camera(Path(place), camera_from) if not live else stem), place)
        found[name] = Recording(name, place, told, _start(stem, start, live=live, zone=local))
    return list(found.values())


def sent_recording(
    file: Path, called: str, name: str, *, camera: str | None, start: datetime | None, zone: str
) -> Recording:
    """A recording in `file` that its owner calls `called`, as of a file of that name; see `find_recordings`."""
    begin = _start(Path(called).stem, start, live=False, zone=_zone(zone))
    told = _named(camera or _camera(Path(called), "file") or name, called)
    return Recording(name, str(file), told, begin, called)


def container_start(metadata: dict[str, str]) -> datetime | None:
    """When a container says that it was recorded, in UTC without zone; None where it says nothing usable."""
    try:
        told = datetime.fromisoformat(metadata["creation_time"].strip())
        told = told.astimezone(UTC).replace(tzinfo=None) if told.tzinfo else told
    except (KeyError, ValueError, OverflowError):
        return None
    # 1904 and 1970 are the zero of a clock that was never set.
    return told if told.year > 1980 else None


def moment(start: datetime | None, seconds: float) -> datetime | None:
    """The time of a frame, to the millisecond; None also where it lies behind the calendar's end."""
    try:
        return None if start is None else start + timedelta(milliseconds=round(seconds * 1000))
    except OverflowError:
        return None


def _below(place: str) -> list[str]:
    if place.startswith(_LIVE):
        return [place]
    path = Path(place)
    if not path.exists():
        raise DataMissing(f"{place}: no such recording, folder or address (addresses begin with rtsp:// or http://)")
    if not path.is_dir():
        return [str(path)]
    videos = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in VIDEOS and file.is_file())
    if videos:
        return videos
    if any(file.suffix.lower() in PICTURES for file in path.iterdir()):
        return [str(path)]
    raise DataMissing(f"{place}: holds neither recordings ({' '.join(VIDEOS)}) nor pictures ({' '.join(PICTURES)})")


def _camera(file: Path, source: CameraFrom) -> str:
    if source == "folder":
        return file.resolve().parent.name or file.stem
    return _NAMED_TIME.sub("", file.stem).strip("-_. ") or file.stem


def _named(camera: str, place: str) -> str:
    """A camera's name, unless the table of crops would be read otherwise."""
    if kept(camera) != camera:
        why = "a table takes NA and the like for no value, and keeps no blanks at the ends and no .0"
        raise UsageError(f"camera '{camera}' of {place}: {why}; give it another name")
    return camera


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"zone {name}: no such time zone; write for example UTC or Europe/Berlin") from None


def _start(stem: str, stated: datetime | None, *, live: bool, zone: ZoneInfo) -> datetime | None:
    """The stated start, or the one in the name, turned from its zone into UTC; a live camera starts now."""
    if live and stated is None:
        return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    if stated is None:
        found = _NAMED_TIME.search(stem)
        try:
            stated = datetime(*(int(part) for part in found.groups())) if found else None  # type: ignore[arg-type]
        except ValueError:
            return None
    if stated is None:
        return None
    try:
        return (stated if stated.tzinfo else stated.replace(tzinfo=zone)).astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise UsageError(f"start {stated}: beyond the calendar in UTC; say when the recording began") from None
