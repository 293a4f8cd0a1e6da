"""One writer at a time, for as long as one commit takes."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pickout.errors import GalleryError

LOCK = ".lock"


@contextmanager
def writing(gallery: Path) -> Iterator[None]:
    """Hold the gallery's lock; other writers wait. The system lets go of it when the process dies.

    Raises:
        GalleryError: the folder may not be written to.
    """
    try:
        handle = (gallery / LOCK).open("ab")
    except PermissionError:
        raise GalleryError(f"{gallery}: may not be written to; check its permissions") from None
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
