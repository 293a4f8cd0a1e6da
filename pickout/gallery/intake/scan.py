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
    open_folders = [iter(_entries(folder))]  # a list, not calls: folders may lie deeper than calls may
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
        elif _is_folder(entry):
            try:
                open_folders.append(iter(_entries(Path(entry.path))))
            except DataMissing:
                yield Path(entry.path)  # reading it as a file fails: it ends on the quarantine list, the rest goes on
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and not _leads_to_folder(entry):  # noqa: PTH122
            yield Path(entry.path)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except FileNotFoundError:
        raise DataMissing(f"{folder}: no such folder; give the folder that holds the crops") from None
    except NotADirectoryError:
        raise DataMissing(f"{folder}: is a file; give the folder that holds the crops") from None
    except PermissionError:
        raise DataMissing(f"{folder}: may not be read; check its permissions") from None
    except OSError as error:
        raise DataMissing(f"{folder}: cannot be read ({error.strerror}); check that its disk is there") from None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # where the list of names does not tell kinds, and a name may not be looked at
        return False


def _leads_to_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle, for one: reading it tells what is wrong
        return False


def count_images(folder: Path) -> int:
    """How many files `image_files` will give."""
    return sum(1 for _ in image_files(folder))
