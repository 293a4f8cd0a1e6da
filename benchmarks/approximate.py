"""Searching by codes beside an exact search, in the same run: time, memory and recall, with filters of several widths.

    python benchmarks/approximate.py [--rows 200000] [--dimension 512] [--fall 1] [--repeats 30] [--held 1000000]
                                     [--target 0.95] [--out FOLDER --machine NAME]

The vectors are drawn: people in a space the n-th of whose directions has 1/n^FALL of the first's variance, four crops
of each, and sentences that lie beside their person and apart from all crops, as a dual encoder's do. Recall depends on
the model; `pickout gallery approximate` measures it for each gallery. Times are medians, the two sides taken in turns.
Of more rows than `--held`, so many are searched exactly in memory, and the time is taken to grow with the rows; recall
is then told by an exact search of vectors read from the disk.
"""

import argparse
import os
import platform
import resource
import shlex
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from search import cpu, unit

from pickout.gallery.approximate.build import ApproximateSettings, Approximation, approximate, read_approximation
from pickout.gallery.approximate.far_vectors import FarVectors
from pickout.gallery.storage.rows import Metadata, Row, row_id
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import make_gallery, new_manifest, read_manifest
from pickout.gallery.vectors.exact import Aim, best_rows, exact_top

Array = NDArray[np.float32]
CROPS_A_PERSON = 4
AT_ONCE = 20_000
TOP = 100
FILTERS = (0.9, 0.5, 0.1, 0.01)


class Model:
    """What a gallery must know of a model that made its vectors."""

    name, fingerprint = "drawn", "0" * 64

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension


class Space:
    """Directions of falling weight, and the gap between crops and sentences."""

    def __init__(self, dimension: int, fall: float) -> None:
        generator = np.random.default_rng(0)
        self.weights = (np.arange(1, dimension + 1) ** (-fall / 2)).astype(np.float32)
        self.gap = unit(generator.standard_normal((1, dimension)).astype(np.float32))[0] * np.linalg.norm(self.weights)

    def people(self, count: int, generator: np.random.Generator) -> Array:
        return generator.standard_normal((count, len(self.weights)), dtype=np.float32) * self.weights

    def crops(self, people: Array, generator: np.random.Generator) -> Array:
        return unit(people + 0.6 * self.people(len(people), generator))

    def sentences(self, people: Array, generator: np.random.Generator) -> Array:
        return unit(0.7 * people + 0.7 * self.people(len(people), generator) + self.gap)


def main() -> None:
    options = arguments()
    space, generator = Space(options.dimension, options.fall), np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "gallery"
        make_gallery(folder, new_manifest(Model(options.dimension), None))  # type: ignore[arg-type]
        store = Store(folder, options.dimension)
        sentences = fill(store, space, options.rows, generator)
        began = time.perf_counter()
        settings = ApproximateSettings(above=0, target=options.target, faster=0)
        approximate(folder, store, settings, sentences[:200], lambda _: None)
        built = time.perf_counter() - began
        found = read_approximation(folder, read_manifest(folder))
        assert found is not None
        lines = compare(store, found, sentences[200 : 200 + options.repeats], options.held)
    size = options.rows * options.dimension * 4
    lines = [
        f"rows x dimension             {options.rows} x {options.dimension} float32, {size / 1e6:.0f} MB",
        f"coding and measuring         {built:.0f} s",
        f"chosen                       {found.wide} crops looked at for each scored; {found.faster} x as fast",
        *(f"measured at build time       {each.queries}: {each.told()}" for each in found.recalls),
        *lines,
        f"peak memory of it all        {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB",
    ]
    print("\n".join(lines))
    if options.out:
        write(options.out, options.machine, lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--fall", type=float, default=1.0, help="how fast directions lose weight; 0 is the hardest")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--held", type=int, default=1_000_000, help="rows that are held for the exact search")
    parser.add_argument("--target", type=float, default=0.95, help="recall at 100 to choose the width of a search by")
    parser.add_argument("--out", type=Path, help="folder for a results file")
    parser.add_argument("--machine", default=f"{platform.machine()}-{os.cpu_count()}cpu", help="its name in the file")
    return parser.parse_args()


def fill(store: Store, space: Space, rows: int, generator: np.random.Generator) -> Array:
    """Write the rows, and give sentences about some of their people."""
    sentences = []
    for start in range(0, rows, AT_ONCE):
        count = min(AT_ONCE, rows - start)
        people = space.people(-(-count // CROPS_A_PERSON), generator)
        vectors = space.crops(np.repeat(people, CROPS_A_PERSON, axis=0)[:count], generator)
        store.put([row(start + number, vector) for number, vector in enumerate(vectors)])
        sentences.append(space.sentences(people[:: max(1, len(people) // 200)], generator))
    store.compact()
    return generator.permutation(np.concatenate(sentences))


def row(number: int, vector: Array) -> Row:
    path = f"{number:08d}.jpg"
    return Row(
        id=row_id(Path("/crops") / path),
        content=f"{number:064x}",
        root="/crops",
        path=path,
        vector=vector,
        width=128,
        height=384,
        metadata=Metadata(),
        thumbnail=b"",
        added=datetime(2026, 3, 1),
    )


def compare(store: Store, found: Approximation, sentences: Array, most: int) -> list[str]:
    """Both searches in turns, with sentences that neither chose nor measured."""
    far = store.resident(FarVectors.maker(store, None, found.wide, found.told()))
    rows, generator = len(far.ids), np.random.default_rng(2)
    held = far.vectors.at(np.arange(min(most, rows)))
    best = best_rows(far.vectors, sentences, TOP)[0]
    lines = []
    for share in (None, *FILTERS):
        allowed = None if share is None else generator.random(rows) < share
        taken: dict[str, list[float]] = {"exact": [], "codes": []}
        recalls = []
        for query, first in zip(sentences, best, strict=True):
            some = None if allowed is None else allowed[: len(held)]
            began = time.perf_counter()
            whole, _ = exact_top(held, Aim(query), top=TOP, order_N=far.order[: len(held)], allowed_N=some)
            between = time.perf_counter()
            own, _ = far.vectors.top(Aim(query), top=TOP, order_N=far.order, allowed_N=allowed)
            taken["codes"].append(time.perf_counter() - between)
            taken["exact"].append((between - began) * rows / len(held))
            # Those of the best of all that pass are the best that pass.
            wanted = whole if len(held) == rows else (first if allowed is None else first[allowed[first]])
            recalls.append(np.isin(wanted, own).mean())
        exact, codes = (statistics.median(times) * 1e3 for times in taken.values())
        who = "all crops" if share is None else f"{share:.0%} pass filters"
        mean, low = np.mean(recalls), np.min(recalls)
        lines.append(
            f"{who:28} exact {exact:8.1f} ms, codes {codes:8.1f} ms: {exact / codes:5.2f} x as fast, "
            f"recall at {TOP} {mean:.3f} (least {low:.2f})"
        )
    return lines


def write(folder: Path, machine: str, lines: list[str]) -> None:
    day = datetime.now(UTC).date().isoformat()
    file = folder / f"approximate_{machine}_{day}.md"
    folder.mkdir(parents=True, exist_ok=True)
    command = f"python benchmarks/approximate.py {shlex.join(sys.argv[1:])}".strip()
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    file.write_text(
        f"# Searching by codes beside an exact search\n\n`{command}`, {day}, {cpu()}, {os.cpu_count()} logical "
        f"CPUs, {threads} threads. Load average {os.getloadavg()[0]:.1f} from other work. Drawn vectors; medians, the "
        "sides taken in turns in one run.\n\n```\n" + "\n".join(lines) + "\n```\n"
    )
    print(f"written to {file}")


if __name__ == "__main__":
    main()
