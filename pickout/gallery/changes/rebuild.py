"""A gallery's change of model: a new table is built beside the old one, which goes on changing, and takes its place."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pickout.errors import GalleryDamaged, GalleryError, ImageUnreadable, UsageError, listed
from pickout.gallery.approximate.build import carry_over, read_approximation
from pickout.gallery.audit.log import record_change
from pickout.gallery.changes.edits import finish_erasing, finish_everything, unfinished
from pickout.gallery.changes.retention import Retention
from pickout.gallery.encoder import BatchSize, Encoder, keeps_tokens, vectors_and_tokens
from pickout.gallery.intake.left_out import QUARANTINE, Quarantined, read_quarantine, update_quarantine
from pickout.gallery.intake.picture import Picture, decode, digest, read_file, reading_ahead
from pickout.gallery.intake.report import IngestProgress, IngestSettings
from pickout.gallery.storage import memory, tables
from pickout.gallery.storage.lock import locked
from pickout.gallery.storage.rows import Row, row_mark
from pickout.gallery.storage.store import KEEP_NONE, Store

REBUILDING = ".rebuilding"  # held while a process rebuilds the gallery; empty
_ROUNDS = 20  # times that changes made meanwhile are caught up with before other writers have to wait for the rest
_AT_ONCE = 500  # rows fetched together
_NAMED = 3  # lost rows that the error names; all stand on the quarantine list


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild did."""

    rows: int  # rows that the gallery has now
    encoded: int = 0  # images that went through the model, equal bytes in one batch once
    resumed: int = 0  # rows that an earlier, interrupted run had brought
    dropped: tuple[Quarantined, ...] = ()  # left out, since their originals could not be read; on the quarantine list
    uncalibrated: bool = False  # whether there was a calibration, which went with the old model
    seconds: float = 0.0  # wall time

    def as_json(self) -> dict[str, Any]:
        """All counts by name."""
        return {**asdict(self), "dropped": len(self.dropped)}


class Rebuilding:
    """One run that makes a new table hold what the old one holds. Held in memory: about 0.4 GB a million rows. A row
    counts as brought when both tables have it with equal marks. Nothing is written to the new one unless the old one
    still has it, under the gallery's lock: what was erased cannot come back."""

    def __init__(self, gallery: Path, encoder: Encoder, settings: IngestSettings, retention: Retention) -> None:
        self._gallery, self._encoder, self._settings, self._retention = gallery, encoder, settings, retention
        self._batch = BatchSize(settings.batch)
        self._arrived: list[Path] = []
        self._lost: dict[str, tuple[bytes, Quarantined]] = {}
        self._stale: set[str] = set()
        self._gone: list[str] = []
        self._seen, self._commits, self._done, self._total = -1, 0, 0, 0
        self._began = time.monotonic()
        self._encoded = self._resumed = 0

    def run(
        self, run: str | None, drop_missing: bool, restart: bool, on_progress: Callable[[IngestProgress], None]
    ) -> RebuildReport:
        """Encode every crop of a gallery anew with another model, loaded from `run`. Safe to kill and run again; until
        the end the gallery can be searched and changed. Each crop is read from its original again, which must have the
        bytes that were indexed: `drop_missing` leaves out those that have not. `restart` throws away what an earlier
        run has begun. A calibration goes. `UsageError` where the gallery is of this model already; `GalleryError` where
        crops cannot be encoded again and `drop_missing` is not set, one is held, none can, or another process rebuilds;
        `GalleryModelMismatch` where a rebuild for a third model has begun; `StorageFull` without space: the next run
        goes on."""
        gallery, self._on_progress = self._gallery, on_progress
        swapped = (gallery / tables.REBUILD).exists() and tables.pending(gallery) is None  # killed behind the swap
        with locked(gallery / REBUILDING, 0.0, f"{gallery}: another process is rebuilding it; wait until it has ended"):
            before = tables.read_manifest(gallery)
            self._old = old = Store(gallery, before.model.dimension, before.table)
            finish_everything(gallery, old, before)
            if before.model.fingerprint == self._encoder.fingerprint:
                if swapped:
                    return RebuildReport(old.count(), resumed=old.count())
                model = f"{before.model.name} {before.model.fingerprint[:8]}"
                raise UsageError(f"{gallery}: is of this model already ({model}); there is nothing to do")
            told, self._new = tables.begin(gallery, self._encoder, run, restart=restart)
            calibrated, indexed = (gallery / tables.CALIBRATION).exists(), read_approximation(gallery, before)
            self._listed = {entry.file for entry in read_quarantine(gallery)}
            dropped = self._replace(told, drop_missing)
            if indexed is not None:
                carry_over(gallery, indexed, self._new)
            uncalibrated = calibrated and not (gallery / tables.CALIBRATION).exists()
            about = (self._encoded, self._resumed, dropped, uncalibrated)
            return RebuildReport(self._new.count(), *about, round(time.monotonic() - self._began, 3))

    def _replace(self, told: tables.Manifest, drop_missing: bool) -> tuple[Quarantined, ...]:
        """Bring every row, then swap the tables; those that cannot be brought are an error, or left out and told."""
        todo = self._difference()
        self._resumed, self._committed_at = self._done, time.monotonic()
        for _ in range(_ROUNDS):
            self._bring(todo, alone=False)
            todo = self._difference()
            if len(todo) <= self._batch.now:
                break
        if self._commits > 1:
            with tables.changing(self._gallery, self._old):
                self._new.tidy(KEEP_NONE)
        while True:
            with tables.changing(self._gallery, self._old):
                if not unfinished(self._gallery):
                    if self._old.version() != self._seen:
                        todo = self._difference()
                    self._bring(todo, alone=True)
                    return self._finish(told, drop_missing)
            finish_erasing(self._gallery, self._old)

    def _difference(self) -> list[str]:
        """Ids of the rows that must be brought; notes those that must go."""
        self._seen = self._old.version()
        marks, have = dict(self._old.marks()), dict(self._new.marks())
        self._lost = {key: lost for key, lost in self._lost.items() if marks.get(key) == lost[0]}
        differ = [key for key, mark in marks.items() if have.get(key) != mark]
        todo = [key for key in differ if key not in self._lost]
        self._stale, self._gone = have.keys() & differ, list(have.keys() - marks.keys())
        self._total, self._done = len(marks), len(marks) - len(todo)
        return todo

    def _bring(self, todo: Sequence[str], *, alone: bool) -> None:
        """Bring rows, and take out those that must go. `alone`: the caller holds the gallery's lock."""
        rows, batch, settings = list[Row](), list[tuple[Row, Picture]](), self._settings
        wanted = (row for some in memory.slices(todo, _AT_ONCE) for row in self._old.fetch(some).values())
        with reading_ahead(_read, wanted, threads=settings.threads, ahead=2 * self._batch.now) as reads:
            for row, picture in reads:
                if isinstance(picture, str):
                    self._lose(row, picture)
                else:
                    batch.append((row, picture))
                if len(batch) >= self._batch.now:
                    rows += self._encode(batch)
                    batch = []
                waited = time.monotonic() - self._committed_at
                if len(rows) >= settings.commit or waited > settings.commit_seconds:
                    self._commit(rows, alone)
                    rows = []
                self._tell()
        self._commit([*rows, *self._encode(batch)], alone)
        if self._gone:
            with self._lock(alone):
                self._new.remove(self._gone)
            self._gone = []
        self._tell()

    def _encode(self, batch: Sequence[tuple[Row, Picture]]) -> list[Row]:
        images = {row.content: picture.image for row, picture in batch}
        keeps = keeps_tokens(self._encoder) and self._settings.tokens == "auto"
        began = time.perf_counter()
        vectors, tokens = vectors_and_tokens(self._encoder, list(images.values()), tokens=keeps)
        self._batch.took(len(batch), time.perf_counter() - began)
        self._encoded += len(images)
        made = dict(zip(images, zip(vectors, tokens, strict=True), strict=True))
        rows = []
        for row, _ in batch:
            vector, own = made[row.content]
            if np.isfinite(vector).all():
                rows.append(replace(row, vector=vector, tokens=own))
            else:
                self._lose(row, "the model gave no finite vector")
        return rows

    def _commit(self, rows: Sequence[Row], alone: bool) -> None:
        """Write rows, but those that `old` has no more, or otherwise, by now."""
        if not rows:
            return
        with self._lock(alone):
            if self._old.version() != self._seen:
                marks = dict(self._old.marks(row.id for row in rows))
                rows = [row for row in rows if marks.get(row.id) == row_mark(row)]
            self._new.put(rows)
            self._commits += 1
            if self._commits % self._settings.compact_every == 0:
                self._new.tidy(KEEP_NONE)
        self._arrived += [row.file for row in rows if row.file in self._listed]
        self._done += len(rows)
        self._committed_at = time.monotonic()
        self._tell()

    def _lose(self, row: Row, reason: str) -> None:
        self._lost[row.id] = (row_mark(row), Quarantined(row.file, reason))
        self._done += 1
        if row.id in self._stale:
            self._gone.append(row.id)

    def _finish(self, told: tables.Manifest, drop_missing: bool) -> tuple[Quarantined, ...]:
        """Swap, or refuse to; the lock is held and nothing is left to bring."""
        lost = tuple(sorted((entry for _, entry in self._lost.values()), key=lambda entry: str(entry.file)))
        update_quarantine(self._gallery, lost, self._arrived)
        if drop_missing and (held := self._retention.held(self._lost)):
            what = f"{len(held)} of the {len(lost)} crops that cannot be encoded again are held"
            raise GalleryError(f"{self._gallery}: {what}; put their files back, or lift the hold (pickout retention)")
        total, built = self._old.count(), self._new.count()
        if lost and (not drop_missing or not built):
            named = listed([f"{entry.file}: {entry.reason}" for entry in lost], _NAMED)
            remedy = (
                f"All stand in its {QUARANTINE}. Put the files back, or for changed ones run pickout index; then run "
                "again, which goes on from here. To do without these crops: --drop-missing"
            )
            remedy = "None could be read: is a disk not mounted?" if drop_missing else remedy
            what = f"{len(lost)} of {total} crops cannot be encoded again, so the gallery stays as it is"
            raise GalleryError(f"{self._gallery}: {what} ({named}). {remedy}")
        if built != total - len(lost):
            what = f"{built} of {total - len(lost)} rows arrived in the new table, so the old one stays"
            remedy = "look with pickout gallery verify, then begin anew: --restart"
            raise GalleryDamaged(f"{self._gallery}: {what}; {remedy}")
        if lost:
            record_change(self._gallery, "remove", len(lost))
        record_change(self._gallery, "rebuild", built)
        tables.write_manifest(self._gallery, told)  # from here on its table is the gallery's, whoever clears up
        tables.clear(self._gallery)
        return lost

    def _tell(self) -> None:
        self._on_progress(IngestProgress(self._done, max(self._total, self._done), self._encoded, len(self._lost)))

    def _lock(self, alone: bool) -> AbstractContextManager[None]:
        return nullcontext() if alone else tables.changing(self._gallery, self._old)


def _read(row: Row) -> tuple[Row, Picture | str]:
    """A row, and the picture of its original or what is wrong with it: it must have the bytes that were indexed."""
    try:
        data = read_file(row.file)
        return row, decode(row.file, data) if digest(data) == row.content else "has changed since it was indexed"
    except ImageUnreadable as error:
        return row, error.reason
