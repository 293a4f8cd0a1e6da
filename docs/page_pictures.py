"""Makes the pictures of the page in `docs/pictures` anew, of the drawn people of `pickout serve --demo`.

    python docs/page_pictures.py [STATE]

STATE is where the server keeps the drawn people; with one that has them the pictures take half a minute. Its cases are
forgotten. Needs the extra `dev` and a chromium (on the path, or in PICKOUT_CHROMIUM).
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).with_name("pictures")
PORT = 8423
URL = f"http://127.0.0.1:{PORT}/"
CHROMIUM = os.environ.get("PICKOUT_CHROMIUM") or shutil.which("chromium")
DONE = ".grid:not([aria-busy]) .card:not(.ghost)"
PICKOUT = (sys.executable, "-m", "pickout")


def main() -> None:
    """Start the demo with two users, go through the page as they would, and keep what it looks like."""
    state = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    state.mkdir(parents=True, exist_ok=True)
    for file in state.glob("cases.sqlite*"):
        file.unlink()
    ana, ben = (_token(state, name) for name in ("ana", "ben"))
    server = subprocess.Popen([*PICKOUT, "serve", "--demo", "--state", str(state), "--port", str(PORT)])
    try:
        _wait()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            searched(_visit(browser, ana, height=1000))
            over_time(_visit(browser, ana, scheme="dark"))
            case(_visit(browser, ana), _visit(browser, ben))
            narrow(_visit(browser, ana, width=390, height=780))
    finally:
        server.terminate()
        server.wait()


def searched(page: Page) -> None:
    """Marks, and why one is there."""
    _search(page, "a person in a yellow top and dark shorts at camera lobby")
    for key in ("ArrowRight", "f", "m", "ArrowLeft", "ArrowLeft", "w"):
        page.keyboard.press(key)
    page.wait_for_selector(".why .words", timeout=120_000)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    _keep(page.screenshot(), "page-search.png")


def over_time(page: Page) -> None:
    """The strips, and where else somebody was seen."""
    _search(page, "a woman in a pink dress")
    page.click("#times summary")
    page.select_option(".toolbar select >> nth=0", "time")
    page.select_option(".toolbar select >> nth=1", "60")
    page.wait_for_timeout(1500)
    page.locator(".card").nth(2).click()
    page.keyboard.press("e")
    page.wait_for_selector(".where .row")
    page.wait_for_timeout(800)
    page.evaluate("scrollTo(0, 0)")
    _keep(page.screenshot(), "page-time.png")


def case(first: Page, second: Page) -> None:
    """Two opinions, one of them another, and a note."""
    _search(first, "a man in a turquoise jacket and dark trousers")
    for key in ("ArrowRight", "f", "m", "n"):
        first.keyboard.press(key)
    first.wait_for_timeout(1500)
    second.click("#nav >> text=Cases")
    second.click(".list a >> nth=0")
    second.click("text=Give a second opinion")
    second.wait_for_selector(".card:focus")
    for key in ("f", "n"):
        second.keyboard.press(key)
    second.wait_for_timeout(1500)
    second.click("text=Back to the case")
    second.fill("[aria-label='A note']", "The jacket of the first is the same colour as on the platform.")
    second.click("form >> text=Note")
    second.wait_for_selector(".log >> text=same colour")
    second.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    second.wait_for_timeout(500)
    _keep(second.screenshot(), "page-case.png")


def narrow(page: Page) -> None:
    """Four states of a narrow page, side by side."""
    page.wait_for_selector(".sentence")
    shots = [page.screenshot()]
    _search(page, "a woman in a red coat with a tattoo after 9 am", expect=".state button")
    shots.append(page.screenshot())
    page.click("text=Show the best of a bad lot")
    page.wait_for_selector(DONE)
    page.wait_for_timeout(800)
    shots.append(page.screenshot())
    page.locator(".card").first.click()
    page.wait_for_timeout(800)
    shots.append(page.screenshot())
    opened = [Image.open(io.BytesIO(shot)).convert("RGB") for shot in shots]
    whole = Image.new("RGB", (sum(each.width + 12 for each in opened) - 12, opened[0].height), "#8a9699")
    for place, each in enumerate(opened):
        whole.paste(each, (place * (each.width + 12), 0))
    _keep(whole, "page-narrow.png")


def _keep(shot: bytes | Image.Image, name: str) -> None:
    """In 256 colours, which is a quarter of the bytes."""
    whole = shot if isinstance(shot, Image.Image) else Image.open(io.BytesIO(shot)).convert("RGB")
    whole.quantize(256, dither=Image.Dither.NONE).save(PICTURES / name, optimize=True)


def _search(page: Page, sentence: str, expect: str = DONE) -> None:
    page.fill(".sentence", sentence)
    page.keyboard.press("Enter")
    page.wait_for_selector(expect)
    page.wait_for_timeout(800)


def _visit(browser: Browser, token: str, width: int = 1360, height: int = 860, scheme: str = "light") -> Page:
    page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
    session = json.dumps({"purpose": "missing person", "token": token})
    page.add_init_script(f"sessionStorage.pickout ??= {json.dumps(session)}")
    page.goto(URL)
    page.wait_for_selector(".sentence")
    return page


def _token(state: Path, name: str) -> str:
    made = [*PICKOUT, "token", "create", name, "--role", "search", "--state", str(state), "--json"]
    told = json.loads(subprocess.run(made, check=True, capture_output=True, text=True).stdout)
    return str(told["secret"])


def _wait() -> None:
    for _ in range(600):
        try:
            urlopen(f"{URL}v1/health").read()
            return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    main()
