"""Many recordings into one folder of crops with a table, several at a time; killed and run again, it goes on."""

import fcntl
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from pickout.errors import PickoutError, VideoError
from pickout.files import storage_errors, write_atomically
from pickout.video import make_detector
from pickout.video.extraction import ExtractionSettings, Piece, extract
from pickout.video.frames import Mark
from pickout.video.recordings import Recording

TABLE = "crops.jsonl"  # the table of crops that `pickout index --table` reads
LEDGER = "video.json"  # how far each recording has been read; written after the rows that it speaks of
_FORMAT = 1
_SILENCE = 1.0  # seconds after which it is said again how far each is: who hears it may end the run

Say = Callable[[str, float | str, float | None], None]
"""Called with a recording's name, the seconds looked through and those there are (None: not known); or a sentence."""
Task = Callable[[Say], Iterator[Piece]]


class Entry(BaseModel, extra="forbid"):
    """What is known of one recording."""

    place: str
    size: int
    number: int = 0
    seconds: float = 0.0
    tracks: int = 0
    frames: int = 0
    crops: int = 0
    over: bool = False
    fault: str | None = None


class Ledger(BaseModel, extra="forbid"):
    """The contents of `video.json`: what became of the recordings in a folder of crops."""

    format: int = _FORMAT
    detector: str
    settings: ExtractionSettings
    table_bytes: int = 0
    recordings: dict[str, Entry] = {}  # what is known of each, by name
    failed: dict[str, str] = Field({}, exclude=True)
    """Recordings that could not be read at all, and why; of this run, so it is not in the file."""

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
        for name, why in self.failed.items():
            named[name]["fault"] = why
        return {"crops": self.crops, "tracks": self.tracks, "recordings": named, "failed": self.failed}

    def enter(self, out: Path, recording: Recording) -> Entry:
        """What is known of a recording; one that is not known yet begins at its beginning."""
        place = Path(recording.place)
        size = place.stat().st_size if place.is_file() else 0
        entry = self.recordings.setdefault(recording.name, Entry(place=recording.place, size=size))
        if recording.is_live:
            entry.over = False
        if (entry.place, entry.size) != (recording.place, size):
            why = f"{out}: its recording {recording.name} was {entry.place} of {entry.size} bytes, now it is"
            raise VideoError(f"{why} {recording.place} of {size}; give another folder, or delete this one")
        return entry

    def commit(self, out: Path, name: str, piece: Piece) -> None:
        """The rows first, then the ledger that speaks of them: after a kill in between they are cut off again."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in piece.rows).encode()
        with storage_errors(out / TABLE), (out / TABLE).open("ab") as table:
            table.write(text)
            table.flush()
            os.fsync(table.fileno())
        self.table_bytes += len(text)
        entry = self.recordings[name]
        entry.number, entry.seconds, entry.tracks = piece.mark.number, piece.mark.seconds, piece.tracks
        entry.frames, entry.crops = entry.frames + piece.frames, entry.crops + len(piece.rows)
        entry.over, entry.fault = piece.over, piece.fault or entry.fault
        self.write(out)

    def write(self, out: Path) -> None:
        """Put it into its folder."""
        write_atomically(out / LEDGER, self.model_dump_json(indent=1) + "\n")


def _pieces(
    recording: Recording, detector: str, settings: ExtractionSettings, out: Path, lasts: float | None,
    threads: int | None, entry: Entry, say: Say,
) -> Iterator[Piece]:  # fmt: skip
    """Those of one recording behind `entry`, in whichever process; `threads` are the detector's."""
    tell = partial(say, recording.name)
    source = recording.source(settings.rate, lasts=lasts, tell=lambda words: tell(words, None))
    begin, finder = Mark(entry.number, entry.seconds), make_detector(detector, threads)
    return extract(recording, source, finder, settings, out, begin=begin, tracks=entry.tracks, tell=tell)


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
) -> Ledger:
    """Look through recordings for people; their best crops and a table of them are below `out` afterwards.

    Recordings that are done are passed over, others go on behind their last whole piece, so nothing is there twice:
    `out` is new, empty, or begun by an earlier run with the same detector (see `make_detector`) and settings. `workers`
    recordings are looked through at a time, each in a process of its own; `apart`, also a single one: what a hostile
    file does to its process, it does not to this one. Live cameras are looked at for `lasts` seconds; None: until
    interrupted. What `say` raises ends the run; what was committed stays. `VideoError`: `out` holds something else, is
    of other settings, or is in use; `StorageFull`: no space left; what was written stays."""
    with _claimed(out, detector, settings) as ledger:
        entries = [(recording, ledger.enter(out, recording)) for recording in recordings]
        threads = None if workers == 1 else max(1, (os.cpu_count() or 1) // workers)
        tasks = {
            recording.name: partial(_pieces, recording, detector, settings, out, lasts, threads, entry)
            for recording, entry in entries
            if not entry.over
        }
        for name, what in _run(tasks, workers, apart, say):
            if isinstance(what, Piece):
                ledger.commit(out, name, what)
            else:
                ledger.failed[name] = what
    return ledger


def _run(tasks: Mapping[str, Task], workers: int, apart: bool, say: Say) -> Iterator[tuple[str, Piece | str]]:
    """Each task's pieces, or why it could not be done."""
    if min(workers, len(tasks)) <= 1 and not apart:
        for name, task in tasks.items():
            try:
                for piece in task(say):
                    yield name, piece
            except VideoError as error:
                yield name, str(error)
        return
    context = multiprocessing.get_context("spawn")
    waiting, running = list(tasks.items()), dict[Any, tuple[str, Any]]()  # by the end of a pipe
    heard: dict[str, tuple[str, float | str, float | None]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                name, task = waiting.pop(0)
                mail, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(task, theirs), daemon=True)
                process.start()
                theirs.close()
                running[mail] = name, process
            came: list[Any] = wait(list(running), _SILENCE)
            for mail in came:
                name, process = running[mail]
                try:
                    what = mail.recv()
                except (EOFError, OSError):
                    del running[mail]
                    process.join()
                    if process.exitcode:
                        yield name, f"its process died ({process.exitcode}; out of memory?); run again to go on"
                    continue
                if isinstance(what, tuple):
                    heard[name] = what
                    say(*what)
                elif isinstance(what, PickoutError) and not isinstance(what, VideoError):
                    raise what
                else:
                    yield name, what if isinstance(what, Piece) else str(what)
            for name, _ in running.values() if not came else ():
                say(*heard.get(name, (name, 0.0, None)))
    finally:
        for _, process in running.values():
            process.terminate()


def _work(task: Task, mail: Any) -> None:
    lock = threading.Lock()  # a camera that went away is told of by the thread that decodes

    def send(what: Any) -> None:
        with lock:
            mail.send(what)

    with suppress(BrokenPipeError):  # whoever listened was killed
        try:
            for piece in task(lambda *told: send(told)):
                send(piece)
        except PickoutError as error:
            send(error)


@contextmanager
def _claimed(out: Path, detector: str, settings: ExtractionSettings) -> Iterator[Ledger]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise VideoError(f"{out}: cannot be used as a folder of crops ({error.strerror})") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            why = f"{out}: another pickout video is writing there; wait for it, or give another folder"
            raise VideoError(why) from None
        ledger = _read_ledger(out, detector, settings)
        with (out / TABLE).open("ab") as table:
            table.truncate(ledger.table_bytes)  # rows of a piece that was not finished
        ledger.write(out)
        yield ledger
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
    if (ledger.detector, ledger.settings, ledger.format, ledger.failed) != (detector, settings, _FORMAT, {}):
        why = f"{out}: was begun with detector {ledger.detector} and other settings than now; give another folder, or"
        raise VideoError(f"{why} the same --detector and --set")
    return ledger
