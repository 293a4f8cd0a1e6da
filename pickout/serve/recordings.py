"""Recordings that clients send, and the people in them. Knows no HTTP.

A recording goes to disk piece by piece and is decoded in a process of its own. It is deleted once its people are in the
gallery, with all that was noted on the way; until then the same job goes on where an earlier one was stopped."""

import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from pickout.config import Settings
from pickout.errors import NotThere, UsageError, VideoError
from pickout.files import storage_errors, write_atomically
from pickout.gallery.audit.log import record_event
from pickout.gallery.storage.rows import parse_time, row_id
from pickout.serve.access import Actor
from pickout.serve.hosting import Hosted
from pickout.serve.jobs import Jobs, Result, Tell
from pickout.serve.requests import VideoBody
from pickout.serve.uploads import told_progress

if TYPE_CHECKING:  # its libraries are installed with the extra `video` alone
    from pickout.video.recordings import Recording

_log = logging.getLogger(__name__)
_ABOUT, _COMING, _ID = "about.json", ".coming", re.compile("[0-9a-f]{32}")


class Kept(Settings):
    """A recording that was sent."""

    name: str  # what its owner calls it; camera and time are read from it where they are not stated
    bytes: int  # its size
    owner: str | None  # the token that sent it
    sent: datetime  # when, UTC


class Recordings:
    """The recordings that were sent to one gallery: a folder for each, and one of crops beside other uploads."""

    def __init__(self, folder: Path, crops: Path, hosted: Hosted) -> None:
        self._folder, self._crops, self._hosted = folder, crops, hosted

    async def receive(self, pieces: AsyncIterator[bytes], name: str, owner: str | None) -> tuple[str, Kept]:
        """Write a recording down as it comes; its id. The same one from the same token has the same id."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest, size = hashlib.sha256(f"{owner} {name}\n".encode()), 0
        handle, coming = tempfile.mkstemp(dir=self._folder, suffix=_COMING)
        try:
            with storage_errors(self._folder), os.fdopen(handle, "wb") as file:
                async for piece in pieces:
                    digest.update(piece)
                    size += await run_in_threadpool(file.write, piece)
            if not size:
                raise UsageError("the recording is empty; send its bytes as the request's body")
            identifier = digest.hexdigest()[:32]
            kept = Kept(name=name, bytes=size, owner=owner, sent=datetime.now(UTC).replace(microsecond=0))
            folder = self._folder / identifier
            folder.mkdir(exist_ok=True, mode=0o700)
            Path(coming).replace(folder / f"recording{_suffix(name)}")
            write_atomically(folder / _ABOUT, kept.model_dump_json())
            return identifier, kept
        finally:
            Path(coming).unlink(missing_ok=True)

    def all(self, actor: Actor) -> dict[str, Kept]:
        """One's own recordings by id; all of them for the account that runs the server."""
        every = {file.parent.name: _read(file) for file in sorted(self._folder.glob(f"*/{_ABOUT}"))}
        return {key: kept for key, kept in every.items() if kept is not None and actor.token in (None, kept.owner)}

    def own(self, actor: Actor, identifier: str) -> tuple[Path, Kept]:
        """The file of one's own recording, and what is known of it."""
        about = self._folder / identifier / _ABOUT
        kept = _read(about) if _ID.fullmatch(identifier) and about.exists() else None
        if kept is None or actor.token not in (None, kept.owner):
            raise NotThere("no recording of this id")
        return about.with_name(f"recording{_suffix(kept.name)}"), kept

    def delete(self, identifier: str, *, found: bool) -> None:
        """Delete a recording, and with `found` what was found in it and no row has."""
        shutil.rmtree(self._folder / identifier, ignore_errors=True)
        if found:
            self.sweep(self._crops / identifier)

    def sweep(self, crops: Path) -> None:
        """Delete every file below a folder of crops that no row has."""
        files = {row_id(file): file for file in crops.rglob("*") if file.is_file()}
        for each in files.keys() - self._hosted.open().rows(list(files)).keys():
            files[each].unlink(missing_ok=True)

    def expire(self, days: float, busy: Callable[[str], bool]) -> None:
        """Delete recordings that nobody has looked through for some days, and what is none, whole or readable."""
        before = datetime.now(UTC) - timedelta(days=days)
        for each in self._folder.glob("*"):
            kept = _read(each / _ABOUT) if (each / _ABOUT).exists() else None
            if kept is not None and kept.sent < before and not busy(each.name):
                self.delete(each.name, found=True)
            elif kept is None and each.stat().st_mtime < before.timestamp():  # its client or server died
                shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)

    def meant(self, actor: Actor, body: VideoBody, place: Path | None) -> "list[Recording]":
        """The recording that was sent, or those at a place; a `UsageError` where its time or zone is none."""
        from pickout.video.recordings import find_recordings, sent_recording

        told: dict[str, Any] = {"camera": body.camera, "zone": body.zone}
        told["start"] = None if body.start is None else parse_time(body.start)
        if body.recording is None:
            return find_recordings([str(place)], **told)
        file, about = self.own(actor, body.recording)
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(about.name).stem)[:60].strip("._-")
        name = f"{stem or 'recording'}-{body.recording[:8]}"  # a safe folder's, unlike that of any other recording
        return [sent_recording(file, about.name, name, **told)]

    def find(self, body: VideoBody, found: "Sequence[Recording]", of: str, jobs: Jobs, tell: Tell) -> Result:
        """Index the people in recordings, `of` one that was sent or of a place; `VideoError`: nothing could be read."""
        from pickout.video.extraction import ExtractionSettings
        from pickout.video.harvest import LEDGER, TABLE, Ledger, harvest
        from pickout.video.tracks import TrackSettings

        key = body.recording or hashlib.sha256(of.encode()).hexdigest()[:32]
        how, hosted = hashlib.sha256(body.model_dump_json().encode()).hexdigest()[:16], self._hosted
        out = self._crops / key / how  # the same where a recording is looked through in the same way again
        record_event(hosted.path, "recordings looked through", recordings=len(found), detector=Path(body.detector).name)
        settings = ExtractionSettings(rate=body.rate, tracks=TrackSettings(per_track=body.per_track))

        def say(name: str, seconds: float | str, length: float | None) -> None:
            tell({"doing": "looking", "recording": name, "done": seconds, "total": length})

        if out.exists() and not (out / LEDGER).exists():  # looked through before; the same crops get the same names
            write_atomically(out / LEDGER, Ledger(detector=body.detector, settings=settings).model_dump_json())
        report: Ledger = harvest(found, out, body.detector, settings, apart=True, say=say)
        why = {name: entry.fault for name, entry in report.recordings.items() if entry.fault} | report.failed
        faults = {at.name: why[at.name].replace(at.place, at.video or at.name) for at in found if at.name in why}
        if not any(entry.frames for entry in report.recordings.values()):
            self.sweep(out)
            raise VideoError("; ".join(faults.values()) or "no frame could be read")
        result: Result = {"tracks": report.tracks, "crops": report.crops, "faults": faults, "indexed": None}
        with jobs.turn(hosted.name, tell):
            if report.crops:
                added = hosted.open().add(out, table=out / TABLE, on_progress=lambda at: tell(told_progress(at)))
                result["indexed"] = added.as_json()
        self.sweep(out)  # nothing may be left that still tells of a crop once it is erased
        if body.recording is not None:
            self.delete(body.recording, found=False)
        return result


def _read(about: Path) -> Kept | None:
    """What is known of a recording; None, and a line in the log, where that is garbled: others are not to suffer."""
    try:
        return Kept.model_validate_json(about.read_bytes())
    except (OSError, ValidationError) as error:
        _log.error("%s: cannot be read (%s); delete its folder", about, type(error).__name__)
        return None


def _suffix(name: str) -> str:
    """The ending of a name where it is a plain one: it helps to tell streams that have no header."""
    found = re.fullmatch(r".*(\.[A-Za-z0-9]{1,6})", name, re.DOTALL)
    return found[1].lower() if found else ".video"
