"""Routes that change: crops added, described, removed, erased, taken out and in; models and calibration."""

import shutil
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, HTTPException, Query, UploadFile
from fastapi.responses import FileResponse, Response
from pydantic import TypeAdapter, ValidationError
from starlette.background import BackgroundTask

from pickout.errors import AccessDenied, NothingFound, UsageError
from pickout.gallery.audit.log import acting, record_event
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.intake.report import IngestReport
from pickout.gallery.portable.reader import ImportReport, import_gallery
from pickout.gallery.search.filters import ANYWHERE
from pickout.gallery.storage.rows import Metadata
from pickout.gallery.storage.tables import first_fault
from pickout.serve import answers
from pickout.serve.access import Action, permit
from pickout.serve.calling import Called, Caller, Follow, followed, read_upload, stream, temporary_file
from pickout.serve.hosting import Hosted
from pickout.serve.jobs import Tell
from pickout.serve.requests import ChosenBody, CropBody, ExportBody, FolderBody, UpdateBody
from pickout.serve.retention import Retention
from pickout.serve.sample import add_sample
from pickout.serve.service import limited
from pickout.serve.uploads import Sent, index_upload, told_progress, told_steps

router = APIRouter()
_TOLD: TypeAdapter[CropBody | list[CropBody]] = TypeAdapter(CropBody | list[CropBody])


@router.post(
    "/galleries/{gallery}/crops", tags=["changes"], response_class=Response, responses=stream(answers.Uploaded)
)
def upload(
    called: Called,
    gallery: str,
    files: Annotated[list[UploadFile], File(description="Pictures of a person each.")],
    metadata: Annotated[str, Form(description="JSON: camera, time ... of all, or a list with one for each.")] = "{}",
    follow: Follow = True,
) -> Response:
    """Upload crops and index them. The same request again adds nothing. Needs a purpose; recorded."""
    hosted, who = called.gallery(Action.INDEX, gallery), called.who
    told, most = _metadata(metadata, len(files)), called.parts.service.settings.most_files
    if len(files) > most:
        raise HTTPException(413, f"more than {most} files")
    for each in told:
        called.own_camera(each.camera, needed=True)
    sent = [Sent(read_upload(called, file), each) for file, each in zip(files, told, strict=True)]
    folder = called.parts.service.uploads(hosted).keep(sent)
    with acting(who):
        return followed(called, hosted, "upload", lambda tell: index_upload(folder, hosted, tell), follow)


@router.post("/galleries/{gallery}/index", tags=["changes"], response_class=Response, responses=stream(IngestReport))
def index(called: Called, gallery: str, body: FolderBody, follow: Follow = True) -> Response:
    """Bring a gallery up to date with a folder on the server, below one that its owner allows."""
    hosted = called.gallery(Action.INDEX, gallery)
    folder, table = called.folder(body.folder), None if body.table is None else called.folder(body.table)
    how = body.model_dump(exclude={"folder", "table", "camera_from"})

    def work(tell: Tell) -> dict[str, Any]:
        record_event(hosted.path, "folder indexed", folder=str(folder), prune=body.prune)
        camera_from, on_progress = CameraFrom(body.camera_from), lambda at: tell(told_progress(at))
        return hosted.open().add(folder, table=table, camera_from=camera_from, on_progress=on_progress, **how).as_json()

    with acting(called.who):
        return followed(called, hosted, "index", work, follow)


@router.post("/galleries/{gallery}/sample", tags=["changes"], response_class=Response, responses=stream(answers.Drawn))
def sample(called: Called, gallery: str, follow: Follow = True) -> Response:
    """Put drawn people into an empty gallery, to try it on. Needs a purpose; recorded."""
    hosted = called.gallery(Action.INDEX, gallery)
    if called.actor.cameras is not None:
        raise AccessDenied("this token may not draw people: it is limited to some cameras")

    def work(tell: Tell) -> dict[str, Any]:
        opened = hosted.open()
        if opened.count():
            raise UsageError("drawn people are put into an empty gallery only, so that nobody takes one for a person")
        record_event(hosted.path, "drawn people added")
        return {"crops": add_sample(opened, called.parts.service.uploads(hosted).folder / "drawn", told_steps(tell))}

    with acting(called.who):
        return followed(called, hosted, "sample", work, follow)


@router.post("/galleries/{gallery}/update", tags=["changes"], response_model=answers.Updated)
def update(called: Called, gallery: str, body: UpdateBody) -> dict[str, Any]:
    """Tell more about crops; nothing is encoded again."""
    told = body.told()
    hosted, ids = _chosen(called, Action.INDEX, gallery, body)
    called.own_camera(told.camera, needed=False)
    with acting(called.who):
        rows = hosted.open().update(ids, told).rows
    hosted.refresh()
    return {"updated": rows}


@router.post("/galleries/{gallery}/remove", tags=["changes"], response_model=answers.Removed)
def remove(called: Called, gallery: str, body: ChosenBody) -> dict[str, Any]:
    """Take crops out. They are found no more; `erase` also deletes their bytes."""
    hosted, ids = _chosen(called, Action.ERASE, gallery, body)
    with acting(called.who):
        hosted.turns.ask(lambda opened: Retention(opened).refuse_held(ids))
        rows = hosted.open().remove(ids).rows
    hosted.refresh()
    return {"removed": rows}


@router.post("/galleries/{gallery}/erase", tags=["changes"], response_model=answers.Erased)
def erase(called: Called, gallery: str, body: ChosenBody) -> dict[str, Any]:
    """Take crops out and delete every trace of them, also the pictures where they were uploaded here."""
    hosted, ids = _chosen(called, Action.ERASE, gallery, body)
    with acting(called.who):
        hosted.turns.ask(lambda opened: Retention(opened).refuse_held(ids))
        change = called.parts.service.erase(hosted, ids)
    return {"erased": change.rows, "searches_removed": list(change.searches)}


@router.post(
    "/galleries/{gallery}/export",
    tags=["changes"],
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "a portable gallery"}},
)
def export(called: Called, gallery: str, body: ExportBody) -> FileResponse:
    """Crops in one portable file, as `pickout gallery import` reads it. Needs a purpose; recorded."""
    if called.actor.blurred and body.pictures:
        raise AccessDenied("this token sees blurred faces only; export without pictures")
    hosted, ids = called.gallery(Action.EXPORT, gallery), None
    if body.crops or body.where.where() != ANYWHERE or called.actor.cameras is not None:
        ids = _chosen(called, Action.EXPORT, gallery, body)[1]
    who = called.who
    target = temporary_file(called, "exports")
    try:
        with acting(who):
            hosted.open().export(target, ids, crops=body.pictures, force=True)
    except Exception:
        target.unlink(missing_ok=True)
        raise
    done = BackgroundTask(target.unlink, missing_ok=True)
    return FileResponse(target, media_type="application/octet-stream", filename=f"{gallery}.pickout", background=done)


@router.post("/galleries/{gallery}/import", tags=["changes"], response_class=Response, responses=stream(ImportReport))
def take_in(
    called: Called,
    gallery: str,
    file: Annotated[UploadFile, File(description="A portable gallery.")],
    replace: Annotated[bool, Query(description="Whether its rows always take the place of the gallery's.")] = False,
    pictures: Annotated[bool, Query(description="Whether its pictures are kept by the server.")] = False,
    again: Annotated[bool, Query(description="Take back crops that were erased; without, they stay so.")] = False,
    follow: Follow = True,
) -> Response:
    """Take the crops of an exported file into a gallery of the same model."""
    hosted, who = called.gallery(Action.MANAGE, gallery), called.who
    source = temporary_file(called, "imports")
    with source.open("wb") as kept:
        shutil.copyfileobj(file.file, kept)
    crops_to = called.parts.service.uploads(hosted).folder / "imported" if pictures else None

    def work(tell: Tell) -> dict[str, Any]:
        how = {"crops_to": crops_to, "replace_rows": replace, "again": again, "on_progress": told_steps(tell)}
        try:
            return import_gallery(source, hosted.path, **how).as_json()
        finally:
            source.unlink(missing_ok=True)

    with acting(who):
        return followed(called, hosted, "import", work, follow)


def _metadata(text: str, files: int) -> list[Metadata]:
    """What is told about each file."""
    try:
        told = _TOLD.validate_json(text)
    except ValidationError as error:
        raise UsageError(f"metadata: {first_fault(error)[:300]}") from None
    every = told if isinstance(told, list) else [told] * files
    if len(every) != files:
        raise UsageError(f"metadata of {len(every)} files, but {files} were sent")
    return [each.told() for each in every]


def _chosen(called: Caller, action: Action, name: str, body: ChosenBody) -> tuple[Hosted, Sequence[str]]:
    """Ids of the crops that are meant, each of which the caller may see."""
    hosted = called.gallery(action, name)
    permit(called.actor, action, name, hosted.found(body.crops))
    where = body.where.where()
    if where == ANYWHERE:
        if not body.crops:
            raise UsageError("every crop would be meant; name crops or set a filter")
        return hosted, list(dict.fromkeys(body.crops))
    ids = hosted.turns.ask(lambda gallery: gallery.choose(body.crops, limited(called.actor, where, gallery)))
    if not ids:
        raise NothingFound("no crop passes the filters; nothing was changed")
    return hosted, ids
