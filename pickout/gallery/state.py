"""What can be done with a gallery's rows besides adding and searching."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from pickout.errors import GalleryDamaged, GalleryMissing, UsageError
from pickout.gallery.approximate import build, far_vectors
from pickout.gallery.arguments import checked_arguments
from pickout.gallery.audit.log import record_change, record_event
from pickout.gallery.changes import edits
from pickout.gallery.changes.retention import Due, Retention
from pickout.gallery.encoder import Encoder, sentence_vectors
from pickout.gallery.intake.left_out import Quarantined, read_quarantine
from pickout.gallery.intake.report import Progress
from pickout.gallery.portable.writer import ExportReport, export_gallery
from pickout.gallery.search.filters import ANYWHERE, Where, allowed
from pickout.gallery.search.saved_searches import SavedSearches
from pickout.gallery.storage import memory, tables
from pickout.gallery.storage.rows import Metadata, Resident, Row
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Ids, Mask


@checked_arguments
class OpenGallery:
    """A gallery's rows: looked at, chosen, changed. `Gallery` adds and searches."""

    def __init__(self, path: Path, manifest: tables.Manifest, store: Store, encoder: Encoder | None = None) -> None:
        self.path, self.manifest = path, manifest
        self._opened, self._encoder = store, encoder
        self._seen: tuple[int, int] | None = None
        self._resident: tuple[int, build.Approximation | None, Resident] | None = None
        self._hidden: tuple[Ids, list[str], Mask] | None = None
        """Among which ids, those whose erasure has begun, and which rows these are: `Resident.hidden`."""
        self.follows = True
        """Whether a search reads the rows again when they have changed. A server does that beside its searches."""
        self.spread: Callable[[Store, Resident | None], memory.MakeVectors] | None = None
        """Makes the vectors that a search asks, from what was read before; None: they are held here, or their codes."""
        if encoder is not None:
            manifest.check(encoder, path)

    def use(self, encoder: Encoder) -> None:
        """Search and add with this model; `GalleryModelMismatch` where the gallery was built with another one."""
        tables.read_manifest(self.path).check(encoder, self.path)
        self._encoder = encoder
        self._refresh()

    def count(self) -> int:
        """How many crops it holds."""
        return self._store.count()

    def cameras(self) -> tuple[str, ...]:
        """The names of its cameras, sorted."""
        return self._current().facets["camera"].names

    def counts(self, where: Where = ANYWHERE) -> dict[str, dict[str, int]]:
        """What can be filtered by (`camera`, `track`, `video`, `label:NAME`): each value, and how many of the crops
        that pass the filters have it; values that none has are left out."""
        resident, found = self._current(), dict[str, dict[str, int]]()
        passed = allowed(where, resident)
        for what, facet in resident.facets.items():
            positions = facet.positions if passed is None else facet.positions[passed]
            counts = np.bincount(positions[positions >= 0], minlength=len(facet.names)).tolist()
            if told := {name: count for name, count in zip(facet.names, counts, strict=True) if count}:
                found[what] = told
        return found

    def quarantined(self) -> list[Quarantined]:
        """The files that could not be indexed, and why."""
        return read_quarantine(self.path)

    @property
    def saved(self) -> SavedSearches:
        """The searches that are kept under a name."""
        return SavedSearches(self.path)

    @property
    def retention(self) -> Retention:
        """How long crops are kept, and which are held."""
        return Retention(self.path, self._all, self._store.present)

    def files(self) -> list[Path]:
        """Where every crop was when it was indexed."""
        return [file for _, file in self._store.files()]

    def rows(self, ids: Iterable[str]) -> dict[str, Row]:
        """Whole rows by id; unknown ids are left out."""
        return self._store.fetch(ids)

    def present(self, ids: Iterable[str]) -> set[str]:
        """Which of these crops are there, by their ids."""
        return self._store.present(ids)

    def choose(self, crops: Sequence[str] = (), where: Where = ANYWHERE) -> list[str]:
        """Ids of crops, for a change; see `choose_rows` for arguments and errors."""
        return edits.choose_rows(self._store, self._all(), crops, where)

    def remove(self, ids: Sequence[str]) -> edits.Change:
        """Take crops out. They are found no more, but their bytes stay in the table's files; see `erase`. A UsageError
        where one of them is held."""
        wanted, store = edits.checked_ids(ids), self._writable()
        with tables.changing(self.path, store):
            self.retention.refuse_held(wanted)
            record_change(self.path, "remove", len(wanted))
            before = store.count()
            store.remove(wanted)
            return edits.Change(before - store.count())

    def erase(self, ids: Sequence[str], *, first: Callable[[], object] = lambda: None) -> edits.Change:
        """Take crops out and leave nothing of them in the gallery's folder: vectors, thumbnails, tokens, paths,
        versions. Pictures, backups, exports and pages of results are not touched. A UsageError where one of them is
        held, a GalleryError where files of the table cannot be deleted; the next change tries again. `first` is called
        before anything goes, once it is sure that nothing is held."""
        wanted, store = edits.checked_ids(ids), self._writable()
        record = partial(record_change, self.path, "erase", len(wanted))
        return edits.erase_rows(self.path, store, wanted, [partial(self.retention.refuse_held, wanted), record, first])

    def erase_due(self, now: datetime | None = None) -> Due:
        """Erase what is due by the rules of retention and not held; the erasure leaves its lines in the audit."""
        due = self.retention.due(now)
        if due.erase:
            record_event(self.path, "retention enforced", rows=len(due.erase), held=due.held)
            self.erase(due.erase)
        return due

    def update(self, ids: Sequence[str], told: Metadata, *, forget: Sequence[str] = ()) -> edits.Change:
        """Tell more about crops without encoding them: what is told replaces what a row has, and what its fields and
        labels to `forget` told goes. What was held stays so. A UsageError for another type than a row has, a number
        beyond 32 bits, or a box without area."""
        checked = edits.checked_metadata(told)
        wanted, store = edits.checked_ids(ids), self._writable()
        record_change(self.path, "update", len(wanted), told=[*checked.told(), *forget])
        updated, kept = 0, None
        for some in memory.slices(wanted, 500):
            with tables.changing(self.path, store):
                if self.retention.kept != kept:  # the first, or somebody has set a hold meanwhile
                    self.retention.keep(wanted)
                    kept = self.retention.kept
                rows, tokens = store.fetch(some), store.fetch_tokens(some)
                new = {key: checked.over(row.metadata.without(forget)) for key, row in rows.items()}
                store.put([replace(row, metadata=new[key], tokens=tokens.get(key)) for key, row in rows.items()])
                updated += len(rows)
        return edits.Change(updated)

    def export(
        self,
        file: str | Path,
        ids: Collection[str] | None = None,
        *,
        crops: bool = False,
        force: bool = False,
        on_progress: Progress = lambda _done, _total: None,
    ) -> ExportReport:
        """Write rows, or all of them, to one portable file; see `pickout.gallery.portable.writer.export_gallery`."""
        self._writable()
        wanted, to = None if ids is None else edits.checked_ids(ids), Path(file)
        return export_gallery(self.path, self.manifest, to, wanted, crops, force, on_progress)

    def compact(self) -> None:
        """Merge the small pieces that many commits leave on disk; changes no row."""
        store = self._writable()
        with tables.changing(self.path, store):
            store.compact()
            build.keep_codes(self.path, store)

    def approximate(
        self,
        sentences: Sequence[str] = (),
        encoder: Encoder | None = None,
        *,
        settings: build.ApproximateSettings | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> build.Approximation:
        """Search by codes, without holding vectors; see `pickout.gallery.approximate.build`. Recall is measured
        with crops and with `sentences`, which need a model. `UsageError` for so few crops that none is needed."""
        queries = sentence_vectors(self._model(encoder), list(sentences)) if sentences else None
        return build.approximate(self.path, self._writable(), settings or build.ApproximateSettings(), queries, tell)

    def how_searched(self) -> str:
        """`exact`, or how an approximate search was measured."""
        about = build.usable(self.path, self.manifest, self._store)
        return "exact" if about is None else f"approximate: {about.told()}"

    def search_exactly(self) -> None:
        """Remove the codes: a search holds all vectors from now on."""
        store = self._writable()
        with tables.changing(self.path, store):
            for name in (build.APPROXIMATE, far_vectors.CODES):
                (self.path / name).unlink(missing_ok=True)

    @property
    def _store(self) -> Store:
        self._refresh()
        return self._opened

    def _refresh(self) -> None:
        """Take note of a rebuild by any process, or that the gallery is gone."""
        try:
            status = os.stat(self.path / tables.MANIFEST)  # noqa: PTH116
        except OSError:
            raise GalleryMissing(f"{self.path}: the gallery is not there any more") from None
        seen = (status.st_mtime_ns, status.st_ino)
        if seen == self._seen:
            return
        told = tables.read_manifest(self.path)
        if told.table != self._opened.name:
            if self._encoder is not None:
                told.check(self._encoder, self.path)
            self._opened = Store(self.path, told.model.dimension, told.table)
            self._resident = None
        self.manifest, self._seen = told, seen

    def _writable(self) -> Store:
        """The rows, once what an earlier process left undone is done."""
        self.manifest = edits.finish_everything(self.path, self._store, self.manifest)
        return self._store

    def _model(self, encoder: Encoder | None) -> Encoder:
        if encoder is not None:
            self.use(encoder)
        if self._encoder is None:
            remedy = "open the gallery with its model: Gallery.open(path, model)"
            raise UsageError(f"{self.path}: no model in use; {remedy}")
        return self._encoder

    @contextmanager
    def _noticing_rebuilds(self) -> Iterator[None]:
        """Tell of a rebuild with another model where the old table, gone meanwhile, looks damaged."""
        try:
            yield
        except GalleryDamaged:
            self._refresh()
            raise

    def _current(self) -> Resident:
        """The columns a search reads. A crop is found no more from the moment that its erasure has begun."""
        resident, erased = self._all(), edits.unfinished(self.path)
        if not erased:
            self._hidden = None
            return resident
        known = self._hidden  # so that they are compared once, not at each search while the erasure goes on
        if known is None or known[0] is not resident.ids or known[1] != erased:
            rows = np.isin(resident.ids, np.array([each.encode() for each in erased], "S32"))
            known = self._hidden = (resident.ids, erased, rows)
        return replace(resident, hidden=known[2])

    def follow(self, earlier: "OpenGallery") -> None:
        """Read the rows once, taking over what `earlier`, which goes on being searched, holds of them."""
        self._all(earlier)
        self.follows = False

    def changed_since_read(self) -> bool:
        """Whether any process has changed rows since this one read them."""
        return self._resident is None or self._resident[0] != self._store.version()

    def _all(self, earlier: "OpenGallery | None" = None) -> Resident:
        """All rows, read again when any process has changed the gallery, with what `earlier` holds of them."""
        opened = self._opened
        try:
            return self._read_current(earlier)
        except GalleryDamaged:
            self._refresh()
            if self._opened is opened:
                raise
            return self._read_current()  # its table was swapped for another's and deleted while it was read

    def _read_current(self, earlier: "OpenGallery | None" = None) -> Resident:
        if self._resident is not None and not self.follows:
            return self._resident[2]
        version, about = self._store.version(), build.usable(self.path, self.manifest, self._opened)
        if self._resident is None or self._resident[:2] != (version, about):
            self._resident = None  # let go of the old matrix before the new one is read
            held = earlier._resident if earlier is not None and earlier._opened.name == self._opened.name else None
            before = None if held is None else held[2]
            vectors = None if self.spread is None else self.spread(self._opened, before)
            if vectors is None and about is not None:
                vectors = far_vectors.FarVectors.maker(self._opened, before, about.wide, about.told())
            self._resident = (version, about, self._opened.resident(vectors, before))
        return self._resident[2]
