"""Changes of rows that are there: removed, erased, or told more about. Each leaves a line in the audit."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import index
from pathlib import Path
from typing import SupportsIndex

from pickout.errors import GalleryDamaged, UsageError
from pickout.gallery.audit.log import ChangeLine, now, record_change, user_name
from pickout.gallery.changes.choice import listed
from pickout.gallery.changes.erasure import erase_rows
from pickout.gallery.changes.verification import unreached
from pickout.gallery.intake.metadata import LARGEST_NUMBER
from pickout.gallery.storage.rows import Metadata, parse_time
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import changing

_ID = re.compile(r"[0-9a-f]{32}")
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
    """Take rows out. They are found no more, but their bytes stay in the table's files; see `erase_crops`.

    Raises:
        UsageError: something that is no id.
        GalleryDamaged: rows that are there cannot be found by their ids.
    """
    wanted = checked_ids(ids)
    _record(gallery, "remove", len(wanted))
    with changing(gallery, store):
        before = store.count()
        store.remove(wanted)
        removed = before - store.count()
        _check_reached(gallery, store, wanted if removed < len(wanted) else ())
        return Change(removed)


def erase_crops(gallery: Path, store: Store, ids: Sequence[str]) -> Change:
    """Take rows out and leave nothing of them in the gallery's folder: vectors, thumbnails, tokens, paths, versions.

    Quarantine lines of their files and saved searches that name them go too. The audit keeps what was searched for, not
    who was found. The pictures themselves, backups, exports and pages of results are not in the folder and not touched.

    Raises:
        UsageError: something that is no id.
        GalleryError: files of the table cannot be deleted; the next change tries again.
    """
    wanted = checked_ids(ids)
    _record(gallery, "erase", len(wanted))
    return Change(*erase_rows(gallery, store, wanted))


def update_rows(gallery: Path, store: Store, ids: Sequence[str], told: Metadata) -> Change:
    """Lay metadata over that of rows; vectors, thumbnails and tokens stay as they are.

    Args:
        gallery: the gallery's folder.
        store: its rows.
        ids: which rows.
        told: what is told here replaces what the row has; what is not stays.

    Raises:
        UsageError: metadata of another type than a row has, a number beyond 32 bits, a box without area, or something
            that is no id.
        GalleryDamaged: rows that are there cannot be found by their ids.
    """
    told, wanted = checked_metadata(told), checked_ids(ids)
    _record(gallery, "update", len(wanted))
    updated = set[str]()
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        with changing(gallery, store):
            rows, tokens = store.fetch(some), store.fetch_tokens(some)
            store.put(
                [replace(row, metadata=told.over(row.metadata), tokens=tokens.get(row.id)) for row in rows.values()]
            )
            updated |= rows.keys()
    _check_reached(gallery, store, set(wanted) - updated)
    return Change(len(updated))


def checked_ids(ids: Collection[str]) -> list[str]:
    """Each id once.

    Raises:
        UsageError: a text instead of a list of ids, or something that can be no row's id.
    """
    told = list(listed(ids))
    for identifier in told:
        if not isinstance(identifier, str) or not _ID.fullmatch(identifier):
            raise UsageError(f"{identifier!r:.80} is no crop's id; take those that gallery.choose([...]) gives")
    return list(dict.fromkeys(told))


def checked_metadata(told: Metadata) -> Metadata:
    """Metadata as it will be read: time without zone, a box of four numbers.

    Raises:
        UsageError: another type than a row has, a number beyond 32 bits, or a box without area.
    """
    if not isinstance(told, Metadata) or not isinstance(told.labels, Mapping):
        raise UsageError(f"{told!r:.80}: expected Metadata, with labels by name")
    names = {name: getattr(told, name) for name in ("camera", "video", "track")}
    texts = [(name, text) for name, text in names.items() if text is not None]
    for name, text in (*texts, *told.labels.items()):
        if not _is_text(name) or not _is_text(text):
            raise UsageError(f"{name!r:.80} = {text!r:.80}: expected a name and a text")
    if told.time is not None and not isinstance(told.time, datetime):
        raise UsageError(f"time = {told.time!r:.80}: expected a datetime")
    time = None if told.time is None else parse_time(told.time.isoformat(timespec="microseconds"))
    frame = None if told.frame is None else _number("frame", told.frame)
    if told.box is None:
        return replace(told, time=time, frame=frame)
    try:
        left, top, width, height = (_number("box", number) for number in told.box)
    except (TypeError, ValueError):
        raise UsageError(f"box = {told.box!r:.80}: expected left, top, width and height") from None
    if width < 1 or height < 1:
        raise UsageError(f"box = {told.box!r:.80}: has no area; expected left, top, width and height in pixels")
    return replace(told, time=time, frame=frame, box=(left, top, width, height))


def _is_text(text: object) -> bool:
    """Whether a column of text can hold it: a lone surrogate is no Unicode."""
    return isinstance(text, str) and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _number(name: str, number: object) -> int:
    """A whole number of any kind, also NumPy's."""
    if isinstance(number, bool) or not isinstance(number, SupportsIndex):
        raise UsageError(f"{name}: {number!r:.80} is no whole number")
    whole = index(number)
    if abs(whole) > LARGEST_NUMBER:
        raise UsageError(f"{name}: a number above {LARGEST_NUMBER} is larger than a video or picture can have it")
    return whole


def _check_reached(gallery: Path, store: Store, ids: Collection[str]) -> None:
    if lost := unreached(gallery, store, ids):
        raise GalleryDamaged(f"{gallery}: {lost}")


def _record(gallery: Path, change: str, rows: int) -> None:
    record_change(gallery, ChangeLine(now(), user_name(), change, rows))
