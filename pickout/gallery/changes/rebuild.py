"""A gallery's change of model: a new table is built beside the old one and takes its place at the end."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pickout.errors import UsageError
from pickout.gallery.approximate.build import carry_over, read_approximation
from pickout.gallery.changes.erasure import finish_erasing
from pickout.gallery.changes.transfer import Rebuilding, RebuildProgress
from pickout.gallery.encoder import Encoder
from pickout.gallery.intake.quarantine import Quarantined
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.storage.lock import finish_writes, locked
from pickout.gallery.storage.manifest import Manifest, read_manifest
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import CALIBRATION, REBUILD, begin, finish_swap, pending, pending_store

REBUILDING = ".rebuilding"
"""Held while a process rebuilds the gallery; empty."""


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


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A rebuild that has begun: what the gallery will be, and how many rows the new table has."""

    manifest: Manifest
    done: int


def rebuild(
    gallery: Path,
    encoder: Encoder,
    *,
    run: str | None = None,
    settings: IngestSettings | None = None,
    drop_missing: bool = False,
    restart: bool = False,
    on_progress: Callable[[RebuildProgress], None] = lambda _: None,
) -> RebuildReport:
    """Encode every crop of a gallery anew with another model. Safe to kill and run again.

    Until the end the gallery is as it was, with its model, and can be searched and changed; what changes meanwhile
    arrives in the new table. Each crop is read from its original again, which must have the bytes that were indexed.
    Ids, paths, metadata, thumbnails and times stay. A calibration goes: it belongs to the old model's scores.

    Args:
        gallery: the gallery's folder.
        encoder: the other model.
        run: where it was loaded from, remembered for later searches.
        settings: how files are read and rows written.
        drop_missing: leave out the crops that cannot be encoded again, and put them on the quarantine list.
        restart: throw away what an earlier run has begun, for whichever model.
        on_progress: called as rows arrive.

    Raises:
        UsageError: the gallery is of this model already.
        GalleryError: crops cannot be encoded again and `drop_missing` is not set, or none can, or another process is
            rebuilding this gallery.
        GalleryModelMismatch: a rebuild for a third model has begun.
        StorageFull: no space left; the gallery is as it was, and the next run goes on.
    """
    began = time.monotonic()
    swapped = (gallery / REBUILD).exists() and pending(gallery) is None  # killed between the swap and its cleaning up
    with locked(gallery / REBUILDING, 0.0, f"{gallery}: another process is rebuilding it; wait until it has ended"):
        finish_writes(gallery)
        finish_swap(gallery)
        before = read_manifest(gallery)
        old = Store(gallery, before.model.dimension, before.table)
        if before.model.fingerprint == encoder.fingerprint:
            if swapped:  # a kill hit the very end of the run before
                return RebuildReport(old.count(), resumed=old.count())
            model = f"{before.model.name} {before.model.fingerprint[:8]}"
            raise UsageError(f"{gallery}: is of this model already ({model}); there is nothing to do")
        finish_erasing(gallery, old)
        told, new = begin(gallery, encoder, run, restart=restart)
        calibrated = (gallery / CALIBRATION).exists()
        work = Rebuilding(gallery, old, new, encoder, settings or IngestSettings(), on_progress)
        indexed = read_approximation(gallery, before)
        dropped = work.run(told, drop_missing=drop_missing)
        if indexed is not None:
            carry_over(gallery, indexed, new)
        return RebuildReport(
            rows=new.count(),
            encoded=work.encoded,
            resumed=work.resumed,
            dropped=dropped,
            uncalibrated=calibrated and not (gallery / CALIBRATION).exists(),
            seconds=round(time.monotonic() - began, 3),
        )


def unfinished_rebuild(gallery: Path) -> Unfinished | None:
    """The rebuild that has begun; None where none has."""
    told, store = pending(gallery), pending_store(gallery)
    return None if told is None or store is None else Unfinished(told, store.count())
