"""The runs of a study: the people drawn, each variant trained from each seed, each finished model asked."""

import hashlib
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.errors import DataError
from pickout.files import write_atomically
from pickout.study.plan import Plan, recipe_of
from pickout.synthetic.street import ANNOTATIONS, draw_street
from pickout.train.recipe import Recipe

ANSWERS = "answers.npz"  # in a run's folder: what each query about each population scored

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a finished model answered about one population.

    Args:
        values: one column for each measure, in percent. Shape: (queries, measures).
        people: who each query is about. Shape: (queries,).
    """

    values: NDArray[np.float64]
    people: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Run:
    """One variant from one seed, in a folder of its own."""

    variant: str
    seed: int
    folder: Path
    recipe: Recipe
    populations: dict[str, Path]
    split: str

    @property
    def is_finished(self) -> bool:
        """Whether its answers are there."""
        return (self.folder / ANSWERS).is_file()

    def answers(self) -> dict[str, Answers]:
        """Its answers by population."""
        with np.load(self.folder / ANSWERS) as held:
            return {name: Answers(held[f"{name}.values"], held[f"{name}.people"]) for name in self.populations}

    def seconds(self) -> float:
        """What the training took by the clock."""
        return float(json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))["seconds"])


def draw(plan: Plan, folder: Path, workers: int | None, say: Say) -> dict[str, Path]:
    """The populations of a study, drawn where they are not there yet; studies share those of equal settings.

    Returns:
        Where each is.
    """
    places = {}
    for name, data in plan.data.items():
        settings = data.street.model_dump_json()
        place = folder / f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
        if not (place / ANNOTATIONS).is_file():
            say(f"{name}: drawing {data.street.people} people into {place}")
            draw_street(data.street, place, workers=workers)
        if data.sha256 and checksum(place) != data.sha256:
            say(f"{name}: {place} differs from what the study was written for, so numbers may too")
        places[name] = place
    return places


def checksum(street: Path) -> str:
    """One hash over a street's annotations and pictures."""
    whole = hashlib.sha256()
    for file in [street / ANNOTATIONS, *sorted((street / "imgs").rglob("*.jpg"))]:
        whole.update(f"{file.relative_to(street)} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def runs_of(plan: Plan, path: Path, out: Path, populations: dict[str, Path]) -> list[Run]:
    """Every run, the seeds one after the other, so that a study that was stopped has compared what it has."""
    root = next(iter(populations.values()), None)
    found = []
    for seed in plan.seeds:
        for variant in plan.variants:
            recipe = recipe_of(plan, path, variant, seed, root)
            asked = populations or {"own": recipe.data.root}
            found.append(Run(variant, seed, out / "runs" / variant / str(seed), recipe, asked, plan.split))
    return found


def carry_out(runs: list[Run], jobs: int) -> Iterator[Run]:
    """Train and ask what is missing, `jobs` at a time; yields each run when it ends."""
    missing = [run for run in runs if not run.is_finished]
    if jobs == 1:
        for run in missing:
            carry_out_one(run)
            yield run
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_limit_threads, initargs=(threads,)) as pool:
        begun = {pool.submit(carry_out_one, run): run for run in missing}
        try:
            for ended in as_completed(begun):
                ended.result()
                yield begun[ended]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _limit_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def carry_out_one(run: Run) -> None:
    """Train one run to its end, going on where it was stopped, and write down what it answers."""
    import pickout
    from pickout.evaluate.protocol import answers_about
    from pickout.train.training import train

    train(run.recipe, run.folder, device="auto")
    model = pickout.load(run.folder, precision="fp32")
    held: dict[str, Any] = {}
    for name, root in run.populations.items():
        data = run.recipe.data.name if name == "own" else "street"
        scores, people = answers_about(model, data, run.split, root=root)
        if not len(scores.kept):
            raise DataError(f"{root}: no query of {run.split} has anybody to find")
        held |= {f"{name}.values": scores.values, f"{name}.people": people[scores.kept]}
    written = io.BytesIO()
    np.savez(written, **held)
    write_atomically(run.folder / ANSWERS, written.getvalue())
