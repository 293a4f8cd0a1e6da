"""The portable form of a gallery (docs/gallery.md tells what lies in one), opened for reading, believed only where
checked. An export is a ZIP archive whose members are stored as they are: its size bounds what can come out of it."""

import hashlib
import io
import json
import re
import stat
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pydantic import Field, ValidationError

from pickout.config import Settings
from pickout.data.parquet import read_pages
from pickout.errors import DataMissing, GalleryDamaged, GalleryError, PickoutError, printable
from pickout.gallery.changes.verification import row_faults
from pickout.gallery.intake.picture import LARGEST_FILE, LARGEST_SIDE
from pickout.gallery.storage.rows import Row, row_schema, rows_with_tokens
from pickout.gallery.storage.tables import ModelFacts, first_fault

PORTABLE_FORMAT = 1  # version of the file's layout that this code writes and reads
EXPORT = "export.json"
_ROWS = re.compile(r"rows-\d{6}\.parquet")
_CROP = re.compile(r"crops/([0-9a-f]{64})(\.[a-z]{3,4})")
_SHA256 = r"^[0-9a-f]{64}$"
_LARGEST_EXPORT = 64 * 2**20  # bytes of `export.json` at most
LARGEST_ROWS = 64 * 2**20  # bytes of a member with rows at most
_MOST_ROWS = 4096  # rows in one member at most
_LARGEST_DIRECTORY = 256 * 2**20  # bytes of the archive's directory; reading it takes about five times as much memory
MOST_PICTURES = 1_500_000  # so many pictures have a directory of that size
_LONGEST_NAME = 4096
_CHUNK, _AT_ONCE = 2**20, 16  # bytes and rows read at once
_END_BYTES = 22
_AGAIN = "copy the file again, or export again"
_NEEDED = ("id", "content", "root", "path", "width", "height", "thumbnail", "added", "vector")  # columns without nulls


class RowsMember(Settings):
    """A member of the archive that holds rows: its name, how many, and the digest of its bytes."""

    name: str = Field(pattern=rf"^{_ROWS.pattern}$")
    rows: int = Field(ge=1, le=_MOST_ROWS)
    sha256: str = Field(pattern=_SHA256)


class Contents(Settings):
    """What `export.json` says."""

    format: int = PORTABLE_FORMAT
    created: datetime  # UTC
    model: ModelFacts
    rows: int = Field(ge=0)
    members: tuple[RowsMember, ...]
    pictures: int = Field(ge=0)
    pictures_digest: str = Field(pattern=_SHA256)  # of the pictures' names, which are their own digests


def digest_of_names(names: Iterable[str]) -> str:
    """SHA-256 of names, sorted, a line each: none can be taken away or added without another digest."""
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(names)).encode()).hexdigest()


class PortableFile:
    """An export whose list of members was checked; use `opened`. Members are known by position and hash, never by names
    as paths. They must be stored uncompressed and share no bytes, so what comes out is never larger than the file."""

    def __init__(self, file: Path, archive: zipfile.ZipFile, size: int) -> None:
        self.file, self._archive = file, archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            self._take(member)
        if sum(member.file_size for member in self._members.values()) > size:
            raise self.damaged("its members claim more bytes than the file has")
        contents = self.contents = self._contents()
        self.pictures = {found[1]: found[0] for found in map(_CROP.fullmatch, self._members) if found}
        """Name of the member by content."""
        names, crops = {member.name for member in contents.members}, [*filter(_CROP.fullmatch, self._members)]
        rows = sum(member.rows for member in contents.members)
        if len(names) != len(contents.members) or rows != contents.rows:
            raise self.damaged(f"{EXPORT} contradicts itself about its {contents.rows} rows")
        for name in sorted(names ^ (self._members.keys() - {EXPORT, *crops})):
            raise self.damaged(f"{name} is missing" if name in names else f"{name} is not listed in {EXPORT}")
        if (len(crops), digest_of_names(crops)) != (contents.pictures, contents.pictures_digest):
            raise self.damaged(f"holds other pictures than the {contents.pictures} that were written")
        if len(self.pictures) != len(crops):
            raise self.damaged("holds a picture twice")

    def damaged(self, what: str) -> GalleryDamaged:
        """The error that says what is wrong with this file."""
        return GalleryDamaged(f"{self.file}: {what}; {_AGAIN}")

    def _take(self, member: zipfile.ZipInfo) -> None:
        """Note a member, if it may be there and can be read without surprise."""
        name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
        limit = _LARGEST_EXPORT if name == EXPORT else LARGEST_ROWS if _ROWS.fullmatch(name) else LARGEST_FILE
        if name != EXPORT and not _ROWS.fullmatch(name) and not _CROP.fullmatch(name):
            raise self.damaged(f"holds '{name[:200]}', which no export holds")
        if name in self._members:
            raise self.damaged(f"holds {name} twice")
        if kind not in (0, stat.S_IFREG) or member.flag_bits & 1:
            raise self.damaged(f"{name} is a link, encrypted or no ordinary file")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise self.damaged(f"{name} is compressed, which no export does")
        if member.file_size > limit:
            raise self.damaged(f"{name} claims {member.file_size} bytes, more than the {limit} that are allowed")
        self._members[name] = member

    def _contents(self) -> Contents:
        if EXPORT not in self._members:
            raise self.damaged(f"is no export of a gallery (no {EXPORT})")
        data = b"".join(self.read(EXPORT))
        try:
            told = json.loads(data)
        except (ValueError, RecursionError):
            told = None  # pydantic says below what is wrong with it
        found = told.get("format") if isinstance(told, dict) else None
        if isinstance(found, int) and found != PORTABLE_FORMAT:  # before all else: it may have other fields, too
            known = f"this version of Pickout knows format {PORTABLE_FORMAT}; use the one that wrote it"
            raise GalleryError(f"{self.file}: is an export of format {found}, {known}, or a newer one")
        try:
            contents = Contents.model_validate_json(data)
        except ValidationError as error:
            raise self.damaged(f"{EXPORT}: {first_fault(error)}") from None
        names = (contents.model.name, contents.model.fingerprint, contents.model.run or "")
        if any(printable(name) != name or len(name) > _LONGEST_NAME for name in names):
            raise self.damaged(f"{EXPORT}: tells of a model that cannot be")
        return contents

    def read(self, name: str, sha256: str | None = None) -> Iterator[bytes]:
        """A member's bytes, piece by piece, held against their digest: where they are others, the error comes last."""
        member, count, digest = self._members[name], 0, hashlib.sha256()
        try:
            with self._archive.open(member) as stream:
                while piece := stream.read(_CHUNK):
                    count += len(piece)
                    digest.update(piece)
                    yield piece
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
            raise self.damaged(f"{name} cannot be read ({str(error)[:200]})") from None
        if count != member.file_size:
            raise self.damaged(f"{name} ends after {count} of {member.file_size} bytes")
        if sha256 not in (None, digest.hexdigest()):
            raise self.damaged(f"{name} is not as it was written (its SHA-256 is another)")


class _Bounded(io.FileIO):
    """A file of which nothing is read at once that would fill the memory: the archive's directory is."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LARGEST_DIRECTORY:
            raise ValueError(f"its directory claims {size} bytes")
        return super().read(size) or b""


@contextmanager
def opened(file: Path) -> Iterator[PortableFile]:
    """Open an export and check its list of members."""
    try:
        handle = _Bounded(file)
    except OSError as error:
        gone, reason = isinstance(error, FileNotFoundError), (error.strerror or str(error)).lower()
        what = "no such file" if gone else f"cannot be read ({reason})"
        raise DataMissing(f"{file}: {what}; give a file made by pickout gallery export") from None
    with handle:
        try:
            size = handle.seek(-_END_BYTES, io.SEEK_END) + _END_BYTES
            end = handle.read(_END_BYTES)
            if not end.startswith(b"PK\5\6") or not end.endswith(b"\0\0"):  # the library takes what follows, too
                raise ValueError("its end is not that of an export")
            archive = zipfile.ZipFile(handle)
        except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError) as error:
            told = str(error)[:200]
            raise GalleryDamaged(f"{file}: is no export of a gallery, or not all of it ({told}); {_AGAIN}") from None
        with archive:
            yield PortableFile(file, archive, size)


def read_rows(portable: PortableFile, member: RowsMember, *, check: bool = False) -> Iterator[Row]:
    """The rows of a member, with tokens and their seals; with `check`, each is held against what a gallery writes."""
    data, dimension = b"".join(portable.read(member.name, member.sha256)), portable.contents.model.dimension
    try:
        for number, row in enumerate(_rows(data, member, dimension)):
            if check and (what := _fault(row, dimension)):
                raise portable.damaged(f"{member.name}, row {number} ({row.path[:200]}): {what}")
            yield row
    except PickoutError:
        raise
    except Exception as error:  # whatever pyarrow raises on hostile bytes
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise portable.damaged(f"{member.name}: holds no rows of a gallery ({first[:200]})") from None


def _rows(data: bytes, member: RowsMember, dimension: int) -> Iterator[Row]:
    file, count, size = pq.ParquetFile(pa.BufferReader(data)), 0, 0
    facts = file.metadata
    if facts.num_rows != member.rows:
        raise ValueError(f"{facts.num_rows} rows instead of {member.rows}")
    if not file.schema_arrow.equals(row_schema(dimension)):
        raise ValueError(f"other columns than those of a gallery of {dimension} numbers a vector")
    for group in map(facts.row_group, range(facts.num_row_groups)):
        for number, name in enumerate(row_schema(dimension).names):
            _check_pages(data, group.column(number), member.rows * {"vector": dimension, "box": 4}.get(name, 1))
    for batch in file.iter_batches(_AT_ONCE):
        count, size = count + batch.num_rows, size + batch.nbytes
        # Each row takes some bytes of offsets and empty columns that the file leaves out.
        if count > member.rows or size > 2 * len(data) + 1024 * count:
            raise ValueError("its rows are larger than the member")
        batch.validate(full=True)
        for name in _NEEDED:
            if batch.column(name).null_count:
                raise ValueError(f"column {name} has a row without value")
        for name in ("vector", "box"):
            if batch.column(name).flatten().null_count:
                raise ValueError(f"column {name} has an incomplete row")
        yield from rows_with_tokens(pa.Table.from_batches([batch]))
    if count != member.rows:
        raise ValueError(f"{count} rows instead of {member.rows}")


def _check_pages(data: bytes, column: pq.ColumnChunkMetaData, most: int) -> None:
    """Refuse a column of pages that hold more than their bytes or than `most` values, before pyarrow unpacks them. What
    the end of the file says of sizes, codec and counts may be false; each page's own head is what is read by. An
    export's are of one kind. The codec's name is not asked for: pyarrow ends the process on some."""
    count = 0
    for page in read_pages(data, column):
        count += page.values
        if page.kind or page.encoding or page.unpacked != page.packed:
            raise ValueError("a column is compressed")
    if not count == column.num_values <= most or column.has_dictionary_page or column.file_path:
        raise ValueError("a column is compressed, or not there")


def _fault(row: Row, dimension: int) -> str | None:
    """What is wrong with a row, in a few words; the cheap and the dangerous first."""
    path, labels = PurePath(row.path), row.metadata.labels
    if "\0" in row.root + row.path or not PurePath(row.root).is_absolute():
        return "its path is none that a gallery writes"
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return "its path leads out of its folder"
    if not re.fullmatch(_SHA256, row.content) or min(row.width, row.height) < 1:
        return "its digest or size cannot be"
    # They were read from JSON, which may hold anything.
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        return "its labels are no texts"
    if row.tokens is not None and 0 in row.tokens.shape:
        return "its tokens are empty"
    if row.metadata.box is not None and len(row.metadata.box) != 4:
        return "its box is no box"
    try:
        with Image.open(io.BytesIO(row.thumbnail), formats=("JPEG",)) as image:
            large = max(image.size) > LARGEST_SIDE
    except Exception:  # Pillow's decoders raise almost any error on damaged data
        large = True
    if large:
        return f"its thumbnail is no JPEG of at most {LARGEST_SIDE} pixels"
    return next((fault.what.split(";")[0] for fault in row_faults(row, row.tokens, dimension)), None)
