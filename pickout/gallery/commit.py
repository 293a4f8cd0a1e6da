"""Rows and quarantine lines on their way to disk."""

import time
from pathlib import Path

from pickout.gallery.inventory import Inventory
from pickout.gallery.quarantine import Quarantined, read_quarantine, update_quarantine
from pickout.gallery.report import IngestReport
from pickout.gallery.rows import Known, Row
from pickout.gallery.store import Store
from pickout.gallery.tables import changing


class Committer:
    """Gathers rows and writes them together; what was written survives any kill.

    Args:
        gallery: the gallery's folder.
        store: its rows.
        inventory: told of each row once it is written.
        report: counts what happens.
        rows: rows written at once.
        seconds: rows are written at least this often.
        compact_every: commits after which the small pieces on disk are merged.
    """

    def __init__(
        self,
        gallery: Path,
        store: Store,
        inventory: Inventory,
        report: IngestReport,
        *,
        rows: int,
        seconds: float,
        compact_every: int,
    ) -> None:
        self._gallery, self._store, self._inventory, self._report = gallery, store, inventory, report
        self._limit, self._seconds, self._compact_every = rows, seconds, compact_every
        self._listed = {entry.file for entry in read_quarantine(gallery)}
        self._rows: dict[str, Row] = {}
        self._by_content: dict[str, Row] = {}
        self._bad: list[Quarantined] = []
        self._good: list[Path] = []
        self._commits, self._committed_at = 0, time.monotonic()

    def add(self, row: Row) -> None:
        """Take a row to be written; its file leaves the quarantine list."""
        self._rows[row.id] = row
        self._by_content[row.content] = row
        self.accept(row.file)

    def refuse(self, file: Path, reason: str) -> None:
        """Take a file to be put on the quarantine list. A row it had before stays."""
        self._report.quarantined += 1
        self._bad.append(Quarantined(file, reason))

    def accept(self, file: Path) -> None:
        """Take a file to be taken off the quarantine list, if it is on it."""
        if file in self._listed:
            self._good.append(file)

    def row_with(self, content: str) -> Row | None:
        """A row of these bytes that is not written yet."""
        return self._by_content.get(content)

    def commit_if_due(self) -> None:
        """Write when enough has gathered or enough time has passed."""
        pending = len(self._rows) + len(self._bad)
        if pending >= self._limit or (pending and time.monotonic() - self._committed_at > self._seconds):
            self.commit()

    def commit(self) -> None:
        """Write everything gathered.

        Raises:
            StorageFull: no space left; earlier commits stay.
        """
        rows, self._rows, self._by_content = list(self._rows.values()), {}, {}
        if rows:
            with changing(self._gallery, self._store):
                self._store.put(rows)
            for row in rows:
                known = self._inventory.content(row.id) is not None
                self._report.updated += known
                self._report.added += not known
                self._inventory.add(Known(row.id, row.content, row.metadata))
            self._commits += 1
            if self._commits % self._compact_every == 0:
                self._compact()
        if self._bad or self._good:
            update_quarantine(self._gallery, self._bad, self._good)
            self._bad, self._good = [], []
        self._committed_at = time.monotonic()

    def finish(self) -> None:
        """Write the rest and leave few pieces on disk."""
        self.commit()
        if self._commits > 1:
            self._compact()

    def _compact(self) -> None:
        with changing(self._gallery, self._store):
            self._store.compact()
