"""A server under load: 200 clients beside 4, and searches while crops are added beside a server at rest, in one run.

    python benchmarks/serve.py [--rows 100000] [--dimension 512] [--seconds 20] [--clients 200] [--out FOLDER]

A process serves a gallery of random unit vectors (`pickout serve`'s application and settings); clients in another send
searches of different sentences, each as soon as its last one is answered. Encoding a sentence is a draw of random
numbers, so what is timed is the server: HTTP, waiting, scoring together, fetching rows, the audit. Phases take turns,
so that other work on the machine meets all of them: few clients, many, two at rest, two while uploads are indexed.
"""

import argparse
import asyncio
import io
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import numpy as np
import psutil
from PIL import Image
from serving import HashEncoder, start

from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.rows import Metadata, Row, row_id

ROUNDS = 3
PURPOSE = {"Pickout-Purpose": "research"}


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        path = Path(folder) / "load.gallery"
        fill(path, options.rows, options.dimension)
        with start(path, Path(folder) / "state", options.dimension) as (url, process):
            lines = asyncio.run(measure(url, process, options))
    cpus, busy = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    head = f"{options.rows} rows of {options.dimension} numbers; {cpus} CPUs, load {busy:.1f} from this and other work"
    lines = [head, *lines]
    print("\n".join(lines))
    if options.out:
        day = datetime.now(UTC).date().isoformat()
        options.out.mkdir(parents=True, exist_ok=True)
        command = " ".join(["python benchmarks/serve.py", *sys.argv[1:]])
        text = f"# A server under load\n\n`{command}`, {day}\n\n```\n" + "\n".join(lines) + "\n```\n"
        (options.out / f"serve_{options.machine}_{day}.md").write_text(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--out", type=Path, help="folder for a results file")
    parser.add_argument("--machine", default="this")
    return parser.parse_args()


def fill(path: Path, rows: int, dimension: int) -> None:
    """A gallery of random unit vectors, in few commits."""
    gallery = Gallery.create(path, HashEncoder(dimension))
    generator = np.random.default_rng(0)
    file = io.BytesIO()
    Image.new("RGB", (24, 72), (90, 120, 150)).save(file, "JPEG")
    for start_ in range(0, rows, 10_000):
        count = min(10_000, rows - start_)
        vectors = generator.standard_normal((count, dimension), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        names = [f"{start_ + number:07d}.jpg" for number in range(count)]
        gallery._store.put(
            [
                Row(row_id(Path("/crops") / name), "0" * 64, "/crops", name, vector, 24, 72,
                    Metadata(camera=f"c{number % 9}"), file.getvalue(), datetime(2026, 1, 1))
                for number, (name, vector) in enumerate(zip(names, vectors, strict=True))
            ]
        )  # fmt: skip


async def measure(url: str, process: subprocess.Popen[str], options: argparse.Namespace) -> list[str]:
    memory = psutil.Process(process.pid)
    few: list[float] = []
    many: list[float] = []
    rest: list[float] = []
    adding: list[float] = []
    rates: dict[str, list[float]] = {"few": [], "many": []}
    at_start = memory.memory_info().rss
    peak, added = at_start, 0
    limits = httpx2.Limits(max_connections=options.clients + 8)
    async with httpx2.AsyncClient(headers=PURPOSE, timeout=300, limits=limits) as client:
        await load(client, url, 4, 2.0)
        for _ in range(ROUNDS):
            for name, clients, into in (("few", 4, few), ("many", options.clients, many)):
                times = await load(client, url, clients, options.seconds)
                into += times
                rates[name].append(len(times) / options.seconds)
                peak = max(peak, memory.memory_info().rss)
            rest += await load(client, url, 2, options.seconds)
            stop = asyncio.Event()
            uploading = asyncio.create_task(upload(client, url, stop))
            adding += await load(client, url, 2, options.seconds)
            stop.set()
            added += await uploading
            peak = max(peak, memory.memory_info().rss)
    ratio = sum(rates["many"]) / sum(rates["few"])
    slower = np.percentile(adding, 95) / np.percentile(rest, 95)
    return [
        f"4 clients:   {np.mean(rates['few']):7.1f} searches a second, 95th percentile {np.percentile(few, 95):.3f} s",
        f"{options.clients} clients: {np.mean(rates['many']):7.1f} searches a second, 95th percentile "
        f"{np.percentile(many, 95):.3f} s; ratio {ratio:.2f} (bar: at least 0.8)",
        f"at rest:     95th percentile {np.percentile(rest, 95):.3f} s of {len(rest)} searches",
        f"adding:      95th percentile {np.percentile(adding, 95):.3f} s of {len(adding)} searches, {added} added; "
        f"ratio {slower:.2f} (bar: at most 2)",
        f"memory:      {at_start / 2**20:.0f} MiB at the start, {peak / 2**20:.0f} MiB at most",
        "errors:      none",
    ]


async def load(client: httpx2.AsyncClient, url: str, clients: int, seconds: float) -> list[float]:
    """Searches by so many clients for so long; the seconds that each took. Any error stops the benchmark."""
    until, times = time.monotonic() + seconds, list[float]()

    async def ask(number: int) -> None:
        count = 0
        while time.monotonic() < until:
            count += 1
            began = time.monotonic()
            body = {"sentences": [f"person {number} of {count}"], "top": 20, "parse": False}
            answer = await client.post(f"{url}/galleries/load/search", json=body)
            if answer.status_code != 200:
                raise SystemExit(f"{answer.status_code}: {answer.text}")
            if time.monotonic() < until:
                times.append(time.monotonic() - began)

    await asyncio.gather(*(ask(number) for number in range(clients)))
    return times


async def upload(client: httpx2.AsyncClient, url: str, stop: asyncio.Event) -> int:
    """Upload pictures until told to stop; how many were added."""
    added, generator = 0, np.random.default_rng(time.time_ns())
    while not stop.is_set():
        files = []
        for _ in range(16):
            file = io.BytesIO()
            Image.fromarray(generator.integers(0, 255, (96, 32, 3), dtype=np.uint8)).save(file, "PNG")
            files.append(("files", ("x.png", file.getvalue())))
        answer = await client.post(f"{url}/galleries/load/crops", files=files)
        if answer.status_code != 200 or '"result"' not in answer.text:
            raise SystemExit(f"{answer.status_code}: {answer.text}")
        added += 16
    return added


if __name__ == "__main__":
    main()
