"""A portable file's rows taken into a gallery, which is made where there is none."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pickout.errors import GalleryModelMismatch
from pickout.gallery.audit.log import ChangeLine, now, record_change, user_name
from pickout.gallery.changes.unfinished import finish_everything
from pickout.gallery.intake.suppression import Crop, Suppression, read_suppression, write_suppression
from pickout.gallery.portable.file import PortableFile, opened
from pickout.gallery.portable.members import check_rows, read_rows, row_bytes
from pickout.gallery.portable.pictures import PictureFolder
from pickout.gallery.storage.columns import row_seal
from pickout.gallery.storage.manifest import FORMAT, MANIFEST, Manifest, read_manifest
from pickout.gallery.storage.rows import Row
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import changing, checked_folder, make_gallery

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
        pictures = None if crops_to is None else PictureFolder(portable, Path(crops_to), folder)
        _check_rows(folder, portable, on_progress)
        _check_pictures(portable)
        if not (folder / MANIFEST).exists():
            created = datetime.now(UTC).replace(microsecond=0)
            make_gallery(folder, Manifest(format=FORMAT, created=created, model=portable.contents.model))
        manifest = read_manifest(folder)
        store = Store(folder, manifest.model.dimension, manifest.table)
        finish_everything(folder, store, manifest)
        _check_model(folder, portable)
        report = ImportReport(portable.contents.rows)
        record_change(folder, ChangeLine(now(), user_name(), "import", report.rows))
        suppression, back = read_suppression(folder), list[Crop]()
        writing = _Writing(folder, store, report, replace_rows, suppression)
        for row in _all_rows(portable):
            if _is_erased(row, suppression, store):
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
        report.pictures = 0 if pictures is None else pictures.written
    return report


def _is_erased(row: Row, suppression: Suppression, store: Store) -> bool:
    """Whether a row was erased, unless it is there: taken back since, or with the bytes of one that was erased."""
    covered = suppression.covers(row.id, row.content)
    return covered and row.id not in store.fetch([row.id])


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


def _check_rows(folder: Path, portable: PortableFile, on_progress: Progress) -> None:
    """Look at every row before the first is written. Holds the ids: about 0.1 GB a million rows."""
    ids, shape = set[bytes](), _token_shape(folder)
    total = portable.contents.rows
    for member in portable.contents.members:
        for row in check_rows(portable, member):
            ids.add(bytes.fromhex(row.id))
            own = None if row.tokens is None else row.tokens.shape
            if own is not None and shape is not None and own != shape:
                raise portable.damaged(f"{member.name}: tokens of shape {own}, expected {shape}")
            shape = own or shape
        on_progress("checking", len(ids), total)
    if len(ids) != total:
        raise portable.damaged(f"{total - len(ids)} of its rows have an id that another row has")


def _token_shape(folder: Path) -> tuple[int, ...] | None:
    """The shape of the tokens that the gallery's first row has."""
    if not (folder / MANIFEST).exists():
        return None
    manifest = read_manifest(folder)
    store = Store(folder, manifest.model.dimension, manifest.table)
    for known in store.known():
        for tokens in store.fetch_tokens([known.id]).values():
            return tokens.shape
        break
    return None


def _check_pictures(portable: PortableFile) -> None:
    """Read every picture, before the first row is written."""
    for content in portable.pictures:
        for _ in portable.picture(content):
            pass


def _all_rows(portable: PortableFile) -> Iterator[Row]:
    for member in portable.contents.members:
        yield from read_rows(portable, member)


class _Writing:
    """Gathers rows and writes them together.

    Args:
        gallery: the gallery's folder.
        store: its rows.
        report: counts what happens.
        replace_rows: whether the file's row always wins.
        suppression: what was erased before. What is erased meanwhile is not written.
    """

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
        self._bytes += row_bytes(row)
        if self._bytes >= _COMMIT_BYTES or len(self._rows) >= _COMMIT_ROWS:
            self._commit()

    def finish(self) -> None:
        """Write the rest and leave few pieces on disk."""
        self._commit()
        if self._commits > 1:
            self._compact()

    def _commit(self) -> None:
        rows, self._rows, self._bytes = self._rows, [], 0
        with changing(self._gallery, self._store):
            # What is there is looked up under the lock, so that no change of another process is lost.
            there = self._store.fetch(row.id for row in rows)
            unsealed = self._store.fetch_tokens(before.id for before in there.values() if before.seal is None)
            erased = read_suppression(self._gallery).since(self._suppression)
            wanted = []
            for row in rows:
                if erased.covers(row.id, row.content):
                    self._report.erased += 1
                    continue
                before = there.get(row.id)
                if before is not None and before.seal is None:
                    before = replace(before, seal=row_seal(before, unsealed.get(before.id)))
                if self._is_wanted(row, before):
                    wanted.append(row)
            self._store.put(wanted)
        self.done += len(rows)
        self._commits += bool(wanted)
        if wanted and self._commits % _COMPACT_EVERY == 0:
            self._compact()

    def _is_wanted(self, row: Row, before: Row | None) -> bool:
        """Whether the file's row is written; counts what happens to it."""
        if before is None:
            self._report.added += 1
        elif before.seal == (row.seal or row_seal(row)):
            self._report.unchanged += 1
        elif self._replace or row.added > before.added:
            self._report.replaced += 1
            return True
        else:
            self._report.kept += 1
        return before is None

    def _compact(self) -> None:
        with changing(self._gallery, self._store):
            self._store.tidy()
