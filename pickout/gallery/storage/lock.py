"""One writer at a time, for as long as one commit takes."""

import errno
import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from pickout import files
from pickout.errors import GalleryError, printable

LOCK = ".lock"
PATIENCE = 900.0  # seconds that a writer waits for another; erasing from a gallery of a million crops takes minutes
_TOLD_AFTER, _PAUSE = 5.0, 0.01

_log = logging.getLogger(__name__)


def writing(gallery: Path) -> AbstractContextManager[None]:
    """Hold the gallery's lock; other writers wait, which is logged. The system lets go of it when the process dies.
    `GalleryError` where another has been writing for `PATIENCE` seconds, and as of `locked`."""
    told = f"{gallery}: another process has been writing for {PATIENCE:g} s; try again later"
    return locked(gallery / LOCK, PATIENCE, told)


@contextmanager
def locked(file: Path, patience: float, refusal: str) -> Iterator[None]:
    """Hold the lock on `file`, which is made where it is not there. `GalleryError` where another process holds it for
    longer than `patience` seconds (`refusal`), or the file may not be made, or is a link."""
    with ExitStack() as stack:
        try:
            handle = stack.enter_context(files.own_file(file))
        except (FileNotFoundError, NotADirectoryError):
            raise GalleryError(f"{file.parent}: is not there any more") from None
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise GalleryError(f"{file.parent}: may not be written to; check its permissions") from None
            if error.errno not in (errno.ELOOP, errno.EEXIST, errno.EISDIR):
                raise
            raise GalleryError(f"{file}: is a link or no ordinary file; delete it, and run again") from None
        began, told = time.monotonic(), False
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            waited = time.monotonic() - began
            if waited > patience:
                raise GalleryError(refusal)
            if waited > _TOLD_AFTER and not told:
                told = True
                _log.warning("%s: waiting for another process that is writing", printable(file.parent))
            time.sleep(_PAUSE)
        yield
