"""A portable file's rows taken into a gallery, which is made where there is none."""

import os
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from pickout.errors import GalleryError, GalleryModelMismatch, ImageUnreadable, UsageError
from pickout.files import atomic_path
from pickout.gallery.audit.log import record_change
from pickout.gallery.changes import edits, retention
from pickout.gallery.intake.left_out import Crop, Suppression, read_suppression, update_suppression
from pickout.gallery.intake.picture import digest, read_file
from pickout.gallery.intake.report import Report
from pickout.gallery.portable.contents import PortableFile, opened, read_rows
from pickout.gallery.storage import tables
from pickout.gallery.storage.rows import Row, row_id, row_seal
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Tokens

_COMMIT_BYTES = 32 * 2**20
_COMMIT_ROWS = 2048
Progress = Callable[[str, int, int], None]
"""Told what is being done (`checking` or `writing`), rows done, and rows in all."""


@dataclass(slots=True)
class ImportReport(Report):
    """What an import did, counted in crops."""

    rows: int  # crops in the file
    added: int = 0  # new in the gallery
    replaced: int = 0  # the gallery had another row of the same path, whose place it took
    unchanged: int = 0  # the gallery had the same row
    kept: int = 0  # the gallery had another row of the same path, which stayed: it is newer, or held
    erased: int = 0  # left out, since they were erased from the gallery
    pictures: int = 0  # picture files that were written


def import_gallery(
    file: str | Path,
    gallery: str | Path,
    *,
    crops_to: str | Path | None = None,
    replace_rows: bool = False,
    again: bool = False,
    on_progress: Progress = lambda _what, _done, _total: None,
) -> ImportReport:
    """Take the rows of an export into a gallery of the same model, or a folder that is empty or not there. All of it is
    checked before anything is written; after a kill the same command goes on, and done twice it changes nothing. Where
    the gallery has another row of the same id, the one that was `added` later stays, unless `replace_rows`; of equal
    age, or of one that is held, the gallery's own. The file's pictures are put into the folder `crops_to`, to which
    their rows then belong. With `again`, crops that were erased come back. `DataMissing` where there is no such file,
    `GalleryDamaged` where it is not as it was written, `GalleryModelMismatch` where the gallery is another model's,
    `GalleryError` where the file is of a newer version or the folder holds other files, `StorageFull` without space;
    what was committed stays."""
    with opened(Path(file)) as portable:
        work = _Import(portable, tables.checked_folder(gallery), crops_to, replace_rows)
        work.check(on_progress)
        work.run(again, on_progress)
    return work.report


class _Import:
    """Rows on their way into a gallery, and a picture of each into a folder: `<SHA-256>-<id of the row>.<ending>`."""

    def __init__(self, portable: PortableFile, gallery: Path, crops_to: str | Path | None, replace_rows: bool) -> None:
        self._portable, self._gallery, self._replace = portable, gallery, replace_rows
        self.report = ImportReport(portable.contents.rows)
        self._rows: list[Row] = []
        self._bytes = self._commits = self._done = 0
        self._folder = None if crops_to is None else Path(crops_to).resolve()
        if self._folder is None:
            return
        if not portable.pictures and portable.contents.rows:
            raise UsageError(f"{portable.file}: holds no pictures; export with --crops, or import without --crops-to")
        if self._folder.is_relative_to(gallery.resolve()):
            raise UsageError(f"{crops_to}: lies in the gallery's own folder; give another one for the pictures")
        if self._folder.exists() and not self._folder.is_dir():
            raise UsageError(f"{crops_to}: is a file; give a folder for the pictures")

    def check(self, on_progress: Progress) -> None:
        """Look at every row and picture before the first is written. Holds the ids: about 0.1 GB a million rows."""
        portable, ids, total, shape = self._portable, set[bytes](), self.report.rows, None
        if (self._gallery / tables.MANIFEST).exists():
            store = self._opened()[1]
            first = [known.id for known in islice(store.known(), 1)]  # its tokens tell the shape of all
            shape = next((each.shape for each in store.fetch_tokens(first).values()), None)
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
        for content, name in portable.pictures.items():
            for _ in portable.read(name, content):
                pass

    def run(self, again: bool, on_progress: Progress) -> None:
        """Write every row; with `again`, also those of crops that were erased."""
        contents, gallery, report = self._portable.contents, self._gallery, self.report
        if not (gallery / tables.MANIFEST).exists():
            tables.make_gallery(gallery, tables.new_manifest(contents.model, contents.model.run))
        manifest, store = self._opened()
        edits.finish_everything(gallery, store, manifest)
        suppression, back = read_suppression(gallery), list[Crop]()
        for member in contents.members:
            for row in read_rows(self._portable, member):
                # One that is there was taken back since, or has the bytes of one that was erased.
                if suppression.covers(row.id, row.content) and row.id not in store.fetch([row.id]):
                    if not again:
                        report.erased += 1
                        continue
                    back.append((row.id, row.content))
                self._rows.append(self._placed(row))
                tokens = 0 if row.tokens is None else row.tokens.nbytes
                self._bytes += row.vector.nbytes + len(row.thumbnail) + tokens + len(row.path) + 500
                if self._bytes >= _COMMIT_BYTES or len(self._rows) >= _COMMIT_ROWS:
                    self._commit(store, suppression)
                on_progress("writing", self._done, report.rows)
        self._commit(store, suppression)
        with tables.changing(gallery, store):
            if self._commits > 1:
                store.tidy()
            if back:
                update_suppression(gallery, back=back)
        on_progress("writing", report.rows, report.rows)

    def _opened(self) -> tuple[tables.Manifest, Store]:
        """The gallery; that of another model is refused."""
        manifest = tables.read_manifest(self._gallery)
        own, told = manifest.model, self._portable.contents.model
        if not own.made(told):
            raise GalleryModelMismatch(
                f"{self._gallery}: the gallery was built with run {own.fingerprint[:8]} ({own.name}), "
                f"{self._portable.file} with {told.fingerprint[:8]} ({told.name}); import it into a new folder"
            )
        return manifest, Store(self._gallery, own.dimension, manifest.table)

    def _placed(self, row: Row) -> Row:
        """Put a row's picture into the folder; the row as it is for that file. One without picture stays as it is."""
        name = self._portable.pictures.get(row.content)
        if name is None or self._folder is None:
            return row
        file = self._folder / f"{row.content}-{row.id}{Path(name).suffix}"
        if not _is_there(file, row.content):
            try:
                # Not forced to the disk one by one: the same command can make them again.
                with atomic_path(file, durable=False, private=True) as temporary, temporary.open("wb") as stream:
                    stream.writelines(self._portable.read(name, row.content))
            except PermissionError:
                raise GalleryError(f"{self._folder}: may not be written to; check its permissions") from None
            except (FileExistsError, NotADirectoryError):
                raise UsageError(f"{self._folder}: cannot be made; give another folder for the pictures") from None
            self.report.pictures += 1
        return replace(row, id=row_id(file), root=str(self._folder), path=file.name, seal=None)

    def _commit(self, store: Store, suppression: Suppression) -> None:
        """Write the rows that have gathered, but none that was erased after `suppression` was read."""
        rows, self._rows, self._bytes = self._rows, [], 0
        with tables.changing(self._gallery, store):
            held = retention.Retention(self._gallery, store.resident, store.present).held([row.id for row in rows])
            # What is there is looked up under the lock, so that no change of another process is lost.
            there = store.fetch(row.id for row in rows)
            unsealed = store.fetch_tokens(before.id for before in there.values() if before.seal is None)
            erased = read_suppression(self._gallery).since(suppression)
            left = [row for row in rows if not erased.covers(row.id, row.content)]
            self.report.erased += len(rows) - len(left)
            wanted = [row for row in left if self._is_wanted(row, there.get(row.id), unsealed.get(row.id), held)]
            if wanted:
                record_change(self._gallery, "import", len(wanted))
            store.put(wanted)
            self._commits += bool(wanted)
        self._done += len(rows)

    def _is_wanted(self, row: Row, before: Row | None, tokens: Tokens | None, held: Collection[str]) -> bool:
        """Whether the file's row is written; counts what happens to it."""
        report = self.report
        is_same = before is not None and (before.seal or row_seal(before, tokens)) == (row.seal or row_seal(row))
        replaces = row.id not in held and (self._replace or before is None or row.added > before.added)
        is_newer = before is not None and not is_same and replaces
        report.added += before is None
        report.unchanged += is_same
        report.replaced += is_newer
        report.kept += not (before is None or is_same or is_newer)
        return before is None or is_newer


def _is_there(file: Path, content: str) -> bool:
    if not os.path.lexists(file):
        return False
    if not stat.S_ISREG(file.lstat().st_mode):
        raise GalleryError(f"{file}: is no ordinary file; give another folder for the pictures")
    with suppress(ImageUnreadable):
        if digest(read_file(file)) == content:
            return True
    raise GalleryError(f"{file}: is another file than the one to put there; delete it or give another folder")
