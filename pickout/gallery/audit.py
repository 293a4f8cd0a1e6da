"""Who searched for what and who changed what: one line each in `audit.jsonl`, in the gallery's folder."""

import getpass
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pickout.errors import GalleryError
from pickout.files import storage_errors

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
        GalleryError: the file cannot be written to.
        StorageFull: no space left.
    """
    _append(gallery / AUDIT, asdict(line), "each search is recorded, so none can be made")


def record_change(gallery: Path, line: ChangeLine) -> None:
    """Append `line`, before the change is made.

    Raises:
        GalleryError: the file cannot be written to.
        StorageFull: no space left.
    """
    _append(gallery / AUDIT, asdict(line), "each change is recorded, so none can be made")


def _append(file: Path, values: dict[str, Any], so: str) -> None:
    data = (json.dumps(values) + "\n").encode()
    try:
        # One write to a file opened for appending: lines of two processes do not mix.
        with storage_errors(file):
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, data)
            finally:
                os.close(handle)
    except OSError as error:
        raise GalleryError(f"{file}: cannot be written to ({error.strerror}); {so}") from None


def now() -> str:
    """The time for an audit line: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def user_name() -> str:
    """The account's name, or its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())
