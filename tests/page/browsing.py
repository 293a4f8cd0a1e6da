"""What tests of the page do with it again and again."""

import time
from pathlib import Path

from pickout.serve.access import OWNER

CARDS = ".grid:not([aria-busy]) .card:not(.ghost)"
AXE = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"
TIMES = "[...document.querySelectorAll('.card .time b')].map((each) => each.textContent)"


def search(page, sentence):
    page.fill(".sentence", sentence)
    with page.expect_response("**/search"):
        page.keyboard.press("Enter")
    page.wait_for_selector(CARDS)


def until(page, script, seconds=60):
    """The page's policy forbids what `wait_for_function` does."""
    end = time.monotonic() + seconds
    while not page.evaluate(script):
        assert time.monotonic() < end, script
        page.wait_for_timeout(50)


def idle(page):
    until(page, "!document.querySelector('[aria-busy]')")


def marked(server):
    """Every mark on the server, by crop."""
    cases, people = server.app.state.parts.cases, server.service.galleries["people"]
    [case] = cases.all(OWNER, people)
    found = cases.get(OWNER, people, case["id"])
    return {crop["id"]: crop["marks"][0] for crop in found["crops"]}


def saved(page):
    until(page, "(sessionStorage['pickout.marks'] ?? '[]') === '[]'")


def check(page, what):
    """Nothing serious for axe, and nothing to scroll sideways to."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    serious = [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")]
    assert serious == [], what
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), what


def tab_to(page, selector, most=80):
    """Press Tab until what has the focus is meant."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches({selector!r})"):
            return
    raise AssertionError(f"{selector} is not reached with {most} tabs")
