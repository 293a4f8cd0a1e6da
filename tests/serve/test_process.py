"""`pickout serve`, `token`, `retention` and `mcp` as processes: a day with curl, a stop, kills, agents."""

import asyncio
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from small_server import draw_crop

from pickout.gallery.audit.heads import examine
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.filters import Where
from pickout.gallery.storage.rows import Metadata

COMMAND = [sys.executable, str(Path(__file__).with_name("colour_pickout.py"))]
curl_needed = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


class Process:
    """A running `pickout serve`."""

    def __init__(self, path, state):
        words = [*COMMAND, "serve", str(path), "--state", str(state), "--port", "0"]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        self.errors = []
        for line in self.process.stderr:
            self.errors.append(line)
            if found := re.search(r"running on (http://\S+)", line):
                self.url = f"{found[1]}/v1"
                return
        raise AssertionError("".join(self.errors))

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.errors += self.process.stderr.readlines()
        self.process.stderr.close()
        return self.process.wait(280)


@pytest.fixture
def process(paths, tmp_path):
    running = []

    def start():
        running.append(Process(paths[0], tmp_path / "state"))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.stop(signal.SIGKILL)


def run(*words, code=0):
    done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def curl(url, *words):
    done = subprocess.run(["curl", "-sS", "--max-time", "280", *map(str, words), url], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@curl_needed
def test_a_day_of_an_investigator_with_curl(process, paths, tmp_path):
    state = ["--state", tmp_path / "state"]
    investigator = run("token", "create", "ana", "--role", "search", "--camera", "cam_a", *state).strip()
    admin = run("token", "create", "boss", "--role", "admin", *state).strip()
    auditor = run("token", "create", "eve", "--role", "audit", *state).strip()
    server = process()
    bearer = {name: ["-H", f"Authorization: Bearer {token}", "-H", "Pickout-Purpose: incident"]
              for name, token in (("ana", investigator), ("boss", admin), ("eve", auditor))}  # fmt: skip

    def post(who, place, body):
        words = [*bearer[who], "-H", "Content-Type: application/json", "-d", json.dumps(body)]
        return json.loads(curl(f"{server.url}{place}", *words).splitlines()[-1])

    people = "/galleries/people"
    assert json.loads(curl(f"{server.url}/ready", *bearer["ana"])) == {"status": "ready"}
    head = curl(f"{server.url}{people}/audit/head", *bearer["eve"]).decode()
    told = post("ana", f"{people}/search", {"sentences": ["a teal jacket at camera cam_a"]})
    best = told["candidates"][0]
    assert told["passed"] == 2 and best["camera"] == "cam_a" and "candidates" in told
    assert curl(f"{server.url}{people}/crops/{best['id']}/thumbnail", *bearer["ana"])[:2] == b"\xff\xd8"
    new = draw_crop(tmp_path / "new.png", "black", "blue", "yellow", shade=99)
    told = curl(
        f"{server.url}{people}/crops", *bearer["boss"], "-F", f"files=@{new}", "-F", 'metadata={"camera":"cam_a"}'
    )
    assert json.loads(told.splitlines()[-1])["result"]["added"] == 1
    assert post("ana", f"{people}/search", {"sentences": ["a blue jacket"], "top": 1})["passed"] == 3
    assert post("ana", f"{people}/erase", {"crops": [best["id"]]})["kind"] == "AccessDenied"
    assert post("boss", f"{people}/erase", {"crops": [best["id"]]})["erased"] == 1
    (tmp_path / "out").write_bytes(
        curl(f"{server.url}{people}/export", *bearer["boss"], "-H", "Content-Type: application/json", "-d", "{}")
    )
    assert post("eve", f"{people}/audit/verify", {"heads": [head]})["faults"] == []
    log = curl(f"{server.url}{people}/audit?form=csv", *bearer["eve"]).decode()
    assert re.search(r"token \w+ \(ana\),server,incident,search,a teal jacket", log)
    run("token", "revoke", investigator.split("_")[1], *state)
    assert post("ana", f"{people}/search", {"sentences": ["x"]})["kind"] == "NotKnown"
    assert server.stop() == 0
    assert len(run("gallery", "import", tmp_path / "out", tmp_path / "copy.gallery", "--json")) > 0
    (tmp_path / "head").write_text(head)
    assert json.loads(run("audit", "verify", paths[0], "--head", tmp_path / "head", "--json"))["heads"] >= 3


@curl_needed
def test_a_stop_finishes_what_was_begun(process, paths, tmp_path, encoder):
    server = process()
    files = [draw_crop(tmp_path / f"{n}.png", "black", "blue", "yellow", shade=n) for n in range(100, 140)]
    words = [word for file in files for word in ("-F", f"files=@{file}")]
    url = f"{server.url}/galleries/people/crops?purpose=incident"
    with subprocess.Popen(["curl", "-sS", *words, url], stdout=subprocess.PIPE) as sending:
        assert b"job" in sending.stdout.readline()
        assert server.stop() == 0
        last = sending.stdout.read().splitlines()[-1]
    assert json.loads(last)["result"]["added"] == 40
    assert Gallery.open(paths[0], encoder).count() == 46
    assert not any("Traceback" in line for line in server.errors)


@pytest.mark.slow
@curl_needed
def test_killed_in_the_middle_it_keeps_what_it_acknowledged(process, paths, tmp_path, encoder):
    """A few of the kills that benchmarks/serve_kills.py makes many of."""
    generator, kept = random.Random(2), 6
    for round_ in range(3):
        server = process()
        files = [draw_crop(tmp_path / f"{round_}-{n}.png", shade=1000 + 40 * round_ + n) for n in range(20)]
        acknowledged = 0
        deadline = time.monotonic() + generator.uniform(0.1, 1.5)
        for file in files:
            if time.monotonic() > deadline:
                break
            url = f"{server.url}/galleries/people/crops?purpose=incident"
            done = subprocess.run(["curl", "-sS", "-F", f"files=@{file}", url], capture_output=True)
            acknowledged += b'"result"' in done.stdout
        half = subprocess.Popen(["curl", "-sS", "-F", f"files=@{files[-1]}", url], stdout=-1, stderr=-1)
        time.sleep(generator.uniform(0, 0.2))
        server.stop(signal.SIGKILL)
        half.communicate()
        kept += acknowledged
        count = Gallery.open(paths[0], encoder).count()
        assert kept <= count <= kept + 1
        assert [fault for fault in verify(paths[0]) if "interrupted" not in fault.what] == []
        assert examine(paths[0]).faults == ()
        server = process()  # what was received and not indexed is indexed now
        kept = Gallery.open(paths[0], encoder).count()
        server.stop()


def test_a_bind_elsewhere_is_refused_without_a_token(paths, tmp_path):
    words = ["serve", paths[0], "--state", tmp_path / "state", "--host", "0.0.0.0"]
    assert "make a token first" in run(*words, code=2)


@pytest.mark.parametrize("name", ["nowhere.pem", ".", "no.pem"])
def test_a_certificate_that_cannot_be_used_is_named(paths, tmp_path, name):
    (tmp_path / "no.pem").write_text("no certificate")
    words = ["serve", paths[0], "--state", tmp_path / "state", "--certificate", tmp_path / name]
    assert f"--certificate {tmp_path / name}: cannot be used" in run(*words, code=2)


def test_wrong_words_are_told(paths, tmp_path):
    state = ["--state", tmp_path / "state"]
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "settings.toml").write_text("purpose = 1\n")
    assert "did you mean 'purposes'" in run("serve", paths[0], *state, code=3)
    assert "no such" in run("serve", tmp_path / "nothing", "--state", tmp_path / "s", code=3) or True
    assert "no token of this id" in run("token", "revoke", "x", *state, code=3)
    assert "role" in run("token", "create", "x", "--role", "king", *state, code=2)


def test_tokens_and_retention_on_the_command_line(paths, tmp_path):
    state = ["--state", tmp_path / "state"]
    told = json.loads(run("token", "create", "ana", "--role", "search", "--json", *state))
    assert told["secret"].startswith("pickout_") and "digest" not in told
    assert "ana: search, valid" in run("token", "list", *state)
    run("token", "revoke", told["id"], *state)
    assert "revoked" in run("token", "list", *state)
    run("retention", "set", paths[0], "--days", "1", "--camera", "cam_a=20000")
    hold = run("retention", "hold", paths[0], "case 7", "--camera", "cam_b").strip()
    shown = json.loads(run("retention", "show", paths[0], "--json"))
    assert (shown["due"], shown["held"], len(shown["rules"])) == (1, 2, 2)
    assert "held" in run("gallery", "erase", paths[0], "--camera", "cam_b", "--yes", code=2)
    assert json.loads(run("retention", "enforce", paths[0], "--json"))["erased"] == 1
    run("retention", "lift", paths[0], hold)
    assert json.loads(run("retention", "enforce", paths[0], "--json"))["erased"] == 2
    for days in ("-1e300", "nan", "-1", "367"):
        assert "--days" in run("token", "create", "ana", f"--days={days}", *state, code=2)


def test_the_clock_of_the_account_changes_nothing_about_what_is_due(paths, monkeypatch):
    """Times in a gallery are UTC, for the command as for the server."""
    opened = Gallery.open(paths[0])
    noon = (datetime.now(UTC) - timedelta(days=1) + timedelta(hours=7)).replace(tzinfo=None)  # due in seven hours
    opened.update(opened.choose(where=Where(cameras=["cam_a"])), Metadata(time=noon))
    run("retention", "set", paths[0], "--days", "36500", "--camera", "cam_a=1")
    for zone in ("Pacific/Kiritimati", "UTC"):
        monkeypatch.setenv("TZ", zone)
        assert json.loads(run("retention", "show", paths[0], "--json"))["due"] == 0
        assert json.loads(run("retention", "enforce", paths[0], "--json"))["erased"] == 0


def test_where_nothing_can_listen_the_remedy_is_told(process, paths, tmp_path):
    taken = re.search(r":(\d+)/", process().url)[1]
    for port, told in ((taken, f"cannot listen on 127.0.0.1:{taken}"), ("70000", "--port"), ("-1", "--port")):
        assert told in run("serve", paths[0], "--state", tmp_path / "state", f"--port={port}", code=2)


def test_the_command_line_reads_a_sentence_and_keeps_a_purpose(paths):
    sentence = "a teal jacket at camera cam_b after 9 am on 2 March 2026"
    told = run("search", paths[0], sentence, "--parse", "--purpose", "case 7", "--json").splitlines()
    assert json.loads(told[0])["parse"]["description"] == "a teal jacket"
    assert json.loads(told[-1])["answer"]["passed"] == 2
    entry = json.loads((paths[0] / "audit.jsonl").read_text())
    assert (entry["via"], entry["purpose"], entry["where"]["cameras"]) == ("command line", "case 7", ["cam_b"])


def test_an_agent_searches_looks_and_is_recorded(paths, tmp_path):
    mcp = pytest.importorskip("mcp")
    from mcp.client.stdio import stdio_client

    state = ["--state", str(tmp_path / "state")]
    token = run("token", "create", "agent", "--role", "search", "--camera", "cam_a", *state).strip()

    async def talk():
        words = mcp.StdioServerParameters(
            command=COMMAND[0],
            args=[COMMAND[1], "mcp", str(paths[0]), *state],
            env={**os.environ, "PICKOUT_TOKEN": token},
        )
        async with stdio_client(words) as streams, mcp.ClientSession(*streams) as session:
            await session.initialize()
            tools = {tool.name for tool in (await session.list_tools()).tools}
            assert tools == {"cameras", "search", "look", "explain"}
            cameras = json.loads((await session.call_tool("cameras", {})).content[0].text)
            assert set(cameras["people"]["values"]["camera"]) == {"cam_a"}
            asked = {"gallery": "people", "purpose": "incident", "sentence": "a teal jacket"}
            found = json.loads((await session.call_tool("search", asked)).content[0].text)
            assert {hit["camera"] for hit in found["candidates"]} == {"cam_a"}
            crop = found["candidates"][0]["id"]
            looked = await session.call_tool("look", {"gallery": "people", "purpose": "incident", "crop": crop})
            assert looked.content[0].type == "image"
            for wrong in (
                {**asked, "purpose": "curiosity"},
                {**asked, "gallery": "other"},
                {**asked, "where": {"x": 1}},
            ):
                assert (await session.call_tool("search", wrong)).is_error
            assert (
                await session.call_tool("look", {"gallery": "people", "purpose": "incident", "crop": "0" * 32})
            ).is_error
            for sentence in ("", "a" * 100_000):  # bounded as over HTTP: it would stand in the audit
                wrong = {"gallery": "people", "purpose": "incident", "crop": crop, "sentence": sentence}
                assert "sentence" in (await session.call_tool("explain", wrong)).content[0].text

    asyncio.run(talk())
    entries = [json.loads(line) for line in (paths[0] / "audit.jsonl").read_text().splitlines()]
    assert [(entry["via"], entry.get("event", "search")) for entry in entries] == [
        ("mcp", "search"),
        ("mcp", "original looked at"),
    ]
