"""What bad input gets: an error in words, never a traceback, a path, a hang or somebody else's crop."""

import io
import json
import socket
import threading
import time
import tomllib
import zlib
from importlib import resources

import pytest
from PIL import Image
from small_server import result_of

ABSENT = "0" * 32
SEARCH = "/v1/galleries/people/search"


def told(answer, *statuses):
    """The answer is an error in words."""
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    body = answer.json()
    assert set(body) == {"error", "kind"} and "Traceback" not in answer.text
    return body["error"]


@pytest.mark.parametrize(
    "crop",
    ["../../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..%5c", "/etc/passwd", "%2Fetc%2Fpasswd", "%00",
     "0" * 31, "0" * 33, "0" * 31 + "g", "0" * 31 + "%0a", ABSENT.upper() + "A", "0001.png", "cam_a%2f0001.png", "*"],
)  # fmt: skip
def test_a_crop_is_named_by_its_opaque_id_and_nothing_else(server, crop):
    for what in ("", "/thumbnail", "/original"):
        answer = server.client.get(f"/v1/galleries/people/crops/{crop}{what}")
        assert answer.status_code in (404, 405, 422), answer.text
        assert "root:" not in answer.text


@pytest.mark.parametrize("name", ["..", "%2e%2e", "people%00", "people.gallery", "PEOPLE", "%2Fetc", "x" * 5000, "%F0"])
def test_a_gallery_is_one_of_those_served(server, name):
    assert server.client.get(f"/v1/galleries/{name}").status_code in (404, 405, 414)


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"", (422,)),
        (b"{", (400,)),
        (b"[]", (422,)),
        (b"null", (422,)),
        (b'{"sentences": "x"}', (422,)),
        (b'{"sentences": ["x"], "surprise": 1}', (422,)),
        (b'{"sentences": [""]}', (422,)),
        (b'{"sentences": ["..."]}', (422,)),
        (b'{"sentences": ["\\ud800"]}', (400, 422)),
        (b'{"sentences": ["' + b"a" * 100_000 + b'"]}', (422,)),
        (b'{"sentences": ["x"], "top": 1e400}', (400, 422)),
        (b'{"sentences": ["x"], "top": NaN}', (400, 422)),
        (b'{"sentences": ["x"], "top": 99999999999999999999}', (422,)),
        (b'{"sentences": ["x"], "page": 0}', (422,)),
        (b'{"sentences": ["x"], "where": {"after": "0001-01-01T00:00:00+14:00"}}', (422,)),
        (b'{"sentences": ["x"], "where": {"after": "2026-03-02", "before": "2026-03-01"}}', (422,)),
        (b'{"sentences": ["x"], "where": {"cameras": ["cam_a"], "not_cameras": ["cam_a"]}}', (422,)),
        (b'{"sentences": ["x"], "where": {"cameras": ["\\u0000"]}}', (422,)),
        (b'{"more_like": ["/etc/passwd"]}', (404,)),
        (b'{"pictures": ["/etc/passwd"]}', (404,)),
        (b'{"sentences": ' + json.dumps(["x"] * 33).encode() + b"}", (422,)),
        (b"[" * 100_000, (400, 422)),
        (b'{"where": ' * 5000 + b"1" + b"}" * 5000, (400, 422)),
        (b"\xff\xfe", (400, 422)),
        (b"{}" + b" " * 2**20, (413,)),
    ],
    ids=range(25),
)
def test_bodies(server, body, statuses):
    error = told(server.client.post(SEARCH, content=body, headers={"Content-Type": "application/json"}), *statuses)
    assert len(error) < 1000
    assert server.log() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""])
def test_other_content_types_are_refused(server, kind):
    told(server.client.post(SEARCH, content=b'{"sentences": ["x"]}', headers={"Content-Type": kind}), 415, 422)


def send(server, content, name="a.png", metadata="{}"):
    files = {"files": (name, content)}
    return server.client.post("/v1/galleries/people/crops", files=files, data={"metadata": metadata})


def bomb():
    """A PNG that claims 50,000 by 50,000 pixels."""
    chunk = lambda kind, data: len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)  # noqa: E731
    header = (50_000).to_bytes(4) * 2 + b"\x08\x02\x00\x00\x00"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\x89PNG\r\n\x1a\n", bomb(), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a" + b"\0" * 100,
     b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run", b"PK\x03\x04" + bytes(100)],
    ids=["empty", "letter", "header", "bomb", "svg", "gif", "postscript", "zip"],
)  # fmt: skip
def test_uploads_that_are_no_pictures_leave_nothing(server, content):
    told(send(server, content), 422)
    told(server.client.post("/v1/galleries/people/pictures", files={"file": ("x", content)}), 422)
    assert not [file for file in (server.state / "uploads").rglob("*") if file.is_file()]


def test_uploads_that_are_too_large_or_too_many(serve, draw, tmp_path):
    server = serve(largest_file=2000, largest_upload=20_000, most_files=3)
    told(send(server, bytes(2001)), 413)
    told(send(server, bytes(30_000)), 413)
    picture = draw(tmp_path / "x.png").read_bytes()
    files = [("files", (str(n), picture)) for n in range(4)]
    told(server.client.post("/v1/galleries/people/crops", files=files), 413)
    assert not (server.state / "uploads").exists()


def test_a_body_that_says_nothing_of_its_size_ends_where_it_is_too_large(serve):
    server = serve(largest_body=1024)

    def endless():
        for _ in range(10_000):
            yield b" " * 100

    told(server.client.post(SEARCH, content=endless(), headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize(
    "name", ["../../../etc/cron.d/x", "/etc/x", "a\x00b", "x" * 4000, "CON", "..", "<script>.png", "é\u202e.png"]
)
def test_the_names_of_files_count_for_nothing(server, draw, tmp_path, name):
    report = result_of(send(server, draw(tmp_path / "x.png", shade=9).read_bytes(), name=name))
    row = server.galleries["people"].rows(report["crops"])[report["crops"][0]]
    assert row.file.parent.parent == (server.state / "uploads" / "people").resolve()
    assert row.file.stem.isalnum() and row.file.suffix == ".png"


def test_hostile_labels_and_cameras_are_told_as_they_are_or_refused(server, draw, tmp_path):
    picture = draw(tmp_path / "x.png", shade=9).read_bytes()
    script = "<script>alert(1)</script>"
    crop = result_of(send(server, picture, metadata=json.dumps({"camera": script, "labels": {"=1+1": "'; DROP"}})))[
        "crops"
    ][0]
    answer = server.client.get(f"/v1/galleries/people/crops/{crop}")
    assert answer.json()["camera"] == script and answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    wrong = [
        '{"labels": {"image": "x"}}',
        '{"labels": {"Caption": "x"}}',
        '{"labels": {"camera": "x"}}',
        '"x"',
        "[{}, {}]",
        '{"camera": "a\\u0000"}',
    ]
    wrong += ['{"box": [1, 2]}', '{"frame": -1}', '{"time": "yesterday"}', '{"frame": 1e99}', '{"frame": "7"}', "null"]
    garbled = ["[", "[" * 50_000, '{"camera": "a\u0000"}', "{]", "{'camera': 'a'}", "\x00"]
    content = draw(tmp_path / "y.png", shade=10).read_bytes()
    for status, some in ((422, wrong), (400, garbled)):
        for metadata in some:
            error = told(send(server, content, metadata=metadata), status)
            assert "the file" not in error and (status == 422 or error.startswith("metadata: Invalid JSON")), metadata


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "[::1"}, 400),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_other_names_and_other_sites_are_refused(server, headers, status):
    answer = server.client.get("/v1/galleries", headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


def test_ranges_of_an_export(server):
    """An export is made anew for each request: a range is the whole or a part, and many do not multiply it."""
    whole = server.client.post("/v1/galleries/people/export", json={}).content
    many = "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 2000, 2))
    for asked in ("bytes=0-0", "bytes=5-", "bytes=-5", many, "bytes=9-1", "bytes=a", "x" * 100, "bytes=99999999999-"):
        answer = server.client.post("/v1/galleries/people/export", json={}, headers={"Range": asked})
        assert answer.status_code in (200, 206, 400, 416) and len(answer.content) < 3 * len(whole)
    assert list((server.state / "exports").iterdir()) == []


def test_methods_that_a_route_does_not_have(server):
    told(server.client.put(SEARCH), 405)
    told(server.client.request("TRACE", "/v1/galleries"), 405)
    told(server.client.get("/v1/nothing"), 404)


def test_every_answer_has_its_headers(server):
    for answer in (
        server.client.get("/v1/health"),
        server.client.get("/v1/nothing"),
        server.client.get("/v1/galleries/x"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_a_fault_of_the_server_tells_nothing_of_it(server, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("secret detail at /etc/shadow")

    monkeypatch.setattr(server.service, "describe", fail)
    answer = server.client.get("/v1/galleries/people")
    assert answer.status_code == 500 and answer.json()["kind"] == "Fault" and "secret" not in answer.text
    assert "secret detail" in caplog.text


def test_an_error_names_no_path_of_the_machine(server):
    (server.galleries["people"].path / "audit.jsonl").mkdir()
    answer = server.client.post(SEARCH, json={"sentences": ["x"]})
    error = told(answer, 409)
    assert "people/audit.jsonl" in error and str(server.state.parent) not in error


def test_each_request_is_one_line_of_json_whatever_its_path(server, caplog):
    caplog.set_level("INFO", "pickout.requests")
    server.client.get('/v1/x%0aGET /forged 200"%1b[31m?purpose=secret')
    line = json.loads(caplog.records[-1].getMessage())
    assert "\n" not in caplog.records[-1].getMessage() and line["status"] == 404 and "secret" not in str(line)
    headers = server.token("search")
    server.client.get("/v1/galleries", headers=headers)
    line = json.loads(caplog.records[-1].getMessage())
    assert line["token"] == headers["Authorization"].split("_")[1]
    assert headers["Authorization"].split("_", 2)[2] not in caplog.text
    server.client.get("/v1/galleries")
    assert caplog.records[-1].levelname == "WARNING" and json.loads(caplog.records[-1].getMessage())["status"] == 401


def test_a_full_disk_is_told_and_leaves_nothing_half(server, draw, tmp_path, monkeypatch):
    from pickout.errors import StorageFull

    def full(*_, **__):
        raise StorageFull("no space left on the device")

    monkeypatch.setattr("pickout.serve.uploads.write_atomically", full)
    told(send(server, draw(tmp_path / "x.png", shade=9).read_bytes()), 507)
    monkeypatch.undo()
    assert result_of(send(server, draw(tmp_path / "x.png", shade=9).read_bytes()))["added"] == 1


def test_a_full_disk_or_no_record_takes_no_picture_that_rows_have(server, draw, tmp_path, monkeypatch):
    from pickout.errors import StorageFull

    picture = draw(tmp_path / "x.png", shade=9).read_bytes()
    crop = result_of(send(server, picture))["crops"][0]
    original = lambda: server.client.get(f"/v1/galleries/people/crops/{crop}/original").status_code  # noqa: E731

    def full(file, *_, **__):
        if not file.name.startswith("."):
            raise StorageFull("no space left on the device")

    with monkeypatch.context() as patched:
        patched.setattr("pickout.serve.uploads.write_atomically", full)
        told(send(server, picture), 507)
    assert original() == 200
    log = server.galleries["people"].path / "audit.jsonl"
    log.rename(tmp_path / "log")
    log.mkdir()
    assert "without a record" in told(server.client.post("/v1/galleries/people/erase", json={"crops": [crop]}), 409)
    log.rmdir()
    (tmp_path / "log").rename(log)
    assert original() == 200


def test_a_picture_of_one_pixel_and_a_strange_mode(server):
    for mode in ("1", "P", "LA", "I;16", "CMYK"):
        file = io.BytesIO()
        Image.new(mode, (1, 1)).save(file, "TIFF" if mode == "CMYK" else "PNG")
        assert result_of(send(server, file.getvalue()))["found"] == 1


def test_more_searches_than_may_wait_are_told_to_come_back(serve):
    server = serve(waiting=2)
    started, go_on = threading.Event(), threading.Event()

    def block(_):
        started.set()
        go_on.wait(20)

    blocker = threading.Thread(target=lambda: server.galleries["people"].turns.ask(block))
    blocker.start()
    started.wait(20)
    answers = []
    askers = [
        threading.Thread(target=lambda: answers.append(server.client.post(SEARCH, json={"sentences": ["teal"]})))
        for _ in range(2)
    ]
    for asker in askers:
        asker.start()
    while server.galleries["people"].turns.waiting < 2:
        time.sleep(0.01)
    busy = server.client.post(SEARCH, json={"sentences": ["teal"]})
    assert busy.status_code == 503 and int(busy.headers["retry-after"]) >= 1
    go_on.set()
    for thread in (*askers, blocker):
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.fixture
def listening(serve, monkeypatch):
    """A server behind a real socket, as `pickout serve` sets it up."""
    import uvicorn

    server = serve(idle_seconds=1.0, body_seconds=3.0)
    monkeypatch.setattr("pickout.serve.guard.SECONDS", 1.5)
    told = tomllib.loads(resources.files("pickout.serve").joinpath("uvicorn.toml").read_text())
    config = uvicorn.Config(server.app, port=0, **{**told, "lifespan": "off", "log_config": None})
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield running.servers[0].sockets[0].getsockname()[1]
    running.should_exit = True
    thread.join()


def say(port, *pieces, pause=0.0):
    """Send pieces over a socket; what comes back, and after how many seconds."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        answer = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
            while more := connection.recv(65_536):
                answer += more
        except (ConnectionError, TimeoutError):
            pass
    return answer, time.monotonic() - began


def head(path=SEARCH, **more):
    lines = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Pickout-Purpose": "incident",
        "Connection": "close",
        **more,
    }
    return f"POST {path} HTTP/1.1\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode() + b"\r\n"


def test_a_slow_body_is_ended(listening):
    answer, seconds = say(listening, head(**{"Content-Length": "100"}), b"{")
    assert b" 408 " in answer and seconds < 8
    kept = {"Content-Length": "100", "Connection": "keep-alive"}
    for path in (SEARCH, "/v1/nothing", "/v1/galleries/people/recordings"):  # nor is the rest of it waited for
        answer, seconds = say(listening, head(path, **kept), b"{")
        assert answer[9:12] in (b"408", b"404") and b"connection: close" in answer and seconds < 8, path
    answer, seconds = say(listening, head(**{"Content-Length": "100"}), *[b" "] * 20, pause=0.4)
    assert seconds < 14 and (b" 408 " in answer or not answer)


def test_a_head_that_does_not_come_in_time_ends_the_connection(listening):
    for pieces in ([], [b"GET /v1/hea"], [b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n", *[b"X: 1\r\n"] * 12]):
        answer, seconds = say(listening, *pieces, pause=0.25)
        assert answer == b"" and seconds < 5
    whole = b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    answer, seconds = say(listening, whole, whole, b"GET /v1", pause=1.0)
    assert answer.count(b" 200 OK") == 2 and seconds < 6


def test_a_recording_that_comes_slowly_or_not_whole_leaves_nothing(listening, tmp_path):
    path = "/v1/galleries/people/recordings"
    answer, seconds = say(listening, head(path, **{"Content-Length": "100"}), b"x")
    assert b" 408 " in answer and seconds < 8
    with socket.create_connection(("127.0.0.1", listening)) as connection:
        connection.sendall(head(path, **{"Content-Length": "100"}) + b"x")
    time.sleep(0.5)
    assert not [file for file in (tmp_path / "state" / "recordings").rglob("*") if file.is_file()]


def test_chunks_without_end_and_floods_of_headers_are_ended(listening):
    chunks = [b"400\r\n" + b" " * 1024 + b"\r\n"] * 1100
    answer, _ = say(listening, head(**{"Transfer-Encoding": "chunked"}), *chunks)
    assert b" 413 " in answer or not answer
    for flood in (
        {f"X-{n}": "a" for n in range(2000)},
        {"X": "a" * 100_000},
        {f"X-{n}": "a" * 1000 for n in range(200)},
    ):
        body = {"Content-Length": "2", **flood}
        assert (
            b" 431 " in say(listening, head(**body) + b"{}")[0][:20] or b" 400 " in say(listening, head(**body))[0][:20]
        )
    assert b" 414 " in say(listening, head("/v1/galleries?" + "a" * 20_000))[0][:20]
    assert (
        b" 401 " not in say(listening, head(**{f"X-{n}": "a" for n in range(80)}, **{"Content-Length": "2"}), b"{}")[0]
    )
    answer, _ = say(listening, b"GET / HTTP/1.1\r\nHost: " + b"a" * 10**6)
    assert b" 4" in answer[:15] or not answer


def test_ambiguous_lengths_are_refused(listening):
    for more in ({"Content-Length": "-1"}, {"Content-Length": "1, 2"}, {"Content-Length": "x"}):
        answer, _ = say(listening, head(**more) + b"{}")
        assert b" 400 " in answer[:30] or b" 413 " in answer[:30], answer[:100]


def test_a_full_disk_or_a_garbled_file_beside_the_galleries_is_told(server, monkeypatch):
    """Cases and watches lie in SQLite, which tells a full disk in its own way."""
    import sqlite3

    class Full(sqlite3.Connection):
        def executescript(self, tables):
            super().executescript(tables)
            self.execute(f"PRAGMA max_page_count = {self.execute('PRAGMA page_count').fetchone()[0]}")

    connect = sqlite3.connect
    cases, note = "/v1/galleries/people/cases", {"name": "x", "about": "a" * 9000}
    assert server.client.get(cases).status_code == 200
    monkeypatch.setattr("sqlite3.connect", lambda file, **how: connect(file, **how, factory=Full))
    for _ in range(3):
        assert "cases.sqlite: no space left" in told(server.client.post(cases, json=note), 507)
    monkeypatch.undo()
    assert server.client.get(cases).json() == {"cases": []}
    (server.state / "cases.sqlite").write_bytes(b"no database" * 1000)
    told(server.client.get(cases), 500)
    assert server.client.get("/v1/galleries/people").status_code == 200
