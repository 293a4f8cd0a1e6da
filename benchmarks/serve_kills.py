"""kill -9 of a server at random moments of adding, erasing and searching: is every acknowledged change there after it?

    python benchmarks/serve_kills.py [--kills 50] [--seed 0]

Clients upload, erase and search until the server is killed at a moment drawn at random. Then the gallery is opened by
this process: crops whose upload was acknowledged are there and those whose erasure was acknowledged are not, no key of
an erased crop is left, nothing is half (`pickout gallery verify`), the audit verifies against every head that was
handed out, and each acknowledged search has its entry. Exit code 1 where one of these does not hold.
"""

import argparse
import io
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image
from serving import HashEncoder, start

from pickout.gallery.audit.heads import examine, numbered_entries, read_head
from pickout.gallery.audit.log import crops_with_keys
from pickout.gallery.changes.edits import unfinished
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery

DIMENSION = 16
PURPOSE = {"Pickout-Purpose": "research"}


class Known:
    """What was acknowledged."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.gone: set[str] = set()
        self.open: set[str] = set()
        self.searches = 0
        self.heads: list[str] = []
        self.lock = threading.Lock()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator, known, wrong = random.Random(options.seed), Known(), list[str]()
    with tempfile.TemporaryDirectory(prefix="serve-kills-") as name:
        path, state = Path(name) / "k.gallery", Path(name) / "state"
        Gallery.create(path, HashEncoder(DIMENSION))
        for kill in range(options.kills):
            with start(path, state, DIMENSION) as (url, process):
                clients = [
                    threading.Thread(target=work, args=(url, known, what, generator.random()), daemon=True)
                    for what in ("upload", "erase", "search")
                ]
                for client in clients:
                    client.start()
                before = (len(known.there), len(known.gone), known.searches)
                while any(client.is_alive() for client in clients):  # a server may take long to begin
                    if (len(known.there), len(known.gone), known.searches) != before:
                        break
                    time.sleep(0.01)
                time.sleep(generator.uniform(0.0, 5.0))
                process.send_signal(signal.SIGKILL)
                process.wait()
                for client in clients:
                    client.join()
            found = check(path, known)
            wrong += [f"kill {kill}: {each}" for each in found]
            told = f"{len(known.there)} there, {len(known.gone)} gone, {known.searches} searches"
            print(f"kill {kill}: {told}; {found or 'good'}", flush=True)
    print(f"{options.kills} kills, {len(wrong)} faults")
    sys.exit(bool(wrong))


def work(url: str, known: Known, what: str, seed: float) -> None:
    """One client, until the server is gone."""
    generator = random.Random(seed)
    with httpx2.Client(base_url=f"{url}/galleries/k", headers=PURPOSE, timeout=60) as client:
        try:
            known.heads.append(client.get("/audit/head").text)
            while True:
                {"upload": upload, "erase": erase, "search": search}[what](client, known, generator)
        except httpx2.HTTPError:
            return


def upload(client: httpx2.Client, known: Known, generator: random.Random) -> None:
    pixels = np.frombuffer(generator.randbytes(8 * 24 * 3), np.uint8).reshape(24, 8, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    answer = client.post("/crops", files={"files": ("x", file.getvalue())})
    last: dict[str, Any] = httpx2.Response(200, text=answer.text.splitlines()[-1]).json()
    if "result" in last:
        with known.lock:
            known.there |= set(last["result"]["crops"])


def erase(client: httpx2.Client, known: Known, generator: random.Random) -> None:
    with known.lock:
        crop = generator.choice(sorted(known.there)) if len(known.there) > 2 else None
        known.there.discard(crop or "")
        known.open |= {crop} if crop else set()  # it may be there or not until the answer comes
    if crop is None:
        client.get("")
        return
    answer = client.post("/erase", json={"crops": [crop]})
    if answer.status_code in (200, 404):
        with known.lock:
            known.open.discard(crop)
            known.gone.add(crop)


def search(client: httpx2.Client, known: Known, generator: random.Random) -> None:
    answer = client.post("/search", json={"sentences": [f"somebody {generator.random()}"]})
    if answer.status_code == 200:
        known.searches += 1


def check(path: Path, known: Known) -> list[str]:
    """What does not hold."""
    gallery, wrong = Gallery.open(path, HashEncoder(DIMENSION)), list[str]()
    begun = set(unfinished(path))  # found no more; the next change finishes it
    rows = set(gallery.rows([*known.there, *known.gone, *known.open])) - begun
    wrong += [f"{len(taken)} crops are being erased that nobody asked to"] if (taken := known.there & begun) else []
    wrong += [f"{len(lost)} acknowledged crops are lost"] if (lost := known.there - rows) else []
    wrong += [f"{len(back)} erased crops are there"] if (back := known.gone & rows) else []
    wrong += (
        [f"{len(keys)} erased crops have keys"] if (keys := (known.gone - begun) & set(crops_with_keys(path))) else []
    )
    wrong += [fault.what for fault in verify(path) if "interrupt" not in fault.what and "cut off" not in fault.what]
    wrong += list(examine(path, [read_head(head) for head in known.heads if head]).faults)
    wrong = [each for each in wrong if "the next search or change will say so" not in each]
    entries = sum("sentence" in entry for entry in numbered_entries(path))
    wrong += [f"{known.searches} searches were answered, {entries} are recorded"] if entries < known.searches else []
    for crop in known.open:  # nobody knows: from now on it is what it is
        (known.there if crop in rows else known.gone).add(crop)
    known.open.clear()
    return wrong


if __name__ == "__main__":
    main()
