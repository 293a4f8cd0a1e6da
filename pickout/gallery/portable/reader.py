"""A portable file's rows taken into a gallery, which is made where there is none."""

import os
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.errors import GalleryError, GalleryModelMismatch, ImageUnreadable, UsageError
from pickout.files import atomic_path
from pickout.gallery.audit.log import record_change
from pickout.gallery.changes.erasure import finish_everything
from pickout.gallery.intake.picture import digest, read_file
from pickout.gallery.intake.suppression import Crop, Suppression, read_suppression, write_suppression
from pickout.gallery.portable.file import PortableFile, opened
from pickout.gallery.portable.members import read_rows
from pickout.gallery.storage.columns import row_seal
from pickout.gallery.storage.creation import checked_folder, make_gallery
from pickout.gallery.storage.lance_table import LanceStore
from pickout.gallery.storage.manifest import FORMAT, MANIFEST, Manifest, read_manifest
from pickout.gallery.storage.rows import Row, row_id
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import changing

_COMMIT_BYTES = 32 * 2**20
_COMMIT_ROWS = 2048
_COMPACT_EVERY = 100
Progress = Callable[[str, int, int], None]
"""Told what is being done (`checking` or `writing`), rows done, and rows in all."""


@dataclass(slots=True)
class ImportReport:
    """What an import did, counted in crops.

    Args:
        rows: crops in the file.
        added: new in the gallery.
        replaced: the gallery had another row of the same path, and the file's took its place.
        unchanged: the gallery had the same row.
        kept: the gallery had another row of the same path, which stayed.
        erased: left out, since they were erased from the gallery.
        pictures: picture files that were written.
    """

    rows: int
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    kept: int = 0
    erased: int = 0
    pictures: int = 0

    def as_json(self) -> dict[str, Any]:
        """All counts by name."""
        return asdict(self)


def import_gallery(
    file: str | Path,
    gallery: str | Path,
    *,
    crops_to: str | Path | None = None,
    replace_rows: bool = False,
    again: bool = False,
    on_progress: Progress = lambda _what, _done, _total: None,
) -> ImportReport:
    """Take the rows of an export into a gallery. Everything is checked before anything is written.

    Where the gallery has another row of the same id, the one that was `added` later stays; of two added at the same
    moment, which differ by metadata only, the gallery's own. Rows go in commits, each whole or not at all; after a kill
    the same command completes them, and done twice it changes nothing.

    Args:
        file: made by `Gallery.export`.
        gallery: a gallery of the same model, or a folder that is empty or not there.
        crops_to: the folder where the file's pictures are put; their rows then belong to those files. None: every row
            keeps the path that it had where it was exported.
        replace_rows: whether the file's row always takes the place of the gallery's.
        again: take back crops that were erased from the gallery; without, they stay so.
        on_progress: told how far it is.

    Raises:
        DataMissing: there is no such file.
        GalleryDamaged: the file is not as it was written, or hostile; or the gallery is damaged.
        GalleryModelMismatch: the gallery is another model's.
        GalleryError: the file is of a newer version; the folder holds other files.
        StorageFull: no space left; what was committed stays.
    """
    folder = checked_folder(gallery)
    with opened(Path(file)) as portable:
        _check_model(folder, portable)
        report = ImportReport(portable.contents.rows)
        pictures = None if crops_to is None else _PictureFolder(portable, Path(crops_to), folder, report)
        _check_everything(folder, portable, on_progress)
        if not (folder / MANIFEST).exists():
            created = datetime.now(UTC).replace(microsecond=0)
            make_gallery(folder, Manifest(format=FORMAT, created=created, model=portable.contents.model))
        manifest, store = _store(folder)
        finish_everything(folder, store, manifest)
        _check_model(folder, portable)
        record_change(folder, "import", report.rows)
        suppression, back = read_suppression(folder), list[Crop]()
        writing = _Writing(folder, store, report, replace_rows, suppression)
        for member in portable.contents.members:
            for row in read_rows(portable, member):
                # One that is there was taken back since, or has the bytes of one that was erased.
                if _is_erased(row, suppression) and row.id not in store.fetch([row.id]):
                    if not again:
                        report.erased += 1
                        continue
                    back.append((row.id, row.content))
                writing.add(row if pictures is None else pictures.place(row))
                on_progress("writing", writing.done, report.rows)
        writing.finish()
        if back:
            with changing(folder, store):
                write_suppression(folder, read_suppression(folder).without_crops(back))
        on_progress("writing", report.rows, report.rows)
    return report


def _is_erased(row: Row, suppression: Suppression) -> bool:
    return suppression.has_path(row.id) or suppression.has_content(row.content)


def _store(folder: Path) -> tuple[Manifest, LanceStore]:
    manifest = read_manifest(folder)
    return manifest, LanceStore(folder, manifest.model.dimension, manifest.table)


def _check_model(folder: Path, portable: PortableFile) -> None:
    """Refuse a gallery of another model."""
    if not (folder / MANIFEST).exists():
        return
    own, told = read_manifest(folder).model, portable.contents.model
    if (own.fingerprint, own.dimension) != (told.fingerprint, told.dimension):
        raise GalleryModelMismatch(
            f"{folder}: the gallery was built with run {own.fingerprint[:8]} ({own.name}), {portable.file} "
            f"with {told.fingerprint[:8]} ({told.name}); import it into a new folder"
        )


def _check_everything(folder: Path, portable: PortableFile, on_progress: Progress) -> None:
    """Look at every row and picture before the first is written. Holds the ids: about 0.1 GB a million rows."""
    ids, total, shape = set[bytes](), portable.contents.rows, None
    if (folder / MANIFEST).exists():
        _, store = _store(folder)
        first = next(store.known(), None)  # its tokens tell the shape of all
        shape = next((each.shape for each in store.fetch_tokens([first.id]).values()), None) if first else None
    for member in portable.contents.members:
        for row in read_rows(portable, member, check=True):
            ids.add(bytes.fromhex(row.id))
            own = None if row.tokens is None else row.tokens.shape
            if own is not None and shape is not None and own != shape:
                raise portable.damaged(f"{member.name}: tokens of shape {own}, expected {shape}")
            shape = own or shape
        on_progress("checking", len(ids), total)
    if len(ids) != total:
        raise portable.damaged(f"{total - len(ids)} of its rows have an id that another row has")
    for content in portable.pictures:
        for _ in portable.picture(content):
            pass


class _PictureFolder:
    """Where the pictures of a portable file are put: `<SHA-256>-<id of the row>.<ending>`.

    A crop has a file of its own, as always in a gallery, also where two crops have the same bytes.
    """

    def __init__(self, portable: PortableFile, folder: Path, gallery: Path, report: ImportReport) -> None:
        if not portable.pictures and portable.contents.rows:
            raise UsageError(f"{portable.file}: holds no pictures; export with --crops, or import without --crops-to")
        self._portable, self._folder, self._report = portable, folder.resolve(), report
        if self._folder.is_relative_to(gallery.resolve()):
            raise UsageError(f"{folder}: lies in the gallery's own folder; give another one for the pictures")
        if self._folder.exists() and not self._folder.is_dir():
            raise UsageError(f"{folder}: is a file; give a folder for the pictures")

    def place(self, row: Row) -> Row:
        """Put a row's picture into the folder; the row as it is for that file. One without picture stays as it is."""
        name = self._portable.pictures.get(row.content)
        if name is None:
            return row
        file = self._folder / f"{row.content}-{row.id}{Path(name).suffix}"
        if not self._is_there(file, row.content):
            self._write(file, row.content)
        return replace(row, id=row_id(file), root=str(self._folder), path=file.name, seal=None)

    def _is_there(self, file: Path, content: str) -> bool:
        if not os.path.lexists(file):
            return False
        if not stat.S_ISREG(file.lstat().st_mode):
            raise GalleryError(f"{file}: is no ordinary file; give another folder for the pictures")
        try:
            if digest(read_file(file)) == content:
                return True
        except ImageUnreadable:
            pass
        raise GalleryError(f"{file}: is another file than the one to put there; delete it or give another folder")

    def _write(self, file: Path, content: str) -> None:
        try:
            # Not forced to the disk one by one: the same command can make them again.
            with atomic_path(file, durable=False) as temporary, temporary.open("wb") as stream:
                stream.writelines(self._portable.picture(content))
        except PermissionError:
            raise GalleryError(f"{self._folder}: may not be written to; check its permissions") from None
        except (FileExistsError, NotADirectoryError):
            raise UsageError(f"{self._folder}: cannot be made; give another folder for the pictures") from None
        self._report.pictures += 1


class _Writing:
    """Gathers rows and writes them together; what was erased after `suppression` was read is not written."""

    def __init__(
        self, gallery: Path, store: Store, report: ImportReport, replace_rows: bool, suppression: Suppression
    ) -> None:
        self._gallery, self._store, self._report, self._replace = gallery, store, report, replace_rows
        self._suppression = suppression
        self._rows: list[Row] = []
        self._bytes, self._commits, self.done = 0, 0, 0

    def add(self, row: Row) -> None:
        """Take a row to be written."""
        self._rows.append(row)
        tokens = 0 if row.tokens is None else row.tokens.nbytes
        self._bytes += row.vector.nbytes + len(row.thumbnail) + tokens + len(row.path) + 500
        if self._bytes >= _COMMIT_BYTES or len(self._rows) >= _COMMIT_ROWS:
            self._commit()

    def finish(self) -> None:
        """Write the rest and leave few pieces on disk."""
        self._commit()
        if self._commits > 1:
            self._tidy()

    def _commit(self) -> None:
        rows, self._rows, self._bytes = self._rows, [], 0
        with changing(self._gallery, self._store):
            # What is there is looked up under the lock, so that no change of another process is lost.
            there = self._store.fetch(row.id for row in rows)
            unsealed = self._store.fetch_tokens(before.id for before in there.values() if before.seal is None)
            erased = read_suppression(self._gallery).since(self._suppression)
            wanted = []
            for row in rows:
                if _is_erased(row, erased):
                    self._report.erased += 1
                elif self._is_wanted(row, there.get(row.id), unsealed.get(row.id)):
                    wanted.append(row)
            self._store.put(wanted)
        self.done += len(rows)
        self._commits += bool(wanted)
        if wanted and self._commits % _COMPACT_EVERY == 0:
            self._tidy()

    def _is_wanted(self, row: Row, before: Row | None, tokens: NDArray[np.uint16] | None) -> bool:
        """Whether the file's row is written; counts what happens to it."""
        if before is None:
            self._report.added += 1
            return True
        if (before.seal or row_seal(before, tokens)) == (row.seal or row_seal(row)):
            self._report.unchanged += 1
        elif self._replace or row.added > before.added:
            self._report.replaced += 1
            return True
        else:
            self._report.kept += 1
        return False

    def _tidy(self) -> None:
        with changing(self._gallery, self._store):
            self._store.tidy()
