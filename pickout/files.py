"""Files that are either whole or not there, and those that lie beside the code."""

import errno
import os
import re
import sqlite3
import stat
import tempfile
import tomllib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

from pickout.errors import GalleryDamaged, GalleryError, StorageFull

_PARTIAL = ".pickout.part"  # ends the names of files that are being written; tells what a kill leaves from the user's
_HALF_WRITTEN = re.compile(rf"\..*\.[a-z0-9_]{{8}}{re.escape(_PARTIAL)}", re.DOTALL)
"""Their whole names: what is written, and letters that nobody chose."""
_LONGEST_NAME = 40  # characters of a file's name that its temporary file's takes over; file systems allow 255 bytes
LONGEST = 64 << 20  # bytes of a settings, vocabulary or config file; the largest vocabularies have a tenth


def beside(place: Path, name: str) -> Path:
    """Where what `name` says of a model is kept: in its folder, or beside its file."""
    return place / name if place.is_dir() else place.with_name(f"{place.name}.{name}")


@contextmanager
def atomic_path(path: Path, *, durable: bool = True, private: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well.

    After a kill at any moment `path` is the old file or the new one, never half of one; it survives a power failure too
    where it is `durable`, which takes several times as long. When the block raises, the temporary file is removed and
    `path` stays as it was. Nobody may read it who may not read the folder it lies in, and its owner alone where it is
    `private`. A link stays and what it leads to is replaced. `StorageFull`: no space left while writing;
    `IsADirectoryError`: `path` is a folder; `FileExistsError`: it is a device, a pipe or a socket."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "No ordinary file", str(path))
    path = path.resolve() if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name[:_LONGEST_NAME]}."
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=_PARTIAL)
    os.close(handle)
    temporary = Path(name)
    try:
        with storage_errors(path):
            yield temporary
            temporary.chmod(0o600 if private else _MODE & (path.parent.stat().st_mode | 0o600))
            if durable:
                _sync(temporary)
            temporary.replace(path)
            if durable:
                _sync(path.parent)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def half_written(folder: Path, *, below: bool = True) -> list[Path]:
    """Files in `folder`, or `below` it too, that were being written when a process was killed, or are now, in order."""
    found = folder.glob(f"{'**/' if below else ''}.*{_PARTIAL}")
    return sorted(file for file in found if _HALF_WRITTEN.fullmatch(file.name))


def read_bytes(path: Path) -> bytes:
    """A small file whole. `OSError`: unreadable, more than `LONGEST` bytes, or a pointer to a file not fetched."""
    with path.open("rb") as file:
        data = file.read(LONGEST + 1)
    if data.startswith(b"version https://git-lfs"):
        raise OSError("a Git LFS pointer: the file itself was not fetched; run git lfs pull")
    return _bounded(data)


def read_text(path: Path) -> str:
    """A small text file whole; errors as of `read_bytes`, and a UnicodeDecodeError where it is no UTF-8."""
    return read_bytes(path).decode("utf-8")


def packaged_text(package: str, name: str) -> str:
    """A text file that lies beside the code of `package`, as `pickout.data`."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def packaged_table(package: str, name: str) -> dict[str, Any]:
    """A TOML file that lies beside the code of `package`."""
    return tomllib.loads(packaged_text(package, name))


def gunzip(data: bytes) -> bytes:
    """A small file that was compressed; OSError as of `read_bytes`, zlib.error or EOFError where it is damaged."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    unpacked = _bounded(unpacker.decompress(data, LONGEST + 1))
    if not unpacker.eof:
        raise EOFError("it ends too early")
    return unpacked


def _bounded(data: bytes) -> bytes:
    if len(data) > LONGEST:
        raise OSError(f"more than {LONGEST:,} bytes, which no such file has")
    return data


def write_atomically(path: Path, data: bytes | str, *, durable: bool = True) -> None:
    """Write `data` (text as UTF-8) to `path`, whole or not at all; `durable` and errors as of `atomic_path`."""
    with atomic_path(path, durable=durable) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


@contextmanager
def own_file(file: Path) -> Iterator[int]:
    """A file that lies in its folder itself, opened for appending and reading, and made where it is not there. It is
    its owner's alone, or the group's too where that may write to the folder; so nobody else can lock it. What a link
    leads to is never opened, and neither is a pipe, which would wait for a reader. `StorageFull`: no space left to make
    it; `OSError`: it is a link or no ordinary file, or may not be opened."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    mode = 0o660 if file.parent.stat().st_mode & stat.S_IWGRP else 0o600
    with storage_errors(file):
        handle = os.open(file, flags, mode)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise FileExistsError(errno.EEXIST, "No ordinary file", str(file))
        if status.st_uid == os.geteuid() and status.st_mode & 0o777 & ~mode:
            os.fchmod(handle, status.st_mode & mode)  # made by an earlier version, for everybody to read
        yield handle
    finally:
        os.close(handle)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn "no space left on device" into a `StorageFull` that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        why = f"{path}: no space left on the device; what was written before is whole. Free some space and run again"
        raise StorageFull(why) from error


# Reading the mask means setting it; once, at import, before any thread could see the moment between.
_MODE = os.umask(0)
os.umask(_MODE)
_MODE = 0o666 & ~_MODE


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def database_errors(file: Path, remedy: str) -> Iterator[None]:
    """Turn what SQLite raises about `file` into our errors; `remedy` goes with a garbled one."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise StorageFull(f"{file}: no space left on the device; free some and run again") from None
        raise GalleryError(f"{file}: cannot be used ({error}); check that you may write there") from None
    except sqlite3.DatabaseError as error:
        raise GalleryDamaged(f"{file}: garbled ({error}); {remedy}") from None
