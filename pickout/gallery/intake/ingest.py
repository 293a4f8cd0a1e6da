"""From a folder of crops to rows: resumable, idempotent, and stopped by no bad file."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.config import Settings
from pickout.errors import DataMissing, ImageUnreadable
from pickout.gallery.audit.log import record_change
from pickout.gallery.encoder import Encoder, Matching, vectors_and_tokens
from pickout.gallery.intake.absence import find_absent
from pickout.gallery.intake.cameras import CameraFrom
from pickout.gallery.intake.commit import Committer
from pickout.gallery.intake.examination import Examined, Examiner
from pickout.gallery.intake.inventory import Inventory
from pickout.gallery.intake.metadata import MetadataTable
from pickout.gallery.intake.picture import Picture, decode, read_file
from pickout.gallery.intake.quarantine import read_quarantine, update_quarantine
from pickout.gallery.intake.report import IngestProgress, IngestReport
from pickout.gallery.intake.scan import Scan, count_images
from pickout.gallery.intake.suppression import Crop, read_suppression, write_suppression
from pickout.gallery.storage.rows import Metadata, Row
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import changing


class IngestSettings(Settings):
    """How a folder is read and written."""

    batch: int = Field(default=32, ge=1)
    """Images encoded at once."""
    commit: int = Field(default=256, ge=1)
    """Rows written at once, while the next ones are encoded; a kill loses at most so many and those that gather."""
    commit_seconds: float = Field(default=5.0, gt=0)
    """Rows are written at least this often."""
    threads: int = Field(default=min(4, os.cpu_count() or 1), ge=1, le=64)
    """Threads that read and decode while the model encodes."""
    compact_every: int = Field(default=100, ge=1)
    """Commits after which the small pieces on disk are merged."""
    tokens: Literal["auto", "off"] = "auto"
    """Whether the tokens that a model's second look reads are kept: 2 bytes a number, 0.9 MB a crop for a ViT-B/16 at
    384x384. Without them a search ranks by vectors alone."""


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What a row takes from its file's bytes."""

    vector: NDArray[np.float32]
    width: int
    height: int
    thumbnail: bytes
    tokens: NDArray[np.uint16] | None


class Ingest:
    """One run over one folder. Each file below it has one row, known by the file's absolute path.

    A file whose bytes and metadata are as its row has them is left alone. Bytes that another row has, or that came up
    earlier in the run, are not encoded again. A file that cannot be read goes on the quarantine list; the row that it
    had while it was readable stays.

    Args:
        gallery: the gallery's folder.
        store: its rows.
        encoder: its model.
        root: the absolute folder of crops.
        table: metadata by image.
        camera_from: where the camera comes from when no table tells.
        settings: how files are read and rows written.
        again: take back crops that were erased.
        exclude: patterns of names and paths below the folder that are passed over; see `Scan`.
    """

    def __init__(
        self,
        gallery: Path,
        store: Store,
        encoder: Encoder,
        root: Path,
        *,
        table: MetadataTable | None,
        camera_from: CameraFrom,
        settings: IngestSettings,
        again: bool = False,
        exclude: Sequence[str] = (),
    ) -> None:
        self._gallery, self._store, self._encoder, self._root = gallery, store, encoder, root
        self._table, self._settings = table, settings
        self._listed = [entry.file for entry in read_quarantine(gallery) if entry.file.is_relative_to(root)]
        looks = isinstance(encoder, Matching) and encoder.candidates > 0
        self._keeps_tokens = looks and settings.tokens == "auto"
        self._report = IngestReport(notes=[] if table is None else list(table.notes))
        self._exclude, self._scan = exclude, Scan(root, exclude)
        # Before the rows: of what is erased in between no row is known, and the commit sees that it was erased since.
        self._suppression, self._again = read_suppression(gallery), again
        self._inventory = Inventory(store.known())
        self._examiner = Examiner(self._scan, root, self._inventory, table, camera_from, self._suppression, again)
        self._touched: dict[Path, Path] = {}
        self._back: list[Crop] = []
        self._committer = Committer(
            gallery,
            store,
            self._inventory,
            self._report,
            suppression=self._suppression,
            rows=settings.commit,
            seconds=settings.commit_seconds,
            compact_every=settings.compact_every,
        )

    def run(
        self, *, prune: bool, on_progress: Callable[[IngestProgress], None], prune_folders: bool = False
    ) -> IngestReport:
        """Bring the gallery up to date with the folder.

        Args:
            prune: remove the rows whose files are gone.
            prune_folders: remove also the rows of folders that are gone, or hold none of their files any more.
            on_progress: called after each file.

        Raises:
            DataMissing: the folder is not there or holds no image.
            StorageFull: no space left; what was committed stays.
        """
        began, report = time.monotonic(), self._report
        total = count_images(self._root, self._exclude)
        if not total:
            raise DataMissing(f"{self._root}: holds no image file; give the folder that holds the crops")
        if self._again and self._suppression.crops:
            self._record("again", len(self._suppression.crops))
        with self._committer:
            self._bring(total, on_progress)
            self._committer.finish()
        on_progress(IngestProgress(report.found, max(total, report.found), report.encoded, report.quarantined))
        self._settle_quarantine()
        self._settle_absent(prune or prune_folders, prune_folders)
        if self._back:
            with changing(self._gallery, self._store):
                write_suppression(self._gallery, read_suppression(self._gallery).without_crops(self._back))
        report.passed_over = dict(self._scan.passed_over)
        report.seconds = round(time.monotonic() - began, 3)
        return report

    def _bring(self, total: int, on_progress: Callable[[IngestProgress], None]) -> None:
        """Every file of the folder, up to the committer."""
        report = self._report
        changed: list[Examined] = []
        with self._examiner.all(threads=self._settings.threads, ahead=2 * self._settings.batch) as files:
            for examined in files:
                if self._is_changed(examined):
                    changed.append(examined)
                if len(changed) >= self._settings.batch:
                    self._write(changed)
                    changed = []
                self._committer.commit_if_due()
                done = report.found - len(changed)
                on_progress(IngestProgress(done, max(total, done), report.encoded, report.quarantined))
        self._write(changed)

    def _is_changed(self, examined: Examined) -> bool:
        self._report.found += 1
        if self._table is not None and not self._table.names(self._root, examined.file):
            self._report.untold += 1
        self._touched[examined.file.parent if examined.problem is None else examined.file] = examined.file
        if examined.erased and not self._again:
            self._report.erased += 1
            return False
        if examined.problem is not None:
            self._committer.refuse(examined.file, examined.problem)
            return False
        if examined.erased:
            self._back.append((examined.id, examined.content))
        if self._inventory.is_current(examined.id, examined.content, examined.told):
            self._report.unchanged += 1
            return False
        return True

    def _write(self, changed: list[Examined]) -> None:
        """Give each file its pixels, from another row of equal bytes or from the model, and hand on the row."""
        pixels = self._known_pixels(changed)
        pictures: dict[str, Picture] = {}
        for examined in changed:
            if examined.content not in pixels and examined.content not in pictures:
                try:
                    pictures[examined.content] = _picture(examined)
                except ImageUnreadable as error:
                    self._committer.refuse(examined.file, error.reason)
        pixels.update(self._encode(pictures))
        for examined in changed:
            found = pixels.get(examined.content)
            if found is None:
                continue
            if np.isfinite(found.vector).all():
                self._committer.add(self._row(examined, found))
            else:
                self._committer.refuse(examined.file, "the model gave no finite vector")

    def _known_pixels(self, changed: list[Examined]) -> dict[str, _Pixels]:
        """Pixels by content, of contents that have a row."""
        rows: dict[str, Row] = {}
        stored: list[str] = []
        for content in {examined.content for examined in changed}:
            waiting, identifier = self._committer.row_with(content), self._inventory.row_with(content)
            if waiting is not None:
                rows[content] = waiting
            elif identifier is not None:
                stored.append(identifier)
        rows.update((row.content, row) for row in self._store.fetch(stored).values())
        kept = self._store.fetch_tokens(stored) if self._keeps_tokens else {}
        return {
            key: _Pixels(row.vector, row.width, row.height, row.thumbnail, kept.get(row.id, row.tokens))
            for key, row in rows.items()
        }

    def _encode(self, pictures: dict[str, Picture]) -> dict[str, _Pixels]:
        if not pictures:
            return {}
        images = [picture.image for picture in pictures.values()]
        vectors, tokens = vectors_and_tokens(self._encoder, images, tokens=self._keeps_tokens)
        self._report.encoded += len(pictures)
        return {
            content: _Pixels(vector, picture.width, picture.height, picture.thumbnail, own)
            for (content, picture), vector, own in zip(pictures.items(), vectors, tokens, strict=True)
        }

    def _row(self, examined: Examined, pixels: _Pixels) -> Row:
        before, taken = self._inventory.metadata(examined.id), Metadata(time=examined.taken)
        same = self._inventory.content(examined.id) == examined.content
        # Other pixels bring their own EXIF time; the same pixels do not override what a table told earlier.
        metadata = examined.told.over(before.over(taken) if same else taken.over(before))
        return Row(
            id=examined.id,
            content=examined.content,
            root=str(self._root),
            path=str(examined.file.relative_to(self._root)),
            vector=pixels.vector,
            width=pixels.width,
            height=pixels.height,
            metadata=metadata,
            thumbnail=pixels.thumbnail,
            added=datetime.now(UTC).replace(tzinfo=None),
            tokens=pixels.tokens,
        )

    def _settle_quarantine(self) -> None:
        """Take lines off the list that stood there before the run, and were not told again: mended, or gone."""
        refused = self._committer.refused
        told = [file for file in self._listed if not refused & {file, *file.parents}]
        if told:
            update_quarantine(self._gallery, (), told)

    def _settle_absent(self, prune: bool, prune_folders: bool) -> None:
        """Count, and on request remove, the rows below the folder whose files are gone."""
        # Asks the disk, not this run's memory: another run may have added a file since this one passed its folder.
        absent = find_absent(self._root, self._store.files(), new=self._committer.added, touched=self._touched)
        report, deserted = self._report, absent.deserted
        report.vanished, report.unseen = len(absent.gone), absent.unseen
        report.deserted, report.folders = sum(map(len, deserted.values())), tuple(map(str, sorted(deserted)))
        wanted = absent.gone if prune else []
        if prune_folders:
            wanted = [*wanted, *(identifier for ids in deserted.values() for identifier in ids)]
        if wanted:
            self._record("prune", len(wanted))
            with changing(self._gallery, self._store):
                self._store.remove(wanted)
            report.pruned = len(wanted)

    def _record(self, change: str, rows: int) -> None:
        record_change(self._gallery, change, rows)


def _picture(examined: Examined) -> Picture:
    # The examiner leaves the picture out when a row has these bytes; another process may have removed that row since.
    return examined.picture or decode(examined.file, read_file(examined.file))
