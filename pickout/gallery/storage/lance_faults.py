"""What LanceDB raises, as errors of ours."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import lancedb

from pickout.errors import GalleryDamaged, GalleryError, PickoutError, StorageFull
from pickout.gallery.storage.manifest import FROM_BACKUP

_Found = TypeVar("_Found")
_ATTEMPTS = 20
_LAST = 2**64 - 1
"""The name of version v is this less v."""


@contextmanager
def lance_errors(folder: Path) -> Iterator[None]:
    """Turn what LanceDB raises, panics among it, into our errors; it tells a full disk only in the text."""
    try:
        yield
    except PickoutError:
        raise
    except Exception as error:
        text = str(error)
        if "os error 28" in text or "No space left" in text or getattr(error, "errno", None) == errno.ENOSPC:
            raise StorageFull(
                f"{folder}: no space left on the device; all rows written before are whole. "
                "Free some space and run the same command again"
            ) from error
        if "os error 13" in text or "os error 30" in text:
            raise GalleryError(f"{folder}: may not be written to; check its permissions") from error
        first = text.splitlines()[0] if text else type(error).__name__
        raise GalleryDamaged(
            f"{folder}: the table cannot be used ({first[:200]}); index again into a new folder, or put the folder "
            f"back {FROM_BACKUP}"
        ) from error


def open_table(folder: Path, name: str) -> Any:
    """A table of the gallery's folder, to be read with `read_latest`."""
    with lance_errors(folder):
        database = lancedb.connect(str(folder.absolute()))
    before = _newest(folder, name)
    try:
        with lance_errors(folder):
            return database.open_table(name)
    except GalleryDamaged:
        if _newest(folder, name) == before:
            raise
    return open_table(folder, name)


def read_latest(table: Any, folder: Path, read: Callable[..., _Found], *arguments: object) -> _Found:
    """`read(table, *arguments)`, with the changes of other processes; again where one took away what it was reading.

    An erasure deletes the files of all versions before its own. So an error beside a newer version tells nothing.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with latest(table, folder) as current:
                return read(current, *arguments)
        except GalleryDamaged:
            # Not a version that was looked up before: a reader may be behind it, since it goes by the library's hint.
            if attempt + 1 == _ATTEMPTS or _newest(folder, table.name) <= table.version:
                raise
    raise AssertionError("returned or raised above")


def _newest(folder: Path, name: str) -> int:
    """The newest version of a table; -1 for none. Names of their files count downwards."""
    files = (folder / f"{name}.lance" / "_versions").glob("*.manifest")
    return max((_LAST - int(file.stem) for file in files if file.stem.isdecimal()), default=-1)


@contextmanager
def latest(table: Any, folder: Path) -> Iterator[Any]:
    """A LanceDB table, whose methods are untyped in part, with the changes of other processes."""
    with lance_errors(folder):
        table.checkout_latest()
        yield table
