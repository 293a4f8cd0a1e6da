"""Rows and quarantine lines on their way to disk."""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from pickout.gallery.intake.background import Background
from pickout.gallery.intake.inventory import Inventory
from pickout.gallery.intake.quarantine import Quarantined, update_quarantine
from pickout.gallery.intake.report import IngestReport
from pickout.gallery.intake.suppression import SUPPRESSION, Suppression, read_suppression
from pickout.gallery.storage.rows import Known, Row
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import changing


@dataclass(slots=True)
class _Commit:
    """What is written together."""

    rows: dict[str, Row] = field(default_factory=dict)
    by_content: dict[str, Row] = field(default_factory=dict)
    bad: list[Quarantined] = field(default_factory=list)
    erased: int = 0
    merges: bool = False
    """Whether small pieces on disk are merged after it."""
    written: bool = False
    """Whether the rows are on disk."""
    _begun: bool = False
    _given_up: bool = False
    _gate: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> bool:
        """Whether it may be written: nobody has given it up while it waited for its turn."""
        with self._gate:
            self._begun = not self._given_up
            return self._begun

    def give_up(self) -> bool:
        """Whether it will not be written; False when that has begun."""
        with self._gate:
            self._given_up = not self._begun
            return self._given_up


class Committer:
    """Gathers rows and writes them together, in a thread of its own; what was written survives any kill.

    One commit at most is on its way while the next one gathers, so a kill loses less than two, and memory holds no
    more. A commit's error is raised as it is by the next call that could commit. Used as a context, so that a run which
    ends early, by an error or by Ctrl-C, leaves nothing half done: the commit that is being written is waited for and
    counted, one that still waits for another process is given up, and what was gathered after it is dropped.

    Args:
        gallery: the gallery's folder.
        store: its rows; asked from this thread and written from the other.
        inventory: told of each row once it is written.
        report: counts what happens; rows once they are written.
        suppression: what was erased before the run. What is erased while it goes on is not written.
        rows: rows written at once.
        seconds: rows are written at least this often, unless the disk is slower.
        compact_every: commits after which the small pieces on disk are merged.
    """

    def __init__(
        self,
        gallery: Path,
        store: Store,
        inventory: Inventory,
        report: IngestReport,
        *,
        suppression: Suppression,
        rows: int,
        seconds: float,
        compact_every: int,
    ) -> None:
        self._gallery, self._store, self._inventory, self._report = gallery, store, inventory, report
        self._limit, self._seconds, self._compact_every = rows, seconds, compact_every
        self._suppression, self._erased = suppression, Suppression()
        self._seen: int | None = None
        self.refused: set[Path] = set()
        self.added: set[str] = set()
        self._next = _Commit()
        self._underway: _Commit | None = None
        self._background = Background("commit")
        self._commits, self._committed_at = 0, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._underway is not None and not self._underway.give_up():
            with suppress(Exception):  # the error that ended the run is the one to tell
                self._settle()

    def add(self, row: Row) -> None:
        """Take a row to be written."""
        self._next.rows[row.id] = row
        self._next.by_content[row.content] = row

    def refuse(self, file: Path, reason: str) -> None:
        """Take a file to be put on the quarantine list. A row it had before stays."""
        self._report.quarantined += 1
        self.refused.add(file)
        self._next.bad.append(Quarantined(file, reason))

    def row_with(self, content: str) -> Row | None:
        """A row of these bytes that the inventory does not know yet."""
        earlier = None if self._underway is None else self._underway.by_content.get(content)
        return self._next.by_content.get(content, earlier)

    def commit_if_due(self) -> None:
        """Begin to write when enough has gathered, or enough time has passed and the last commit is through.

        Raises:
            StorageFull: no space left for the last commit; earlier ones stay.
        """
        if not self._background.busy:
            self._settle()
        pending = len(self._next.rows) + len(self._next.bad)
        late = time.monotonic() - self._committed_at > self._seconds and not self._background.busy
        if pending >= self._limit or (pending and late):
            self.commit()

    def commit(self) -> None:
        """Begin to write everything gathered, once the last commit is through.

        Raises:
            StorageFull: no space left for the last commit; earlier ones stay.
        """
        self._settle()
        commit, self._next = self._next, _Commit()
        if commit.rows:
            self._commits += 1
            commit.merges = self._commits % self._compact_every == 0
        if commit.rows or commit.bad:
            self._underway = commit
            self._background.start(lambda: self._write(commit))
        self._committed_at = time.monotonic()

    def finish(self) -> None:
        """Write the rest, wait until it is written, and leave few pieces on disk.

        Raises:
            StorageFull: no space left; earlier commits stay.
        """
        self.commit()
        self._settle()
        if self._commits > 1:
            self._compact()

    def _write(self, commit: _Commit) -> None:
        """In the other thread: touches nothing but the disk and the commit."""
        if commit.rows:
            with changing(self._gallery, self._store):
                if not commit.begin():
                    return
                self._leave_out_erased(commit)
                self._store.put(list(commit.rows.values()))
                commit.written = True
            if commit.merges:
                self._compact()
        elif not commit.begin():
            return
        if commit.bad:
            update_quarantine(self._gallery, commit.bad, ())

    def _leave_out_erased(self, commit: _Commit) -> None:
        """Rows that were read before an erasure of another process must not come back after it; the lock is held."""
        file = self._gallery / SUPPRESSION
        seen = file.stat().st_ino if file.exists() else None  # replaced, never written into
        if seen != self._seen:
            self._erased, self._seen = read_suppression(self._gallery).since(self._suppression), seen
        for row in list(commit.rows.values()):
            if self._erased.has_path(row.id) or self._erased.has_content(row.content):
                del commit.rows[row.id]
                commit.erased += 1

    def _settle(self) -> None:
        """Wait for the commit that is on its way, count its rows, and raise its error."""
        error = self._background.join()
        commit, self._underway = self._underway, None
        if commit is not None and commit.written:
            self._report.erased += commit.erased
            for row in commit.rows.values():
                if self._inventory.content(row.id) is None:
                    self._report.added += 1
                    self.added.add(row.id)
                else:
                    self._report.updated += 1
                self._inventory.add(Known(row.id, row.content, row.metadata))
        if error is not None:
            raise error

    def _compact(self) -> None:
        with changing(self._gallery, self._store):
            self._store.tidy()
