"""Erasing rows for good, finished by the next writer where a kill interrupted it."""

import json
from collections.abc import Iterable
from pathlib import Path

from pickout.errors import GalleryDamaged
from pickout.files import write_atomically
from pickout.gallery.lock import writing
from pickout.gallery.store import Store

ERASING = "erasing.json"
"""Ids of the rows that are being erased; there only while that is not finished."""


def erase_rows(gallery: Path, store: Store, ids: Iterable[str]) -> int:
    """Remove rows and every trace of them from the table's files; what was removed or replaced before goes too.

    Killed at any moment, it is finished by the next writer (`finish_erasing`). Copies outside of the gallery's folder,
    backups and pages of results among them, are not touched.

    Args:
        gallery: the gallery's folder.
        store: its rows.
        ids: which rows; unknown ids are ignored.

    Returns:
        How many rows there are fewer.

    Raises:
        StorageFull: no space left to write the table anew; the rows may still be there, and the next try goes on.
    """
    with writing(gallery):
        wanted = sorted({*ids, *_read(gallery)})
        write_atomically(gallery / ERASING, json.dumps(wanted) + "\n")
        before = store.count()
        store.erase(wanted)
        gone = before - store.count()
        (gallery / ERASING).unlink()
    return gone


def unfinished(gallery: Path) -> list[str]:
    """Ids whose erasure was interrupted; empty where none was.

    Raises:
        GalleryDamaged: the list is garbled.
    """
    return _read(gallery)


def finish_erasing(gallery: Path, store: Store) -> None:
    """Go on with an erasure that a kill interrupted. Every writer calls this before it writes."""
    if (gallery / ERASING).exists():
        erase_rows(gallery, store, ())


def _read(gallery: Path) -> list[str]:
    try:
        ids = json.loads((gallery / ERASING).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (ValueError, UnicodeDecodeError):
        ids = None
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise GalleryDamaged(
            f"{gallery / ERASING}: garbled; delete the file and erase again what was to be erased"
        ) from None
    return ids
