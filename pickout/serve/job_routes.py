"""Routes of long work on recordings, and of jobs themselves."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from pickout.errors import NotThere, UsageError
from pickout.gallery.audit.log import acting, record_event
from pickout.serve import answers
from pickout.serve.access import Action
from pickout.serve.calling import Called, Caller, Work, long, on, stream
from pickout.serve.hosting import Hosted
from pickout.serve.jobs import Job
from pickout.serve.recordings import find_people, meant_recordings
from pickout.serve.requests import Id, Name, VideoBody
from pickout.video import require_libraries

router = APIRouter(tags=["changes"])
_BYTES = {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_SENT = "/galleries/{gallery}/recordings"
Open = Annotated[Hosted, on(Action.INDEX, purpose=False)]


@router.post(_SENT, status_code=201, openapi_extra={"requestBody": _BYTES}, response_model=answers.Recording)
async def send_recording(
    called: Called,
    hosted: Annotated[Hosted, on(Action.INDEX)],
    request: Request,
    name: Annotated[Name, Query(description="What it is called; may tell camera and time.")] = "recording",
) -> dict[str, Any]:
    """Send a recording, as the request's body, to look through later. Needs a purpose; recorded."""
    try:
        kept = called.parts.service.recordings(hosted)
        identifier, told = await kept.receive(request.stream(), name, called.actor.token)
    except ClientDisconnect:
        raise HTTPException(400, "the recording did not come whole; send it again") from None
    record_event(hosted.path, "recording sent", bytes=told.bytes)
    return {"recording": identifier, **told.model_dump(mode="json", exclude={"owner"})}


@router.get(_SENT, response_model=answers.Recordings)
def recordings(called: Called, hosted: Open) -> dict[str, list[dict[str, Any]]]:
    """The recordings that this token sent and that were not looked through yet."""
    every = called.parts.service.recordings(hosted).all(called.actor)
    told = [{"recording": key, **kept.model_dump(mode="json", exclude={"owner"})} for key, kept in every.items()]
    return {"recordings": told}


@router.delete(_SENT + "/{recording}", status_code=204)
def delete_recording(called: Called, hosted: Open, recording: Id) -> None:
    """Delete a recording that was sent, and what was found in it so far. Recorded."""
    kept = called.parts.service.recordings(hosted)
    kept.own(called.actor, recording)
    if called.parts.service.jobs.busy(recording):
        raise HTTPException(409, "a job looks through this recording; cancel it first")
    record_event(hosted.path, "recording deleted")
    kept.delete(recording, found=True)


@router.post("/galleries/{gallery}/video", **stream(answers.VideoAnswer))
def video(work: Annotated[Work, long(Action.INDEX)], body: VideoBody) -> Response:
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
    found, of = meant_recordings(kept, called.actor, body, place), body.recording or str(place)
    return work.begin("video", partial(find_people, work.hosted, kept, body, found, of, service.jobs), of=of)


@router.get("/jobs/{job}", response_model=answers.JobAnswer)
def job(called: Called, job: str) -> dict[str, Any]:
    """How far a job is that this token began."""
    found = _own(called, job)
    return {**found.as_json(), "error": None if found.error is None else called.parts.service.told(found.error)}


@router.delete("/jobs/{job}", status_code=204)
def cancel(called: Called, job: str) -> None:
    """Stop a job that this token began, before its next step. What it has committed stays. Recorded."""
    found = _own(called, job)
    if not found.ended.is_set():
        with acting(called.who_without_purpose):
            record_event(called.parts.service.galleries[found.gallery].path, "job cancelled", what=found.what)
        found.cancelled.set()


def _own(called: Caller, job: str) -> Job:
    found = called.parts.service.jobs.get(job)
    if found is None or found.owner != called.actor.token:
        raise NotThere("no job of this id")
    return found
