"""A gallery on disk: the class that users meet."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pickout.data.data_set import Split
from pickout.errors import GalleryDamaged, PickoutError, UsageError, printable
from pickout.files import write_atomically
from pickout.gallery.arguments import checked_arguments
from pickout.gallery.audit.log import Acting, acting, forget, record_search
from pickout.gallery.calibration.evidence import Tell
from pickout.gallery.calibration.fit import CalibrationSettings, calibrate
from pickout.gallery.changes.rebuild import Rebuilding, RebuildReport
from pickout.gallery.encoder import Encoder
from pickout.gallery.intake.ingest import Ingest
from pickout.gallery.intake.metadata import CameraFrom, MetadataTable
from pickout.gallery.intake.report import IngestProgress, IngestReport, IngestSettings
from pickout.gallery.search.filters import ANYWHERE, Where, check_where
from pickout.gallery.search.probability import Calibration, read_calibration
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Asked, Grouping, SearchSettings
from pickout.gallery.search.search import Answer, Hit, Scored, answer, every_score, together
from pickout.gallery.state import OpenGallery
from pickout.gallery.storage import lock, tables
from pickout.gallery.storage.store import Store

_log = logging.getLogger(__name__)


@checked_arguments
class Gallery(OpenGallery):
    """Crops that can be searched with a sentence. Use `Gallery.create` or `Gallery.open`. Everywhere `encoder` is the
    gallery's model, which must be given once, and `where` tells which crops to look at. All of it raises `UsageError`
    (no model in use, or an argument that makes no sense), `GalleryModelMismatch` (another model, also by a rebuild
    meanwhile), `GalleryMissing` (no gallery any more), `GalleryDamaged` (files were changed or are missing) and
    `StorageFull` (what was committed stays)."""

    @classmethod
    def create(cls, path: str | Path, encoder: Encoder, *, run: str | None = None) -> "Gallery":
        """Open the gallery at `path`, or make an empty one for this model, loaded from `run`, which later searches
        remember. `GalleryError` where the folder holds other files."""
        folder = tables.checked_folder(path)
        if not (folder / tables.MANIFEST).exists():
            tables.make_gallery(folder, tables.new_manifest(encoder, run))
        return cls.open(folder, encoder)

    @classmethod
    def open(cls, path: str | Path, encoder: Encoder | None = None) -> "Gallery":
        """Open a gallery; `GalleryMissing` where there is none."""
        folder = tables.checked_folder(path)
        manifest = tables.read_manifest(folder)
        return cls(folder, manifest, Store(folder, manifest.model.dimension, manifest.table), encoder)

    def add(
        self,
        crops: str | Path,
        encoder: Encoder | None = None,
        *,
        table: str | Path | None = None,
        camera_from: CameraFrom = CameraFrom.NONE,
        exclude: Sequence[str] = (),
        prune: bool = False,
        prune_folders: bool = False,
        again: bool = False,
        settings: IngestSettings | None = None,
        on_progress: Callable[[IngestProgress], None] = lambda _: None,
    ) -> IngestReport:
        """Bring the gallery up to date with a folder of crops. Safe to kill and run again; see `Ingest`.

        Args:
            crops: the folder.
            encoder: the model.
            table: camera, time and labels by image; see `MetadataTable`.
            camera_from: where the camera comes from when the table does not tell.
            exclude: patterns of names, or of paths below the folder, that are passed over.
            prune: remove the rows below this folder whose files are gone.
            prune_folders: also those in folders that are gone, or hold none of their files: maybe not mounted.
            again: take back crops that were erased; without, they stay so.
            settings: how files are read and rows written.
            on_progress: called after each file.

        `DataMissing` where the folder is not there or holds no image, `AnnotationError` where the table is wrong."""
        model, store, given = self._model(encoder), self._writable(), settings or IngestSettings()
        folder, keep = Path(crops).resolve(), self.retention.keep
        told = None if table is None else MetadataTable(Path(table), folder)
        ingest = Ingest(self.path, store, model, folder, told, camera_from, given, again, exclude, keep)
        return ingest.run(prune=prune, prune_folders=prune_folders, on_progress=on_progress)

    def rebuild(
        self,
        encoder: Encoder,
        *,
        run: str | None = None,
        settings: IngestSettings | None = None,
        drop_missing: bool = False,
        restart: bool = False,
        on_progress: Callable[[IngestProgress], None] = lambda _: None,
    ) -> RebuildReport:
        """Change the gallery's model: every crop is encoded anew, then searched with `encoder`. Safe to kill and run
        again; see `pickout.gallery.changes.rebuild.Rebuilding.run` for the arguments and errors."""
        work = Rebuilding(self.path, encoder, settings or IngestSettings(), self.retention)
        report = work.run(run, drop_missing, restart, on_progress)
        self.use(encoder)
        return report

    def about(self) -> dict[str, Any]:
        """What it holds, which model made it, and what is begun."""
        begun, built, rows, rebuilding = tables.pending(self.path), tables.pending_store(self.path), self.count(), None
        if begun is not None and built is not None:
            rebuilding = {**_named(begun.model), "done": built.count(), "rows": rows}
        told: dict[str, Any] = {"rows": rows, "cameras": list(self.cameras()), "quarantined": len(self.quarantined())}
        told |= {"saved_searches": len(self.saved.all()), "format": self.manifest.format}
        told |= {"created": self.manifest.created.isoformat(), **_named(self.manifest.model)}
        size = sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())
        return {**told, "search": self.how_searched(), "rebuild": rebuilding, "bytes": size}

    def check(self, query: Query | str, *, top: int = 20, page: int = 1, where: Where = ANYWHERE) -> Query:
        """What would be searched for, or the error that a search would raise (`ask`), without a model."""
        for name, value in (("top", top), ("page", page)):
            if value < 1:
                raise UsageError(f"{name} = {value}: expected at least 1")
        check_where(where, self._current())
        return Query.of(query)

    def search(
        self, query: Query | str, *, top: int = 20, where: Where = ANYWHERE, encoder: Encoder | None = None
    ) -> list[Hit]:
        """The candidates of `ask`, with its defaults, best first, equal scores by path; empty when no crop passes the
        filters. What `ask` found damaged is logged."""
        found = self.ask(query, top=top, where=where, encoder=encoder)
        for fault in found.faults:
            _log.warning("%s: %s; pickout gallery verify names every fault", printable(self.path), fault)
        return list(found.hits)

    def ask(
        self,
        query: Query | str,
        *,
        top: int = 20,
        page: int = 1,
        where: Where = ANYWHERE,
        grouping: Grouping = Grouping.NONE,
        settings: SearchSettings | None = None,
        encoder: Encoder | None = None,
    ) -> Answer:
        """The crops that fit the query best: candidates for a person to check, best first and equal ones by path, and
        how sure they are. Each search leaves an audit line. The query is a description of a person, or a `Query` of
        several parts; `page`, from 1, holds `top` candidates, and pages of an unchanged gallery never overlap;
        `grouping` tells which crops are shown as one. `UsageError` for no usable query, `top` or `page` below 1, a
        filter or crop that the gallery does not know; `ImageUnreadable` for a picture of the query; `GalleryError`
        where the audit line cannot be written."""
        self._model(encoder)
        query = self.check(query, top=top, page=page, where=where)
        found = self.ask_many([Asked(query, where, top, page, grouping, settings or SearchSettings())])[0]
        if isinstance(found, PickoutError):
            raise found
        return found

    def ask_many(self, asked: Sequence[Asked], who: Sequence[Acting] = ()) -> list[Answer | PickoutError]:
        """Several searches at once, each with its audit line, for the account of this process or for `who`: sentences
        are encoded and scored together. Gives an answer for each search, or why it has none (see `ask`)."""
        model, found = self._model(None), list[Answer | PickoutError]()
        calibration = read_calibration(self.path, self.manifest)
        with self._noticing_rebuilds():
            resident = self._current()
            with together(asked, model, resident) as known:
                for number, each in enumerate(asked):
                    try:
                        given = answer(each, model, resident, self._store, calibration, known)
                        with acting(who[number]) if who else nullcontext():
                            self._record(each, given, model)
                        found.append(given)
                    except GalleryDamaged:
                        raise
                    except PickoutError as error:
                        found.append(error)
        return found

    def _record(self, asked: Asked, given: Answer, model: Encoder) -> None:
        query, where, results = asked.query, asked.where.as_json(), len(given.hits)
        what = {"sentence": query.words(), "query": query.as_json(), "where": where, "top": asked.top}
        shown = [crop for hit in given.hits for crop in (hit.id, *hit.others)]
        record_search(self.path, shown, **what, page=asked.page, results=results, model=model.fingerprint)
        # What was erased between ranking and recording is forgotten again.
        if self.changed_since_read() and (gone := set(shown) - self._store.present(given.located)):
            forget(self.path, gone)

    def scores(self, query: Query | str, *, where: Where = ANYWHERE) -> Scored:
        """The score of every crop that passes the filters, in single precision. It shows nobody, so is not recorded."""
        with self._noticing_rebuilds():
            return every_score(Query.of(query), where, self._model(None), self._current(), self._store)

    def calibrate(
        self,
        split: Split,
        encoder: Encoder | None = None,
        *,
        settings: CalibrationSettings | None = None,
        tell: Tell = lambda *_: None,
    ) -> Calibration:
        """Fit how likely a candidate is a match, on people of a validation split who are not in the gallery, or by the
        very same files, and keep it in its folder. `GalleryError` for too few crops, `DataError` for too few people or
        an image."""
        model, store = self._model(encoder), self._writable()
        found = calibrate(split, model, self._current(), store, settings or CalibrationSettings(), tell)
        self._refresh()  # a calibration of a model that went meanwhile is of no use
        with lock.writing(self.path):
            write_atomically(self.path / tables.CALIBRATION, found.model_dump_json(indent=2) + "\n")
        return found


def _named(model: tables.ModelFacts) -> dict[str, Any]:
    return {"model": model.name, "fingerprint": model.fingerprint, "run": model.run}
