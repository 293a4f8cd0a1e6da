"""Who searched for what and who changed what: one line each in `audit.jsonl`, in the gallery's folder."""

import errno
import fcntl
import json
import os
import pwd
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pickout.errors import GalleryError
from pickout.files import own_file, storage_errors

AUDIT = "audit.jsonl"


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One search.

    Args:
        time: when, UTC.
        user: the account that searched.
        sentence: what for, in words.
        query: its parts.
        where: the filters that were set.
        top: how many results a page were asked for.
        page: which page.
        results: how many were given.
        model: fingerprint of the model.
    """

    time: str
    user: str
    sentence: str
    query: dict[str, list[str]]
    where: dict[str, Any]
    top: int
    page: int
    results: int
    model: str


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One change of rows, or one copy of them that was made.

    Args:
        time: when, UTC.
        user: the account that changed them.
        change: `remove`, `erase`, `update`, `rebuild`, `export` or `import`.
        rows: how many; not which, so that the line holds nothing of an erased crop.
    """

    time: str
    user: str
    change: str
    rows: int


def record_search(gallery: Path, line: AuditLine) -> None:
    """Append `line`. A search whose line cannot be written gives no results, so this comes before they are returned.

    Raises:
        GalleryError: the file cannot be written to, or is a link.
        StorageFull: no space left.
    """
    _append(gallery / AUDIT, asdict(line), "each search is recorded, so none can be made")


def record_change(gallery: Path, line: ChangeLine) -> None:
    """Append `line`, before the change is made.

    Raises:
        GalleryError: the file cannot be written to, or is a link.
        StorageFull: no space left.
    """
    _append(gallery / AUDIT, asdict(line), "each change is recorded, so none can be made")


def _append(file: Path, values: dict[str, Any], so: str) -> None:
    try:
        with own_file(file) as handle, storage_errors(file):
            fcntl.flock(handle, fcntl.LOCK_EX)  # for the moment of one line; nobody else may open the file
            _write_line(handle, json.dumps(values).encode())
    except OSError as error:
        linked = error.errno in (errno.ELOOP, errno.EEXIST)
        reason = "is a link or no ordinary file; put the file itself there" if linked else error.strerror
        raise GalleryError(f"{file}: cannot be written to ({reason}); {so}") from None


def _write_line(handle: int, line: bytes) -> None:
    """Append a whole line or nothing; what an earlier process wrote of a line stays a line of its own."""
    size = os.fstat(handle).st_size
    cut = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
    data = b"\n" * cut + line + b"\n"
    if os.write(handle, data) < len(data):  # the disk filled within the line
        os.ftruncate(handle, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def now() -> str:
    """The time for an audit line: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def user_name() -> str:
    """The name of the account that the process runs as, or its number where it has none; no variable can change it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
