"""`pickout bench`: how fast this machine indexes and searches, beside the plain way to do the same."""

import os
import platform
import resource
import shutil
import statistics
import time
from collections.abc import Callable
from datetime import date
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from pickout.cli import model as loading
from pickout.cli.options import Json, Runtime
from pickout.cli.terminal import check_place, progress, say, say_table, tell, write
from pickout.errors import NothingFound
from pickout.gallery.gallery import Gallery

Sides = dict[str, Callable[[], Any]]  # ways to do one work, the last of which is ours
Taken = dict[str, list[tuple[float, float]]]  # by side, wall and processor seconds of each round

_QUERIES, _TOP, _FEWEST = 32, 100, 100_000  # asked at once; best rows of each; vectors that are searched at least


def bench(
    gallery: Annotated[Path | None, typer.Argument(help="Its model and size are taken; else --model.")] = None,
    model: Annotated[str | None, typer.Option(help="By default the gallery's own, else pickout-small.")] = None,
    crops: Annotated[Path | None, typer.Option(help="A folder of your crops; else people are drawn.")] = None,
    number: Annotated[int, typer.Option(min=8, help="How many crops are indexed.")] = 96,
    rounds: Annotated[int, typer.Option(min=2, help="Turns of each side, after a first that does not count.")] = 5,
    runtime: Runtime = "auto",
    out: Annotated[Path | None, typer.Option(help="Write the JSON to this file.")] = None,
    json: Json = False,
) -> None:
    """Index and search beside the plain way to do the same, in turns, and print the ratios of medians.

    The gallery is not changed: crops go into one that is removed, and searches go over drawn vectors of its size."""
    import json as json_text

    from pickout.export.exported_images import with_runtime

    check_place(out, "--out")
    rows = _FEWEST
    if gallery is not None:
        opened = Gallery.open(gallery)
        rows, model = max(rows, opened.count()), model or loading.remembered_model(gallery, opened.manifest)
    name = model or loading.default_model()
    with TemporaryDirectory() as folder, progress("measuring", quiet=json) as show:
        files = _copied(crops, Path(folder), number)
        plain = loading.load_model(name, "cpu")
        ours = with_runtime(plain, runtime)
        works = {f"indexing {len(files)} crops": _indexing(plain, ours, files, Path(folder))}
        works |= _searching(rows, plain.dimension)
        compared = {}
        for done, (work, sides) in enumerate(works.items(), start=1):
            compared[work] = compare(take_turns(sides, rounds))
            show(done, len(works))
    found = {
        "schema": "pickout.bench/1",
        "model": plain.name,
        "runtime": "torch" if ours is plain else "an export" if runtime == "auto" else runtime,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "load": round(os.getloadavg()[0], 1),
        "date": date.today().isoformat(),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "work": compared,
    }
    write(out, "--out", lambda: json_text.dumps(found, indent=1) + "\n")
    if json:
        tell(found, json=True)
        return
    for work, by_side in compared.items():
        kinds = ("seconds", "processor_seconds")
        columns = (work, "s", "processor s", "of ours", "processor, of ours")
        table = [
            (side, *(f"{each[kind]:.3f}" for kind in kinds), *(f"{each[f'{kind}_ratio']:.2f}" for kind in kinds))
            for side, each in by_side.items()
        ]
        say_table(columns, table, right=columns[1:])
    say(f"{found['model']} by {found['runtime']}; {found['machine']}, load {found['load']}; medians of {rounds} rounds")


def take_turns(sides: Sides, rounds: int) -> Taken:
    """Each side once to make itself ready, then in turns, the order turning each round."""
    taken: Taken = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name in sides if number % 2 else reversed(sides):
            began = time.perf_counter(), time.process_time()
            sides[name]()
            if number:
                taken[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    return taken


def compare(taken: Taken) -> dict[str, dict[str, Any]]:
    """By side: medians of seconds, and how many times as long it takes as ours, which is the last side: the ratio of
    medians, and the least and largest of a round."""
    own = [[each[kind] for each in list(taken.values())[-1]] for kind in (0, 1)]
    found = {}
    for name, rounds in taken.items():
        told: dict[str, Any] = {}
        for kind, key in enumerate(("seconds", "processor_seconds")):
            theirs = [each[kind] for each in rounds]
            each_round = [a / b for a, b in zip(theirs, own[kind], strict=True)]
            told[key] = round(statistics.median(theirs), 5)
            told[f"{key}_ratio"] = round(statistics.median(theirs) / statistics.median(own[kind]), 3)
            told[f"{key}_spread"] = [round(min(each_round), 3), round(max(each_round), 3)]
        found[name] = told
    return found


def _copied(crops: Path | None, folder: Path, number: int) -> list[Path]:
    """So many crops in a folder of their own; those that cannot be read are told and left out."""
    from pickout.data.registry import open_data
    from pickout.gallery.intake.scan import Scan
    from pickout.synthetic.street import draw_strangers

    if crops is None:
        people = open_data("street", draw_strangers(folder)).splits["val"]
        found = [record.image for record in people.images[:number]]
    else:
        found = list(islice((file for file, _ in loading.readable(Scan(crops).files())), number))
    if not found:
        raise NothingFound(f"--crops {crops}: holds no picture that can be read")
    place = folder / "crops"
    place.mkdir()
    return [Path(shutil.copy(file, place / f"{count:04d}{file.suffix}")) for count, file in enumerate(found)]


def _indexing(plain: "loading.LoadedModel", ours: "loading.LoadedModel", files: list[Path], folder: Path) -> Sides:
    from pickout.data.images import open_image
    from pickout.gallery.encoder import keeps_tokens

    def loop(model: "loading.LoadedModel", batch: int) -> None:
        # As an index does: with a second look, its tokens too.
        encode: Callable[[Any], Any] = model.encode_images_with_tokens if keeps_tokens(model) else model.encode_images
        for start in range(0, len(files), batch):
            encode([open_image(file) for file in files[start : start + batch]])

    def index() -> None:
        with TemporaryDirectory(dir=folder) as place:
            Gallery.create(Path(place) / "gallery", ours).add(files[0].parent)

    return {
        f"torch {plain.precision}, one crop at a time": lambda: loop(plain, 1),
        "a loop over batches of 8, same program": lambda: loop(ours, 8),
        "pickout index": index,
    }


def _searching(rows: int, dimension: int) -> dict[str, Sides]:
    import numpy as np

    from pickout.gallery.vectors.exact import Aim, HeldVectors

    array = np.random.default_rng(0).standard_normal((rows, dimension), np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    order, held = np.arange(rows), HeldVectors(array)

    def sides(count: int) -> Sides:
        asked = array[:count].copy()

        def search() -> list[Any]:
            with held.scored_together(asked):
                return [held.top(Aim(query), top=_TOP, order_N=order)[0] for query in asked]

        plain = lambda: np.argpartition(-(asked @ array.T), _TOP, axis=1)[:, :_TOP]  # noqa: E731
        return {"numpy: product and partial sort": plain, "exact search": search}

    told = {f"one query among {rows} vectors": 1, f"{_QUERIES} queries among {rows} vectors": _QUERIES}
    return {work: sides(count) for work, count in told.items()}
