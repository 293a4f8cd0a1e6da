"""Routes that look: galleries, searches, crops, explanations, watches, the server itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, File, Header, Query, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool

from pickout.errors import PickoutError, ServerBusy
from pickout.gallery.audit.log import record_event
from pickout.serve import answers
from pickout.serve.access import Action, permit
from pickout.serve.blurring import blurred_jpeg
from pickout.serve.calling import Called, authenticate, on, raw, read_upload
from pickout.serve.crops import draw_frame, explained, own_picture, seen_row, told_row
from pickout.serve.database import now
from pickout.serve.hosting import Hosted
from pickout.serve.requests import Id, SaveBody, SearchBody, SentenceBody, WatchBody
from pickout.serve.service import parsed

router = APIRouter()
_STREAMS = 100  # streams of alarms that may be open
Searched = Annotated[Hosted, on(Action.SEARCH, purpose=False)]
Seen = Annotated[Hosted, on(Action.IMAGE, purpose=False)]
Looked = Annotated[Hosted, on(Action.IMAGE)]
Explained = Annotated[Hosted, on(Action.EXPLAIN)]
Watched = Annotated[Hosted, on(Action.WATCH, purpose=False)]
_Blur = Annotated[bool, Query(description="Whether faces are blurred.")]
_Number = Annotated[int, Query(ge=0, lt=2**63)]
_Last = Annotated[int, Header(ge=0, lt=2**63)]
_PICTURE, _EVENTS = raw("a picture", "image/*"), raw("alarms as they come", "text/event-stream")
_FOUND: dict[str, Any] = {"response_model": answers.SearchAnswer, "response_model_exclude_unset": True}


@router.get("/health", tags=["server"], response_model=answers.Status)
async def health() -> dict[str, str]:
    """Whether the server runs. Needs no token."""
    return {"status": "running"}


@router.get("/ready", tags=["server"], response_model=answers.Status)
async def ready(called: Called) -> JSONResponse:
    """Whether every gallery answers."""
    parts = called.parts
    for hosted in parts.service.galleries.values():
        await run_in_threadpool(hosted.turns.ask, lambda gallery: gallery.count())
    stopping = parts.stopping()
    return JSONResponse({"status": "stopping" if stopping else "ready"}, 503 if stopping else 200)


@router.get("/metrics", tags=["server"], response_class=PlainTextResponse)
def metrics(called: Called) -> Response:
    """Counts and times, in the text format of Prometheus."""
    permit(called.actor, Action.SERVER)
    measured, service = called.parts.measured, called.parts.service
    for name, hosted in service.galleries.items():
        measured.waiting.labels(name).set(hosted.turns.waiting)
    measured.jobs.set(service.jobs.running)
    return Response(generate_latest(measured.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/me", tags=["access"], response_model=answers.Me)
def me(called: Called) -> dict[str, Any]:
    """What the token may do."""
    actor = called.actor
    told: dict[str, Any] = {"name": actor.name, "user": called.parts.service.who(actor), "blurred": actor.blurred}
    for name in ("roles", "cameras", "galleries"):
        values = getattr(actor, name)
        told[name] = None if values is None else sorted(values)
    return {**told, "expires": None if actor.expires is None else actor.expires.isoformat()}


@router.get("/galleries", tags=["search"], response_model=answers.Galleries)
def galleries(called: Called) -> dict[str, list[str]]:
    """The galleries that the token may see."""
    return {"galleries": called.parts.service.visible(called.actor)}


@router.get("/galleries/{gallery}", tags=["search"], response_model=answers.GalleryAnswer)
def describe(called: Called, hosted: Searched) -> dict[str, Any]:
    """What a gallery holds: crops, and how many have each camera, track, video and label."""
    return called.parts.service.describe(called.actor, hosted)


@router.post("/galleries/{gallery}/parse", tags=["search"], response_model=answers.ParseAnswer)
def parse(called: Called, hosted: Searched, body: SentenceBody) -> dict[str, Any]:
    """Read a sentence for its filters, to be shown and changed before a search. What is not certain stays in it."""
    return hosted.turns.ask(lambda gallery: parsed(called.actor, gallery, body.sentence, body.now)).as_json()


@router.post("/galleries/{gallery}/search", tags=["search"], **_FOUND)
async def search(called: Called, hosted: Searched, body: SearchBody) -> dict[str, Any]:
    """The crops that fit best: candidates for a person to check. Needs a purpose; recorded."""
    parts, who = called.parts, called.who()
    if body.case is not None:
        await run_in_threadpool(parts.cases.own, called.actor, hosted, body.case)
    answer, tell = parts.service.search(called.actor, hosted, body, who)
    given = await asyncio.wrap_future(answer)
    told = await run_in_threadpool(tell, given) if body.thumbnails else tell(given)
    if body.case is not None:
        await run_in_threadpool(parts.cases.searched, body.case, who, told)
    return told


@router.post("/galleries/{gallery}/pictures", tags=["search"], status_code=201, response_model=answers.PictureAnswer)
def keep_picture(called: Called, hosted: Searched, file: Annotated[UploadFile, File()]) -> dict[str, str]:
    """Upload a picture to search with; it is kept for a quarter of an hour, for this token only."""
    del hosted
    return {"picture": called.parts.service.pictures.keep(called.actor.token, read_upload(called, file))}


@router.get("/galleries/{gallery}/crops/{crop}", tags=["search"], response_model=answers.Crop)
def crop(called: Called, hosted: Seen, crop: Id) -> dict[str, Any]:
    """What is known about a crop."""
    return told_row(seen_row(called.actor, hosted, crop))


@router.get("/galleries/{gallery}/crops/{crop}/thumbnail", tags=["search"], **_PICTURE)
def thumbnail(called: Called, hosted: Seen, crop: Id, blur: _Blur = False) -> Response:
    """A crop's small picture."""
    content = seen_row(called.actor, hosted, crop).thumbnail
    return Response(blurred_jpeg(content) if blur or called.actor.blurred else content, media_type="image/jpeg")


@router.get("/galleries/{gallery}/crops/{crop}/original", tags=["search"], **_PICTURE)
def original(called: Called, hosted: Looked, crop: Id, blur: _Blur = False) -> Response:
    """A crop's own file, if it is still the one that was indexed. Needs a purpose; recorded."""
    content, media_type = own_picture(called.actor, hosted, crop, blur=blur)
    ending = media_type.rpartition("/")[2]
    named = {"Content-Disposition": f'inline; filename="{crop}.{ending}"'}
    return Response(content, media_type=media_type, headers=named)


@router.get("/galleries/{gallery}/crops/{crop}/frame", tags=["search"], **_PICTURE)
def frame(called: Called, hosted: Looked, crop: Id, blur: _Blur = False) -> Response:
    """The frame that a crop was cut from, with its box, where the recording is at hand. Needs a purpose; recorded."""
    row, settings = seen_row(called.actor, hosted, crop), called.parts.service.settings
    return Response(draw_frame(called.actor, hosted, row, settings, blur=blur), media_type="image/jpeg")


@router.post("/galleries/{gallery}/crops/{crop}/explain", tags=["search"], response_model=answers.Explanation)
def explain(called: Called, hosted: Explained, crop: Id, body: SentenceBody) -> dict[str, Any]:
    """Why a crop has its score for a sentence. Needs a purpose; recorded."""
    return explained(called.parts.service, called.actor, hosted, crop, body.sentence)


@router.get("/galleries/{gallery}/saved", tags=["saved searches"], response_model=answers.SavedSearches)
def saved(called: Called, hosted: Searched) -> dict[str, list[dict[str, Any]]]:
    """The searches that are kept. Run one by its name: `saved` in a search."""
    return {"saved": called.parts.service.saved(called.actor, hosted)}


@router.post("/galleries/{gallery}/saved", tags=["saved searches"], status_code=201, response_model=answers.Saved)
def save(called: Called, hosted: Searched, body: SaveBody) -> dict[str, str]:
    """Keep a search under a name."""
    called.parts.service.save(called.actor, hosted, body)
    return {"saved": body.name}


@router.delete("/galleries/{gallery}/saved/{name:path}", tags=["saved searches"], status_code=204)
def forget(called: Called, hosted: Annotated[Hosted, on(Action.SEARCH)], name: str) -> None:
    """Forget a saved search. Recorded."""
    called.parts.service.saved_parts(called.actor, hosted, name)
    record_event(hosted.path, "saved search deleted", name=name)
    hosted.open().saved.remove(name)


@router.get("/galleries/{gallery}/watches", tags=["watches"], response_model=answers.Watches)
def watches(called: Called, hosted: Watched) -> dict[str, list[dict[str, Any]]]:
    """One's own watches, and what each can promise."""
    return {"watches": called.parts.watches.all(called.actor, hosted)}


@router.post("/galleries/{gallery}/watches", tags=["watches"], status_code=201, response_model=answers.NewWatch)
def watch(called: Called, hosted: Annotated[Hosted, on(Action.WATCH)], body: WatchBody) -> dict[str, Any]:
    """Ask a saved search of each crop that comes from now on. Needs a purpose; recorded."""
    return called.parts.watches.create(called.actor, hosted, body, called.who().purpose)


@router.delete("/galleries/{gallery}/watches/{name:path}", tags=["watches"], status_code=204)
def unwatch(called: Called, hosted: Watched, name: str) -> None:
    """Ask no more, and forget what was found. Recorded."""
    called.parts.watches.delete(called.actor, hosted, name)


@router.get("/galleries/{gallery}/watches/{name:path}/alarms", tags=["watches"], response_model=answers.Alarms)
def alarms(called: Called, hosted: Watched, name: str, after: _Number = 0) -> dict[str, list[dict[str, Any]]]:
    """What a watch found, oldest first; at most 1000, after the alarm of that number."""
    return {"alarms": called.parts.watches.alarms(called.actor, hosted, name, after)}


@router.get("/galleries/{gallery}/watches/{name:path}/events", tags=["watches"], **_EVENTS)
def events(called: Called, hosted: Watched, name: str, last_event_id: _Last = 0) -> StreamingResponse:
    """Alarms as they come, as server-sent events; after a break they go on behind `Last-Event-ID`."""
    parts = called.parts
    parts.watches.alarms(called.actor, hosted, name, last_event_id)  # told as an error before the stream begins
    if parts.streams >= _STREAMS:
        raise ServerBusy(f"{_STREAMS} streams are open; use the list of alarms", 60)

    async def come() -> AsyncIterator[str]:
        after = last_event_id
        parts.streams += 1
        try:
            yield f": alarms of {now()}\n\n"
            while not parts.stopping():
                authenticate(parts, called.authorization, "a stream")  # a token may be revoked meanwhile
                found = await run_in_threadpool(parts.watches.alarms, called.actor, hosted, name, after)
                for each in found:
                    after = each["number"]
                    yield f"id: {after}\nevent: alarm\ndata: {json.dumps(each)}\n\n"
                if not found:
                    yield ":\n\n"
                    await asyncio.sleep(1)
        except PickoutError:
            yield "event: end\ndata: {}\n\n"
        finally:
            parts.streams -= 1

    return StreamingResponse(come(), media_type="text/event-stream")
