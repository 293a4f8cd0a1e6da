"""Pictures that clients send: checked, named by their content, and kept where a row can find them."""

import hashlib
import io
import json
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from pickout.data.spreadsheet import column_of
from pickout.errors import NotThere, UsageError
from pickout.files import write_atomically
from pickout.gallery.audit.log import record_event
from pickout.gallery.changes.edits import checked_metadata
from pickout.gallery.intake.metadata import CAPTIONS, MetadataTable
from pickout.gallery.intake.picture import decode
from pickout.gallery.intake.report import IngestProgress
from pickout.gallery.storage.rows import Metadata, composed, row_id
from pickout.serve.hosting import Hosted
from pickout.serve.jobs import Tell

_TABLE = ".table.jsonl"
_PENDING = ".pending"
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "GIF": ".gif", "WEBP": ".webp", "TIFF": ".tif"}
_SUFFIXES |= {"PPM": ".ppm", "AVIF": ".avif"}
_TAKEN = {"image", "camera", "time", "video", "frame", "box", "track"}
_KEPT_SECONDS, _KEPT = 900.0, 200  # how long, and how many, pictures to search with are kept in memory


def suffix_of(content: bytes) -> str:
    """The ending that fits a picture's content, after decoding it whole."""
    decode(Path("the picture"), content)
    with Image.open(io.BytesIO(content)) as picture:
        return _SUFFIXES.get(picture.format or "", ".img")


class Uploads:
    """The pictures that were sent to one gallery, a folder for each request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def keep(self, sent: Iterable[tuple[bytes, Metadata]]) -> Iterator[Path]:
        """Write pictures and what is told about them; the same request again gives the same folder. What a block that
        raises brought is not kept."""
        named: dict[str, tuple[bytes, Metadata]] = {}
        for content, told in sent:
            if reserved := [name for name in told.labels if column_of(name) in _TAKEN or name.lower() in CAPTIONS]:
                raise UsageError(f"label '{min(reserved)}': this name is taken; give it as what it is, or another name")
            named[hashlib.sha256(content).hexdigest()[:32] + suffix_of(content)] = content, checked_metadata(told)
        table = "".join(f"{json.dumps(_line(name, told))}\n" for name, (_, told) in sorted(named.items()))
        folder = self.folder / hashlib.sha256(table.encode()).hexdigest()[:32]
        before = (folder / _TABLE).exists()  # sent before: rows have its pictures
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / _PENDING, b"")
        try:
            for name, (content, _) in named.items():
                write_atomically(folder / name, content, durable=False)
            write_atomically(folder / _TABLE, table)
            read = MetadataTable(folder / _TABLE, folder)
            for name, (_, told) in named.items():
                _refuse_loss(told, read.of(folder / name) or Metadata())
            yield folder
        except Exception:
            if not before:
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def pending(self) -> list[Path]:
        """Requests whose pictures may have no rows yet: the server died. Halves of requests are deleted."""
        found = []
        for mark in self.folder.glob(f"*/{_PENDING}"):
            if (mark.parent / _TABLE).exists():
                found.append(mark.parent)
            else:
                shutil.rmtree(mark.parent)
        return found

    def delete(self, files: Iterable[Path]) -> None:
        """Delete pictures that were sent here; files elsewhere are left alone."""
        for file in files:
            if file.is_relative_to(self.folder):
                file.unlink(missing_ok=True)
                table = file.parent / _TABLE
                if table.exists():
                    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
                    write_atomically(table, "".join(each for each in lines if json.loads(each)["image"] != file.name))


def index_upload(folder: Path, hosted: Hosted, tell: Tell) -> dict[str, Any]:
    """Give rows to the pictures of one request."""
    gallery, table = hosted.open(), folder / _TABLE
    record_event(hosted.path, "crops uploaded", crops=len(table.read_bytes().splitlines()))
    report = gallery.add(folder, table=table, on_progress=lambda at: tell(told_progress(at)))
    (folder / _PENDING).unlink(missing_ok=True)
    # By their paths, not by looking through every crop of the gallery.
    files = {row_id(file): file for file in sorted(folder.iterdir()) if not file.name.startswith(".")}
    rows = gallery.rows(files)
    Uploads(folder.parent).delete([file for each, file in files.items() if each not in rows])  # nothing leads to these
    report.passed_over = {}  # the server's own files beside the pictures
    return {**report.as_json(), "crops": list(rows)}


def told_progress(at: IngestProgress) -> dict[str, Any]:
    """How far an index run is."""
    return {"done": at.done, "total": at.total, "quarantined": at.quarantined}


def told_steps(tell: Tell) -> Any:
    """The same for work that tells its steps by name."""
    return lambda what, done=0, total=None: tell({"doing": what, "done": done, "total": total})


def _refuse_loss(told: Metadata, read: Metadata) -> None:
    """A table takes some words for no value, and blanks and `.0` for a spreadsheet's: none may be lost."""
    sent, kept = (
        [each.camera, each.video, each.track, *each.labels.values(), *map(composed, each.labels)]
        for each in (told, read)
    )
    lost = [each for each in sent if each not in kept]
    if lost:
        why = "blanks at its ends, .0 behind a number, and words for no value, such as NA, are not kept"
        raise UsageError(f"'{lost[0]}': {why}; give another name")


def _line(name: str, told: Metadata) -> dict[str, Any]:
    values: dict[str, Any] = {"image": name, **told.labels, "camera": told.camera, "video": told.video}
    values |= {"time": None if told.time is None else told.time.isoformat(), "track": told.track, "frame": told.frame}
    values["box"] = None if told.box is None else " ".join(map(str, told.box))
    return {key: value for key, value in values.items() if value is not None}


class QueryPictures:
    """Pictures to search with, for a quarter of an hour and for the token that sent them only."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, str | None, Image.Image]] = {}
        self._lock = threading.Lock()

    def keep(self, owner: str | None, content: bytes) -> str:
        """Its id."""
        image = decode(Path("the picture"), content).image
        identifier = secrets.token_hex(16)
        with self._lock:
            fresh = time.monotonic() - _KEPT_SECONDS
            kept = {key: each for key, each in self._kept.items() if each[0] > fresh}
            self._kept = dict([*kept.items()][1 - _KEPT :]) | {identifier: (time.monotonic(), owner, image)}
        return identifier

    def get(self, owner: str | None, identifier: str) -> Image.Image:
        """The picture."""
        kept = self._kept.get(identifier)
        if kept is None or kept[1] != owner or kept[0] < time.monotonic() - _KEPT_SECONDS:
            raise NotThere("no picture of this id; pictures are kept for a quarter of an hour")
        return kept[2]
