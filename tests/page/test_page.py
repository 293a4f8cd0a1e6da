"""The path of an investigator in a real browser, with real clicks and keys."""

import json
import re
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from browsing import AXE, CARDS, check, idle, marked, saved, search, until

from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.rows import Metadata
from pickout.serve.access import OWNER, Role
from pickout.serve.archive import verify_archive

PAGE = Path(__file__).parents[2] / "pickout" / "serve" / "page"


def test_the_page_weighs_little_and_asks_nobody_else(serve, visit):
    files = [file for file in PAGE.iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 300_000
    assert not [file for file in files if re.search(r"https?://(?!www\.w3\.org/2000/svg)", file.read_text())]
    server = serve()
    page = visit(server)
    page.wait_for_selector(".sentence")
    policy = page.request.get(server.url).headers["content-security-policy"]
    assert "'unsafe" not in policy and "default-src 'none'" in policy and "script-src 'self'" in policy


def test_triage_of_100_candidates_takes_at_most_150_keys_and_no_mouse(serve, visit):
    server = serve()
    page = visit(server, path='#/search?q={"group":"none"}')
    pressed = [0]

    def press(name):
        page.keyboard.press(name)
        pressed[0] += 1

    page.wait_for_selector(".sentence:focus")
    page.keyboard.type("a teal jacket")  # the query; what is counted are the keys that judge
    press("Enter")
    page.wait_for_selector(CARDS)
    press("ArrowRight")
    verdicts = ("f", "m", "n")
    for number in range(100):
        until(page, "document.activeElement?.matches('.grid:not([aria-busy]) .card')")
        press(verdicts[number % 3])
    saved(page)
    assert pressed[0] <= 150
    marks = marked(server)
    assert len(marks) == 100
    counted = [sum(mark["verdict"] == verdict for mark in marks.values()) for verdict in ("fits", "maybe", "no")]
    assert counted == [34, 33, 33] and {mark["sentence"] for mark in marks.values()} == {"a teal jacket"}


def test_the_sentence_is_read_and_its_chips_can_be_thrown_out(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket at camera gate after 9 am on 2 March 2026")
    chips = page.locator(".chip.read")
    assert chips.count() == 3 and "camera gate" in chips.first.inner_text()
    cameras = lambda: set(page.locator(".card .camera").all_inner_texts())  # noqa: E731
    assert cameras() == {"gate"}
    page.click("[aria-label='Throw out: camera gate']")
    until(page, "document.querySelectorAll('.chip').length === 2 && !document.querySelector('[aria-busy]')")
    assert len(cameras()) == 4
    page.go_back()
    until(page, "document.querySelectorAll('.chip').length === 3 && !document.querySelector('[aria-busy]')")
    assert cameras() == {"gate"}


def test_another_witness_leaves_the_filters_that_were_read_and_the_first_can_be_written_anew(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket at camera gate")
    with page.expect_request("**/search") as asked:
        page.select_option(".add", "witness")
        page.fill("dialog input", "blue trousers")
        page.keyboard.press("Enter")
    told = asked.value.post_data_json
    assert told["sentences"] == ["a teal jacket", "blue trousers"] and told["where"] == {"cameras": ["gate"]}
    idle(page)
    assert page.locator(".chip.read").count() == 1 and set(page.locator(".card .camera").all_inner_texts()) == {"gate"}
    with page.expect_request("**/search") as asked:
        search(page, "a red jacket at camera lobby")
    told = asked.value.post_data_json
    assert told["sentences"] == ["a red jacket", "blue trousers"] and told["where"] == {"cameras": ["lobby"]}
    assert "a red jacket at camera lobby" in page.locator(".part").first.inner_text()


def test_filters_tell_their_counts_and_include_and_exclude(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket")
    facet = page.locator("[aria-label=Filters] .facet:has(summary:has-text('Camera')) .value")
    rows = dict(zip(facet.locator(".name").all_inner_texts(), facet.locator(".number").all_inner_texts(), strict=True))
    assert rows["lobby"] == "33" and sum(map(int, rows.values())) == 130
    page.click("[aria-label='not lobby']")
    until(page, "document.querySelector('#count').textContent.startsWith('97 ')")
    page.click("[aria-label='only gate']")
    until(page, "document.querySelector('#count').textContent.startsWith('33 ')")
    assert set(page.locator(".card .camera").all_inner_texts()) == {"gate"}


def test_time_is_always_there_and_orders_the_candidates(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket")
    times = lambda: page.locator(".card .time b").all_inner_texts()  # noqa: E731
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", each) for each in times()) and times() != sorted(times())
    page.select_option(".toolbar select >> nth=0", "time")
    until(page, "document.querySelector('#count').textContent.includes('by time')")
    assert times() == sorted(times())


def test_nothing_moves_when_results_arrive(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket")
    page.evaluate(
        "() => { window.moved = 0; new PerformanceObserver((list) => { for (const each of list.getEntries())"
        " window.moved += each.value; }).observe({ type: 'layout-shift', buffered: false }); }"
    )
    cards = "[...document.querySelectorAll('.card')].slice(0, 8)"
    places = f"{cards}.map((each) => JSON.stringify(each.getBoundingClientRect()))"
    before = page.evaluate(places)
    search(page, "a red jacket at camera gate")
    page.wait_for_timeout(600)
    assert page.evaluate(places) == before and page.evaluate("window.moved") == 0


def test_more_like_less_like_without_and_a_picture_are_parts_that_can_be_weighed(serve, visit, tmp_path):
    server = serve()
    page = visit(server)
    search(page, "a teal jacket")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    page.wait_for_selector(".part.image")
    until(page, "!document.querySelector('[aria-busy]')")
    page.click(".part.image .weight")
    until(page, "!document.querySelector('[aria-busy]')")
    page.select_option(".add", "without")
    page.fill("dialog input", "a blue jacket")
    page.keyboard.press("Enter")
    page.wait_for_selector(".part.no")
    row = next(iter(Gallery.open(server.paths[0]).rows([page.locator(".card").first.get_attribute("id")[5:]]).values()))
    page.set_input_files("input[type=file]", row.file)
    page.wait_for_selector("text=" + row.file.name)
    until(page, "!document.querySelector('[aria-busy]')")
    log = [json.loads(line) for line in (server.paths[0] / "audit.jsonl").read_text().splitlines()]
    asked = [entry["query"] for entry in log if "query" in entry][-1]
    assert len(asked["more_like"]) == 2 and asked["without"] == ["a blue jacket"] and len(asked["images"]) == 1


def test_a_case_from_marks_to_an_archive_that_verifies(serve, visit, tmp_path):
    server = serve()
    page = visit(server)
    search(page, "a teal jacket")
    for name in ("ArrowRight", "f", "m", "n"):
        page.keyboard.press(name)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("r")
    page.keyboard.press("1")
    saved(page)
    assert sorted(mark["reason"] for mark in marked(server).values()) == ["", "", "other clothes"]
    page.click("#case-bar a")
    page.wait_for_selector(".evidence")
    page.fill("[aria-label='A note']", "<script>document.title = 'taken'</script>")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=document.title = 'taken'")
    page.click("text=face blurred when it leaves >> nth=0")
    check(page, "redaction")
    page.uncheck("dialog input[type=checkbox]")
    page.click("dialog button.main")  # without a reason it does not close
    assert page.locator("dialog").count() == 1
    page.fill("dialog input[name=reason]", "the person who is looked for")
    page.click("dialog button.main")
    page.wait_for_selector("text=face shown: the person who is looked for")
    page.click("text=Hand over")
    check(page, "handing over")
    with page.expect_download() as waiting:
        page.click("dialog button.main")
    file = tmp_path / "case.zip"
    waiting.value.save_as(file)
    assert verify_archive(file).faults == ()
    with zipfile.ZipFile(file) as archive:
        assert len([name for name in archive.namelist() if name.startswith("pictures/")]) == 2
        assert b"a teal jacket" in archive.read("queries.jsonl")  # made before there was a case
        assert [each["reason"] for each in json.loads(archive.read("case.json"))["redactions"].values()] == [
            "the person who is looked for"
        ]


def test_a_second_opinion_is_given_blind_and_shown(serve, visit):
    server = serve()
    secrets = [
        server.service.tokens.create(OWNER, name, [Role.SEARCH], datetime.now(UTC) + timedelta(days=1))[1]
        for name in ("ana", "ben")
    ]
    session = lambda token: f"sessionStorage.pickout = JSON.stringify({{purpose: 'incident', token: '{token}'}})"  # noqa: E731
    first = visit(server, purpose=None)
    first.allowed_errors = ("401",)
    first.evaluate(session(secrets[0]))
    first.reload()
    search(first, "a teal jacket")
    for name in ("ArrowRight", "f", "n"):
        first.keyboard.press(name)
    saved(first)
    second = visit(server, purpose=None)
    second.allowed_errors = ("401",)
    second.evaluate(session(secrets[1]))
    second.reload()
    second.click("#nav >> text=Cases")
    second.click(".list a")
    second.click("text=Give a second opinion on 2 candidates")
    second.wait_for_selector(CARDS)
    assert second.locator(".verdict:not(:empty)").count() == 0
    until(second, "document.activeElement.matches('.card')")
    second.keyboard.press("f")
    second.keyboard.press("f")
    saved(second)
    second.click("text=Back to the case")
    second.wait_for_selector(".standing.agreed")
    heads = second.locator("section:has(.evidence) > h2")
    assert heads.all_inner_texts() == ["≠ judged differently · 1", "✓ fits · 1"]
    assert second.locator(".evidence li").count() == 2
    assert second.locator(".standing.agreed").count() == 1 and second.locator(".standing.differs").count() == 1
    second.click("#nav >> text=Cases")
    second.wait_for_selector(".list a")
    assert second.locator(".list .said").all_inner_texts() == [
        "≠ 1 judged differently",
        "✓ 1 fits",
        "? 0 maybe",
        "✕ 0 no",
    ]


def test_a_search_is_saved_and_watched(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket")
    page.click(".toolbar >> text=Save")
    page.fill("dialog input", "teal")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Saved as “teal”")
    page.click("#nav >> text=Watches")
    page.click("text=New watch")
    page.fill("dialog input[name=name]", "door")
    page.fill("dialog input[name=crops_a_day]", "100")
    page.click("dialog button.main")
    page.wait_for_selector("text=At most 1 false alarm a day on average")


def test_a_watch_that_is_refused_can_be_put_right(serve, visit):
    server = serve()
    gallery = Gallery.open(server.paths[0], server.encoder)
    gallery.update(gallery.choose(["*"]), Metadata(time=datetime(2026, 3, 2)))
    server.service.galleries["people"].refresh()
    page = visit(server)
    page.allowed_errors = ("422",)
    search(page, "a teal jacket")
    page.click(".toolbar >> text=Save")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Saved as")
    page.click("#nav >> text=Watches")
    page.click("text=New watch")
    page.fill("dialog input[name=name]", "door")
    page.fill("dialog input[name=false_alarms_a_day]", "0.5")
    page.click("dialog button.main")
    page.wait_for_selector("dialog .bad >> text=say how many new crops a day there will be")
    check(page, "a watch that is refused")
    assert page.input_value("dialog input[name=name]") == "door"
    page.fill("dialog input[name=crops_a_day]", "10")
    page.click("dialog button.main")
    page.wait_for_selector("text=At most 1 false alarm in 2 days on average")


def test_where_else_compare_and_the_timeline(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("e")
    page.wait_for_selector(".where .row")
    assert page.locator(".where .row").count() == 2
    page.keyboard.press("Escape")
    until(page, "document.activeElement.matches('.card')")
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("c")
    assert page.locator("dialog figure").count() == 2
    check(page, "compared")
    page.keyboard.press("Escape")
    page.click("#times summary")
    until(page, "document.querySelectorAll('.strip-row').length === 4")
    page.click(".dot >> nth=3", force=True)
    page.wait_for_selector(".detail.open")


def test_a_click_with_shift_selects_all_from_the_card_before_it(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket")
    cards = page.locator(".card")
    looked_at = "[...document.querySelectorAll('.card')].findIndex((each) => each.matches('[aria-current]'))"
    assert page.evaluate(looked_at) == 0
    cards.nth(4).click()
    assert page.evaluate(looked_at) == 4
    cards.nth(1).click(modifiers=["Shift"])
    chosen = page.locator(".card[aria-selected=true]").evaluate_all("(all) => all.map((each) => each.dataset.place)")
    assert chosen == ["1", "2", "3", "4"]
    page.keyboard.press("n")
    saved(page)
    cards.nth(6).click(modifiers=["Control"])
    cards.nth(8).click(modifiers=["Shift"])
    assert page.locator(".card[aria-selected=true]").count() == 3


def test_why_is_told_or_said_to_be_unknown(serve, visit):
    page = visit(serve())
    page.allowed_errors = ("409",)
    search(page, "a teal jacket")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("w")
    page.wait_for_selector(".why .bad")  # this gallery's model is none that can be explained
    assert "cannot be explained" in page.locator(".why .bad").inner_text()


def test_what_is_not_good_is_said_and_shown_only_on_request(serve, visit):
    page = visit(serve())

    def worse(route):
        told = route.fetch().json()
        told |= {"no_good_match": True, "best_probability": 0.11, "threshold": 0.4, "error": 0.05}
        told["notes"] = ["The model never learnt 'farthingale'; it may guess."]
        told["unknown"] = {"farthingale": ""}
        route.fulfill(json=told)

    page.route("**/search", worse)
    page.fill(".sentence", "a farthingale")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Only 5 % of searches for people who are not here reach 40 %.")
    assert page.locator(".card").count() == 0 and page.locator("u.unknown").inner_text() == "farthingale"
    leads_on = [page.locator("#times"), page.locator(".toolbar .choose").first]
    assert not any(each.is_visible() for each in leads_on)
    page.click("text=Show the best of a bad lot")
    page.wait_for_selector(CARDS)
    assert all(each.is_visible() for each in leads_on)
    assert "best of a bad lot" in page.locator("#told").inner_text()


def test_a_purpose_is_asked_once(serve, visit):
    server = serve()
    page = visit(server, purpose=None)
    page.fill(".sentence", "a teal jacket")
    page.keyboard.press("Enter")
    page.click("dialog >> text=missing person")
    page.click("dialog button.main")
    page.wait_for_selector(CARDS)
    search(page, "a red jacket")
    log = (server.paths[0] / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["purpose"] for line in log if "query" in json.loads(line)] == ["missing person"] * 2


def test_marks_wait_for_a_server_that_went_and_came_back(serve, visit):
    server = serve()
    page = visit(server)
    page.allowed_errors = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    search(page, "a teal jacket")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    saved(page)
    server.stop()
    page.keyboard.press("m")
    page.keyboard.press("n")
    page.wait_for_selector("#offline:not([hidden])")
    assert "2 marks not saved yet" in page.locator("#case-bar").inner_text()
    server.start()
    saved(page)
    page.wait_for_selector("#offline[hidden]", state="attached")
    assert len(marked(server)) == 3


def test_a_token_that_ends_is_asked_for_and_nothing_is_lost(serve, visit):
    server = serve()
    make = lambda name: server.service.tokens.create(OWNER, name, [Role.SEARCH], datetime.now(UTC) + timedelta(days=1))  # noqa: E731
    (token, secret), (_, other) = make("ana"), make("ana again")
    page = visit(server, purpose=None)
    page.allowed_errors = ("401", "429")  # what was under way when the token ended
    page.evaluate(f"sessionStorage.pickout = JSON.stringify({{purpose: 'incident', token: '{secret}'}})")
    page.reload()
    search(page, "a teal jacket")
    page.wait_for_load_state("networkidle")  # every picture is there, so that the next request is the mark's
    server.service.tokens.revoke(OWNER, token.id)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    page.fill("dialog input[name=token]", other)
    page.keyboard.press("Enter")
    saved(page)
    assert len(marked(server)) == 1


def test_a_gallery_that_is_erased_under_an_open_result(serve, visit):
    server = serve()
    page = visit(server)
    page.allowed_errors = ("404", "422")
    search(page, "a teal jacket")
    crop = page.locator(".card").first.get_attribute("id")[5:]
    server.service.erase(server.service.galleries["people"], [crop])
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    page.wait_for_selector("text=Not marked")


def test_an_empty_gallery_says_what_to_do_and_takes_pictures(serve, visit, people):
    server = serve(empty=True)
    page = visit(server)
    page.wait_for_selector("text=This gallery is empty")
    page.set_input_files("input[type=file]", sorted((people.parent / "crops").glob("*.png"))[:5])
    page.wait_for_selector("text=5 crops to search")


def test_hostile_names_stay_words(serve, visit):
    server = serve()
    page = visit(server, width=360, height=740)
    body = {"name": "<img src=x onerror=alert(1)>" * 7, "about": "<b>" + "x" * 5000}
    url, headers = f"{server.url}v1/galleries/people/cases", {"Pickout-Purpose": "incident"}
    assert page.request.post(url, data=body, headers=headers).status == 201
    page.click("#nav >> text=Cases")
    page.click(".list a")
    page.wait_for_selector("h1 >> text=onerror")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding_of_axe_and_no_sideways_scrolling(serve, visit, width, scheme):
    if not AXE.exists():
        pytest.skip("axe-core is not there: npm install --prefix tests/page axe-core")
    server = serve()
    page = visit(server, width=width, scheme=scheme, reduced_motion="reduce")

    page.wait_for_selector(".sentence")
    check(page, "start")
    search(page, "a teal jacket at camera gate")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    check(page, "results")
    page.keyboard.press("Enter")
    check(page, "one candidate")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    check(page, "keys")
    page.keyboard.press("Escape")
    saved(page)
    for view in ("Cases", "Watches", "Site", "Record"):
        page.click(f"#nav >> text={view}")
        page.wait_for_selector(".sheet")
        check(page, view)
    page.click("#nav >> text=Cases")
    page.click(".list a")
    page.wait_for_selector(".evidence")
    check(page, "a case")


def test_a_mark_in_the_panel_is_for_the_candidate_that_it_shows(serve, visit):
    server = serve()
    page = visit(server, width=360, height=740)
    search(page, "a teal jacket")
    page.click(".card >> nth=0")
    page.click(".detail >> text=Where else")
    page.click(".where .row .mini:not(.this) >> nth=0")
    shown = page.locator(".portrait img").get_attribute("data-crop")
    assert shown != page.locator(".card").first.get_attribute("id")[5:]
    page.keyboard.press("f")
    saved(page)
    assert list(marked(server)) == [shown]
    page.click(".detail >> text=maybe")
    saved(page)
    assert marked(server)[shown]["verdict"] == "maybe"
