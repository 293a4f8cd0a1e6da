"""Routes that change: crops added, described, removed, erased, taken out and in; models and calibration."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, HTTPException, Query, UploadFile
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from pydantic import TypeAdapter, ValidationError
from starlette.background import BackgroundTask

from pickout.errors import UsageError
from pickout.gallery.storage.manifest import first_fault
from pickout.gallery.storage.rows import Metadata
from pickout.serve.access import Action
from pickout.serve.calling import Called, Caller
from pickout.serve.jobs import Job
from pickout.serve.requests import CalibrateBody, ChosenBody, CropBody, ExportBody, FolderBody, RebuildBody, UpdateBody
from pickout.serve.search_routes import read_upload
from pickout.serve.uploads import Sent

router = APIRouter()
_PAUSE = 0.1
"""Seconds between two looks at how far a job is."""
_TOLD: TypeAdapter[CropBody | list[CropBody]] = TypeAdapter(CropBody | list[CropBody])
_Follow = Annotated[bool, Query(description="Stream how far it is, a JSON object a line; else answer at once.")]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-ndjson": {}}, "description": "progress, then `result` or `error`"},
    202: {"content": {"application/json": {}}, "description": "begun; see /v1/jobs/{job}"},
}


@router.post("/galleries/{gallery}/crops", tags=["changes"], response_class=Response, responses=_STREAM)
def upload(
    called: Called,
    gallery: str,
    files: Annotated[list[UploadFile], File(description="Pictures of a person each.")],
    metadata: Annotated[str, Form(description="JSON: camera, time ... of all, or a list with one for each.")] = "{}",
    follow: _Follow = True,
) -> Response:
    """Upload crops and index them. The same request again adds nothing. Needs a purpose; recorded."""
    called.parts.service.gallery(called.actor, Action.INDEX, gallery)
    told = _metadata(metadata, len(files))
    if len(files) > called.parts.service.settings.most_files:
        raise HTTPException(413, f"more than {called.parts.service.settings.most_files} files")
    sent = [Sent(read_upload(called, file), each) for file, each in zip(files, told, strict=True)]
    return _followed(called, called.parts.changes.upload(called.actor, gallery, sent, called.who), follow=follow)


@router.post("/galleries/{gallery}/index", tags=["changes"], response_class=Response, responses=_STREAM)
def index(called: Called, gallery: str, body: FolderBody, follow: _Follow = True) -> Response:
    """Bring a gallery up to date with a folder on the server, below one that its owner allows."""
    return _followed(called, called.parts.changes.index(called.actor, gallery, body, called.who), follow=follow)


@router.post("/galleries/{gallery}/update", tags=["changes"])
def update(called: Called, gallery: str, body: UpdateBody) -> dict[str, Any]:
    """Tell more about crops; nothing is encoded again."""
    return called.parts.changes.update(called.actor, gallery, body, called.who)


@router.post("/galleries/{gallery}/remove", tags=["changes"])
def remove(called: Called, gallery: str, body: ChosenBody) -> dict[str, Any]:
    """Take crops out. They are found no more; `erase` also deletes their bytes."""
    return called.parts.changes.remove(called.actor, gallery, body, called.who)


@router.post("/galleries/{gallery}/erase", tags=["changes"])
def erase(called: Called, gallery: str, body: ChosenBody) -> dict[str, Any]:
    """Take crops out and delete every trace of them, also the pictures where they were uploaded here."""
    return called.parts.changes.erase(called.actor, gallery, body, called.who)


@router.post("/galleries/{gallery}/compact", tags=["changes"], response_class=Response, responses=_STREAM)
def compact(called: Called, gallery: str, follow: _Follow = True) -> Response:
    """Merge the small pieces on disk that many changes leave; one process at a time."""
    return _followed(called, called.parts.changes.compact(called.actor, gallery, called.who), follow=follow)


@router.post("/galleries/{gallery}/calibrate", tags=["changes"], response_class=Response, responses=_STREAM)
def calibrate(called: Called, gallery: str, body: CalibrateBody, follow: _Follow = True) -> Response:
    """Fit the probability that a candidate is a match, on people of a data set on the server."""
    return _followed(called, called.parts.changes.calibrate(called.actor, gallery, body, called.who), follow=follow)


@router.post("/galleries/{gallery}/rebuild", tags=["changes"], response_class=Response, responses=_STREAM)
def rebuild(called: Called, gallery: str, body: RebuildBody, follow: _Follow = True) -> Response:
    """Encode every crop anew with another model on the server; searches go on meanwhile."""
    return _followed(called, called.parts.changes.rebuild(called.actor, gallery, body, called.who), follow=follow)


@router.post(
    "/galleries/{gallery}/export",
    tags=["changes"],
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "a portable gallery"}},
)
def export(called: Called, gallery: str, body: ExportBody) -> FileResponse:
    """Crops in one portable file, as `pickout gallery import` reads it. Needs a purpose; recorded."""
    file = called.parts.changes.export(called.actor, gallery, body, called.who)
    done = BackgroundTask(file.unlink, missing_ok=True)
    return FileResponse(file, media_type="application/octet-stream", filename=f"{gallery}.pickout", background=done)


@router.post("/galleries/{gallery}/import", tags=["changes"], response_class=Response, responses=_STREAM)
def take_in(
    called: Called,
    gallery: str,
    file: Annotated[UploadFile, File(description="A portable gallery.")],
    replace: Annotated[bool, Query(description="Whether its rows always take the place of the gallery's.")] = False,
    pictures: Annotated[bool, Query(description="Whether its pictures are kept by the server.")] = False,
    again: Annotated[bool, Query(description="Take back crops that were erased; without, they stay so.")] = False,
    follow: _Follow = True,
) -> Response:
    """Take the crops of an exported file into a gallery of the same model."""
    called.parts.service.gallery(called.actor, Action.MANAGE, gallery)
    who, folder = called.who, called.parts.service.state / "imports"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".pickout", delete=False) as kept:
        shutil.copyfileobj(file.file, kept)
    changes, source = called.parts.changes, Path(kept.name)
    job = changes.take_in(called.actor, gallery, source, replace=replace, pictures=pictures, again=again, who=who)
    return _followed(called, job, follow=follow)


@router.get("/jobs/{job}", tags=["changes"])
def job(called: Called, job: str) -> dict[str, Any]:
    """How far a job is that this token began."""
    found = called.parts.changes.job(called.actor, job)
    return {**found.as_json(), "error": None if found.error is None else called.parts.service.told(found.error)}


def _followed(called: Caller, job: Job, *, follow: bool) -> Response:
    if not follow:
        return JSONResponse(job.as_json(), 202)
    return StreamingResponse(_lines(called, job), media_type="application/x-ndjson")


async def _lines(called: Caller, job: Job) -> AsyncIterator[str]:
    """How far it is, then what came of it. The job goes on when nobody listens any more."""
    yield json.dumps({"job": job.id}) + "\n"
    before: dict[str, Any] = {}
    while not job.ended.is_set():
        if job.progress != before:
            before = job.progress
            yield json.dumps({"progress": before}) + "\n"
        await asyncio.sleep(_PAUSE)
    if job.error is None:
        yield json.dumps({"result": job.result}) + "\n"
    else:
        yield json.dumps({"error": called.parts.service.told(job.error), "kind": type(job.error).__name__}) + "\n"


def _metadata(text: str, files: int) -> list[Metadata]:
    """What is told about each file.

    Raises:
        UsageError: this is no JSON of that, or for another number of files.
    """
    try:
        told = _TOLD.validate_json(text)
    except ValidationError as error:
        raise UsageError(f"metadata: {first_fault(error)[:300]}") from None
    every = told if isinstance(told, list) else [told] * files
    if len(every) != files:
        raise UsageError(f"metadata of {len(every)} files, but {files} were sent")
    return [each.told() for each in every]
