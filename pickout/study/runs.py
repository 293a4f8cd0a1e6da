"""A study's plan from one TOML file, and its runs: people drawn, each variant trained from each seed and asked."""

import hashlib
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator

from pickout.config import Settings, apply_overrides, parse_settings, read_toml
from pickout.errors import DataError, RecipeError, ResumeMismatch
from pickout.files import write_atomically
from pickout.synthetic.street import ANNOTATIONS, StreetSettings, draw_street
from pickout.train.recipe import Recipe, differences, find_recipe, load_recipe
from pickout.train.run_folder import RECIPE_FILE

Name = Annotated[str, StringConstraints(pattern=r"^[\w+=-][\w+=. -]{0,99}$")]
"""Of a variant or a population, which is also that of a folder."""
Measure = Literal["R@1", "R@5", "R@10", "mAP", "mINP", "rSum"]


class DataPlan(Settings):
    """The drawn people of a study, and those of another domain that its models are also asked about."""

    street: StreetSettings  # who is drawn
    sha256: str = ""  # of the annotations and pictures as the study's author had them; empty: not compared


class Plan(Settings):
    """A base recipe, variants, seeds."""

    name: str = Field(pattern=r"[a-z0-9][a-z0-9-]*")  # what the study is called
    claim: str = ""  # the sentence of the paper that is put to the test, with its table or figure
    base: str  # a recipe: a path beside the plan, or the name of a shipped one
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1)  # each variant is trained from each
    split: Literal["val", "test"] = "test"  # who the finished models are asked about. No epoch is chosen on it.
    measure: Measure = "R@1"  # what the comparison is about; the others are reported beside it
    first_look: bool = False  # whether what was found before a second look is compared too
    settings: dict[str, Any] = Field(default={}, alias="set")  # of every variant, in place of the base's
    variants: dict[Name, dict[str, Any]] = Field(min_length=1)
    """Keys of the recipe by variant, `"model.method.masking" = "random"`; the first is the base of comparison."""
    against: str = ""  # instead: the variant that the others are compared with
    data: dict[Name, DataPlan] = Field({})
    """The people by name: the first is trained on, all are asked about. None: the recipe's own data. In a plan
    also the name of a TOML file beside it that has this table."""

    @model_validator(mode="after")
    def _seeds_differ(self) -> "Plan":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one stands twice")
        if self.against and self.against not in self.variants:
            raise ValueError(f"against: no variant is called '{self.against}'; there are {', '.join(self.variants)}")
        return self

    @property
    def compared_with(self) -> str:
        """The variant that the others are compared with."""
        return self.against or next(iter(self.variants))


def load_plan(path: Path, overrides: Iterable[str] = ()) -> Plan:
    """Read and check a plan and overrides (`key=value`). `RecipeError`: no TOML, a wrong key or value, or variant."""
    values = apply_overrides(read_toml(path), overrides)
    if isinstance(values.get("data"), str):
        values["data"] = read_toml(path.parent / values["data"])
    plan = parse_settings(Plan, values, source=str(path))
    for variant in plan.variants:
        recipe_of(plan, path, variant, plan.seeds[0], Path())
    return plan


def recipe_of(plan: Plan, path: Path, variant: str, seed: int, root: Path | None) -> Recipe:
    """The recipe of one run; its people are at `root`, None: as it says. `RecipeError`: it does not fit."""
    beside = path.parent / plan.base
    base = beside if beside.is_file() else find_recipe(plan.base)
    keys = {**plan.settings, **plan.variants[variant], "seed": seed}
    shares = root is not None and bool(plan.data)
    if shares:
        keys = {"data.name": "street", "data.root": str(root), **keys}
    try:
        recipe = load_recipe(base, [f"{key}={_toml(value)}" for key, value in keys.items()])
    except RecipeError as error:
        raise RecipeError(f"{path}: variant {variant}: {error}") from error
    if not shares or recipe.data.features is not None:
        return recipe
    # What a frozen part sees is computed once for all variants and seeds that show it the same.
    read = {"text", "tokenizer"} if recipe.model.text.kind == "sentence" else set[str]()
    shown = recipe.model_dump_json(include={"augmentation": True, "model": {"image", *read}})
    features = Path(f"{root}-{base.stem}-{hashlib.sha256(shown.encode()).hexdigest()[:8]}")
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"features": features})})


def _toml(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {_toml(each)}' for key, each in value.items())}}}"
    return str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


ANSWERS = "answers.npz"  # in a run's folder: what each query about each population scored
ASKED = "asked.json"  # beside it: who it was trained on and asked about, as `Run.asked`
FIRST = ", first look"  # behind a population's name: before a second look


@dataclass(frozen=True, slots=True)
class Answers:
    """What a finished model answered about one population."""

    values: NDArray[np.float64]  # one column for each measure, in percent. Shape: (queries, measures)
    people: NDArray[np.int64]  # who each query is about. Shape: (queries,)


@dataclass(frozen=True, slots=True)
class Run:
    """One variant from one seed, in a folder of its own."""

    variant: str
    seed: int
    folder: Path
    recipe: Recipe
    populations: dict[str, Path]
    plan: Plan

    @property
    def is_finished(self) -> bool:
        """Whether its answers are there."""
        return (self.folder / ANSWERS).is_file()

    @property
    def asked(self) -> dict[str, Any]:
        """Who it is trained on and asked about: populations by name, with what tells their settings apart."""
        drawn = {name: root.name for name, root in self.populations.items()}
        people = drawn if self.plan.data else {"own": self.recipe.data.name}
        return {"trained_on": next(iter(people.values())), "people": people, "split": self.plan.split}

    def check(self) -> None:
        """Refuse a finished run of another recipe or question: a plan or its base was changed since. `ResumeMismatch`
        names it."""
        if not self.is_finished:
            return
        folder, told = self.folder, dict[str, Any]()
        if (folder / RECIPE_FILE).is_file():  # committed answers come without
            before = parse_settings(Recipe, read_toml(folder / RECIPE_FILE), source=str(folder / RECIPE_FILE))
            # Runs of a study share features, and only a run itself knows what the precision `auto` became.
            changed = differences(before, self.recipe, {"data.features", "train.precision"})
            self._require(not changed, f"was trained by another recipe ({'; '.join(changed)})", "this folder to train")
        with suppress(OSError, ValueError):
            told = dict(json.loads((folder / ASKED).read_text(encoding="utf-8")))
        own, looks = self.asked, told.pop("first_look", False) or not self.plan.first_look
        same = told.get("trained_on") == own["trained_on"]
        self._require(same, "was trained on other people", "this folder to train")
        self._require(looks and told == own, f"was asked otherwise ({told}, and now {own})", f"its {ANSWERS} to ask")

    def _require(self, holds: bool, what: str, remedy: str) -> None:
        if not holds:
            raise ResumeMismatch(f"{self.folder}: {what}; give another --out, or remove {remedy} it anew")

    def answers(self) -> dict[str, Answers]:
        """Its answers by population, and by `FIRST` of a population where the plan compares the first look too."""
        names = [name + look for name in self.populations for look in ("", FIRST)[: 1 + self.plan.first_look]]
        with np.load(self.folder / ANSWERS) as held:
            return {name: Answers(held[f"{name}.values"], held[f"{name}.people"]) for name in names}

    def seconds(self) -> float:
        """What the training took by the clock."""
        return float(json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))["seconds"])


def places(plan: Plan, folder: Path) -> dict[str, Path]:
    """Where each population of a study lies once it is drawn; studies share those of equal settings."""
    streets = {name: data.street for name, data in plan.data.items()}
    told = {name: each.model_dump_json(exclude=each.untold - {"changed"}) for name, each in streets.items()}
    return {name: folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}" for name, text in told.items()}


def draw(plan: Plan, populations: dict[str, Path], workers: int | None, say: Callable[[str], None]) -> None:
    """Draw the populations of a study that are not there yet."""
    for name, place in populations.items():
        data = plan.data[name]
        if not (place / ANNOTATIONS).is_file():
            say(f"{name}: drawing {data.street.people} people into {place}")
            draw_street(data.street, place, workers=workers)
        if data.sha256 and checksum(place) != data.sha256:
            say(f"{name}: {place} differs from what the study was written for, so numbers may too")


def checksum(street: Path) -> str:
    """One hash over a street's annotations and pictures."""
    whole = hashlib.sha256()
    for file in [street / ANNOTATIONS, *sorted((street / "imgs").rglob("*.jpg"))]:
        whole.update(f"{file.relative_to(street)} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def runs_of(plan: Plan, path: Path, out: Path, populations: dict[str, Path]) -> list[Run]:
    """Every run, the seeds one after the other, so that a study that was stopped has compared what it has. Errors as of
    `Run.check`."""
    root = next(iter(populations.values()), None)
    found = []
    for seed in plan.seeds:
        for variant in plan.variants:
            recipe = recipe_of(plan, path, variant, seed, root)
            asked = populations or {"own": recipe.data.root}
            found.append(Run(variant, seed, out / "runs" / variant / str(seed), recipe, asked, plan))
            found[-1].check()
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
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        begun = {pool.submit(carry_out_one, run): run for run in missing}
        try:
            for ended in as_completed(begun):
                ended.result()
                yield begun[ended]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


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
        scores, first, people = answers_about(model, data, run.plan.split, root)
        if not len(scores.kept):
            raise DataError(f"{root}: no query of {run.plan.split} has anybody to find")
        for look, found in (("", scores), (FIRST, first))[: 1 + run.plan.first_look]:
            held |= {f"{name}{look}.values": found.values, f"{name}{look}.people": people[found.kept]}
    told = {**run.asked, "first_look": run.plan.first_look}
    write_atomically(run.folder / ASKED, json.dumps(told, indent=1) + "\n")
    written = io.BytesIO()
    np.savez_compressed(written, **held)
    write_atomically(run.folder / ANSWERS, written.getvalue())
