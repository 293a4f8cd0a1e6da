"""From a file to pixels, thumbnail and digest, in threads that are a few files ahead."""

import hashlib
import os
import stat
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from PIL import Image

from pickout.data.images import open_image
from pickout.errors import ImageUnreadable
from pickout.pages import picture_bytes

LARGEST_FILE = 256 * 2**20  # files above this many bytes are no crops
LARGEST_SIDE = 1024  # pixels to which larger pictures are reduced, so that photos do not fill the memory
THUMBNAIL_SIDE = 320  # longer side of a stored thumbnail in pixels

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


class Picture(NamedTuple):
    """A decoded crop."""

    image: Image.Image  # upright RGB pixels, at most `LARGEST_SIDE` on the longer side
    width: int  # of the upright original
    height: int
    thumbnail: bytes  # a JPEG of at most `THUMBNAIL_SIDE` on the longer side


def read_file(file: Path) -> bytes:
    """The bytes of an image file; `ImageUnreadable` where it is gone, too large, no file or not readable."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            is_folder = stat.S_ISDIR(status.st_mode)
            raise ImageUnreadable(file, "folder cannot be read" if is_folder else "not an ordinary file")
        if status.st_size > LARGEST_FILE:
            raise ImageUnreadable(file, f"file of {status.st_size} bytes, larger than {LARGEST_FILE}")
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ImageUnreadable(file, "broken link" if os.path.islink(file) else "is not there any more") from None  # noqa: PTH114
    except OSError as error:
        raise ImageUnreadable(file, f"cannot be read: {error.strerror}") from None


def digest(content: bytes) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def decode(file: Path, content: bytes) -> Picture:
    """Decode an image file's bytes; `ImageUnreadable` where they are no image, damaged, or too large."""
    try:
        image = open_image(content)
    except ImageUnreadable as error:
        raise ImageUnreadable(file, error.reason) from None
    width, height = image.size
    if max(width, height) > LARGEST_SIDE:
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    small = image
    if max(image.size) > THUMBNAIL_SIDE:
        small = image.copy()
        # Half of Lanczos's time, which was most of what a crop cost besides the model; a little softer.
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.HAMMING)
    return Picture(image, width, height, picture_bytes(small, "JPEG", quality=80))


@contextmanager
def reading_ahead(
    work: Callable[[_Item], _Done], items: Iterable[_Item], *, threads: int, ahead: int
) -> Iterator[Iterator[_Done]]:
    """`work` of every item in order, done in threads; at most `ahead` of them before they are asked for."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="reading")

    def in_order() -> Iterator[_Done]:
        begun = (pool.submit(work, item) for item in items)
        waiting = deque(islice(begun, ahead))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(islice(begun, 1))

    # Set here, before the threads start and after they end: warning filters are shared by all threads.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        try:
            yield in_order()
        finally:
            pool.shutdown(cancel_futures=True)
