"""What every request passes before and after its route: host, origin, size, time, headers, log, metrics."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Collection
from datetime import UTC, datetime
from urllib.parse import urlsplit

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from pickout.files import packaged_table
from pickout.serve.settings import ServeSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECONDS = 20.0  # for the head of a request to come
_log = logging.getLogger("pickout.requests")
HEADERS: dict[str, dict[str, str]] = packaged_table("pickout.serve", "headers.toml")
_REFUSED = {401, 403, 408, 413, 414, 415, 421, 429, 431}  # told as warnings
_MOST_HEADERS, _LARGEST_HEADERS, _LONGEST_ADDRESS = 100, 32_768, 16_384  # bytes
_CHARSET, _UTF8 = re.compile(r"charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE), "JSON is sent in UTF-8"


class Measured:
    """Counts and times of requests, for scraping."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ["method", "route", "status"]
        self.requests = Counter("pickout_requests", "Requests.", names, registry=self.registry)
        self.seconds = Histogram("pickout_request_seconds", "Time of a request.", ["route"], registry=self.registry)
        self.waiting = Gauge("pickout_waiting", "Searches that wait.", ["gallery"], registry=self.registry)
        self.jobs = Gauge("pickout_jobs", "Jobs that wait or run.", registry=self.registry)


class Guard:
    """Stands around an application."""

    def __init__(
        self, app: ASGIApp, settings: ServeSettings, hosts: Collection[str], measured: Measured, *, secure: bool
    ) -> None:
        self._app, self._settings, self._hosts, self._measured = app, settings, set(hosts), measured
        own = {**HEADERS["every"], **(HEADERS["secure"] if secure else {})}
        self._headers = [(name.encode(), value.encode()) for name, value in own.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        began, status, body = time.monotonic(), 500, asyncio.Event()  # set once the body is whole
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            body.set()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in self._headers if each[0] not in own)]
                if not body.is_set():  # who sends on, slowly maybe, is not waited for
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            refusal = self._refusal(scope, headers)
            if refusal is None:
                await self._app(scope, self._limited(scope, headers, receive, body), sending)
            else:
                answer = {"error": refusal[1], "kind": "Refused"}
                await JSONResponse(answer, refusal[0])(scope, receive, sending)
        finally:
            self._note(scope, status, time.monotonic() - began)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Why a request is not passed on: another name (DNS rebinding), another site's page, too large."""
        host = headers.get("host", "")
        try:
            if urlsplit(f"//{host}").hostname not in self._hosts:
                return 421, "this server is not called so; see 'hosts' in settings.toml"
            origin = headers.get("origin")
            foreign = origin is not None and urlsplit(origin).netloc != host
        except ValueError:
            return 400, "a garbled Host or Origin header"
        if foreign or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return 403, "pages of other sites may not ask here"
        if len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_ADDRESS:
            return 414, f"the address is longer than {_LONGEST_ADDRESS} bytes"
        every = scope["headers"]
        if len(every) > _MOST_HEADERS or sum(len(name) + len(value) for name, value in every) > _LARGEST_HEADERS:
            return 431, f"more than {_MOST_HEADERS} headers, or more than {_LARGEST_HEADERS} bytes of them"
        charset = _CHARSET.search(headers.get("content-type", ""))
        if _is_json(headers) and charset is not None and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
            return 415, _UTF8
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self._largest(scope, headers):
            return 413, f"the request is larger than {self._largest(scope, headers)} bytes"
        return None

    def _largest(self, scope: Scope, headers: dict[str, str]) -> int:
        if _is_recording(scope):
            return self._settings.largest_recording
        form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        return self._settings.largest_upload if form else self._settings.largest_body

    def _limited(self, scope: Scope, headers: dict[str, str], receive: Receive, body: asyncio.Event) -> Receive:
        """A request's body, with an end to its size and its time."""
        size, largest, settings = 0, self._largest(scope, headers), self._settings
        seconds = settings.recording_seconds if _is_recording(scope) else settings.body_seconds
        until, is_json = time.monotonic() + seconds, _is_json(headers)

        async def receiving() -> Message:
            nonlocal size
            if body.is_set():
                return await receive()  # waits for the client to go away
            left = min(self._settings.idle_seconds, until - time.monotonic())
            try:
                message = await asyncio.wait_for(receive(), max(left, 0.001))
            except TimeoutError:
                raise HTTPException(408, "the request's body did not come in time") from None
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    body.set()
            if is_json and b"\0" in message.get("body", b""):  # which UTF-8 of no JSON holds
                raise HTTPException(415, _UTF8)
            if size > largest:
                raise HTTPException(413, f"the request is larger than {largest} bytes")
            return message

        return receiving

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._measured.requests.labels(scope["method"] if route != "none" else "any", route, status).inc()
        self._measured.seconds.labels(route).observe(seconds)
        client, token = (scope.get("client") or ("unknown",))[0], scope.get("state", {}).get("token")
        told = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "client": client, "token": token}
        # The path without the query, which may hold a purpose.
        told |= {"method": scope["method"], "path": scope["path"], "status": status, "seconds": round(seconds, 4)}
        level = logging.WARNING if status in _REFUSED or status >= 500 else logging.INFO
        _log.log(level, "%s", json.dumps(told))


def _is_json(headers: dict[str, str]) -> bool:
    return "json" in headers.get("content-type", "").lower()


def _is_recording(scope: Scope) -> bool:
    """Whether the body goes to disk as it comes, so that it may be long."""
    return bool(scope["method"] == "POST" and scope["path"].endswith("/recordings"))


class Punctual(H11Protocol):
    """HTTP/1.1 on a connection that is closed where a request's head does not come in time; for bodies see `Guard`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        """Begin to wait for the next one."""
        super().on_response_complete()
        self._wait()

    def _wait(self) -> None:
        self.loop.call_later(SECONDS, self._close_unless_asked, self.cycle)

    def _close_unless_asked(self, before: RequestResponseCycle | None) -> None:
        if self.cycle is before and not self.transport.is_closing():
            self.transport.close()
