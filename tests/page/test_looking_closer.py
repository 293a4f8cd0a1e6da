"""Order over all pages, the strip of cameras, the source frame, why, and the first run of an empty gallery."""

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from browsing import CARDS, TIMES, check, idle, saved, search, tab_to, until
from PIL import Image

import pickout
from pickout.cli.model import default_model
from pickout.explain.ways import Finding, Measurement, Number
from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.rows import Metadata
from pickout.serve.archive import verify_archive

sys.path.insert(0, str(Path(__file__).parents[1] / "video"))


def test_the_order_by_time_goes_over_all_pages_and_back(serve, visit):
    page = visit(serve(), path='#/search?q={"group":"none","order":"time"}')
    search(page, "a teal jacket")
    assert "best 130 by time" in page.inner_text("#count")
    first = page.evaluate(TIMES)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    until(page, f"({TIMES})[0] !== {first[0]!r} && !document.querySelector('[aria-busy]')")
    second = page.evaluate(TIMES)
    assert len(first) == len(second) == 60 and first + second == sorted(first + second)
    page.go_back()
    page.select_option(".toolbar select >> nth=0", "camera")
    until(page, "document.querySelector('#count').textContent.includes('by camera')")
    cameras = page.locator(".card .camera").all_inner_texts()
    assert cameras == sorted(cameras)


def test_the_strip_shows_the_cameras_that_are_asked_for_and_no_empty_space(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket")
    page.click("#times summary")
    height = page.locator("#strips").bounding_box()["height"]
    assert page.locator(".strip-row").count() == 4
    page.click("[aria-label='only gate']")
    idle(page)
    page.wait_for_selector(".strip-row >> nth=1", state="detached")
    assert page.locator(".strip-row").count() == 1
    assert page.locator("#strips").bounding_box()["height"] <= height - 3 * 32
    assert page.evaluate("(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)(strips)") < 12


@pytest.fixture
def filmed(serve, tmp_path):
    """A server whose crops say that they were cut from one recording of a lobby."""
    from block_people import write_video

    server = serve(recordings=(tmp_path / "clips",))
    gallery = Gallery.open(server.paths[0], server.encoder)
    rows = list(gallery.rows(gallery.choose(["*"])).values())[:20]
    frames = []
    for number, row in enumerate(rows):
        frame = np.full((160, 240, 3), 120, np.uint8)
        with Image.open(row.file) as crop:
            frame[40:112, 100:124] = np.asarray(crop.convert("RGB").resize((24, 72)))
        frames.append(frame)
        gallery.update([row.id], Metadata(video="lobby.mp4", frame=number, box=(100, 40, 24, 72)))
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips" / "lobby.mp4", 2, 10, draw=lambda seconds: frames[round(10 * seconds)])
    server.service.galleries["people"].refresh()
    return server


@pytest.mark.skipif(find_spec("av") is None, reason="the extra `video` is not installed")
def test_a_click_on_the_strip_shows_the_frame_with_the_box(filmed, visit, tmp_path):
    page = visit(filmed)
    page.allowed_errors = ("404",)
    search(page, "a teal jacket")
    page.click("[aria-label='Filters'] summary:has-text('Video')")
    page.click("[aria-label='only lobby.mp4']")
    idle(page)
    page.click("#times summary")
    page.click(".dot >> nth=0", force=True)
    page.wait_for_selector(".detail .scene img")
    image = page.locator(".detail .scene img")
    until(page, "document.querySelector('.detail .scene img').naturalWidth === 240")
    assert "box around the candidate" in image.get_attribute("alt")
    page.click(".detail button.scene")
    page.wait_for_selector("dialog .scene img")
    page.keyboard.press("Escape")
    (tmp_path / "clips" / "lobby.mp4").unlink()
    page.click(".card >> nth=1")
    page.click(".detail >> text=In the recording")
    page.wait_for_selector("text=the recording is not at hand (lobby.mp4)")
    check(page, "the recording is not at hand")


@pytest.fixture
def explained(serve, people, tmp_path, monkeypatch):
    """A server of a few crops with the model that comes with Pickout, of which one target failed its measurement."""

    model = pickout.load(default_model())
    good, bad = Number(0.2, 0.1, 0.3), Number(0.0, -0.1, 0.1)
    findings = {
        "patches": {"left_out": Finding(good, good)},
        "words": {"left_out": Finding(good, good)},
        "word_patches": {"left_out": Finding(bad, bad)},
    }
    file = tmp_path / "explain.json"
    file.write_text(json.dumps(Measurement(model.fingerprint, findings, {}).as_json()))
    monkeypatch.setattr("pickout.explain.explanation.measurement_file", lambda _: file)
    gallery = Gallery.create(tmp_path / "people.gallery", model)
    gallery.add(people.parent / "crops", exclude=["*[1-9].png"])
    return serve(encoder=model)


def test_why_colours_words_lays_heat_and_hides_what_failed(explained, visit):
    page = visit(explained)
    search(page, "a person in a red jacket")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("w")
    page.wait_for_selector(".why .words")
    told = page.locator(".why").inner_text()
    assert "Not shown: where each word lies. not shown: no way did better than chance" in told
    assert "Not measured" not in told
    assert page.locator(".words [class*=for], .words [class*=against]").count() == 6
    assert page.locator(".words .for4, .words .against4").count() >= 1
    heat = "(() => { const c = document.querySelector('.heat'); if (c.hidden) return 0; return c.getContext('2d')"
    heat += ".getImageData(0, 0, c.width, c.height).data.some((each, at) => at % 4 === 3 && each > 60) })()"
    assert page.evaluate(heat)
    assert page.locator(".words button:not(:disabled)").count() == 0  # the heat of single words failed
    began = time.monotonic()
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    page.wait_for_selector(".why .words")
    assert time.monotonic() - began < 2  # it was kept


def test_an_empty_gallery_is_tried_on_drawn_people_with_one_click(serve, visit, people, monkeypatch):
    """What is drawn, tests/cli holds against `pickout serve --demo`; here ten crops stand for it."""

    def draw(gallery, _, tell):
        tell("drawing", 1, 2)
        time.sleep(0.5)
        gallery.add(people.parent / "crops", exclude=["*[1-9].png", "01*.png"])
        return gallery.count()

    monkeypatch.setattr("pickout.serve.change_routes.add_sample", draw)
    server = serve(empty=True)
    page = visit(server)
    page.dblclick("text=Try it on drawn people")
    page.wait_for_selector(".step >> text=drawing")
    page.wait_for_selector("text=10 crops to search")
    page.wait_for_selector(".sentence:focus")
    answer = page.request.post(f"{server.url}v1/galleries/people/sample", headers={"Pickout-Purpose": "incident"})
    assert "empty gallery only" in answer.text()


def test_a_recording_is_sent_and_looked_through(serve, visit, monkeypatch):
    """The browser's side; tests/serve has the server's."""
    page = visit(serve(empty=True))
    sent, asked = [], []

    def video(route):
        asked.append(route.request.post_data_json)
        lines = [{"job": "1"}, {"progress": {"doing": "looking", "done": 1, "total": 2}}, {"error": "nobody was found"}]
        route.fulfill(body="\n".join(map(json.dumps, lines)) + "\n", content_type="application/x-ndjson")

    page.route(
        "**/recordings?*", lambda route: (sent.append(route.request), route.fulfill(json={"recording": "a" * 32}))
    )
    page.route("**/video", video)
    file = {"name": "gate 2.mp4", "mimeType": "video/mp4", "buffer": b"moving pictures"}
    page.set_input_files("input[type=file]", [file])
    page.wait_for_selector(".step.bad >> text=nobody was found")
    assert sent[0].url.endswith("/recordings?name=gate+2.mp4") and sent[0].post_data_buffer == b"moving pictures"
    assert sent[0].headers["pickout-purpose"] == "incident" and asked == [{"recording": "a" * 32}]
    assert page.locator("text=Choose files").is_enabled()
    check(page, "an empty gallery")


def test_the_whole_way_with_the_keyboard_alone(serve, visit, tmp_path):
    page = visit(serve())
    page.wait_for_selector(".sentence:focus")
    page.keyboard.type("a teal jacket")
    page.keyboard.press("Enter")
    page.wait_for_selector(CARDS)
    tab_to(page, "[aria-label='not lobby']")
    page.keyboard.press("Enter")
    idle(page)
    until(page, "document.querySelector('#count').textContent.startsWith('97 ')")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    for name in ("ArrowRight", "f", "m", "e"):
        page.keyboard.press(name)
    page.wait_for_selector(".where .row")
    page.keyboard.press("Escape")
    until(page, "document.activeElement.matches('.card')")
    saved(page)
    tab_to(page, "a[href='#/cases']")
    page.keyboard.press("Enter")
    page.wait_for_selector(".list a")
    tab_to(page, ".list a")
    page.keyboard.press("Enter")
    page.wait_for_selector(".evidence")
    tab_to(page, ".actions button:nth-of-type(1)")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    waiting.value.save_as(tmp_path / "case.zip")
    assert verify_archive(tmp_path / "case.zip").faults == ()
