"""Which table of a gallery's folder holds its rows, and which is being built beside it for another model."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pickout.errors import GalleryModelMismatch
from pickout.gallery.lock import writing
from pickout.gallery.manifest import TABLE, Manifest, read_manifest
from pickout.gallery.store import LanceStore, Store

REBUILD = "rebuild.json"
"""What `gallery.json` will be once the table for another model is whole; there only while that is not finished."""


@contextmanager
def changing(gallery: Path, store: Store) -> Iterator[None]:
    """Hold the gallery's lock for a change of `store`, which must still be the gallery's.

    Raises:
        GalleryModelMismatch: another process has rebuilt the gallery with another model since `store` was opened.
        GalleryError: another process has been writing for too long.
    """
    with writing(gallery):
        if read_manifest(gallery).table != store.name:
            raise GalleryModelMismatch(
                f"{gallery}: has been rebuilt with another model meanwhile; nothing was written after that. Run again"
            )
        yield


def pending(gallery: Path) -> Manifest | None:
    """What is being built beside the gallery's table; None where nothing is.

    Raises:
        GalleryDamaged: the file that tells is garbled.
    """
    if not (gallery / REBUILD).exists():
        return None
    told = read_manifest(gallery, REBUILD)
    return None if told.table == read_manifest(gallery).table else told


def pending_store(gallery: Path) -> LanceStore | None:
    """The table that is being built; None where none is, or it has not been made yet."""
    told = pending(gallery)
    if told is None or not table_folder(gallery, told.table).exists():
        return None
    return LanceStore(gallery, told.model.dimension, told.table)


def table_folder(gallery: Path, name: str) -> Path:
    """Where a table's files lie."""
    return gallery / f"{name}.lance"


def leftover_tables(gallery: Path) -> list[Path]:
    """Folders of tables that are neither the gallery's nor being built: an interrupted swap or rebuild left them."""
    told = (read_manifest(gallery), pending(gallery))
    used = {table_folder(gallery, each.table) for each in told if each is not None}
    return sorted(set(gallery.glob(f"{TABLE}*.lance")) - used)


def finish_swap(gallery: Path) -> None:
    """Delete what an interrupted swap or an abandoned rebuild left. Every writer calls this before it writes."""
    if not (gallery / REBUILD).exists() and len(list(gallery.glob(f"{TABLE}*.lance"))) < 2:
        return
    with writing(gallery):
        clear(gallery)


def clear(gallery: Path) -> None:
    """Delete tables that nothing names; the caller holds the lock."""
    if pending(gallery) is None:
        (gallery / REBUILD).unlink(missing_ok=True)
    for folder in leftover_tables(gallery):
        shutil.rmtree(folder)
