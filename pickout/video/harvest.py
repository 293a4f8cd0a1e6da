"""Many recordings into one folder of crops with a table, several at a time; killed and run again, it goes on."""

import fcntl
import json
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pickout.errors import PickoutError, VideoError
from pickout.files import storage_errors, write_atomically
from pickout.video.detectors import make_detector
from pickout.video.extraction import ExtractionSettings, Piece, extract
from pickout.video.frames import Mark
from pickout.video.recordings import Recording

TABLE = "crops.jsonl"  # the table of crops that `pickout index --table` reads
LEDGER = "video.json"  # how far each recording has been read; written after the rows that it speaks of
_FORMAT = 1
_DIED_CHECK = 1.0  # seconds between two looks whether a process has died without a word

Say = Callable[[str, float | str, float | None], None]
"""Called with a recording's name, the seconds looked through and those there are (None: not known); or a sentence."""


class Entry(BaseModel):
    """What is known of one recording."""

    model_config = ConfigDict(extra="forbid")
    place: str
    size: int
    number: int = 0
    seconds: float = 0.0
    tracks: int = 0
    frames: int = 0
    crops: int = 0
    over: bool = False
    fault: str | None = None


class Ledger(BaseModel):
    """The contents of `video.json`."""

    model_config = ConfigDict(extra="forbid")
    format: int = _FORMAT
    detector: str
    settings: ExtractionSettings
    table_bytes: int = 0
    recordings: dict[str, Entry] = {}


@dataclass(slots=True)
class HarvestReport:
    """What became of the recordings."""

    recordings: dict[str, Entry] = field(default_factory=dict)  # what is known of each, by name
    failed: dict[str, str] = field(default_factory=dict)  # those that could not be read at all, and why

    @property
    def crops(self) -> int:
        """Crops in the folder."""
        return sum(entry.crops for entry in self.recordings.values())

    @property
    def tracks(self) -> int:
        """Tracks: people as far as the boxes tell."""
        return sum(entry.tracks for entry in self.recordings.values())

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        named = {name: entry.model_dump(exclude={"number", "size"}) for name, entry in self.recordings.items()}
        return {"crops": self.crops, "tracks": self.tracks, "recordings": named, "failed": self.failed}


@dataclass(frozen=True, slots=True)
class Task:
    """One recording for one process."""

    recording: Recording  # which
    detector: str  # its name or file
    settings: ExtractionSettings  # how
    out: Path  # the folder of crops
    begin: Mark  # where to go on
    tracks: int  # tracks so far
    lasts: float | None  # seconds to look at a live camera
    threads: int | None  # for the detector; None: as many as it likes

    def pieces(self, say: Say) -> Iterator[Piece]:
        """Its pieces."""
        name = self.recording.name
        source = self.recording.source(self.settings.rate, lasts=self.lasts, tell=lambda words: say(name, words, None))
        detector = make_detector(self.detector, self.threads)
        yield from extract(
            self.recording, source, detector, self.settings, self.out, begin=self.begin, tracks=self.tracks,
            tell=lambda seconds, length: say(name, seconds, length),
        )  # fmt: skip


def harvest(
    recordings: Sequence[Recording],
    out: Path,
    detector: str,
    settings: ExtractionSettings,
    *,
    workers: int = 1,
    apart: bool = False,
    lasts: float | None = None,
    say: Say = lambda *_: None,
) -> HarvestReport:
    """Look through recordings for people; their best crops and a table of them are below `out` afterwards.

    Recordings that are done are passed over, others go on behind their last whole piece, so nothing is there twice.

    Args:
        recordings: which.
        out: the folder; new, empty, or begun by an earlier run with the same detector and settings.
        detector: see `pickout.video.detectors.make_detector`.
        settings: how.
        workers: recordings looked through at a time, each in a process of its own.
        apart: also a single one: what a hostile file does to its process, it does not to this one.
        lasts: seconds to look at live cameras; None: until interrupted.
        say: hears how far each is. What it raises ends the run; what was committed stays.

    Raises:
        VideoError: `out` holds something else, is of other settings, or is in use.
        StorageFull: no space left; what was written stays."""
    with _claimed(out, detector, settings) as folder:
        report = HarvestReport()
        for recording in recordings:
            folder.enter(recording)
        threads = None if workers == 1 else max(1, (os.cpu_count() or 1) // workers)
        tasks = [
            Task(each, detector, settings, out, *folder.begin(each), lasts=lasts, threads=threads)
            for each in recordings
            if not folder.ledger.recordings[each.name].over
        ]
        for name, what in _run(tasks, workers, apart, say):
            if isinstance(what, Piece):
                folder.commit(name, what)
            else:
                report.failed[name] = what
        report.recordings = folder.ledger.recordings
    return report


def _run(tasks: list[Task], workers: int, apart: bool, say: Say) -> Iterator[tuple[str, Piece | str]]:
    """Each task's pieces, or why it could not be done."""
    if min(workers, len(tasks)) <= 1 and not apart:
        for task in tasks:
            try:
                for piece in task.pieces(say):
                    yield task.recording.name, piece
            except VideoError as error:
                yield task.recording.name, str(error)
        return
    context = multiprocessing.get_context("spawn")
    mail: Any = context.Queue(maxsize=64)
    waiting, running = list(tasks), dict[str, Any]()
    heard: dict[str, tuple[float, float | None]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                task = waiting.pop(0)
                process = context.Process(target=_work, args=(task, mail), daemon=True)
                process.start()
                running[task.recording.name] = process
            try:
                name, what = mail.get(timeout=_DIED_CHECK)
            except queue.Empty:
                for name in [name for name, process in running.items() if not process.is_alive() and mail.empty()]:
                    yield name, f"its process died ({running.pop(name).exitcode}; out of memory?); run again to go on"
                for name in running:
                    say(name, *heard.get(name, (0.0, None)))
                continue
            if isinstance(what, tuple):
                heard[name] = what
                say(name, *what)
            elif what is None:
                running.pop(name).join()
            elif isinstance(what, PickoutError) and not isinstance(what, VideoError):
                raise what
            else:
                yield name, what if isinstance(what, Piece) else str(what)
    finally:
        for process in running.values():
            process.terminate()


def _work(task: Task, mail: Any) -> None:
    name = task.recording.name
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    try:
        for piece in task.pieces(lambda name, *what: mail.put((name, what)) if isinstance(what[0], float) else None):
            mail.put((name, piece))
    except PickoutError as error:
        mail.put((name, type(error)(str(error))))
    mail.put((name, None))


def _end_with(parent: Any) -> None:
    """Nobody would hear of what a process finds whose parent was killed."""
    parent.join()
    os._exit(1)


class _Folder:
    def __init__(self, out: Path, ledger: Ledger) -> None:
        self._out, self.ledger = out, ledger
        with (out / TABLE).open("ab") as table:
            table.truncate(ledger.table_bytes)  # rows of a piece that was not finished
        self._write()

    def enter(self, recording: Recording) -> None:
        place = Path(recording.place)
        size = place.stat().st_size if place.is_file() else 0
        entry = self.ledger.recordings.setdefault(recording.name, Entry(place=recording.place, size=size))
        if recording.is_live:
            entry.over = False
        if (entry.place, entry.size) != (recording.place, size):
            why = f"{self._out}: its recording {recording.name} was {entry.place} of {entry.size} bytes, now it is"
            raise VideoError(f"{why} {recording.place} of {size}; give another folder, or delete this one")

    def begin(self, recording: Recording) -> tuple[Mark, int]:
        entry = self.ledger.recordings[recording.name]
        return Mark(entry.number, entry.seconds), entry.tracks

    def commit(self, name: str, piece: Piece) -> None:
        """The rows first, then the ledger that speaks of them: after a kill in between they are cut off again."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in piece.rows).encode()
        file = self._out / TABLE
        with storage_errors(file), file.open("ab") as table:
            table.write(text)
            table.flush()
            os.fsync(table.fileno())
        self.ledger.table_bytes += len(text)
        entry = self.ledger.recordings[name]
        entry.number, entry.seconds, entry.tracks = piece.mark.number, piece.mark.seconds, piece.tracks
        entry.frames, entry.crops = entry.frames + piece.frames, entry.crops + len(piece.rows)
        entry.over, entry.fault = piece.over, piece.fault or entry.fault
        self._write()

    def _write(self) -> None:
        write_atomically(self._out / LEDGER, self.ledger.model_dump_json(indent=1) + "\n")


@contextmanager
def _claimed(out: Path, detector: str, settings: ExtractionSettings) -> Iterator[_Folder]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise VideoError(f"{out}: cannot be used as a folder of crops ({error.strerror})") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield _Folder(out, _read_ledger(out, detector, settings))
    except BlockingIOError:
        why = f"{out}: another pickout video is writing there; wait for it, or give another folder"
        raise VideoError(why) from None
    finally:
        os.close(handle)


def _read_ledger(out: Path, detector: str, settings: ExtractionSettings) -> Ledger:
    file = out / LEDGER
    if not file.exists():
        if any(not entry.name.startswith(".") for entry in out.iterdir()):
            raise VideoError(f"{out}: holds other files and no {LEDGER}; give a new or empty folder")
        return Ledger(detector=detector, settings=settings)
    try:
        ledger = Ledger.model_validate_json(file.read_bytes())
    except (ValidationError, OSError) as error:
        why = f"{file}: garbled ({str(error).splitlines()[0]}); give another folder, or delete this"
        raise VideoError(why) from None
    if (ledger.detector, ledger.settings, ledger.format) != (detector, settings, _FORMAT):
        why = f"{out}: was begun with detector {ledger.detector} and other settings than now; give another folder, or"
        raise VideoError(f"{why} the same --detector and --set")
    return ledger
