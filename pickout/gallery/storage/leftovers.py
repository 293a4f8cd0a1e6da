"""Halves of files that killed processes left in a gallery's folder. They may hold what is erased since."""

import re
from pathlib import Path

from pickout import files
from pickout.gallery.storage.lock import writing

_HALF_WRITTEN_ROWS = re.compile(r"^\.tmp|#\d+$")
"""Names that LanceDB and the library below it give to files that are not whole yet."""


def half_written(gallery: Path) -> list[Path]:
    """Files that were being written when a process was killed, or are being written now."""
    return files.half_written(gallery, below=False)


def clear_half_written(gallery: Path) -> None:
    """Delete them. The caller holds the gallery's lock, as does whoever writes a file of the gallery's."""
    for file in half_written(gallery):
        file.unlink(missing_ok=True)


def clear_half_written_rows(table: Path) -> None:
    """Delete files that LanceDB was writing into a table's folder when a process was killed: no version names them.

    LanceDB deletes those that have got their names, but never these. The caller holds the gallery's lock.
    """
    for file in table.rglob("*"):
        if _HALF_WRITTEN_ROWS.search(file.name):
            file.unlink(missing_ok=True)


def finish_writes(gallery: Path) -> None:
    """Delete what interrupted writes left. Every writer calls this before it writes."""
    if half_written(gallery):
        with writing(gallery):
            clear_half_written(gallery)
