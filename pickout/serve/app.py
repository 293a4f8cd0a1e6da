"""A service over HTTP, below `/v1`."""

import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException

from pickout import __version__
from pickout.errors import PickoutError, ServerBusy
from pickout.files import packaged_table
from pickout.serve import case_routes, change_routes, duty_routes, search_routes, upkeep_routes
from pickout.serve.calling import Parts
from pickout.serve.guard import HEADERS, LOOPBACK, Guard
from pickout.serve.service import Service
from pickout.serve.uploads import index_upload

_log = logging.getLogger(__name__)
_PAGE = Path(__file__).parent / "page"
_DESCRIBED = packaged_table("pickout.serve", "openapi.toml")  # besides the routes: errors, and what leads where
ERRORS: dict[int, str] = {int(code): words for code, words in _DESCRIBED["errors"].items()}
"""Every error that any route may give."""
_TEXT, _ERROR = {"type": "string"}, {"$ref": "#/components/schemas/Error"}


def create_app(
    service: Service, *, hosts: Collection[str] = LOOPBACK, secure: bool = False, loopback: bool = True
) -> FastAPI:
    """The application."""
    app = FastAPI(
        title="Pickout",
        version=__version__,
        description="Find people in images from a sentence. Results are candidates, not identifications.",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its page would load scripts from another host
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        separate_input_output_schemas=False,
    )
    app.state.parts = parts = Parts(service, loopback)
    app.get("/", include_in_schema=False)(_page)
    app.mount("/page", StaticFiles(directory=_PAGE))
    routers = (search_routes.router, case_routes.router, change_routes.router, change_routes.jobs)
    for router in (*routers, upkeep_routes.router, duty_routes.router, upkeep_routes.plans):
        app.include_router(router, prefix="/v1")
    app.openapi = lambda: described(app)  # type: ignore[method-assign]
    app.exception_handler(PickoutError)(_told)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(StarletteHTTPException)(_refused)
    app.exception_handler(Exception)(_fault)
    app.add_middleware(Guard, settings=service.settings, hosts=hosts, measured=parts.measured, secure=secure)
    return app


def _page() -> FileResponse:
    return FileResponse(_PAGE / "index.html", headers=HEADERS["page"])


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What goes on beside the requests; at the end, what was begun is finished."""
    parts: Parts = app.state.parts
    stop, settings = threading.Event(), parts.service.settings
    works = (
        ("tend", 60 * settings.keep_minutes, parts.service.tend),
        ("compact", 60 * settings.compact_minutes, lambda: _compact(parts)),
        ("watch", settings.watch_seconds, lambda: _watch(parts)),
    )
    threads = [threading.Thread(target=_every, args=(stop, *work), name=name, daemon=True) for name, *work in works]
    for kind in ("exports", "imports"):  # what a server that died was sending or reading; erasures do not reach it
        for left in (parts.service.state / kind).glob("*.pickout"):
            left.unlink(missing_ok=True)
    for hosted in parts.service.galleries.values():  # pictures that were kept before the server died
        for folder in parts.service.uploads(hosted).pending():
            try:
                index_upload(folder, hosted, lambda _: None)
            except PickoutError as error:  # one request that cannot be indexed keeps nobody from searching
                _log.error("%s: not indexed: %s", folder, error)
        hosted.refresh()
    parts.service.tend()
    for thread in threads:
        thread.start()
    yield
    stop.set()
    parts.service.jobs.close()
    for thread in threads:
        thread.join()
    for hosted in parts.service.galleries.values():
        hosted.close()
    parts.service.tend(erase=False)


def _every(stop: threading.Event, seconds: float, what: Callable[[], object]) -> None:
    while not stop.wait(seconds):
        try:
            what()
        except Exception:
            _log.exception("in the background")


def _compact(parts: Parts) -> None:
    for hosted in parts.service.galleries.values():
        with suppress(PickoutError):  # another process is at it, or writes
            hosted.compact()


def _watch(parts: Parts) -> None:
    parts.watches.look()
    if parts.service.settings.webhooks:
        parts.watches.send()


async def _told(request: Request, error: PickoutError) -> JSONResponse:
    known, kinds = _DESCRIBED["status"], (kind.__name__ for kind in type(error).__mro__)
    status = next((known[kind] for kind in kinds if kind in known), 409)
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, ServerBusy) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 500:
        _log.error("%s", error)
        return _body(500, "the gallery is damaged; the server's log tells what", "GalleryDamaged")
    return _body(status, request.app.state.parts.service.told(error), type(error).__name__, headers)


async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    """The first thing that is wrong, without what was sent: it may be long, or somebody's description."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return _body(400 if first["type"] == "json_invalid" else 422, f"{place}: {first['msg']}"[:500], "Invalid")


async def _refused(_: Request, error: StarletteHTTPException) -> JSONResponse:
    return _body(error.status_code, str(error.detail), "Refused", dict(error.headers or {}))


async def _fault(request: Request, error: Exception) -> JSONResponse:
    _log.error("%s %s", request.method, request.url.path, exc_info=error)
    return _body(500, "something went wrong in the server; its log tells what", "Fault")


def _body(status: int, words: str, kind: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": words, "kind": kind}, status, headers=headers)


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI of the application."""
    known, spec = app.openapi_schema, FastAPI.openapi(app)
    if known is None:
        parts = spec["components"]
        parts["schemas"]["Error"] = _DESCRIBED["error"]
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        parts["schemas"] = {name: value for name, value in parts["schemas"].items() if "ValidationError" not in name}
        spec["security"] = [{"token": []}, {}]
        for path, methods in spec["paths"].items():
            for method, told in methods.items():
                _complete(spec, f"{method.upper()} {path}", told["responses"])
    return spec


def _complete(spec: dict[str, Any], route: str, responses: dict[str, Any]) -> None:
    if "202" in responses:
        result = responses["200"].pop("content")["application/json"]["schema"]
        told = {"job": _TEXT, "progress": {"type": "object"}, "result": result}
        lines = [{"type": "object", "properties": {name: each}, "required": [name]} for name, each in told.items()]
        responses["200"]["content"] = {"application/x-ndjson": {"schema": {"anyOf": [*lines, _ERROR]}}}
    for status, answer in responses.items():
        for kind, content in answer.get("content", {}).items():
            if status == "200" and kind != "application/json" and not content.get("schema"):
                content["schema"] = _TEXT if kind.startswith("text/") else {"type": "string", "format": "binary"}
    good, links = "202" if "202" in responses else min(responses), {}
    link = _DESCRIBED["links"].get("job" if "202" in responses else route, {"to": ()})
    for method, _, path in (target.partition(" ") for target in link["to"]):
        whole = path if path.startswith("/v1") else f"/v1/galleries/{{gallery}}{path}"
        given = {link["name"]: f"$response.body#{link['place']}"}
        given |= {"gallery": "$request.path.gallery"} if "{gallery}" in whole else {}
        operation = spec["paths"][whole][method.lower()]["operationId"]
        links[f"{method} {whole.rpartition('/')[2]}"] = {"operationId": operation, "parameters": given}
    if links:
        responses[good]["links"] = links
    for code, words in _DESCRIBED["errors"].items():
        responses[code] = {"description": words, "content": {"application/json": {"schema": _ERROR}}}
        if code in _DESCRIBED["seen"]:
            responses[code]["headers"] = {_DESCRIBED["seen"][code]: {"schema": _TEXT}}
