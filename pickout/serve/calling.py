"""Who calls over HTTP, what for, and what may be answered instead of what was asked for."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Header, HTTPException, Query, Request, UploadFile
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.background import BackgroundTask

from pickout.errors import AccessDenied, ImageUnreadable, NotThere
from pickout.gallery.audit.log import Acting, acting
from pickout.serve import answers
from pickout.serve.access import Action, Actor
from pickout.serve.cases import Cases
from pickout.serve.guard import Measured
from pickout.serve.hosting import Hosted
from pickout.serve.jobs import Job, Result, Task, Tell
from pickout.serve.service import Service
from pickout.serve.watches import Watches


class Parts:
    """What routes use."""

    def __init__(self, service: Service, loopback: bool) -> None:
        self.service, self.loopback, self.measured, self.streams = service, loopback, Measured(), 0
        self.watches, self.cases = Watches(service), Cases(service)
        self.stopping: Callable[[], bool] = lambda: False


class Caller:
    """Who asks, and what for."""

    def __init__(self, parts: Parts, actor: Actor, purpose: str | None, authorization: str | None) -> None:
        self.parts, self.actor, self._purpose, self.authorization = parts, actor, purpose, authorization

    def own_camera(self, camera: str | None, *, needed: bool) -> None:
        """Make sure that a crop may be put to this camera; `needed`: none stated is as bad as another's."""
        if not self.actor.sees(camera) and (needed or camera is not None):
            raise AccessDenied("this token is limited to some cameras; name one of them")

    def folder(self, place: str) -> Path:
        """A path below a folder that the server's owner allows, links followed; else as if it were not there. Tokens
        of some cameras read none: nothing tells whose crops lie there."""
        if self.actor.cameras is not None:
            raise AccessDenied("this token may not read folders: it is limited to some cameras; upload instead")
        folders = [folder.resolve() for folder in self.parts.service.settings.folders]
        try:
            path = Path(place).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            path = Path()
        if "\x00" in place or not any(path.is_relative_to(folder) for folder in folders):
            raise NotThere("no such path among the folders that this server may read; see 'folders' in settings.toml")
        return path

    def who(self, *, purpose: bool = True) -> Acting:
        """For the audit; `purpose`: one is needed, since somebody is shown."""
        return self.parts.service.acting(self.actor, self._purpose, needed=purpose)


_Purpose = Annotated[str | None, Query(description="The same, where a header cannot be sent.", max_length=200)]
_Follow = Annotated[bool, Query(description="Stream how far it is, a JSON object a line; else answer at once.")]


def caller(
    request: Request,
    authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
    pickout_purpose: Annotated[str | None, Header(description="What this is for.", max_length=200)] = None,
    purpose: _Purpose = None,
) -> Caller:
    """Who asks."""
    parts: Parts = request.app.state.parts
    actor = authenticate(parts, authorization, request.client.host if request.client else "unknown")
    request.state.token = actor.token
    return Caller(parts, actor, pickout_purpose or purpose, authorization)


def authenticate(parts: Parts, authorization: str | None, address: str) -> Actor:
    """Who comes with a header, or without one."""
    scheme, _, given = (authorization or "").partition(" ")
    token = given.strip() if scheme.lower() == "bearer" else None
    return parts.service.tokens.actor(token, address, near=parts.loopback)


Called = Annotated[Caller, Depends(caller)]


def on(action: Action, *, purpose: bool = True) -> Any:
    """The gallery of a route, for what the caller may do to it; what its audit tells of the route is in his name."""

    async def reached(called: Called, gallery: str) -> AsyncIterator[Hosted]:
        hosted = called.parts.service.gallery(called.actor, action, gallery)
        with acting(called.who(purpose=purpose)):
            yield hosted

    return Depends(reached)


def stream(result: Any) -> dict[str, Any]:
    """What a route answers that begins long work with this result; `app` writes down the lines."""
    lines = {"model": result, "description": "progress, then `result` or `error`"}
    begun = {"model": answers.Begun, "description": "begun; see /v1/jobs/{job}"}
    return {"response_class": Response, "responses": {200: lines, 202: begun}}


def raw(what: str, *media_types: str) -> dict[str, Any]:
    """What a route answers that gives out something else than JSON."""
    content = {"content": {each: dict[str, Any]() for each in media_types}, "description": what}
    return {"response_class": Response, "responses": {200: content}}


_PAUSE = 0.1  # seconds between two looks at how far a job is


class Work:
    """Long work on a gallery, which goes on when nobody listens any more."""

    def __init__(self, called: Caller, hosted: Hosted, follow: bool) -> None:
        self.called, self.hosted, self._follow = called, hosted, follow

    def begin(self, what: str, work: Task, of: str | None = None) -> Response:
        """Begin it; `of` what see `Jobs.start`."""

        def whole(tell: Tell) -> Result:
            try:
                return work(tell)
            finally:
                self.hosted.refresh()  # also what was committed before an error

        job = self.called.parts.service.jobs.start(what, self.hosted.name, self.called.actor.token, whole, of)
        if not self._follow:
            return JSONResponse(job.as_json(), 202)
        return StreamingResponse(_lines(self.called, job), media_type="application/x-ndjson")


def long(action: Action, *, purpose: bool = True) -> Any:
    """The same as `on`, for long work."""

    reached = on(action, purpose=purpose)

    async def begun(called: Called, hosted: Annotated[Hosted, reached], follow: _Follow = True) -> Work:
        return Work(called, hosted, follow)

    return Depends(begun)


async def _lines(called: Caller, job: Job) -> AsyncIterator[str]:
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


def read_upload(called: Caller, file: UploadFile) -> bytes:
    """A file's bytes; refused where it is empty or larger than one picture may be."""
    largest = called.parts.service.settings.largest_file
    content = file.file.read(largest + 1)
    if len(content) > largest:
        raise HTTPException(413, f"a file is larger than {largest} bytes")
    if not content:
        raise ImageUnreadable("a file", "is empty")
    return content


@contextmanager
def temporary_file(called: Caller, kind: str) -> Iterator[Path]:
    """An empty file of the server's own, for the caller to delete unless the block raises."""
    folder = called.parts.service.state / kind
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".pickout", delete=False) as file:
        place = Path(file.name)
    try:
        yield place
    except Exception:
        place.unlink(missing_ok=True)
        raise


def sent_file(called: Caller, media_type: str, name: str, write: Callable[[Path], Any]) -> Response:
    """A file that `write` fills, deleted once it is sent; with its SHA-256 where `write` tells it."""
    with temporary_file(called, "exports") as target:
        told = write(target)
    headers = {"Pickout-SHA-256": told} if isinstance(told, str) else {}
    done = BackgroundTask(target.unlink, missing_ok=True)
    return FileResponse(target, media_type=media_type, filename=name, background=done, headers=headers)
