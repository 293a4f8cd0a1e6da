"""Is what several processes see of one gallery what some order of their calls, one after another, would show?

    python benchmarks/history.py [--seconds 120] [--processes 3] [--through gallery|server] [--crops 6] [--plant]

Processes add, update, erase, search and compact at random, on few crops so that they meet. Each call is noted with when
it began and ended and what it answered. Then a checker looks for an order of all calls on each crop that keeps calls
which did not overlap in their order and explains every answer (linearizability, Herlihy and Wing, 1990; the search of
Wing and Gong, 1993, with Lowe's memory, 2017, as Jepsen's Knossos and Porcupine do it). A crop at a time is enough,
since such an order for each object gives one for all (locality). A search is a look at each crop: that all crops of one
search were so at one moment is not checked, and not promised while others write.

`--plant` makes one erasure in three lie: it says that it is done and is not. The checker must find it. Exit code 1
where an answer has no explanation.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image
from serving import HashEncoder, start

from pickout.gallery.gallery import Gallery
from pickout.gallery.search.filters import Where
from pickout.gallery.storage.rows import Metadata, row_id

DIMENSION = 16
ABSENT = None
PURPOSE = {"Pickout-Purpose": "research"}


@dataclass(frozen=True)
class Call:
    """One call on one crop.

    Args:
        began: when.
        ended: when; infinity where it was never answered.
        kind: `add`, `update`, `erase` or `look`.
        value: the label that it gives, or that it saw; `ABSENT`: no row.
        done: whether an update or erasure found a row; None where that is not known.
    """

    began: float
    ended: float
    kind: str
    value: str | None
    done: bool | None = None

    def after(self, state: str | None) -> tuple[bool, str | None]:
        """Whether it can happen in a state, and the state after it."""
        if self.kind == "look":
            return self.value == state, state
        if self.kind == "add":
            return True, self.value
        if self.done is not None and self.done != (state is not ABSENT):
            return False, state
        if self.kind == "erase":
            return True, ABSENT
        return True, state if state is ABSENT else self.value


def explained(calls: Sequence[Call]) -> bool:
    """Whether some order of the calls on one crop, which begins absent, explains every answer."""
    calls = sorted(calls, key=lambda call: call.began)
    # What lies far apart in time is never compared: a depth-first search over (calls done beyond the first open one,
    # state), with the configurations that led nowhere remembered.
    seen: set[tuple[int, frozenset[int], str | None]] = set()
    stack: list[tuple[int, frozenset[int], str | None]] = [(0, frozenset(), ABSENT)]
    while stack:
        first, beyond, state = stack.pop()
        while first in beyond:
            beyond, first = beyond - {first}, first + 1
        if first == len(calls):
            return True
        if (first, beyond, state) in seen:
            continue
        seen.add((first, beyond, state))
        if all(calls[number].ended == float("inf") for number in range(first, len(calls)) if number not in beyond):
            return True  # what was never answered need not have happened
        limit = float("inf")
        for number in range(first, len(calls)):
            if calls[number].began > limit:
                break
            if number in beyond:
                continue
            limit = min(limit, calls[number].ended)
            possible, after = calls[number].after(state)
            if possible:
                stack.append((first, beyond | {number}, after))
    return False


def main() -> None:
    options = arguments()
    if options.worker is not None:
        work(options)
        return
    history, wrong = record(options)
    count = Counter(call.kind for calls in history.values() for call in calls)
    told = ", ".join(f"{number} {kind}" for kind, number in count.most_common())
    print(f"{options.processes} processes, {options.seconds:g} s, {options.through}: {told}; {wrong} calls failed")
    bad = [crop for crop, calls in history.items() if not explained(calls)]
    print(f"crops whose answers no order explains: {len(bad)} of {len(history)}")
    sys.exit(bool(bad))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--through", choices=("gallery", "server"), default="gallery")
    parser.add_argument("--crops", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plant", action="store_true", help="one erasure in three lies")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    return parser.parse_args()


def record(options: argparse.Namespace) -> tuple[dict[str, list[Call]], int]:
    """Let the processes work; the calls on each crop, and how many failed."""
    with tempfile.TemporaryDirectory(prefix="history-") as name:
        folder = Path(name)
        path = folder / "g.gallery"
        Gallery.create(path, HashEncoder(DIMENSION))
        for number in range(options.crops):
            crop = folder / "crops" / str(number) / f"{number}.png"
            crop.parent.mkdir(parents=True)
            Image.new("RGB", (8, 24), (number, 99, 200 - number)).save(crop)
        served = options.through == "server"
        with start(path, folder / "state", DIMENSION, folder) if served else nullcontext((None, None)) as (url, _):
            words = [sys.executable, __file__, *sys.argv[1:], "--folder", str(folder), *(["--url", url] if url else [])]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            workers = [
                subprocess.Popen([*words, "--worker", str(n)], stdout=subprocess.PIPE, text=True, env=environment)
                for n in range(options.processes)
            ]
            outputs = [worker.communicate()[0] for worker in workers]
        if any(worker.returncode for worker in workers):
            sys.exit("a worker failed")
        history: dict[str, list[Call]] = {}
        failed = 0
        for line in "".join(outputs).splitlines():
            told = json.loads(line)
            failed += told["ended"] is None
            ended = float("inf") if told["ended"] is None else told["ended"]
            for crop, value in told["crops"].items():
                call = Call(told["began"], ended, told["kind"], value, told["done"])
                if not (call.kind == "look" and told["ended"] is None):
                    history.setdefault(crop, []).append(call)
        return history, failed


def work(options: argparse.Namespace) -> None:
    """One process: calls at random, each printed as a line."""
    generator = random.Random(f"{options.seed} {options.worker}")
    path, crops = options.folder / "g.gallery", options.folder / "crops"
    ids = {row_id((crops / str(n) / f"{n}.png").resolve()): crops / str(n) for n in range(options.crops)}
    asker = Direct(path) if options.url is None else Served(options.url)
    until, count = time.monotonic() + options.seconds, 0
    while time.monotonic() < until:
        count += 1
        kind = generator.choices(("add", "update", "erase", "look", "compact"), (25, 20, 20, 40, 1))[0]
        crop = generator.choice(list(ids))
        value = f"{options.worker}-{count}"
        began, done, ended = time.monotonic(), None, None
        seen: dict[str, str | None] = {crop: value if kind in ("add", "update") else None}
        try:
            if kind == "add":
                table = options.folder / f"table-{options.worker}.jsonl"
                table.write_text(json.dumps({"image": f"{ids[crop].name}.png", "value": value}) + "\n")
                asker.add(ids[crop], table)
            elif kind == "erase" and options.plant and generator.random() < 1 / 3:
                done = None
            elif kind == "look":
                seen = {**dict.fromkeys(ids, ABSENT), **asker.look()}
            else:
                done = getattr(asker, kind)(crop, value)
            ended = time.monotonic()
        except Exception as error:
            print(f"{kind}: {error}", file=sys.stderr)
        if kind != "compact":
            print(json.dumps({"began": began, "ended": ended, "kind": kind, "crops": seen, "done": done}), flush=True)


class Direct:
    """Calls on the gallery itself."""

    def __init__(self, path: Path) -> None:
        self._gallery = Gallery.open(path, HashEncoder(DIMENSION))

    def add(self, folder: Path, table: Path) -> None:
        self._gallery.add(folder, table=table, again=True)

    def update(self, crop: str, value: str) -> None:
        self._gallery.update([crop], Metadata(labels={"value": value}))

    def erase(self, crop: str, _: str) -> None:
        self._gallery.erase([crop])

    def compact(self, *_: str) -> None:
        self._gallery.compact()

    def look(self) -> dict[str, str | None]:
        hits = self._gallery.search("anybody", top=100, where=Where())
        return {hit.id: hit.metadata.labels["value"] for hit in hits}


class Served:
    """The same through a server."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(base_url=f"{url}/galleries/g", headers=PURPOSE, timeout=300)

    def add(self, folder: Path, table: Path) -> None:
        told = self._post("/index", {"folder": str(folder), "table": str(table), "again": True})
        if "error" in told:
            raise RuntimeError(told["error"])

    def update(self, crop: str, value: str) -> bool:
        return self._changed("/update", {"crops": [crop], "labels": {"value": value}})

    def erase(self, crop: str, _: str) -> bool:
        return self._changed("/erase", {"crops": [crop]})

    def compact(self, *_: str) -> None:
        self._post("/compact", None)

    def look(self) -> dict[str, str | None]:
        hits = self._post("/search", {"sentences": ["anybody"], "top": 100})["candidates"]
        return {hit["id"]: hit["labels"]["value"] for hit in hits}

    def _changed(self, place: str, body: dict[str, object]) -> bool:
        told = self._post(place, body)
        # A row that went between the look at it and the change is answered with a count of none.
        return told.get("kind") != "NotThere" and told.get("updated", told.get("erased")) != 0

    def _post(self, place: str, body: dict[str, object] | None) -> dict[str, Any]:
        answer = self._client.post(place, json=body)
        if answer.status_code not in (200, 404):
            raise RuntimeError(f"{answer.status_code}: {answer.text}")
        return json.loads(answer.text.splitlines()[-1])


if __name__ == "__main__":
    main()
