"""What a gallery holds already, and rows and quarantine lines on their way to disk."""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

from pickout.gallery.approximate.build import keep_codes
from pickout.gallery.audit.log import record_change
from pickout.gallery.intake.left_out import Quarantined, Suppression, read_suppression, update_quarantine
from pickout.gallery.intake.report import IngestReport, IngestSettings
from pickout.gallery.storage import lock, tables
from pickout.gallery.storage.rows import Known, Metadata, Row
from pickout.gallery.storage.store import Store

Keep = Callable[[Collection[str]], Collection[str]]
"""Those of some crops that are held; they are held by name from now on."""


class Inventory:
    """Every row's content and metadata by id, and one row's id by content: about 0.4 GB a million rows."""

    def __init__(self, rows: Iterable[Known]) -> None:
        self._rows: dict[bytes, tuple[bytes, Metadata]] = {}
        self._by_content: dict[bytes, bytes] = {}
        self._metadata: dict[tuple[object, ...], Metadata] = {}
        for row in rows:
            self.add(row.id, row.content, row.metadata)

    def add(self, identifier: str, content: str, told: Metadata) -> None:
        """Take note of a row that was written."""
        # The same object for equal metadata: most crops of a camera without times share theirs.
        key = (told.camera, told.time, told.video, told.frame, told.box, told.track, *sorted(told.labels.items()))
        row, digest = bytes.fromhex(identifier), bytes.fromhex(content)
        self._rows[row] = (digest, self._metadata.setdefault(key, told))
        self._by_content[digest] = row

    def row(self, identifier: str) -> tuple[str | None, Metadata]:
        """The content and metadata of a row; None and nothing where there is none."""
        content, told = self._rows.get(bytes.fromhex(identifier), (None, Metadata()))
        return None if content is None else content.hex(), told

    def row_with(self, content: str) -> str | None:
        """The id of a row whose file had these bytes."""
        found = self._by_content.get(bytes.fromhex(content))
        return None if found is None else found.hex()


_HELD = "is another picture now, and the crop that it was is held; its row stays. Lift the hold, or use another name"


class _Commit(threading.Thread):
    """What is written together, in a thread that keeps no process from ending."""

    def __init__(self, write: Callable[["_Commit"], None]) -> None:
        super().__init__(name="commit", daemon=True)
        self.rows: dict[str, Row] = {}
        self.by_content: dict[str, Row] = {}
        self.bad: list[Quarantined] = []
        self.held: list[Quarantined] = []
        self.erased, self.merges, self.written = 0, False, False
        self.error: BaseException | None = None
        self._write, self.claim = write, partial(threading.Lock().acquire, blocking=False)
        """True for the first who asks: the thread that is about to write it, or the caller who gives it up."""

    def run(self) -> None:
        try:
            self._write(self)
        except BaseException as error:
            self.error = error


class Committer:
    """Gathers rows and writes them together, in a thread of its own; what was written survives any kill. One commit at
    most is on its way while the next one gathers; its error is raised by the next call that could commit. A context: a
    run that ends early waits for the commit that is being written, gives up one that still waits for another process,
    and drops what was gathered after it. What was erased since `suppression` was read is not written, nor is another
    picture in place of one that is held."""

    def __init__(
        self,
        gallery: Path,
        store: Store,
        inventory: Inventory,
        report: IngestReport,
        suppression: Suppression,
        settings: IngestSettings,
        keep: Keep,
    ) -> None:
        self._gallery, self._store, self._inventory, self._report = gallery, store, inventory, report
        self._settings, self._suppression, self._keep = settings, suppression, keep
        self.refused: set[Path] = set()
        self.added: set[str] = set()
        self._next = _Commit(self._write)
        self._underway: _Commit | None = None
        self._commits, self._committed_at = 0, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._underway is not None and not self._underway.claim():
            with suppress(Exception):  # the error that ended the run is the one to tell
                self._settle()

    def add(self, row: Row) -> None:
        """Take a row to be written."""
        self._next.rows[row.id] = self._next.by_content[row.content] = row

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
        """Begin to write when enough has gathered, or enough time has passed and the last commit is through."""
        if idle := self._underway is None or not self._underway.is_alive():
            self._settle()
        pending = len(self._next.rows) + len(self._next.bad)
        late = idle and time.monotonic() - self._committed_at > self._settings.commit_seconds
        if pending >= self._settings.commit or (pending and late):
            self.commit()

    def commit(self) -> None:
        """Begin to write everything gathered, once the last commit is through."""
        self._settle()
        commit = self._next
        if commit.rows:
            self._commits += 1
            commit.merges = self._commits % self._settings.compact_every == 0
        if commit.rows or commit.bad:
            self._underway, self._next = commit, _Commit(self._write)
            commit.start()
        self._committed_at = time.monotonic()

    def finish(self) -> None:
        """Write the rest, wait until it is written, and leave few pieces on disk."""
        self.commit()
        self._settle()
        with tables.changing(self._gallery, self._store):
            if self._commits > 1:
                self._store.tidy()
            keep_codes(self._gallery, self._store, unless=0.1)

    def _write(self, commit: _Commit) -> None:
        """In the other thread: touches nothing but the disk and the commit."""
        if commit.rows:
            with tables.changing(self._gallery, self._store):
                if not commit.claim():
                    return
                self._leave_held(commit)
                # Rows that were read before an erasure of another process must not come back after it.
                erased = read_suppression(self._gallery).since(self._suppression)
                kept = {row.id: row for row in commit.rows.values() if not erased.covers(row.id, row.content)}
                commit.rows, commit.erased = kept, len(commit.rows) - len(kept)
                if kept:
                    record_change(self._gallery, "index", len(kept))
                self._store.put(list(commit.rows.values()))
                commit.written = True
                if commit.merges:
                    self._store.tidy()
        elif not commit.claim():
            return
        if commit.bad:
            with lock.writing(self._gallery):
                update_quarantine(self._gallery, commit.bad, ())

    def _leave_held(self, commit: _Commit) -> None:
        """Take out rows whose file has become another picture than the one that is held."""
        held = self._keep(commit.rows)
        for known in self._store.known(held) if held else ():
            if (row := commit.rows[known.id]).content != known.content:
                commit.held.append(Quarantined(row.file, _HELD))
                del commit.rows[known.id]
        commit.bad += commit.held

    def _settle(self) -> None:
        """Wait for the commit that is on its way, count its rows, and raise its error."""
        if self._underway is None:
            return
        self._underway.join()
        commit, self._underway = self._underway, None
        self._report.quarantined += len(commit.held)
        self.refused.update(each.file for each in commit.held)
        if commit.written:
            self._report.erased += commit.erased
            for row in commit.rows.values():
                if self._inventory.row(row.id)[0] is None:
                    self._report.added += 1
                    self.added.add(row.id)
                else:
                    self._report.updated += 1
                self._inventory.add(row.id, row.content, row.metadata)
        if commit.error is not None:
            raise commit.error
