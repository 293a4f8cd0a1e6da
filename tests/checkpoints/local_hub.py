"""A model hub on 127.0.0.1: metadata in headers, large files behind a redirect, ranges, transfers that break off."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 10_000
"""From this size a file is stored as a large one: SHA-256 as its tag, content behind a redirect."""


@dataclass
class Hub:
    """What the hub holds and how it misbehaves.

    Args:
        files: content by `owner/name/file`.
        altered: content that is served in place of the true one; tags stay true.
        break_after: after how many bytes a transfer of a large file is cut, in turn, one entry a transfer.
        status: answered to every metadata request instead of the truth.
        tags: whether checksums are stated.
        ranged: whether ranges are served.
        relative: whether the content's address is given without the host.
        size: stated of every file in place of the true one.
        location: where redirects lead, in place of the true one.
        token: that uploads need; None: none may be made.
        api: answered of a repository, in place of the truth.
        made: what was asked for of new repositories.
        uploaded: large content by its SHA-256.
        content_status: answered to requests for content, in turn, in place of it.
        log: method, path and range of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    altered: dict[str, bytes] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)
    status: int | None = None
    tags: bool = True
    relative: bool = False
    ranged: bool = True
    size: str | None = None
    location: str | None = None
    content_status: list[int] = field(default_factory=list)
    token: str | None = None
    made: list[dict[str, object]] = field(default_factory=list)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    log: list[tuple[str, str, str | None]] = field(default_factory=list)
    api: bytes | None = None
    address: str = ""

    def ranges(self) -> list[str | None]:
        """The range of each content request."""
        return [span for method, path, span in self.log if method == "GET" and path.startswith("/blob/")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_PUT(self) -> None:
        self.hub.uploaded[self.path.removeprefix("/upload/")] = self._body()
        self._close(200)

    def do_POST(self) -> None:
        """Uploads: make a repository, say how each file comes, take large ones, commit."""
        body, path = self._body(), self.path
        if self.hub.token is None or self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._close(401)
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self.hub.made.append(json.loads(body))
            self._json({"url": f"{self.hub.address}/owner/name"})
        elif path.endswith("/preupload/main"):
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if "tensors" in file["path"] else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif path.endswith("/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.hub.address}/upload/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})
        elif path.endswith("/commit/main"):
            repository = path.removeprefix("/api/models/").removesuffix("/commit/main")
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    self.hub.files[f"{repository}/{value['path']}"] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    self.hub.files[f"{repository}/{value['path']}"] = self.hub.uploaded[value["oid"]]
            self._json(
                {"success": True, "commitOid": COMMIT, "commitUrl": f"{self.hub.address}/{repository}/commit/{COMMIT}"}
            )
        else:
            self._close(404)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _json(self, answer: object) -> None:
        self._close(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _dataset(self, path: str, query: dict[str, list[str]]) -> None:
        """What `datasets` asks: facts of a revision, the tree of its files."""
        owner, name, *rest = path.removeprefix("/api/datasets/").split("/")
        files = {
            key.split("/", 2)[2]: data for key, data in self.hub.files.items() if key.startswith(f"{owner}/{name}/")
        }
        if not files:
            self._close(401, {"X-Error-Code": "RepoNotFound"})
        elif rest[:1] == ["tree"]:
            below = "".join(f"{part}/" for part in rest[2:])
            entries: dict[str, dict[str, object]] = {}
            for file, data in files.items():
                folder, _, inner = file.removeprefix(below).partition("/")
                if inner and query.get("recursive") != ["true"]:
                    entries[folder] = {"type": "directory", "path": below + folder, "size": 0, "oid": COMMIT}
                elif file.startswith(below):
                    oid = hashlib.sha1(data).hexdigest()
                    entries[file] = {"type": "file", "path": file, "size": len(data), "oid": oid}
            self._json(list(entries.values()))
        elif rest[:1] in ([], ["revision"]):
            siblings = [{"rfilename": file} for file in files]
            self._json({"id": f"{owner}/{name}", "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        else:
            self._close(404, {"X-Error-Code": "EntryNotFound"})

    def _api(self, path: str, query: dict[str, list[str]]) -> None:
        """What the hub says of a repository, or of all of an author's."""
        repositories: dict[str, list[dict[str, str]]] = {}
        for name in self.hub.files:
            owner, repository, file = name.split("/", 2)
            repositories.setdefault(f"{owner}/{repository}", []).append({"rfilename": file})
        entries = [{"id": name, "siblings": files} for name, files in repositories.items()]
        if "author" in query:
            self._json([entry for entry in entries if str(entry["id"]).startswith(f"{query['author'][0]}/")])
        elif self.hub.api is not None:
            self._close(200, content=self.hub.api)
        else:
            wanted = [entry for entry in entries if entry["id"] == path.split("/", 3)[3]]
            self._json(wanted[0]) if wanted else self._close(401, {"X-Error-Code": "RepoNotFound"})

    def _answer(self, *, body: bool) -> None:
        self.hub.log.append((self.command, self.path, self.headers.get("Range")))
        asked = urlsplit(self.path)
        if asked.path.startswith("/api/datasets/"):
            self._dataset(unquote(asked.path), parse_qs(asked.query))
            return
        if asked.path.startswith("/api/"):
            self._api(asked.path, parse_qs(asked.query))
            return
        if self.path == "/circle":
            self._close(302, {"Location": "/circle"})
            return
        blob = self.path.removeprefix("/blob/")
        if blob != self.path:
            self._content(blob, body)
            return
        match = re.fullmatch(
            rf"/(?:datasets/)?(?P<repository>[^/]+/[^/]+)/resolve/(?:main|{COMMIT})/(?P<file>.+)", asked.path
        )
        name = f"{match['repository']}/{match['file']}" if match else ""
        if self.hub.status is not None:
            self._close(self.hub.status)
        elif not match or not any(key.startswith(f"{match['repository']}/") for key in self.hub.files):
            self._close(401, {"X-Error-Code": "RepoNotFound"})
        elif name not in self.hub.files:
            self._close(404, {"X-Error-Code": "EntryNotFound"})
        else:
            self._metadata(name, body)

    def _metadata(self, name: str, body: bool) -> None:
        content = self.hub.files[name]
        headers = {"X-Repo-Commit": COMMIT}
        if len(content) < LARGE:
            tag = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            if self.hub.tags:
                headers["ETag"] = f'"{tag}"'
            self._close(200, headers, self.hub.altered.get(name, content), body, size=self.hub.size)
            return
        if self.hub.tags:
            headers["X-Linked-ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        headers |= {
            "X-Linked-Size": str(len(content)) if self.hub.size is None else self.hub.size,
            "Location": self.hub.location or f"{'' if self.hub.relative else self.hub.address}/blob/{name}",
        }
        self._close(302, headers)

    def _content(self, name: str, body: bool) -> None:
        content = self.hub.altered.get(name, self.hub.files[name])
        if body and self.hub.content_status:
            self._close(self.hub.content_status.pop(0))
            return
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "") if self.hub.ranged else None
        start = int(span[1]) if span else 0
        part = content[start:]
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if span else {}
        cut = self.hub.break_after.pop(0) if body and self.hub.break_after else None
        self._close(206 if span else 200, headers, part, body, cut=cut)

    def _close(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        content: bytes = b"",
        body: bool = True,
        cut: int | None = None,
        size: str | None = None,
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self._send(key, value)
        self._send("Content-Length", str(len(content)) if size is None else size)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            if body:
                self.wfile.write(content[:cut])
        self.close_connection = cut is not None or size is not None

    def _send(self, key: str, value: str) -> None:
        # As UTF-8: the library's own Latin-1 has no letter for every hostile header.
        self._headers_buffer.append(f"{key}: {value}\r\n".encode())


@contextmanager
def local_hub(files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub that serves `files` until the block ends."""
    hub = Hub(files=files)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
