"""From a folder of crops to rows: resumable, idempotent, and stopped by no bad file."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pickout.errors import DataMissing, ImageUnreadable
from pickout.gallery.audit.log import record_change
from pickout.gallery.encoder import BatchSize, Encoder, keeps_tokens, vectors_and_tokens
from pickout.gallery.intake import left_out, scan
from pickout.gallery.intake.commit import Committer, Inventory, Keep
from pickout.gallery.intake.metadata import CameraFrom, MetadataTable, camera_of, exif_time
from pickout.gallery.intake.picture import Picture, decode, digest, read_file, reading_ahead
from pickout.gallery.intake.report import IngestProgress, IngestReport, IngestSettings
from pickout.gallery.storage import lock, tables
from pickout.gallery.storage.rows import Known, Metadata, Row, row_id
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Floats, Tokens

_FEW = 1000  # files up to which a run asks for the rows that concern them, instead of reading what all rows are


class _Examined(NamedTuple):
    """A file that has been read, in a thread, while the model is busy with earlier ones."""

    file: Path
    id: str
    told: Metadata  # by table, name and folder
    content: str = ""
    picture: Picture | None = None  # none where a row has equal bytes
    taken: datetime | None = None  # by EXIF
    current: bool = False  # whether its row is as it should be
    problem: str | None = None
    erased: bool = False  # whether its crop was erased and is in the gallery no more


# What a row takes from its file's bytes: vector, width, height, thumbnail, tokens.
_Pixels = tuple[Floats, int, int, bytes, Tokens | None]


class Ingest:
    """One run over one folder, of an absolute path; for the arguments see `Gallery.add`. Each file has one row, known
    by its absolute path. Bytes that another row has are not encoded again. A file that cannot be read goes on the
    quarantine list; the row that it had while it was readable stays. `keep` tells what is held: it is not pruned, nor
    does another picture take its place."""

    def __init__(
        self,
        gallery: Path,
        store: Store,
        encoder: Encoder,
        root: Path,
        table: MetadataTable | None,
        camera_from: CameraFrom,
        settings: IngestSettings,
        again: bool,
        exclude: Sequence[str],
        keep: Keep,
    ) -> None:
        self._gallery, self._store, self._encoder, self._root = gallery, store, encoder, root
        self._table, self._camera_from, self._settings, self._again = table, camera_from, settings, again
        self._batch = BatchSize(settings.batch)
        self._listed = [entry.file for entry in left_out.read_quarantine(gallery) if entry.file.is_relative_to(root)]
        self._keeps_tokens = keeps_tokens(encoder) and settings.tokens == "auto"
        self._report = IngestReport(notes=[] if table is None else list(table.notes))
        self._keep, self._exclude, self._scan = keep, exclude, scan.Scan(root, exclude)
        files = self._scan.files()
        few = list(islice(files, _FEW + 1))
        self._files = chain(few, files)
        # Before the rows: of what is erased in between no row is known, and the commit sees that it was erased since.
        self._suppression = left_out.read_suppression(gallery)
        self._inventory = Inventory(store.known() if len(few) > _FEW else _known_of(store, few))
        self._touched: dict[Path, Path] = {}
        self._back: list[tuple[str, str]] = []  # ids and contents
        self._committer = Committer(gallery, store, self._inventory, self._report, self._suppression, settings, keep)

    def run(self, *, prune: bool, prune_folders: bool, on_progress: Callable[[IngestProgress], None]) -> IngestReport:
        """Bring the gallery up to date with the folder; arguments and errors as of `Gallery.add`."""
        began, report = time.monotonic(), self._report
        total = scan.count_images(self._root, self._exclude)
        if not total:
            raise DataMissing(f"{self._root}: holds no image file; give the folder that holds the crops")
        if self._again and self._suppression.crops:
            record_change(self._gallery, "again", len(self._suppression.crops))
        with self._committer:
            self._bring(total, on_progress)
            self._committer.finish()
        on_progress(IngestProgress(report.found, max(total, report.found), report.encoded, report.quarantined))
        # Lines that stood on the list before the run, and were not told again, are mended or gone.
        refused = self._committer.refused
        if told := [file for file in self._listed if not refused & {file, *file.parents}]:
            with lock.writing(self._gallery):
                left_out.update_quarantine(self._gallery, (), told)
        self._settle_absent(prune or prune_folders, prune_folders)
        if self._back:
            with tables.changing(self._gallery, self._store):
                left_out.update_suppression(self._gallery, back=self._back)
        report.passed_over = dict(self._scan.passed_over)
        report.notes += [] if self._table is None else self._table.unasked()
        report.seconds = round(time.monotonic() - began, 3)
        return report

    def _bring(self, total: int, on_progress: Callable[[IngestProgress], None]) -> None:
        """Every file of the folder, up to the committer."""
        report, changed, settings = self._report, list[_Examined](), self._settings
        ahead = {"threads": settings.threads, "ahead": 2 * self._batch.now}
        with reading_ahead(self._examine, self._files, **ahead) as files:
            for examined in files:
                if self._is_changed(examined):
                    changed.append(examined)
                if len(changed) >= self._batch.now:
                    self._write(changed)
                    changed = []
                self._committer.commit_if_due()
                done = report.found - len(changed)
                on_progress(IngestProgress(done, max(total, done), report.encoded, report.quarantined))
        self._write(changed)

    def _examine(self, file: Path) -> _Examined:
        """Read one file, and decode it unless its bytes are known; runs in threads."""
        identifier, told = row_id(file), Metadata(camera=camera_of(self._root, file, self._camera_from))
        if self._table is not None and (own := self._table.of(file)) is not None:
            told = own.over(told)
        known, before = self._inventory.row(identifier)
        erased = known is None and self._suppression.covers(identifier)
        if erased and not self._again:
            return _Examined(file, identifier, told, erased=True)
        try:
            data = read_file(file)
            content = digest(data)
            erased = erased or (content != known and self._suppression.covers(content))
            if erased and not self._again:
                return _Examined(file, identifier, told, erased=True)
            picture = None if self._inventory.row_with(content) else decode(file, data)
        except ImageUnreadable as error:
            return _Examined(file, identifier, told, problem=error.reason)
        current = content == known and told.over(before) == before
        taken = None if current else exif_time(data)
        return _Examined(file, identifier, told, content, picture, taken, current, erased=erased)

    def _is_changed(self, examined: _Examined) -> bool:
        self._report.found += 1
        if examined.problem is None and self._table is not None:
            self._report.untold += self._table.of(examined.file) is None
        self._touched[examined.file.parent if examined.problem is None else examined.file] = examined.file
        if examined.erased and not self._again:
            self._report.erased += 1
            return False
        if examined.problem is not None:
            self._committer.refuse(examined.file, examined.problem)
            return False
        if examined.erased:
            self._back.append((examined.id, examined.content))
        self._report.unchanged += examined.current
        return not examined.current

    def _write(self, changed: list[_Examined]) -> None:
        """Give each file its pixels, from another row of equal bytes or from the model, and hand on the row."""
        pixels, pictures = self._known_pixels({each.content for each in changed}), dict[str, Picture]()
        for each in changed:
            if each.content not in pixels and each.content not in pictures:
                try:
                    # No picture where a row had these bytes; another process may have removed that row since.
                    pictures[each.content] = each.picture or decode(each.file, read_file(each.file))
                except ImageUnreadable as error:
                    self._committer.refuse(each.file, error.reason)
        images = [picture.image for picture in pictures.values()]
        began = time.perf_counter()
        vectors, tokens = vectors_and_tokens(self._encoder, images, tokens=self._keeps_tokens)
        self._batch.took(len(images), time.perf_counter() - began)
        self._report.encoded += len(images)
        for (content, picture), vector, own in zip(pictures.items(), vectors, tokens, strict=True):
            pixels[content] = (vector, picture.width, picture.height, picture.thumbnail, own)
        for each in changed:
            found = pixels.get(each.content)
            if found is not None and np.isfinite(found[0]).all():
                self._committer.add(self._row(each, found))
            elif found is not None:
                self._committer.refuse(each.file, "the model gave no finite vector")

    def _known_pixels(self, contents: set[str]) -> dict[str, _Pixels]:
        """Pixels by content, of contents that have a row, written or on its way."""
        waiting = {content: row for content in contents if (row := self._committer.row_with(content)) is not None}
        stored = [found for content in contents - waiting.keys() if (found := self._inventory.row_with(content))]
        rows = waiting | {row.content: row for row in self._store.fetch(stored).values()}
        kept = self._store.fetch_tokens(stored) if self._keeps_tokens else {}
        own = {key: kept.get(row.id, row.tokens) for key, row in rows.items()}
        return {key: (row.vector, row.width, row.height, row.thumbnail, own[key]) for key, row in rows.items()}

    def _row(self, examined: _Examined, pixels: _Pixels) -> Row:
        (known, before), taken = self._inventory.row(examined.id), Metadata(time=examined.taken)
        # Other pixels bring their own EXIF time; the same pixels do not override what a table told earlier.
        metadata = examined.told.over(before.over(taken) if known == examined.content else taken.over(before))
        place = (examined.id, examined.content, str(self._root), str(examined.file.relative_to(self._root)))
        (vector, width, height, thumbnail, tokens), now = pixels, datetime.now(UTC).replace(tzinfo=None)
        return Row(*place, vector, width, height, metadata, thumbnail, now, tokens)

    def _settle_absent(self, prune: bool, prune_folders: bool) -> None:
        """Count, and on request remove, the rows below the folder whose files are gone."""
        # Asks the disk, not this run's memory: another run may have added a file since this one passed its folder.
        report, rows, new = self._report, self._store.files(self._root), self._committer.added
        gone, deserted, report.unseen = scan.find_absent(self._root, rows, new=new, touched=self._touched)
        far = [identifier for ids in deserted.values() for identifier in ids]
        report.vanished, report.deserted, report.folders = len(gone), len(far), tuple(map(str, sorted(deserted)))
        wanted = (gone if prune else []) + (far if prune_folders else [])
        if not wanted:
            return
        with tables.changing(self._gallery, self._store):
            held = self._keep(wanted)
            pruned = [each for each in wanted if each not in held]
            if pruned:
                record_change(self._gallery, "prune", len(pruned))
                self._store.remove(pruned)
        report.held, report.pruned = len(held), len(pruned)


def _known_of(store: Store, files: Sequence[Path]) -> Iterator[Known]:
    """What is known of these files, and of rows with equal bytes."""
    contents = set[str]()
    for file in files:
        with suppress(ImageUnreadable):
            contents.add(digest(read_file(file)))
    yield from store.known(contents, by="content")
    yield from store.known(row_id(file) for file in files)
