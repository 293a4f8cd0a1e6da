"""How long a search takes beside reading the matrix of vectors once, in the same run.

    python benchmarks/search.py [--rows 200000] [--dimension 512] [--repeats 15] [--out FOLDER --machine NAME]

Prints ratios, and writes them with the machine and the date to a file in FOLDER when one is given. Absolute times are
only of this machine at this moment; the ratios compare both sides under the same load.
"""

import argparse
import os
import platform
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pickout.gallery.search.filters import Where, allowed
from pickout.gallery.storage.rows import Facet, Metadata, Resident, Row
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Aim, HeldVectors, exact_top

Vectors = NDArray[np.float32]
CAMERAS, DAYS = 24, 30
CAMERA_NAMES = tuple(f"c{number:02d}" for number in range(CAMERAS))
START = datetime(2026, 3, 1)


def main() -> None:
    options = arguments()
    resident = drawn(options.rows, options.dimension)
    generator = np.random.default_rng(1)
    queries = unit(generator.standard_normal((options.repeats, options.dimension)).astype(np.float32))
    where = Where(cameras=["c01", "c07", "c20"], after=START.replace(day=5), before=START.replace(day=11))
    share = allowed(where, resident).mean()
    read, exact, filtered = times(resident, queries, where)
    check(resident, queries[0], where)
    size = held_of(resident).array.nbytes
    lines = [
        f"rows x dimension           {options.rows} x {options.dimension} float32, {size / 1e6:.0f} MB",
        f"reading the matrix once    {read * 1e3:8.1f} ms  ({size / read / 1e9:.1f} GB/s)",
        f"exact search, top 100      {exact * 1e3:8.1f} ms  {exact / read:.2f} x reading",
        f"filtered to {share:.1%}, top 100 {filtered * 1e3:8.1f} ms  {filtered / exact:.2f} x exact search",
        *many(resident, options.repeats),
        *stored(options.rows // 10, options.dimension),
    ]
    print("\n".join(lines))
    if options.out:
        write(options.out, options.machine, lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, help="folder for a results file")
    parser.add_argument("--machine", default=f"{platform.machine()}-{os.cpu_count()}cpu", help="its name in the file")
    return parser.parse_args()


def drawn(rows: int, dimension: int) -> Resident:
    """A gallery's columns, as if read from disk."""
    generator = np.random.default_rng(0)
    vectors = np.empty((rows, dimension), np.float32)
    for start in range(0, rows, 50_000):
        part = vectors[start : start + 50_000]
        part[:] = unit(generator.standard_normal(part.shape, dtype=np.float32))
    seconds = generator.integers(0, DAYS * 86_400, rows)
    return Resident(
        ids=np.char.zfill(np.arange(rows).astype("S32"), 32),
        vectors=HeldVectors(vectors),
        facets={"camera": Facet(CAMERA_NAMES, generator.integers(0, CAMERAS, rows).astype(np.int32))},
        times=np.datetime64(START, "us") + seconds * np.timedelta64(1_000_000, "us"),
        order=generator.permutation(rows),
    )


def held_of(resident: Resident) -> HeldVectors:
    assert isinstance(resident.vectors, HeldVectors)
    return resident.vectors


def times(resident: Resident, queries: Vectors, where: Where) -> list[float]:
    """Medians of reading (by as many threads as BLAS has), exact search and filtered search, taken in turns."""
    taken: dict[str, list[float]] = {"read": [], "exact": [], "filtered": []}
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    pool, parts = ThreadPoolExecutor(threads), np.array_split(held_of(resident).array, threads)
    for query in queries:
        for name, action in (
            ("read", lambda: list(pool.map(np.sum, parts))),
            (
                "exact",
                lambda query=query: exact_top(held_of(resident).array, Aim(query), top=100, order_N=resident.order),
            ),
            ("filtered", lambda query=query: search_filtered(resident, query, where)),
        ):
            began = time.perf_counter()
            action()
            taken[name].append(time.perf_counter() - began)
    return [statistics.median(values) for values in taken.values()]


def many(resident: Resident, repeats: int) -> list[str]:
    """32 queries at once beside a plain matrix product with a partial sort, and FAISS where it is installed."""
    array, queries = (
        held_of(resident).array,
        np.random.default_rng(2).standard_normal((32, held_of(resident).array.shape[1])),
    )
    queries = unit(queries.astype(np.float32))

    def ours() -> list[list[int]]:
        with held_of(resident).scored_together(queries):
            return [resident.vectors.top(Aim(query), top=100, order_N=resident.order)[0].tolist() for query in queries]

    def product() -> list[list[int]]:
        return np.argpartition(-(queries @ array.T), 100, axis=1)[:, :100].tolist()

    sides: dict[str, Callable[[], list[list[int]]]] = {"ours": ours, "product and partial sort": product}
    with suppress(ImportError):
        import faiss

        index = faiss.IndexFlatIP(array.shape[1])
        index.add(array)
        sides["FAISS flat"] = lambda: index.search(queries, 100)[1].tolist()
    answers = [[set(each) for each in side()] for side in sides.values()]
    assert all(answer == answers[0] for answer in answers)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(max(3, repeats // 3)):
        for name, side in sides.items():
            began, used = time.perf_counter(), time.process_time()
            side()
            taken[name].append((time.perf_counter() - began, time.process_time() - used))
    middle = {name: [statistics.median(each) for each in zip(*values, strict=True)] for name, values in taken.items()}
    wall, used = middle["ours"]
    return [
        f"32 queries, {name:24} {one * 1e3:8.1f} ms, {two * 1e3:8.1f} ms of processor time; ours takes "
        f"{wall / one:.2f} and {used / two:.2f} of it"
        for name, (one, two) in middle.items()
    ]


def search_filtered(resident: Resident, query: Vectors, where: Where) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return exact_top(
        held_of(resident).array, Aim(query), top=100, order_N=resident.order, allowed_N=allowed(where, resident)
    )


def check(resident: Resident, query: Vectors, where: Where) -> None:
    """The filtered answer is the same as a plain sort of the rows that pass: recall 1.0."""
    passed = np.flatnonzero(allowed(where, resident))
    scores = (held_of(resident).array[passed].astype(np.float64) * query).sum(1)
    expected = passed[np.argsort(-scores, kind="stable")[:100]]
    assert search_filtered(resident, query, where)[0].tolist() == expected.tolist()


def stored(rows: int, dimension: int) -> list[str]:
    """Writing and reading rows on disk, with thumbnails of 6 kB."""
    resident = drawn(rows, dimension)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), dimension, create=True)
        began = time.perf_counter()
        for start in range(0, rows, 256):
            store.put([row(resident, number) for number in range(start, min(start + 256, rows))])
        written = time.perf_counter() - began
        began = time.perf_counter()
        read = store.resident()
        opened = time.perf_counter() - began
        assert len(read.ids) == rows
    return [
        f"writing {rows} rows      {written:8.2f} s   {rows / written:.0f} rows/s in commits of 256",
        f"reading them for a search  {opened * 1e3:8.1f} ms",
    ]


def row(resident: Resident, number: int) -> Row:
    return Row(
        id=resident.ids[number].decode(),
        content=f"{number:064x}",
        root="/crops",
        path=f"{number:08d}.jpg",
        vector=held_of(resident).array[number],
        width=128,
        height=384,
        metadata=Metadata(camera=CAMERA_NAMES[resident.facets["camera"].positions[number]]),
        thumbnail=number.to_bytes(8, "little") * 750,
        added=START,
    )


def unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def write(folder: Path, machine: str, lines: list[str]) -> None:
    day = datetime.now(UTC).date().isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"search_{machine}_{day}.md"
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    command = f"python benchmarks/search.py {shlex.join(sys.argv[1:])}".strip()
    file.write_text(
        f"# Search beside reading the matrix once\n\n`{command}`, {day}, {cpu()}, {os.cpu_count()} "
        f"logical CPUs, {threads} threads, numpy {np.__version__}. Load average {os.getloadavg()[0]:.1f} "
        "from other work. Medians; the sides were taken in turns in one run.\n\n```\n" + "\n".join(lines) + "\n```\n"
    )
    print(f"written to {file}")


def cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


if __name__ == "__main__":
    main()
