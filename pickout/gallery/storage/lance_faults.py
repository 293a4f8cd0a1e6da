"""What LanceDB raises, as errors of ours."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pickout.errors import GalleryDamaged, GalleryError, PickoutError, StorageFull
from pickout.gallery.storage.manifest import FROM_BACKUP


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
