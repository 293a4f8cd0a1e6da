"""`audit.jsonl`: one line an entry, appended whole or not at all, with commitments to the crops that it showed:
`HMAC-SHA256(K, n || id)` of the entry's nonce n and the crop's own key K, kept beside the log until it is erased."""

import errno
import fcntl
import hashlib
import hmac
import json
import mmap
import os
import pwd
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pickout.errors import GalleryError
from pickout.files import database_errors, own_file, storage_errors

AUDIT = "audit.jsonl"
KEYS = "audit-keys.sqlite"
MENDED = "mended"  # the event that tells of a line whose writer died in the middle of it
_WAIT = 60.0  # seconds to wait for another process that writes keys
_KEY_OF = "SELECT key FROM keys WHERE crop = ?"


class Acting(NamedTuple):
    """For whom, through what (as `server`) and to what purpose something is done, where it is not this account."""

    user: str
    via: str
    purpose: str | None = None


_ACTING: ContextVar[Acting | None] = ContextVar("acting", default=None)


@contextmanager
def acting(who: Acting) -> Iterator[None]:
    """Entries written within are about `who`."""
    before = _ACTING.set(who)
    try:
        yield
    finally:
        _ACTING.reset(before)


def record_search(gallery: Path, shown: Sequence[str], **facts: Any) -> None:
    """Append a search, with `facts` and commitments to the crops that it will show, before they are returned."""
    _append(gallery, facts, _commitments(gallery, shown))


def record_change(gallery: Path, change: str, rows: int, **what: Any) -> None:
    """Append a change of rows, before it is made: how many, not which, so that it holds nothing of an erased crop."""
    _append(gallery, {"change": change, "rows": rows, **what}, {})


def record_event(gallery: Path, event: str, shown: Sequence[str] = (), **details: Any) -> None:
    """Append an entry of another kind: a crop that was looked at, a hold, an alarm. `shown` are ids of crops that
    somebody sees by it; `details` name no crop. GalleryError, or StorageFull, where the file cannot be written to."""
    _append(gallery, {"event": event, **details}, _commitments(gallery, shown) if shown else {})


def lines(gallery: Path, start: int = 0) -> Iterator[bytes]:
    """The whole lines of the log from entry `start` on, without their line ends; a cut last one is left out."""
    try:
        with (gallery / AUDIT).open("rb") as file:
            yield from (line[:-1] for line in islice(file, start, None) if line.endswith(b"\n"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise GalleryError(f"{gallery / AUDIT}: cannot be read: {error.strerror}") from None


def is_cut(gallery: Path) -> bool:
    """Whether the last line has no end: its writer died, or is writing it now."""
    with suppress(OSError), (gallery / AUDIT).open("rb") as log:
        log.seek(-1, os.SEEK_END)  # an error in an empty file
        return log.read(1) != b"\n"
    return False


def entry(line: bytes) -> dict[str, Any] | None:
    """What a line says; None for one that is no entry."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def user_name() -> str:
    """Whom this is done for: the account's name as the system has it, or its number where it has none."""
    if (who := _ACTING.get()) is not None:
        return who.user
    try:
        return pwd.getpwuid(os.getuid()).pw_name  # not from the environment, which everybody sets as they like
    except KeyError:
        return str(os.getuid())


def _who() -> dict[str, Any]:
    """When and for whom: the time in UTC, ISO 8601, whole seconds."""
    return {"time": datetime.now(UTC).isoformat(timespec="seconds"), "user": user_name()}


def _append(gallery: Path, facts: dict[str, Any], commitments: dict[str, Any]) -> None:
    file, who = gallery / AUDIT, _ACTING.get()
    told = {} if who is None else {"via": who.via, "purpose": who.purpose}
    circumstances = {name: value for name, value in told.items() if value is not None}
    values = {**_who(), **facts, **circumstances, **commitments}
    try:
        with own_file(file) as handle, storage_errors(file):
            fcntl.flock(handle, fcntl.LOCK_EX)  # for the moment of one line; nobody else may open the file
            size = os.fstat(handle).st_size
            data = _mending(handle, size) + json.dumps(values).encode() + b"\n"
            if os.write(handle, data) < len(data):  # the disk filled within the line
                os.ftruncate(handle, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        linked = error.errno in (errno.ELOOP, errno.EEXIST)
        reason = "is a link or no ordinary file; put the file itself there" if linked else error.strerror
        raise GalleryError(f"{file}: cannot be written to ({reason}); nothing is done without a record") from None


def _mending(handle: int, size: int) -> bytes:
    """What ends a line that was cut off by a kill, and says so. The cut piece stays: a log only grows."""
    if not size or os.pread(handle, 1, size - 1) == b"\n":
        return b""
    with mmap.mmap(handle, size, access=mmap.ACCESS_READ) as log:
        piece = log[log.rfind(b"\n") + 1 :]
    told = {**_who(), "event": MENDED, "bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()}
    return b"\n" + json.dumps(told).encode() + b"\n"


def _commitments(gallery: Path, ids: Sequence[str]) -> dict[str, Any]:
    """Commitments to `ids` as an entry holds them: `nonce`, and `shown` in the order of `ids`."""
    nonce = secrets.token_hex(16)
    if not ids:
        return {"nonce": nonce, "shown": []}
    new = ((each, secrets.token_bytes(32)) for each in ids)
    with _opened(gallery) as database, database:
        database.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?)", new)
        keys = [database.execute(_KEY_OF, (each,)).fetchone()[0] for each in ids]
    return {"nonce": nonce, "shown": [_commitment(key, nonce, each) for key, each in zip(keys, ids, strict=True)]}


def showed(entry: Mapping[str, Any], crop: str, key: bytes) -> bool:
    """Whether an entry of the log showed a crop whose key is `key`."""
    nonce, shown = entry.get("nonce"), entry.get("shown")
    try:
        return isinstance(nonce, str) and isinstance(shown, list) and _commitment(key, nonce, crop) in shown
    except ValueError:  # somebody changed the nonce; `examine` tells
        return False


def key_of(gallery: Path, crop: str) -> bytes | None:
    """A crop's key; None where it was never shown, or was erased."""
    return next(iter(_selected(gallery, _KEY_OF, crop)), None)


def crops_with_keys(gallery: Path) -> list[str]:
    """Ids of the crops that can be shown to have been shown."""
    return _selected(gallery, "SELECT crop FROM keys")


def _selected(gallery: Path, command: str, *values: str) -> list[Any]:
    if not (gallery / KEYS).exists():
        return []
    with _opened(gallery) as database:
        return [row[0] for row in database.execute(command, values)]


def forget(gallery: Path, ids: Iterable[str]) -> None:
    """Destroy the keys of crops; the file is written anew, so that no byte of them is left in it."""
    if not (gallery / KEYS).exists():
        return
    with _opened(gallery) as database:
        with database:
            database.executemany("DELETE FROM keys WHERE crop = ?", ((each,) for each in ids))
        database.execute("VACUUM")


def _commitment(key: bytes, nonce: str, crop: str) -> str:
    return hmac.digest(key, bytes.fromhex(nonce) + crop.encode(), "sha256").hex()


@contextmanager
def _opened(gallery: Path) -> Iterator[sqlite3.Connection]:
    file = gallery / KEYS
    remedy = "put it back from a backup, or move it away: the log then proves no more which crops were shown until now"
    try:
        with database_errors(file, remedy), own_file(file), closing(sqlite3.connect(file, timeout=_WAIT)) as database:
            # Deleted keys are overwritten. No log of changes beside the file, which would keep them.
            for setting in ("secure_delete = ON", "temp_store = MEMORY", "synchronous = NORMAL"):
                database.execute(f"PRAGMA {setting}")
            database.execute("CREATE TABLE IF NOT EXISTS keys (crop TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID")
            yield database
    except OSError as error:
        raise GalleryError(f"{file}: cannot be opened ({error.strerror}); each search is recorded") from None
