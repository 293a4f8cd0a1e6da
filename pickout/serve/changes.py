"""What a client can do to a server's galleries: crops added, described, removed, erased, taken out and in."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pickout.data.registry import open_data
from pickout.errors import AccessDenied, NothingFound, NotThere, UsageError
from pickout.gallery.audit.log import Acting, acting, record_event
from pickout.gallery.calibration.fit import CalibrationSettings
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.intake.report import IngestProgress
from pickout.gallery.portable.reader import import_gallery
from pickout.gallery.search.filters import ANYWHERE
from pickout.gallery.storage.rows import row_id
from pickout.serve.access import Action, Actor, permit
from pickout.serve.hosting import Hosted
from pickout.serve.jobs import Job, Tell
from pickout.serve.requests import CalibrateBody, ChosenBody, ExportBody, FolderBody, RebuildBody, UpdateBody
from pickout.serve.retention import Retention
from pickout.serve.service import Service, limited
from pickout.serve.uploads import Sent


class Changes:
    """Changes of a service's galleries. What is acknowledged is seen by each search after it.

    Args:
        service: the galleries.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def remove(self, actor: Actor, name: str, body: ChosenBody, who: Acting) -> dict[str, Any]:
        """Take crops out; see `OpenGallery.remove`."""
        hosted, ids = self._chosen(actor, Action.ERASE, name, body)
        with acting(who):
            hosted.turns.ask(lambda gallery: Retention(gallery).refuse_held(ids))
            change = hosted.open().remove(ids)
        hosted.refresh()
        return {"removed": change.rows}

    def erase(self, actor: Actor, name: str, body: ChosenBody, who: Acting) -> dict[str, Any]:
        """Take crops out and leave nothing of them, nor of their pictures where they were uploaded."""
        hosted, ids = self._chosen(actor, Action.ERASE, name, body)
        with acting(who):
            hosted.turns.ask(lambda gallery: Retention(gallery).refuse_held(ids))
            return self.erase_now(hosted, ids)

    def erase_now(self, hosted: Hosted, ids: Sequence[str]) -> dict[str, Any]:
        """Erase crops that nothing stands against."""
        uploads = self._service.uploads(hosted)
        uploads.delete([row.file for row in hosted.rows(ids).values()])
        change = hosted.open().erase(ids)
        hosted.refresh()
        return {"erased": change.rows, "searches_removed": list(change.searches)}

    def update(self, actor: Actor, name: str, body: UpdateBody, who: Acting) -> dict[str, Any]:
        """Tell more about crops; see `OpenGallery.update`."""
        told = body.told()
        hosted, ids = self._chosen(actor, Action.INDEX, name, body)
        self._own_camera(actor, told.camera, needed=False)
        with acting(who):
            change = hosted.open().update(ids, told)
        hosted.refresh()
        return {"updated": change.rows}

    def upload(self, actor: Actor, name: str, sent: Sequence[Sent], who: Acting) -> Job:
        """Keep pictures and give them rows. The same request again adds nothing.

        Raises:
            ImageUnreadable: one is no picture; then none is kept.
        """
        hosted = self._service.gallery(actor, Action.INDEX, name)
        for each in sent:
            self._own_camera(actor, each.told.camera, needed=True)
        folder = self._service.uploads(hosted).keep(sent)
        with acting(who):
            return self._job("upload", actor, hosted, lambda tell: self._index_upload(hosted, folder, tell))

    def resume_uploads(self) -> None:
        """Give rows to pictures that were kept before the server died."""
        for hosted in self._service.galleries.values():
            for folder in self._service.uploads(hosted).pending():
                self._index_upload(hosted, folder, lambda _: None)
            hosted.refresh()

    def index(self, actor: Actor, name: str, body: FolderBody, who: Acting) -> Job:
        """Bring the gallery up to date with a folder of the server."""
        hosted = self._service.gallery(actor, Action.INDEX, name)
        if actor.cameras is not None:
            raise AccessDenied("this token may not index folders: it is limited to some cameras; upload pictures")
        folder, table = self._allowed(body.folder), None if body.table is None else self._allowed(body.table)

        def work(tell: Tell) -> dict[str, Any]:
            record_event(hosted.path, "folder indexed", folder=str(folder), prune=body.prune)
            report = hosted.open().add(
                folder,
                table=table,
                camera_from=CameraFrom(body.camera_from),
                exclude=body.exclude,
                prune=body.prune,
                prune_folders=body.prune_folders,
                again=body.again,
                on_progress=lambda at: tell(_ingest(at)),
            )
            return report.as_json()

        with acting(who):
            return self._job("index", actor, hosted, work)

    def compact(self, actor: Actor, name: str, who: Acting) -> Job:
        """Merge the small pieces on disk that many changes leave."""
        hosted = self._service.gallery(actor, Action.MANAGE, name)

        def work(_: Tell) -> dict[str, Any]:
            hosted.compact()
            return {"compacted": True}

        with acting(who):
            return self._job("compact", actor, hosted, work)

    def calibrate(self, actor: Actor, name: str, body: CalibrateBody, who: Acting) -> Job:
        """Fit the probability that a candidate is a match; see `Gallery.calibrate`."""
        hosted = self._service.gallery(actor, Action.MANAGE, name)
        folder = self._allowed(body.folder)

        def work(tell: Tell) -> dict[str, Any]:
            splits = open_data(body.data, folder).splits
            if body.split not in splits:
                raise UsageError(f"{body.data} has no split '{body.split}'; it has {', '.join(splits)}")
            record_event(hosted.path, "calibrated", data=body.data, split=body.split)
            found = hosted.open().calibrate(
                splits[body.split],
                settings=CalibrationSettings(),
                tell=lambda what, done, total: tell({"doing": what, "done": done, "total": total}),
            )
            return {"check": found.check.model_dump(mode="json", exclude={"bins"}), "doubts": list(found.warnings())}

        with acting(who):
            return self._job("calibrate", actor, hosted, work)

    def rebuild(self, actor: Actor, name: str, body: RebuildBody, who: Acting) -> Job:
        """Encode every crop anew with another model, which searches use from then on; see `Gallery.rebuild`."""
        hosted = self._service.gallery(actor, Action.MANAGE, name)
        model = str(self._allowed(body.model))

        def work(tell: Tell) -> dict[str, Any]:
            encoder = self._service.load(model)
            report = Gallery.open(hosted.path).rebuild(
                encoder,
                run=model,
                drop_missing=body.drop_missing,
                restart=body.restart,
                on_progress=lambda at: tell(asdict(at)),
            )
            hosted.rebuilt()
            return report.as_json()

        with acting(who):
            return self._job("rebuild", actor, hosted, work)

    def export(self, actor: Actor, name: str, body: ExportBody, who: Acting) -> Path:
        """Write crops to one portable file, which the caller deletes."""
        if actor.blurred and body.pictures:
            raise AccessDenied("this token sees blurred faces only; export without pictures")
        if body.crops or body.where.where() != ANYWHERE or actor.cameras is not None:
            hosted, ids = self._chosen(actor, Action.EXPORT, name, body)
        else:
            hosted, ids = self._service.gallery(actor, Action.EXPORT, name), None
        folder = self._service.state / "exports"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".pickout", delete=False) as file:
            target = Path(file.name)
        try:
            with acting(who):
                hosted.open().export(target, ids, crops=body.pictures, force=True)
        except Exception:
            target.unlink(missing_ok=True)
            raise
        return target

    def take_in(
        self, actor: Actor, name: str, file: Path, *, replace: bool, pictures: bool, again: bool, who: Acting
    ) -> Job:
        """Take the crops of an exported file into a gallery; the file is deleted after that."""
        hosted = self._service.gallery(actor, Action.MANAGE, name)

        def work(tell: Tell) -> dict[str, Any]:
            try:
                report = import_gallery(
                    file,
                    hosted.path,
                    crops_to=self._service.uploads(hosted).folder / "imported" if pictures else None,
                    replace_rows=replace,
                    again=again,
                    on_progress=lambda what, done, total: tell({"doing": what, "done": done, "total": total}),
                )
            finally:
                file.unlink(missing_ok=True)
            return report.as_json()

        with acting(who):
            return self._job("import", actor, hosted, work)

    def job(self, actor: Actor, identifier: str) -> Job:
        """A job that somebody began.

        Raises:
            NotThere: none of this id, or somebody else's.
        """
        found = self._service.jobs.get(identifier)
        if found is None or found.owner != actor.token:
            raise NotThere("no job of this id")
        return found

    def _job(self, what: str, actor: Actor, hosted: Hosted, work: Callable[[Tell], dict[str, Any]]) -> Job:
        def whole(tell: Tell) -> dict[str, Any]:
            try:
                return work(tell)
            finally:
                hosted.refresh()  # also what was committed before an error

        return self._service.jobs.start(what, hosted.name, actor.token, whole)

    def _index_upload(self, hosted: Hosted, folder: Path, tell: Tell) -> dict[str, Any]:
        uploads, gallery = self._service.uploads(hosted), hosted.open()
        record_event(hosted.path, "crops uploaded", crops=len(uploads.table(folder).read_bytes().splitlines()))
        report = gallery.add(folder, table=uploads.table(folder), on_progress=lambda at: tell(_ingest(at)))
        uploads.done(folder)
        # By their paths, not by looking through every crop of the gallery.
        ids = [row_id(file) for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
        return {**report.as_json(), "crops": list(gallery.rows(ids))}

    def _chosen(self, actor: Actor, action: Action, name: str, body: ChosenBody) -> tuple[Hosted, list[str]]:
        """Ids of the crops that are meant, each of which `actor` may see.

        Raises:
            UsageError: none was named and no filter set.
            NothingFound: none passes the filters.
        """
        hosted = self._service.gallery(actor, action, name)
        rows = hosted.rows(body.crops)
        permit(actor, action, name, [rows.get(each) for each in body.crops])
        where = body.where.where()
        if where == ANYWHERE:
            if not body.crops:
                raise UsageError("every crop would be meant; name crops or set a filter")
            return hosted, list(dict.fromkeys(body.crops))
        ids = hosted.turns.ask(lambda gallery: gallery.choose(body.crops, limited(actor, where, gallery)))
        if not ids:
            raise NothingFound("no crop passes the filters; nothing was changed")
        return hosted, ids

    def _own_camera(self, actor: Actor, camera: str | None, *, needed: bool) -> None:
        if actor.cameras is not None and (camera not in actor.cameras) and (needed or camera is not None):
            raise AccessDenied("this token is limited to some cameras; name one of them")

    def _allowed(self, place: str) -> Path:
        """A path below a folder that the server's owner allows, links followed.

        Raises:
            NotThere: it is elsewhere, or not there: the same words for both.
        """
        folders = [folder.resolve() for folder in self._service.settings.folders]
        try:
            path = Path(place).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            path = Path()
        if "\x00" in place or not any(path.is_relative_to(folder) for folder in folders):
            raise NotThere("no such path among the folders that this server may read; see 'folders' in settings.toml")
        return path


def _ingest(at: IngestProgress) -> dict[str, Any]:
    return {"done": at.done, "total": at.total, "quarantined": at.quarantined}
