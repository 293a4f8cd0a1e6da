"""Routes that change: crops added, described, removed, erased, taken out and in; recordings; and jobs themselves."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePath
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from pickout.errors import AccessDenied, DataError, GalleryModelMismatch, NothingFound, PickoutError, UsageError
from pickout.files import storage_errors
from pickout.gallery.audit.log import acting, record_event
from pickout.gallery.intake.report import IngestReport
from pickout.gallery.intake.scan import Scan
from pickout.gallery.portable.contents import opened
from pickout.gallery.portable.reader import ImportReport, import_gallery
from pickout.gallery.search.filters import ANYWHERE
from pickout.gallery.storage.rows import Metadata
from pickout.serve import answers
from pickout.serve.access import Action, permit
from pickout.serve.calling import Called, Caller, Work, long, on, raw, read_upload, sent_file, stream, temporary_file
from pickout.serve.hosting import Hosted
from pickout.serve.jobs import Tell
from pickout.serve.requests import ChosenBody, CropBody, ExportBody, FolderBody, Id, Name, UpdateBody, VideoBody
from pickout.serve.sample import add_sample
from pickout.serve.service import limited
from pickout.serve.uploads import index_upload, told_progress, told_steps
from pickout.video import require_libraries

router = APIRouter(prefix="/galleries/{gallery}", tags=["changes"])
jobs = APIRouter(prefix="/jobs", tags=["changes"])
_TOLD: TypeAdapter[CropBody | list[CropBody]] = TypeAdapter(CropBody | list[CropBody])
_BYTES = {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
Indexing = Annotated[Work, long(Action.INDEX)]
Changed = Annotated[Hosted, on(Action.INDEX)]
Open = Annotated[Hosted, on(Action.INDEX, purpose=False)]
_Title = Annotated[Name, Query(description="What it is called; may tell camera and time.")]


@router.post("/crops", **stream(answers.Uploaded))
def upload(
    work: Indexing,
    files: Annotated[list[UploadFile], File(description="Pictures of a person each.")],
    metadata: Annotated[str, Form(description="JSON: camera, time ... of all, or a list with one for each.")] = "{}",
) -> Response:
    """Upload crops and index them. The same request again adds nothing. Needs a purpose; recorded."""
    called, hosted = work.called, work.hosted
    told, most = _metadata(metadata, len(files)), called.parts.service.settings.most_files
    if len(files) > most:
        raise HTTPException(413, f"more than {most} files")
    for each in told:
        called.own_camera(each.camera, needed=True)
    sent = [(read_upload(called, file), each) for file, each in zip(files, told, strict=True)]
    with called.parts.service.uploads(hosted).keep(sent) as folder:
        return work.begin("upload", lambda tell: index_upload(folder, hosted, tell))


@router.post("/index", **stream(IngestReport))
def index(work: Indexing, body: FolderBody) -> Response:
    """Bring a gallery up to date with a folder on the server, below one that its owner allows."""
    hosted, allowed = work.hosted, work.called.folder
    folder, table = allowed(body.folder), None if body.table is None else allowed(body.table)
    how = {**body.model_dump(exclude={"folder"}), "table": table}
    Scan(folder, body.exclude)  # a wrong pattern is told before the work begins

    def add(tell: Tell) -> dict[str, Any]:
        record_event(hosted.path, "folder indexed", folder=str(folder), prune=body.prune)
        return hosted.open().add(folder, on_progress=lambda at: tell(told_progress(at)), **how).as_json()

    return work.begin("index", add)


@router.post("/sample", **stream(answers.Drawn))
def sample(work: Indexing) -> Response:
    """Put drawn people into an empty gallery, to try it on. Needs a purpose; recorded."""
    hosted, service = work.hosted, work.called.parts.service
    if work.called.actor.cameras is not None:
        raise AccessDenied("this token may not draw people: it is limited to some cameras")

    def draw(tell: Tell) -> dict[str, Any]:
        opened = hosted.open()
        if opened.count():
            raise UsageError("drawn people are put into an empty gallery only, so that nobody takes one for a person")
        record_event(hosted.path, "drawn people added")
        return {"crops": add_sample(opened, service.uploads(hosted).folder / "drawn", told_steps(tell))}

    return work.begin("sample", draw)


@router.post("/update", response_model=answers.Updated)
def update(called: Called, hosted: Changed, body: UpdateBody) -> dict[str, Any]:
    """Tell more about crops; nothing is encoded again."""
    told, ids = body.told(), _chosen(called, Action.INDEX, hosted, body)
    called.own_camera(told.camera, needed="camera" in body.forget)
    rows = hosted.open().update(ids, told, forget=body.forget).rows
    hosted.refresh()
    return {"updated": rows}


@router.post("/remove", response_model=answers.Removed)
def remove(called: Called, hosted: Annotated[Hosted, on(Action.ERASE)], body: ChosenBody) -> dict[str, Any]:
    """Take crops out. They are found no more; `erase` also deletes their bytes."""
    ids = _chosen(called, Action.ERASE, hosted, body)
    rows = hosted.open().remove(ids).rows
    hosted.refresh()
    return {"removed": rows}


@router.post("/erase", response_model=answers.Erased)
def erase(called: Called, hosted: Annotated[Hosted, on(Action.ERASE)], body: ChosenBody) -> dict[str, Any]:
    """Take crops out and delete every trace of them, also the pictures where they were uploaded here."""
    ids = _chosen(called, Action.ERASE, hosted, body)
    change = called.parts.service.erase(hosted, ids)
    return {"erased": change.rows, "searches_removed": list(change.searches)}


@router.post("/export", **raw("a portable gallery", "application/octet-stream"))
def export(called: Called, hosted: Annotated[Hosted, on(Action.EXPORT)], body: ExportBody) -> Response:
    """Crops in one portable file, as `pickout gallery import` reads it. Needs a purpose; recorded."""
    if called.actor.blurred and body.pictures:
        raise AccessDenied("this token sees blurred faces only; export without pictures")
    every = not body.crops and body.where.where() == ANYWHERE and called.actor.cameras is None
    ids = None if every else _chosen(called, Action.EXPORT, hosted, body)
    write = partial(hosted.open().export, ids=ids, crops=body.pictures, force=True)
    return sent_file(called, "application/octet-stream", f"{hosted.name}.pickout", write)


@router.post("/import", **stream(ImportReport))
def take_in(
    work: Annotated[Work, long(Action.MANAGE)],
    file: Annotated[UploadFile, File(description="A portable gallery.")],
    replace: Annotated[bool, Query(description="Whether its rows always take the place of the gallery's.")] = False,
    pictures: Annotated[bool, Query(description="Whether its pictures are kept by the server.")] = False,
    again: Annotated[bool, Query(description="Take back crops that were erased; without, they stay so.")] = False,
) -> Response:
    """Take the crops of an exported file into a gallery of the same model."""
    name = PurePath(file.filename or "").name[:100] or "the file"
    with temporary_file(work.called, "imports") as source:
        with storage_errors(source), source.open("wb") as kept:
            shutil.copyfileobj(file.file, kept)
        with _as_sent(source, name), opened(source):
            pass  # what is no export at all is refused before the work begins
        crops_to = work.called.parts.service.uploads(work.hosted).folder / "imported" if pictures else None
        how: dict[str, Any] = {"crops_to": crops_to, "replace_rows": replace, "again": again}

        def take(tell: Tell) -> dict[str, Any]:
            try:
                with _as_sent(source, name):
                    return import_gallery(source, work.hosted.path, on_progress=told_steps(tell), **how).as_json()
            finally:
                source.unlink(missing_ok=True)

        return work.begin("import", take)


@router.post("/recordings", status_code=201, openapi_extra={"requestBody": _BYTES}, response_model=answers.Recording)
async def send_recording(called: Called, hosted: Changed, sent: Request, name: _Title = "recording") -> dict[str, Any]:
    """Send a recording, as the request's body, to look through later. Needs a purpose; recorded."""
    try:
        kept = called.parts.service.recordings(hosted)
        identifier, told = await kept.receive(sent.stream(), name, called.actor.token)
    except ClientDisconnect:
        raise HTTPException(400, "the recording did not come whole; send it again") from None
    record_event(hosted.path, "recording sent", bytes=told.bytes)
    return {"recording": identifier, **told.model_dump(mode="json", exclude={"owner"})}


@router.get("/recordings", response_model=answers.Recordings)
def recordings(called: Called, hosted: Open) -> dict[str, list[dict[str, Any]]]:
    """The recordings that this token sent and that were not looked through yet."""
    every = called.parts.service.recordings(hosted).all(called.actor)
    told = [{"recording": key, **kept.model_dump(mode="json", exclude={"owner"})} for key, kept in every.items()]
    return {"recordings": told}


@router.delete("/recordings/{recording}", status_code=204)
def delete_recording(called: Called, hosted: Open, recording: Id) -> None:
    """Delete a recording that was sent, and what was found in it so far. Recorded."""
    kept = called.parts.service.recordings(hosted)
    kept.own(called.actor, recording)
    if called.parts.service.jobs.busy(recording):
        raise HTTPException(409, "a job looks through this recording; cancel it first")
    record_event(hosted.path, "recording deleted")
    kept.delete(recording, found=True)


@router.post("/video", **stream(answers.VideoAnswer))
def video(work: Indexing, body: VideoBody) -> Response:
    """Find the people in recordings and index the best crops of each, with camera, time, track and box. A recording
    that was sent is deleted after that; a job that was stopped goes on when it is begun again. Needs a purpose;
    recorded."""
    called, service = work.called, work.called.parts.service
    kept, place = service.recordings(work.hosted), None
    if (body.recording is None) == (body.folder is None):
        raise UsageError("give a recording that was sent, or a folder of the server")
    called.own_camera(body.camera, needed=True)
    if body.recording is not None:
        kept.own(called.actor, body.recording)
    if body.folder is not None:
        place = called.folder(body.folder)
    if body.detector.endswith(".onnx"):
        body = body.model_copy(update={"detector": str(called.folder(body.detector))})
    require_libraries()
    found, of = kept.meant(called.actor, body, place), body.recording or str(place)
    return work.begin("video", partial(kept.find, body, found, of, service.jobs), of=of)


@jobs.get("/{job}", response_model=answers.JobAnswer)
def job(called: Called, job: str) -> dict[str, Any]:
    """How far a job is that this token began."""
    found = called.parts.service.jobs.own(job, called.actor.token)
    return {**found.as_json(), "error": None if found.error is None else called.parts.service.told(found.error)}


@jobs.delete("/{job}", status_code=204)
def cancel(called: Called, job: str) -> None:
    """Stop a job that this token began, before its next step. What it has committed stays. Recorded."""
    found = called.parts.service.jobs.own(job, called.actor.token)
    if not found.ended.is_set():
        with acting(called.who(purpose=False)):
            record_event(called.parts.service.galleries[found.gallery].path, "job cancelled", what=found.what)
        found.cancelled.set()


@contextmanager
def _as_sent(kept: Path, name: str) -> Iterator[None]:
    """What is wrong with a file that a client sent is told as his, by the name that it has there."""
    try:
        yield
    except PickoutError as error:
        if str(kept) not in str(error):
            raise
        kind = GalleryModelMismatch if isinstance(error, GalleryModelMismatch) else DataError
        raise kind(str(error).replace(str(kept), name)) from error


def _metadata(text: str, files: int) -> list[Metadata]:
    """What is told about each file."""
    try:
        told = _TOLD.validate_json(text)
    except ValidationError as error:
        faults = [{**each, "loc": ("metadata", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(faults) from None  # told as that of any body
    every = told if isinstance(told, list) else [told] * files
    if len(every) != files:
        raise UsageError(f"metadata of {len(every)} files, but {files} were sent")
    return [each.told() for each in every]


def _chosen(called: Caller, action: Action, hosted: Hosted, body: ChosenBody) -> Sequence[str]:
    """Ids of the crops that are meant, each of which the caller may see."""
    permit(called.actor, action, hosted.name, hosted.found(body.crops))
    where = body.where.where()
    if where == ANYWHERE:
        if not body.crops:
            raise UsageError("every crop would be meant; name crops or set a filter")
        return list(dict.fromkeys(body.crops))
    ids = hosted.turns.ask(lambda gallery: gallery.choose(body.crops, limited(called.actor, where, gallery)))
    if not ids:
        raise NothingFound("no crop passes the filters; nothing was changed")
    return ids
