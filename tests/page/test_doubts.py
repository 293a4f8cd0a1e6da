"""What is doubtful in a query, and what the page does about it: words, times, a server that is away."""

import json
import re
from datetime import datetime
from pathlib import Path

import pytest
from browsing import CARDS, check, idle, search, until

import pickout
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.sentence_filters import read_filters
from pickout.serve.sample import add_sample
from pickout.text.familiarity import Familiarity

PAGE = Path(__file__).parents[2] / "pickout" / "serve" / "page"
AWAY = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
CARD_PLACES = "[...document.querySelectorAll('.card')].slice(0, 8).map((each) => each.getBoundingClientRect().y)"


def test_a_word_that_was_never_learnt_is_underlined_and_a_misspelt_one_put_right(serve, visit):
    server = serve()
    meant = {"jaket": "jacket", "tattoo": "", "constructor": ""}
    server.encoder.familiarity = lambda sentence: Familiarity(
        9, tuple(word for word in meant if word in sentence), 0, 0.1, 0, tuple(meant[w] for w in meant if w in sentence)
    )
    page = visit(server)
    search(page, "a teal jaket with a tattoo, no constructor")
    assert page.locator("u.unknown").all_inner_texts() == ["jaket", "tattoo", "constructor"]
    check(page, "unknown words")
    with page.expect_response("**/search"):
        page.click("text=did you mean jacket?")
    idle(page)
    assert page.input_value(".sentence") == "a teal jacket with a tattoo, no constructor"
    assert page.locator("u.unknown").all_inner_texts() == ["tattoo", "constructor"]
    search(page, "a teal jacket")
    assert page.locator("u.unknown").count() == 0


def test_a_time_without_its_day_asks_for_it(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket after 9 am")
    idle(page)
    assert page.locator(".chip.open").inner_text().startswith("after 9 am:")
    check(page, "an open time")
    days = page.locator(".chip.open option").evaluate_all("(all) => all.map((each) => each.value)")
    assert days == ["", "2026-03-02", "other"]
    with page.expect_response("**/search"):
        page.select_option(".chip.open select", "2026-03-02")
    idle(page)
    assert page.input_value(".sentence") == "a teal jacket after 9 am on 2026-03-02"
    assert page.locator(".chip.open").count() == 0 and page.locator(".chip.read").count() == 2
    assert min(page.locator(".card .time b").all_inner_texts()) >= "09:00:00"
    search(page, "a teal jacket at 9 am")
    assert "from when until when?" in page.locator(".chip.open").inner_text()


def test_another_day_than_those_of_the_candidates_can_be_given(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket in the evening")
    idle(page)
    page.select_option(".chip.open select", "other")
    page.fill(".chip.open input", "2026-03-05")
    page.wait_for_selector("text=No crop passes the filters")
    assert page.input_value(".sentence") == "a teal jacket on 2026-03-05 evening"
    assert not page.locator("#times").is_visible()


def test_a_search_that_found_no_server_is_made_when_it_is_back(serve, visit):
    server = serve()
    page = visit(server)
    page.allowed_errors = AWAY
    search(page, "a teal jacket")
    server.stop()
    page.fill(".sentence", "a red jacket")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The search is made when it is back")
    assert page.locator("text=Try again").is_visible()
    server.start()
    page.wait_for_selector(CARDS)
    assert page.input_value(".sentence") == "a red jacket"
    log = [json.loads(line) for line in (server.paths[0] / "audit.jsonl").read_text().splitlines()]
    assert [entry["query"]["texts"] for entry in log if "query" in entry] == [["a teal jacket"], ["a red jacket"]]


def test_no_card_moves_when_a_picture_joins_the_query_and_it_is_seen_there(serve, visit):
    server = serve()
    page = visit(server)
    search(page, "a teal jacket")
    page.locator(".card").first.scroll_into_view_if_needed()
    before = page.evaluate(CARD_PLACES)
    row = next(iter(Gallery.open(server.paths[0]).rows([page.locator(".card").first.get_attribute("id")[5:]]).values()))
    with page.expect_response("**/search"):
        page.set_input_files("input[type=file]", row.file)
    page.wait_for_selector(".part.image")
    idle(page)
    assert page.evaluate(CARD_PLACES) == before
    until(page, "document.querySelector('.part.image img').naturalWidth > 0")
    told = page.locator(".said-of").inner_text()
    assert told.count("probable") + told.count("Probabilities") == 1


@pytest.mark.slow
def test_each_example_finds_somebody_among_the_people_of_the_demo(tmp_path):
    model = pickout.load()
    gallery = Gallery.create(tmp_path / "demo.gallery", model)
    add_sample(gallery, tmp_path, lambda *_: None)
    script = (PAGE / "start.js").read_text()
    camera = max(gallery.counts()["camera"].items(), key=lambda each: each[1])[0]
    whole = re.sub(r"\$\{camera \? ` at camera \$\{camera\}` : \"\"\}", f" at camera {camera}", script)
    examples = re.findall(r"^    [\"`](a .*?)[\"`],$", whole, re.MULTILINE)
    assert len(examples) == 3
    for example in examples:
        found = read_filters(example, gallery.cameras(), datetime(2026, 3, 3))
        answer = gallery.ask(found.description, where=found.where)
        assert answer.no_good_match is False, example
