"""A gallery, or a part of it, written to one portable file."""

import hashlib
import io
import os
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa
import pyarrow.parquet as pq

from pickout.data.images import SUFFIXES
from pickout.errors import GalleryDamaged, GalleryError, ImageUnreadable, PickoutError, UsageError
from pickout.files import atomic_path
from pickout.gallery.audit.log import record_change
from pickout.gallery.changes.verification import row_faults
from pickout.gallery.intake.picture import digest, read_file
from pickout.gallery.intake.report import Progress, Report
from pickout.gallery.portable.contents import EXPORT, LARGEST_ROWS, MOST_PICTURES, Contents, RowsMember, digest_of_names
from pickout.gallery.storage.memory import PLACE, batches
from pickout.gallery.storage.rows import Row, completed, row_schema, rows_with_tokens
from pickout.gallery.storage.tables import Manifest

_MEMBER = 16 * 2**20  # bytes of rows that make a member at most, unless one row has more
_AT_ONCE = 128  # rows read together


@dataclass(slots=True)
class ExportReport(Report):
    """How many crops and pictures an export holds (equal ones once), how many pictures are missing, its bytes."""

    rows: int
    pictures: int
    missing: int
    bytes: int


def export_gallery(
    gallery: Path, manifest: Manifest, file: Path, ids: Collection[str] | None, crops: bool, force: bool, tell: Progress
) -> ExportReport:
    """Write rows of these ids, or all, as they are at this moment, to one file that only its owner can read. With
    `crops` the original pictures go in too, but those that are gone or have changed. It leaves a line in the audit.
    `UsageError` where the file is there, unless `force`, or lies in the gallery's folder; `GalleryDamaged` where a row
    is not as it was written; `GalleryError` where the file cannot be made, or another process erased crops or changed
    the model meanwhile; `StorageFull` without space."""
    _check_target(gallery, file, force)
    with _reading(gallery):
        opened: Any = lancedb.connect(str(gallery)).open_table(manifest.table)
        opened.checkout(opened.version)
        wanted = None if ids is None else frozenset(ids)
        rows = (row for batch in batches(opened, ["id", PLACE]) for row in batch.to_pylist())
        positions = sorted(row[PLACE] for row in rows if wanted is None or row["id"] in wanted)
    try:
        with atomic_path(file, private=True) as temporary:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                writing = _Writing(gallery, manifest, archive, crops)
                for start in range(0, len(positions), _AT_ONCE):
                    some = positions[start : start + _AT_ONCE]
                    with _reading(gallery):
                        table = completed(opened.take_row_ids(some).to_arrow(), row_schema(manifest.model.dimension))
                        if table.num_rows != len(some):
                            raise ValueError(f"{table.num_rows} rows instead of {len(some)}")
                    writing.add(table)
                    tell(writing.rows, len(positions))
                writing.finish()
            _check_target(gallery, file, force)
            record_change(gallery, "export", len(positions))
    except (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError) as error:
        reason = (error.strerror or str(error)).lower()
        raise GalleryError(f"{file}: cannot be made ({reason}); give another place for the export") from None
    return ExportReport(writing.rows, len(writing.pictures), writing.missing, file.stat().st_size)


def _check_target(gallery: Path, file: Path, force: bool) -> None:
    if file.resolve().is_relative_to(gallery.resolve()):
        raise UsageError(f"{file}: lies in the gallery's own folder; give another place for the export")
    if file.is_dir():
        raise UsageError(f"{file}: is a folder; give the name of a file to make")
    if not force and os.path.lexists(file):
        raise UsageError(f"{file}: is there already; give another name, or --force to replace it")


@contextmanager
def _reading(gallery: Path) -> Iterator[None]:
    """The table's version may go while it is read."""
    try:
        yield
    except PickoutError:
        raise
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = "another process erased crops or changed the model meanwhile: run again, then pickout gallery verify"
        raise GalleryError(f"{gallery}: its rows cannot be read as they were ({first[:200]}); {remedy}") from error


class _Writing:
    """Rows and pictures on their way into the archive."""

    def __init__(self, gallery: Path, manifest: Manifest, archive: zipfile.ZipFile, crops: bool) -> None:
        self._gallery, self._model, self._archive, self._crops = gallery, manifest.model, archive, crops
        self._members: list[RowsMember] = []
        self.pictures: dict[str, str] = {}  # name of the member by content
        self.rows, self.missing = 0, 0

    def add(self, table: pa.Table) -> None:
        """Take rows; those that are not as they were written stop the export."""
        for row in rows_with_tokens(table):
            for fault in row_faults(row, row.tokens, self._model.dimension):
                raise GalleryDamaged(f"{self._gallery}: {fault.file}: {fault.what}; then export again")
            if self._crops:
                self._add_picture(row)
        self._add_rows(table)

    def _add_rows(self, table: pa.Table) -> None:
        if table.nbytes > _MEMBER and table.num_rows > 1:
            half = table.num_rows // 2
            self._add_rows(table.slice(0, half))
            self._add_rows(table.slice(half))
            return
        buffer = io.BytesIO()
        # Plain and uncompressed: vectors, JPEGs and tokens hardly shrink, and what is read back is never larger.
        pq.write_table(table, buffer, compression="none", use_dictionary=False, write_statistics=False)
        data = buffer.getvalue()
        if len(data) > LARGEST_ROWS:
            raise GalleryError(f"{self._gallery}: a row of {len(data) // table.num_rows} bytes is too large to export")
        name = f"rows-{len(self._members):06d}.parquet"
        self._members.append(RowsMember(name=name, rows=table.num_rows, sha256=hashlib.sha256(data).hexdigest()))
        self._write(name, data)
        self.rows += table.num_rows

    def finish(self) -> None:
        """Write what the archive holds."""
        made, digest = datetime.now(UTC).replace(microsecond=0), digest_of_names(self.pictures.values())
        counts = {"rows": self.rows, "pictures": len(self.pictures)}
        members = tuple(self._members)
        contents = Contents(created=made, model=self._model, members=members, pictures_digest=digest, **counts)
        self._write(EXPORT, contents.model_dump_json(indent=1) + "\n")

    def _add_picture(self, row: Row) -> None:
        ending, content = row.file.suffix.lower(), row.content
        if content in self.pictures and ending in SUFFIXES:
            return
        try:
            data = read_file(row.file) if ending in SUFFIXES else b""
        except ImageUnreadable:
            data = b""
        if digest(data) != content:  # gone, no image's name, or changed since it was indexed
            self.missing += 1
            return
        if len(self.pictures) >= MOST_PICTURES:
            raise GalleryError(f"{self._gallery}: more than {MOST_PICTURES} pictures; export it in parts")
        self.pictures[content] = f"crops/{content}{ending}"
        self._write(self.pictures[content], data)

    def _write(self, name: str, data: bytes | str) -> None:
        """A member that is stored as it is, dated now, readable by its owner only."""
        entry = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
        entry.external_attr = 0o100600 << 16
        self._archive.writestr(entry, data)
