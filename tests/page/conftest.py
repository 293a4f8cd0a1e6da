"""The page in a headless Chromium: a server of drawn people, and every request and error that the browser saw."""

import os
import shutil
import sys
import threading
import time
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "gallery"))
sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))

CHROMIUM = os.environ.get("PICKOUT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
NEEDED = ("playwright", "fastapi", "uvicorn", "cryptography", "prometheus_client")
if not all(map(find_spec, NEEDED)):  # the extras `dev` and `serve`
    collect_ignore_glob = ["test_*.py"]
else:
    import uvicorn
    from colour_encoder import COLOURS, ColourEncoder
    from playwright.sync_api import sync_playwright
    from small_server import draw_crop

    from pickout.gallery.gallery import Gallery
    from pickout.serve.app import create_app
    from pickout.serve.hosting import hosted
    from pickout.serve.service import Service
    from pickout.serve.settings import ServeSettings

PEOPLE = 130
HOSTILE = "<img src=x onerror=alert(1)>'\"&"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


def make_people(folder, encoder, number=PEOPLE):
    """A gallery of people whose clothes are all combinations of colours, on four cameras, with times and tracks."""
    crops, colours = folder / "crops", [name for name in COLOURS if name != "white"]
    crops.mkdir(parents=True)
    rows, at = ["image,camera,time,track,colour"], datetime(2026, 3, 2, 8)
    for place in range(number):
        hair, top, bottom = (colours[place // step % len(colours)] for step in (3, 1, 7))
        draw_crop(crops / f"{place:04}.png", hair, top, bottom, shade=place)
        camera = ("lobby", "gate", "stairs", HOSTILE)[place % 4]
        quoted = '"' + camera.replace('"', '""') + '"'
        time_ = (at + timedelta(minutes=place)).isoformat()
        rows.append(f"{place:04}.png,{quoted},{time_},track {place // 8 * 4 + place % 4},{top}")
    (crops / "table.csv").write_text("\n".join(rows) + "\n")
    gallery = Gallery.create(folder / "people.gallery", encoder)
    gallery.add(crops, table=crops / "table.csv")
    return gallery.path


class Server:
    """A server on a real port, which can be stopped and started again."""

    def __init__(self, paths, state, encoder, **settings):
        self.settings = ServeSettings(watch_seconds=3600, **settings)
        self.paths, self.state, self.encoder, self.port = paths, state, encoder, 0
        self.start()

    def start(self):
        galleries = hosted(self.paths, lambda _: self.encoder, self.settings)
        self.service = Service(galleries, self.state, self.settings, lambda _: self.encoder)
        self.app = create_app(self.service)
        config = uvicorn.Config(self.app, port=self.port, log_level="warning", timeout_graceful_shutdown=2)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"

    def stop(self):
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    return make_people(tmp_path_factory.mktemp("page"), ColourEncoder())


@pytest.fixture
def serve(people, tmp_path):
    """serve(**settings): a server of a copy of the people; of an empty gallery, or of one that is there."""
    running = []

    def start(empty=False, encoder=None, **settings):
        path, encoder = tmp_path / "people.gallery", encoder or ColourEncoder()
        if empty:
            Gallery.create(path, encoder)
        elif not path.exists():
            shutil.copytree(people, path)
        running.append(Server([path], tmp_path / "state", encoder, **settings))
        return running[-1]

    yield start
    for server in running:
        server.stop()


# Playwright's loop runs in the main thread until it is closed, and no other loop may run there meanwhile: it ends with
# the last test of this folder in a row (`__init__.py` makes the folder a package), not with the session.
@pytest.fixture(scope="package")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium, or name one in PICKOUT_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """visit(server, width, ...): the page; at the end of the test it has asked no other host and thrown no error."""
    opened = []

    def go(server, width=1440, height=900, purpose="incident", path="", scheme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.errors, page.asked = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: page.asked.append(request.url))
        if purpose:
            page.add_init_script(f"sessionStorage.pickout ??= JSON.stringify({{purpose: {purpose!r}}})")
        page.allowed_errors = ()
        opened.append((context, page, server))
        page.goto(server.url + path)
        return page

    yield go
    for context, page, server in opened:
        foreign = [url for url in page.asked if not url.startswith((server.url, f"blob:{server.url}"))]
        errors = [each for each in page.errors if not any(part in each for part in page.allowed_errors)]
        context.close()
        assert foreign == []
        assert errors == []
