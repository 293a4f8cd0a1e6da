"""A small SQLite file in the server's folder, for what is kept beside the galleries."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pickout.files import database_errors, packaged_text, storage_errors


class Database:
    """One file, with the tables of the `.sql` of its name; what is deleted from it leaves no bytes there."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file, self._tables = folder / f"{name}.sqlite", packaged_text("pickout.serve", f"{name}.sql")

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """What is done within is kept whole or not at all."""
        file = self._file
        with database_errors(file, "put it back from a backup, or move it away and begin anew"), storage_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.touch(mode=0o600)
            with closing(sqlite3.connect(file, timeout=60)) as database:
                database.row_factory = sqlite3.Row
                database.execute("PRAGMA secure_delete = ON")
                database.executescript(self._tables)
                with database:
                    yield database

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows by column."""
        with self.opened() as database:
            return [dict(row) for row in database.execute(statement, values)]

    def write(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> int:
        """How many rows changed."""
        with self.opened() as database:
            return database.execute(statement, values).rowcount


def now() -> str:
    """UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
