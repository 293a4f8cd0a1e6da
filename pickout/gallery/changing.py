"""Changes of rows that are there: removed, erased, or told more about. Each leaves a line in the audit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pickout.gallery.audit import ChangeLine, now, record_change, user_name
from pickout.gallery.erasing import erase_rows
from pickout.gallery.rows import Metadata
from pickout.gallery.store import Store
from pickout.gallery.tables import changing

_AT_ONCE = 500
"""Rows read and written together."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a change did.

    Args:
        rows: how many rows it concerned.
        searches: names of saved searches that were removed, since they named an erased crop.
    """

    rows: int
    searches: tuple[str, ...] = ()


def remove_rows(gallery: Path, store: Store, ids: Sequence[str]) -> Change:
    """Take rows out. They are found no more, but their bytes stay in the table's files; see `erase_crops`."""
    record_change(gallery, ChangeLine(now(), user_name(), "remove", len(ids)))
    with changing(gallery, store):
        store.remove(ids)
    return Change(len(ids))


def erase_crops(gallery: Path, store: Store, ids: Sequence[str]) -> Change:
    """Take rows out and leave nothing of them in the gallery's folder: vectors, thumbnails, tokens, paths, versions.

    Quarantine lines of their files and saved searches that name them go too. The audit keeps what was searched for, not
    who was found. The pictures themselves, backups, exports and pages of results are not in the folder and not touched.
    """
    record_change(gallery, ChangeLine(now(), user_name(), "erase", len(ids)))
    return Change(*erase_rows(gallery, store, ids))


def update_rows(gallery: Path, store: Store, ids: Sequence[str], told: Metadata) -> Change:
    """Lay metadata over that of rows; vectors, thumbnails and tokens stay as they are.

    Args:
        gallery: the gallery's folder.
        store: its rows.
        ids: which rows.
        told: what is told here replaces what the row has; what is not stays.
    """
    record_change(gallery, ChangeLine(now(), user_name(), "update", len(ids)))
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        with changing(gallery, store):
            tokens = store.fetch_tokens(some)
            rows = [
                replace(row, metadata=told.over(row.metadata), tokens=tokens.get(row.id))
                for row in store.fetch(some).values()
            ]
            store.put(rows)
    return Change(len(ids))
