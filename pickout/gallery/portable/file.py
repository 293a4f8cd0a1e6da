"""A portable file opened for reading: nothing in it is believed before it was checked."""

import hashlib
import json
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from pickout.errors import DataMissing, GalleryDamaged, GalleryError
from pickout.gallery.intake.picture import LARGEST_FILE
from pickout.gallery.portable.form import (
    CROP,
    EXPORT,
    LARGEST_DIRECTORY,
    LARGEST_EXPORT,
    LARGEST_ROWS,
    PORTABLE_FORMAT,
    ROWS,
    Contents,
    RowsMember,
    digest_of_names,
    fits,
)
from pickout.gallery.storage.manifest import first_fault

_CHUNK = 2**20
_END, _END_64, _LOCATOR_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_END_BYTES, _END_64_BYTES, _LOCATOR_BYTES = 22, 56, 20
_AGAIN = "copy the file again, or export again"


class PortableFile:
    """An export whose list of members was checked; use `opened`.

    Members are known by position and hash. Their names are compared with what the format allows and never used as
    paths. They must be stored uncompressed and lie inside the file without sharing bytes, so that what comes out is
    never larger than the file.

    Args:
        file: what to call it.
        archive: its members.
        size: its size in bytes.

    Raises:
        GalleryDamaged: it is no whole export.
        GalleryError: it was written by a newer version.
    """

    def __init__(self, file: Path, archive: zipfile.ZipFile, size: int) -> None:
        self.file, self._archive = file, archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            self._take(member)
        if sum(member.file_size for member in self._members.values()) > size:
            raise self.damaged("its members claim more bytes than the file has")
        self.contents = self._contents()
        self.pictures = {found[1]: found[0] for found in map(CROP.fullmatch, self._members) if found}
        """Name of the member by content."""
        self._check_names()

    def rows(self, member: RowsMember) -> bytes:
        """The bytes of a member with rows.

        Raises:
            GalleryDamaged: they are not those that were written.
        """
        data = b"".join(self._read(member.name))
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise self.damaged(f"{member.name} is not as it was written (its SHA-256 is another)")
        return data

    def picture(self, content: str) -> Iterator[bytes]:
        """The bytes of the picture with this SHA-256, piece by piece; the error comes after the last piece.

        Raises:
            GalleryDamaged: they are not those that were written.
        """
        name, digest = self.pictures[content], hashlib.sha256()
        for piece in self._read(name):
            digest.update(piece)
            yield piece
        if digest.hexdigest() != content:
            raise self.damaged(f"{name} is not as it was written (its SHA-256 is another)")

    def damaged(self, what: str) -> GalleryDamaged:
        """The error that says what is wrong with this file."""
        return GalleryDamaged(f"{self.file}: {what}; {_AGAIN}")

    def _take(self, member: zipfile.ZipInfo) -> None:
        """Note a member, if it may be there and can be read without surprise."""
        name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
        limit = LARGEST_EXPORT if name == EXPORT else LARGEST_ROWS if ROWS.fullmatch(name) else LARGEST_FILE
        if name != EXPORT and not ROWS.fullmatch(name) and not CROP.fullmatch(name):
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
        data = b"".join(self._read(EXPORT))
        try:
            contents = Contents.model_validate_json(data)
        except ValidationError as error:
            self._check_format(data)
            raise self.damaged(f"{EXPORT}: {first_fault(error)}") from None
        self._check_format(data)
        if not fits(contents.model):
            raise self.damaged(f"{EXPORT}: tells of a model that cannot be")
        return contents

    def _check_format(self, data: bytes) -> None:
        """Refuse another format; one that is newer may have other fields, too."""
        found = _format(data)
        if found is not None and found != PORTABLE_FORMAT:
            raise GalleryError(
                f"{self.file}: is an export of format {found}, this version of Pickout knows format "
                f"{PORTABLE_FORMAT}; use the version that wrote it, or a newer one"
            )

    def _check_names(self) -> None:
        """Compare the members that are there with those that were written."""
        contents = self.contents
        listed = [member.name for member in contents.members]
        there = {name for name in self._members if ROWS.fullmatch(name)}
        if len(set(listed)) != len(listed) or sum(member.rows for member in contents.members) != contents.rows:
            raise self.damaged(f"{EXPORT} contradicts itself about its {contents.rows} rows")
        for name in sorted(there ^ set(listed)):
            raise self.damaged(f"{name} is missing" if name in listed else f"{name} is not listed in {EXPORT}")
        crops = [name for name in self._members if CROP.fullmatch(name)]
        if (len(crops), digest_of_names(crops)) != (contents.pictures, contents.pictures_digest):
            raise self.damaged(f"holds other pictures than the {contents.pictures} that were written")
        if len(self.pictures) != len(crops):
            raise self.damaged("holds a picture twice")

    def _read(self, name: str) -> Iterator[bytes]:
        member, count = self._members[name], 0
        try:
            with self._archive.open(member) as stream:
                while piece := stream.read(_CHUNK):
                    count += len(piece)
                    yield piece
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
            raise self.damaged(f"{name} cannot be read ({str(error)[:200]})") from None
        if count != member.file_size:
            raise self.damaged(f"{name} ends after {count} of {member.file_size} bytes")


@contextmanager
def opened(file: Path) -> Iterator[PortableFile]:
    """Open an export and check its list of members.

    Raises:
        DataMissing: there is no such file, or it may not be read.
        GalleryDamaged: it is no whole export.
        GalleryError: it was written by a newer version.
    """
    try:
        handle = file.open("rb")
    except FileNotFoundError:
        raise DataMissing(f"{file}: no such file; give a file made by pickout gallery export") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataMissing(f"{file}: cannot be read ({reason}); give a file made by pickout gallery export") from None
    with handle:
        try:
            size = _check_directory(handle)
            archive = zipfile.ZipFile(handle)
        except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError) as error:
            told = str(error)[:200]
            raise GalleryDamaged(f"{file}: is no export of a gallery, or not all of it ({told}); {_AGAIN}") from None
        with archive:
            yield PortableFile(file, archive, size)


def _check_directory(handle: IO[bytes]) -> int:
    """Refuse a directory that would fill the memory, before it is read. Returns the file's size."""
    size = handle.seek(0, 2)
    if size < _END_BYTES:
        raise ValueError(f"{size} bytes long")
    handle.seek(size - _END_BYTES)
    end = handle.read(_END_BYTES)
    if end[:4] != _END or end[-2:] != b"\0\0":
        raise ValueError("its end is not that of an export")
    length = int(struct.unpack_from("<L", end, 12)[0])
    before = size - _END_BYTES - _LOCATOR_BYTES - _END_64_BYTES
    if before >= 0:
        handle.seek(before)
        found = handle.read(_END_64_BYTES + _LOCATOR_BYTES)
        if found[_END_64_BYTES:][:4] == _LOCATOR_64:
            # The large form lies right before, and nowhere else: so does what the library reads.
            if found[:4] != _END_64 or struct.unpack_from("<Q", found, _END_64_BYTES + 8)[0] != before:
                raise ValueError("its end is not that of an export")
            length = int(struct.unpack_from("<Q", found, 40)[0])
    if length > min(size, LARGEST_DIRECTORY):
        raise ValueError(f"its directory claims {length} bytes")
    handle.seek(0)
    return size


def _format(data: bytes) -> int | None:
    """The format that an `export.json` names, whatever else is in it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    told = found.get("format") if isinstance(found, dict) else None
    return told if isinstance(told, int) and not isinstance(told, bool) else None
