"""The image files below a folder, one at a time."""

import os
from collections.abc import Iterator
from pathlib import Path

from pickout.data.images import SUFFIXES
from pickout.errors import DataMissing


def image_files(folder: Path) -> Iterator[Path]:
    """Every image file below `folder`, by name, folder after folder.

    A file is taken for an image by its name's ending. Hidden files and folders are passed over; links to files are
    followed, links to folders are not, so that no file is met twice in a circle.
    Only one folder's names are held at a time.

    Raises:
        DataMissing: `folder` is not there, is no folder or may not be read.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except FileNotFoundError:
        raise DataMissing(f"{folder}: no such folder; give the folder that holds the crops") from None
    except NotADirectoryError:
        raise DataMissing(f"{folder}: is a file; give the folder that holds the crops") from None
    except PermissionError:
        raise DataMissing(f"{folder}: may not be read; check its permissions") from None
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(folder / entry.name)
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and not entry.is_dir():  # noqa: PTH122
            yield folder / entry.name


def _below(folder: Path) -> Iterator[Path]:
    try:
        yield from image_files(folder)
    except DataMissing:
        yield folder  # reading it as a file fails, so it ends on the quarantine list instead of stopping the rest


def count_images(folder: Path) -> int:
    """How many files `image_files` will give."""
    return sum(1 for _ in image_files(folder))
