"""The page of results: self-contained, escaped, and laid out without letting anything overflow."""

import os
import re
import shutil
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.search.filters import Where
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Grouping
from pickout.gallery.search.search import Verdict
from pickout.gallery.search.sheet import NOTE, result_sheet

HOSTILE = "<script>alert(1)</script>'\" onerror=alert(2) $title &amp; \x1b[31m"


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def hostile(tmp_path, encoder, draw):
    """A gallery whose every name is an attack."""
    root = tmp_path / "hostile"
    folder = "<b>cam & 'x'"
    for shade, name in enumerate(
        ("<img src=x onerror=alert(3)>.png", os.fsdecode(b"caf\xe9\x1b[2J.png"), "${note}.png")
    ):
        draw(root / folder / name, shade=shade)
    gallery = Gallery.create(tmp_path / "<g>", encoder)
    gallery.add(root, camera_from=CameraFrom.FOLDER)
    return gallery


def sheet_of(gallery, sentence="a teal jacket", where=None, top=20):
    answer = gallery.ask(sentence, top=top, where=where or Where())
    page = result_sheet([answer], gallery=gallery.path.name, model="colour", crops=gallery.count())
    return page, answer.hits


def test_each_hit_has_its_picture_rank_score_camera_and_path(gallery):
    page, hits = sheet_of(gallery)
    elements = Elements(page)
    pictures = [attributes for tag, attributes in elements.tags if tag == "img"]
    assert len(pictures) == 6
    assert all(each["src"].startswith("data:image/jpeg;base64,/9j/") for each in pictures)
    for hit in hits:
        assert hit.path in elements.text
        assert f"{hit.score:.3f}" in elements.text
    assert NOTE in elements.text
    assert "6 of 6 crops" in elements.text


def test_nothing_is_asked_for_from_elsewhere(gallery, hostile):
    for page in (sheet_of(gallery)[0], sheet_of(hostile)[0]):
        elements = Elements(page)
        for tag, attributes in elements.tags:
            assert tag not in ("script", "link", "iframe", "object", "a", "form")
            for name, value in attributes.items():
                assert name not in ("href", "srcset", "action") and not name.startswith("on")
                assert name != "src" or value.startswith("data:image/jpeg;base64,")
        assert "url(" not in page and "@import" not in page
        assert "default-src 'none'" in page


def test_hostile_names_and_sentences_are_shown_as_text(hostile):
    page, _ = sheet_of(hostile, HOSTILE, Where(cameras=hostile.cameras()))
    elements = Elements(page)
    tags = {tag for tag, _ in elements.tags}
    assert tags.isdisjoint({"script", "b "}) and page.count("<script") == 0
    assert len([tag for tag, _ in elements.tags if tag == "img"]) == 3
    assert "<img src=x onerror=alert(3)>.png" in elements.text
    assert "${note}.png" in elements.text
    assert "caf��[2J.png" in elements.text
    assert "<script>alert(1)</script>'\" onerror=alert(2) $title &amp; [31m" in elements.text
    assert not re.search("[\x00-\x09\x0b-\x1f]", page)


def test_filters_times_and_labels_are_told(gallery, crops, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("image,camera,time,track\n0006.png,lobby,2026-03-01T12:30,t-7\n")
    gallery.add(crops, table=table)
    where = Where(cameras=["lobby"], after=datetime(2026, 3, 1), before=datetime(2026, 3, 2))
    text = Elements(sheet_of(gallery, where=where)[0]).text
    for told in (
        "camera lobby",
        "after 2026-03-01 00:00:00",
        "before 2026-03-02 00:00:00",
        "t-7",
        "2026-03-01 12:30:00",
    ):
        assert told in text


def test_a_page_without_candidates_says_so(gallery):
    assert "no crop passes the filters" in Elements(sheet_of(gallery, where=Where(after=datetime(2030, 1, 1)))[0]).text


@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_every_picture_and_asks_for_nothing(tmp_path, gallery, hostile, draw, crops, width):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium here")
    playwright = pytest.importorskip("playwright.sync_api")
    draw(crops / "wide.png", shade=7, size=(400, 30))
    draw(crops / "narrow.png", shade=8, size=(6, 300))
    draw(crops / ("long_name_" * 20 + ".png"), shade=9)
    gallery.add(crops)
    file = tmp_path / "sheet.html"
    file.write_text(sheet_of(gallery, "teal " * 80)[0] + sheet_of(hostile, HOSTILE)[0], encoding="utf-8")
    asked, said = [], []
    with playwright.sync_playwright() as engine:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
        browser = engine.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(Path(file).as_uri())
        shown = page.eval_on_selector_all("img", "all => all.map(i => [i.complete, i.naturalWidth, i.clientWidth])")
        overflow = page.evaluate("document.body.scrollWidth - document.body.clientWidth")
        browser.close()
    assert len(shown) == 12
    assert all(complete and natural > 0 and displayed >= 2 for complete, natural, displayed in shown)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
    assert overflow <= 0


def test_probabilities_verdict_and_notes_stand_on_the_page(gallery):
    answer = gallery.ask("a teal jacket", top=3)
    hits = [replace(hit, probability=0.125 * hit.rank) for hit in answer.hits]
    poor = replace(answer, hits=hits, verdict=Verdict(0.125, 0.26, 0.05), notes=["The model never learnt <skis>."])
    text = Elements(result_sheet([poor], gallery="g", model="m", crops=6)).text
    assert "No good match: the best candidate has probability 0.12, below 0.26" in text
    assert "The model never learnt <skis>." in text
    assert all(f"{told}%" in text for told in (12, 25, 38))
    assert all(f"{hit.score:.3f}" in text for hit in hits)
    good = replace(poor, verdict=Verdict(0.5, 0.26, 0.05), notes=())
    assert "No good match" not in Elements(result_sheet([good], gallery="g", model="m", crops=6)).text


def test_every_part_of_a_query_is_told_and_its_picture_shown(gallery, crops):
    query = Query(["a coat", "blue jeans"], images=[crops / "0006.png"], without=["a <hat>"], less_like=["0006.png"])
    answer = gallery.ask(query, top=2, page=2, grouping=Grouping.DUPLICATE)
    elements = Elements(result_sheet([answer], gallery="g", model="m", crops=gallery.count()))
    for told in ("a coat", "also blue jeans", "without a <hat>", "unlike the crop 0006.png", "3 to 4 of 6 crops"):
        assert told in elements.text
    assert "one for each group of near-duplicates" in elements.text
    assert [attributes["class"] for tag, attributes in elements.tags if tag == "img" and "class" in attributes] == [
        "query"
    ]
    alone = Elements(result_sheet([gallery.ask(Query(images=[crops / "0006.png"]))], gallery="g", model="m", crops=6))
    assert "People like this one" in alone.text


def test_crops_behind_a_candidate_are_counted(gallery, crops, draw):
    draw(crops / "twin.png", "black", "teal", "black", shade=200)
    gallery.add(crops)
    answer = gallery.ask("a teal jacket", grouping=Grouping.DUPLICATE)
    assert "alike1 more" in Elements(result_sheet([answer], gallery="g", model="m", crops=7)).text
