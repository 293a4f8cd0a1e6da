"""The page with much behind it: first result, a case of thousands, many saved searches, in a headless Chromium.

    python benchmarks/page.py [--rows 100000] [--case 5000] [--saved 10000] [--out FOLDER]

The server is that of `benchmarks/serve.py`: random unit vectors, and an encoder that costs nothing, so what is timed is
the server and the page. Times end when the page shows what was asked for, in a frame that was painted.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
from playwright.sync_api import Page, sync_playwright
from serve import PURPOSE, fill
from serving import start

from pickout.gallery.search.saved_searches import SEARCHES
from pickout.gallery.storage.rows import row_id

PAGE = Path(__file__).parents[1] / "pickout" / "serve" / "page"
CARD = ".grid:not([aria-busy]) .card:not(.ghost)"
_PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
REPEATS = 9


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="page-") as folder, sync_playwright() as playwright:
        path = Path(folder) / "load.gallery"
        fill(path, options.rows, 512)
        (path / SEARCHES).write_text(json.dumps([saved(number) for number in range(options.saved)]))
        with start(path, Path(folder) / "state", 512) as (url, _):
            make_case(url, options.case)
            browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.add_init_script("sessionStorage.pickout ??= JSON.stringify({ purpose: 'research' })")
            lines = measure(page, url.removesuffix("v1"), options)
            browser.close()
    head = f"{options.rows} rows; {len(os.sched_getaffinity(0))} CPUs, load {os.getloadavg()[0]:.1f}"
    weight = sum(file.stat().st_size for file in PAGE.iterdir()) / 1000
    lines = [head, f"weight: {weight:.0f} kB in {len([*PAGE.iterdir()])} files, not compressed", *lines]
    print("\n".join(lines))
    if options.out:
        day, command = datetime.now(UTC).date().isoformat(), " ".join(["python benchmarks/page.py", *sys.argv[1:]])
        text = f"# The page with much behind it\n\n`{command}`, {day}\n\n```\n" + "\n".join(lines) + "\n```\n"
        (options.out / f"page_{options.machine}_{day}.md").write_text(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--case", type=int, default=5_000, help="crops of the case")
    parser.add_argument("--saved", type=int, default=10_000, help="searches that are saved")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--out", type=Path, help="folder for a results file")
    parser.add_argument("--machine", default="this")
    return parser.parse_args()


def saved(number: int) -> dict[str, Any]:
    at = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)).isoformat()
    query = {"texts": [f"person {number}"]}
    return {"name": f"search {number}", "query": query, "where": {}, "group": "track", "saved": at, "user": "somebody"}


def make_case(url: str, crops: int) -> None:
    """A case of so many marks, as a client would leave it."""
    with httpx2.Client(headers=PURPOSE, timeout=300) as client:
        case = client.post(f"{url}/galleries/load/cases", json={"name": "large"}).json()["id"]
        ids = [row_id(Path("/crops") / f"{number:07d}.jpg") for number in range(crops)]
        body = {"crops": ids, "verdict": "maybe", "reason": "", "sentence": "a person"}
        answer = client.post(f"{url}/galleries/load/cases/{case}/marks", json=body)
        if answer.status_code >= 300:
            raise SystemExit(answer.text)


def measure(page: Page, address: str, options: argparse.Namespace) -> list[str]:
    def timed(what: str, act: Callable[[], object], shown: str) -> str:
        began = time.monotonic()
        act()
        page.wait_for_selector(shown)
        page.evaluate(_PAINTED)
        return f"{what}: {time.monotonic() - began:.2f} s"

    lines = [timed("page opened", lambda: page.goto(address), ".sentence:focus")]
    lines.append(timed("saved searches listed", lambda: None, "[aria-label='Find a saved search']"))
    name = f"search {options.saved - 1}"
    find = lambda: page.fill("[aria-label='Find a saved search']", name)  # noqa: E731
    lines.append(timed("the last of them found", find, f".examples button:text-is('{name}')"))
    for what, order in (("first result", "relevance"), ("first result by time, of the best 600", "time")):
        times = []
        for number in range(REPEATS):
            if number == 1 and order == "time":
                for place, value in enumerate(("time", "600")):
                    with page.expect_response("**/search"):
                        page.select_option(f".toolbar select >> nth={place}", value)
                    page.wait_for_selector(CARD)
            page.fill(".sentence", f"person {order} {number}")
            began = time.monotonic()
            with page.expect_response("**/search"):
                page.keyboard.press("Enter")
            page.wait_for_selector(CARD)
            page.evaluate(_PAINTED)
            times.append(time.monotonic() - began)
        warm = times[2:]
        lines.append(f"{what}: median {median(warm):.2f} s, longest {max(warm):.2f} s of {len(warm)}")
    page.click("#nav >> text=Cases")
    lines.append(timed(f"case of {options.case} opened", lambda: page.click(".list a"), ".evidence li >> nth=50"))
    page.evaluate(
        """() => { window.longest = 0; let last = performance.now();
        const tick = (now) => { window.longest = Math.max(window.longest, now - last); last = now;
        requestAnimationFrame(tick); }; requestAnimationFrame(tick); }"""
    )
    began = time.monotonic()
    while page.locator(".evidence li").count() < options.case and time.monotonic() - began < 120:
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(20)
    drawn, longest = page.locator(".evidence li").count(), page.evaluate("window.longest") / 1000
    took = time.monotonic() - began
    lines.append(f"scrolled to its end: {drawn} drawn in {took:.1f} s, longest frame {longest:.2f} s")
    page.click("#nav >> text=Watches")
    page.wait_for_selector("text=New watch")
    new_watch = lambda: page.click("text=New watch")  # noqa: E731
    lines.append(timed("new watch among the saved searches", new_watch, "dialog select"))
    return lines


if __name__ == "__main__":
    main()
