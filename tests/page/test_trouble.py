"""What goes wrong under an open page: slow servers, impatient fingers, rights that end, rows that go, hostile words."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from browsing import CARDS, check, idle, marked, saved, search, until

from pickout.gallery.audit.heads import read_head
from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.rows import Metadata
from pickout.serve.access import OWNER, TOKENS, Role

SCRIPT = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


def signed_in(server, visit, *roles, purpose="incident"):
    token, secret = server.service.tokens.create(OWNER, "ana", roles, datetime.now(UTC) + timedelta(days=1))
    page = visit(server, purpose=None)
    page.allowed_errors = ("401", "403", "404", "429")
    page.evaluate(f"sessionStorage.pickout = JSON.stringify({{purpose: {purpose!r}, token: '{secret}'}})")
    page.reload()
    return page, token


def test_the_back_button_goes_through_searches_and_views(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket")
    search(page, "a red jacket")
    page.click("#nav >> text=Cases")
    page.wait_for_selector(".sheet")
    page.go_back()
    page.wait_for_selector(CARDS)
    assert page.input_value(".sentence") == "a red jacket"
    page.go_back()
    until(page, "document.querySelector('.sentence').value === 'a teal jacket'")
    idle(page)
    page.go_forward()
    until(page, "document.querySelector('.sentence').value === 'a red jacket'")
    page.reload()
    page.wait_for_selector(CARDS)
    assert page.input_value(".sentence") == "a red jacket"


@pytest.mark.parametrize(
    "damaged",
    ['{"texts":5}', '{"texts":[]}', '{"where":{"cameras":3}}', '{"texts":[{"value":1}]}', '{"more":[null]}', "{"],
)
def test_a_damaged_address_opens_the_page_as_at_first(serve, visit, damaged):
    page = visit(serve(), path=f"#/search?q={damaged}")
    page.wait_for_selector("text=Say what the witness said")
    search(page, "a teal jacket")


def test_a_page_that_is_not_there_any_more_leads_to_the_first(serve, visit):
    page = visit(serve(), path='#/search?q={"texts":[{"value":"a teal jacket"}],"page":9}')
    page.wait_for_selector(CARDS)
    assert page.locator(".pager").inner_text().count("1 to 60") == 1


def test_an_auditor_reads_who_asked_what_for_and_nothing_else(serve, visit):
    server = serve()
    page, _ = signed_in(server, visit, Role.SEARCH)
    search(page, "a teal jacket")
    assert page.locator("#nav").inner_text().split() == ["Search", "Cases", "Watches", "Site"]
    auditor, _ = signed_in(server, visit, Role.AUDIT)
    auditor.wait_for_selector(".record li")
    assert auditor.locator("#nav").inner_text().split() == ["Record"]
    assert "whole by itself" in auditor.locator(".sheet").inner_text()
    asked = auditor.locator(".record li").filter(has_text="a teal jacket")
    assert asked.count() == 1
    for word in ("ana", "for: incident", "shown", "UTC"):
        assert word in asked.inner_text()
    with auditor.expect_download() as told:
        auditor.click("text=Signed head")
    assert read_head(told.value.path().read_text()).size == auditor.locator(".record li").count()
    log = server.service.galleries["people"].path / "audit.jsonl"
    log.write_text(log.read_text().replace("a teal jacket", "a red jacket"))
    auditor.reload()
    auditor.wait_for_selector("text=The record was changed")


def test_who_may_all_has_the_record_beside_the_rest(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket")
    page.click("#nav >> text=Record")
    page.wait_for_selector(".record li")
    page.go_back()
    page.wait_for_selector(CARDS)


def test_a_double_click_does_a_thing_once(serve, visit):
    server = serve()
    page = visit(server)
    page.fill(".sentence", "a teal jacket")
    page.dblclick(".ask >> text=Search")
    page.wait_for_selector(CARDS)
    page.click(".card >> nth=0")
    page.dblclick(".detail >> text=fits")
    saved(page)
    assert len(marked(server)) == 1
    page.click("#case-bar a")
    page.fill("[aria-label='A note']", "seen twice")
    page.dblclick("text=Note >> nth=-1")
    page.wait_for_selector(".log >> text=seen twice")
    page.click("#nav >> text=Cases")
    page.click("text=New case")
    page.fill("dialog input", "another")
    page.dblclick("dialog button.main")
    page.wait_for_selector("h1 >> text=another")
    cases, people = server.app.state.parts.cases, server.service.galleries["people"]
    made = cases.all(OWNER, people)
    assert len(made) == 2
    assert len(cases.get(OWNER, people, made[0]["id"])["notes"] or [1]) == 1


def test_a_slow_server_is_waited_for_and_only_the_last_search_counts(serve, visit):
    server = serve()
    page = visit(server)
    search(page, "a teal jacket")
    page.keyboard.press("ArrowRight")
    slow, given_up = [], []
    page.on("requestfailed", lambda request: given_up.append(request.url))
    page.route("**/search", lambda route: slow.append(route))
    page.fill(".sentence", "a red jacket")
    page.keyboard.press("Enter")
    page.wait_for_selector(".grid[aria-busy]")
    page.keyboard.press("f")  # of candidates that are about to go
    page.wait_for_timeout(200)
    assert page.evaluate("sessionStorage['pickout.marks'] ?? '[]'") == "[]"
    page.fill(".sentence", "a blue jacket")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.grid[aria-busy]')")
    while len(slow) < 2:
        page.wait_for_timeout(50)
    slow[1].continue_()
    page.wait_for_selector(CARDS)
    assert [url.rpartition("/")[2] for url in given_up] == ["search"]  # the first
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    saved(page)
    assert {mark["sentence"] for mark in marked(server).values()} == {"a blue jacket"}


def test_a_token_that_loses_its_right_while_the_page_is_open(serve, visit):
    server = serve()
    page, _ = signed_in(server, visit, Role.SEARCH)
    search(page, "a teal jacket")
    file = server.state / TOKENS
    told = json.loads(file.read_text())
    told[0]["roles"] = ["audit"]
    file.write_text(json.dumps(told))
    page.fill(".sentence", "a red jacket")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=this token may not search")
    check(page, "a right that is gone")
    page.click("#nav >> text=Cases")
    page.wait_for_selector("text=This is not for your token")
    assert page.locator(".card").count() == 0


@pytest.mark.parametrize("given", ["", "one that is not allowed any more"])
def test_who_only_judges_is_asked_for_a_purpose_and_loses_no_mark(serve, visit, given):
    server = serve()
    first, _ = signed_in(server, visit, Role.SEARCH)
    search(first, "a teal jacket")
    for name in ("ArrowRight", "f", "n"):
        first.keyboard.press(name)
    saved(first)
    second, _ = signed_in(server, visit, Role.SEARCH, purpose=given)
    second.allowed_errors = ("401", "422")
    second.click("#nav >> text=Cases")
    second.click(".list a")
    second.click("text=Give a second opinion on 2 candidates")
    until(second, "document.activeElement?.matches('.card')")
    second.keyboard.press("f")
    second.click("dialog >> text=incident")
    second.click("dialog button.main")
    saved(second)
    cases, people = server.app.state.parts.cases, server.service.galleries["people"]
    [case] = cases.all(OWNER, people)
    assert [len(crop["marks"]) for crop in cases.get(OWNER, people, case["id"])["crops"]] == [2, 1]
    second.click("text=Back to the case")
    second.fill("[aria-label='A note']", "seen")
    second.keyboard.press("Enter")
    second.wait_for_selector(".log >> text=seen")


def test_a_case_that_is_deleted_under_an_open_result(serve, visit):
    server = serve()
    page = visit(server)
    page.allowed_errors = ("404",)
    search(page, "a teal jacket")
    for name in ("ArrowRight", "f", "n"):
        page.keyboard.press(name)
    saved(page)
    cases, people = server.app.state.parts.cases, server.service.galleries["people"]
    [case] = cases.all(OWNER, people)
    gone = page.request.delete(
        f"{server.url}v1/galleries/people/cases/{case['id']}", headers={"Pickout-Purpose": "incident"}
    )
    assert gone.ok
    page.keyboard.press("m")
    page.wait_for_selector("text=this case was deleted")
    assert page.locator(".verdict:not(:empty)").count() == 0
    assert "The first mark opens a case" in page.locator("#case-bar").inner_text()
    page.keyboard.press("f")
    saved(page)
    assert len(marked(server)) == 1


def test_what_stands_there_is_seen_to_be_of_another_query_from_the_start(serve, visit):
    page = visit(serve())
    search(page, "a teal jacket")
    late = []
    page.route("**/parse", lambda route: late.append(route))
    page.fill(".sentence", "a red jacket")
    page.keyboard.press("Enter")
    page.wait_for_selector(".grid[aria-busy]")
    while not late:
        page.wait_for_timeout(20)
    page.click("#nav >> text=Cases")
    page.wait_for_selector("text=No case yet")
    with page.expect_response("**/parse"):
        late[0].continue_()
    page.wait_for_timeout(300)
    assert page.url.endswith("#/cases")


def test_crops_that_another_token_may_not_see_are_gone_with_it(serve, visit):
    server = serve()
    page, token = signed_in(server, visit, Role.SEARCH)
    search(page, "a teal jacket")
    page.wait_for_load_state("networkidle")
    ends = datetime.now(UTC) + timedelta(days=1)
    _, other = server.service.tokens.create(OWNER, "ben", [Role.SEARCH], ends, cameras=["gate"])
    server.service.tokens.revoke(OWNER, token.id)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    page.fill("dialog input[name=token]", other)
    page.keyboard.press("Enter")
    saved(page)
    search(page, "a teal jacket")
    assert set(page.locator(".card .camera").all_inner_texts()) == {"gate"}
    names = page.locator("[aria-label=Filters] .facet:has(summary:has-text('Camera')) .name").all_inner_texts()
    assert names == ["gate"]


def test_a_gallery_that_is_emptied_under_an_open_result(serve, visit):
    server = serve()
    page = visit(server)
    page.allowed_errors = ("404", "422")
    search(page, "a teal jacket")
    gallery = Gallery.open(server.paths[0])
    server.service.erase(server.service.galleries["people"], gallery.choose(["*"]))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    page.wait_for_selector("text=Not marked")
    page.keyboard.press("e")
    page.wait_for_selector(".where .bad")
    page.fill(".sentence", "a red jacket")
    page.keyboard.press("Enter")
    page.wait_for_selector(".results .state h2")
    assert page.locator(".card").count() == 0
    page.reload()
    page.wait_for_selector("text=This gallery is empty")


@pytest.mark.parametrize("width", [360, 1440])
def test_hostile_labels_tracks_names_and_notes_stay_words(serve, visit, width):
    server = serve()
    gallery = Gallery.open(server.paths[0], server.encoder)
    long, label = "x" * 190, SCRIPT[:100]
    gallery.update(
        gallery.choose(["*"])[:40], Metadata(labels={label: SCRIPT[:180], "\u202eright": long}, track=SCRIPT)
    )
    server.service.galleries["people"].refresh()
    url, headers = f"{server.url}v1/galleries/people", {"Pickout-Purpose": "incident"}
    page = visit(server, width=width, height=800)
    body = {"name": SCRIPT[:90], "sentences": [SCRIPT]}
    assert page.request.post(f"{url}/saved", data=body, headers=headers).status == 201
    watch = {"name": SCRIPT, "search": SCRIPT[:90], "false_alarms_a_day": 1, "crops_a_day": 100}
    assert page.request.post(f"{url}/watches", data=watch, headers=headers).status == 201
    page.reload()
    page.wait_for_selector("text=Saved searches")
    page.click(f".examples button:has-text({json.dumps(SCRIPT[:20])})")
    page.wait_for_selector(CARDS)
    if width < 900:
        page.click(".toolbar >> text=Filters")
    for summary in page.locator("[aria-label=Filters] summary").all():
        summary.click()
    check(page, "filters")
    if width < 900:
        page.click("[aria-label='Close the filters']")
    page.click(".card >> nth=0")
    check(page, "one candidate")
    page.keyboard.press("f")
    saved(page)
    if page.locator(".detail.open").count():
        page.click(".detail [aria-label=Close]")
    page.click("#case-bar a")
    page.fill("[aria-label='A note']", f"{SCRIPT} {long}")
    page.keyboard.press("Enter")
    page.wait_for_selector(".log li")
    check(page, "a case")
    page.click("#nav >> text=Watches")
    page.wait_for_selector(".watch")
    check(page, "watches")
    assert page.title() == "Watches · Pickout"
    assert page.locator("main img:not(.crop)").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_at_200_percent_nothing_is_cut_off(serve, visit, scheme):
    """A page of 1440 pixels at twice the size has 720 of its own."""
    page = visit(serve(), width=720, height=450, scheme=scheme, device_scale_factor=2, reduced_motion="reduce")
    search(page, "a teal jacket")
    page.click("#times summary")
    check(page, "results")
    page.click(".card >> nth=0")
    page.wait_for_selector(".detail.open")
    check(page, "one candidate")
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).transitionDuration") == "0s"
    page.locator(".detail .facts").scroll_into_view_if_needed()
    box = page.locator(".detail .facts").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 720


def test_a_view_that_comes_late_does_not_take_the_place_of_a_later_one(serve, visit):
    page = visit(serve())
    page.wait_for_selector(".sentence:focus")
    late = []
    page.route("**/site", lambda route: late.append(route))
    page.click("#nav >> text=Site")
    while not late:
        page.wait_for_timeout(20)
    page.click("#nav >> text=Cases")
    page.wait_for_selector("text=No case yet")
    with page.expect_response("**/site"):
        late[0].continue_()
    page.wait_for_timeout(200)
    assert page.locator("text=No case yet").is_visible()
