"""Changes of rows that are there: removed, erased, or told more about. Each leaves a line in the audit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pickout.errors import UsageError
from pickout.gallery.audit import ChangeLine, now, record_change, user_name
from pickout.gallery.changes.choice import listed
from pickout.gallery.changes.erasure import erase_rows
from pickout.gallery.intake.metadata import LARGEST_NUMBER
from pickout.gallery.storage.rows import Metadata
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import changing

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
    record_change(gallery, ChangeLine(now(), user_name(), "remove", len(listed(ids))))
    with changing(gallery, store):
        before = store.count()
        store.remove(ids)
        return Change(before - store.count())


def erase_crops(gallery: Path, store: Store, ids: Sequence[str]) -> Change:
    """Take rows out and leave nothing of them in the gallery's folder: vectors, thumbnails, tokens, paths, versions.

    Quarantine lines of their files and saved searches that name them go too. The audit keeps what was searched for, not
    who was found. The pictures themselves, backups, exports and pages of results are not in the folder and not touched.
    """
    record_change(gallery, ChangeLine(now(), user_name(), "erase", len(listed(ids))))
    return Change(*erase_rows(gallery, store, ids))


def update_rows(gallery: Path, store: Store, ids: Sequence[str], told: Metadata) -> Change:
    """Lay metadata over that of rows; vectors, thumbnails and tokens stay as they are.

    Args:
        gallery: the gallery's folder.
        store: its rows.
        ids: which rows.
        told: what is told here replaces what the row has; what is not stays.

    Raises:
        UsageError: a frame or box beyond 32 bits, or a text instead of a list of ids.
    """
    for number in (told.frame, *(told.box or ())):
        if number is not None and abs(number) > LARGEST_NUMBER:
            raise UsageError(f"frame or box {number}: larger than a video or picture can have it")
    record_change(gallery, ChangeLine(now(), user_name(), "update", len(listed(ids))))
    updated = 0
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        with changing(gallery, store):
            tokens = store.fetch_tokens(some)
            rows = [
                replace(row, metadata=told.over(row.metadata), tokens=tokens.get(row.id))
                for row in store.fetch(some).values()
            ]
            store.put(rows)
            updated += len(rows)
    return Change(updated)
