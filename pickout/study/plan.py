"""A study's plan: what is trained and on whom, from one TOML file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from pickout.config import Settings, apply_overrides, parse_settings, read_toml
from pickout.errors import RecipeError
from pickout.synthetic.street import StreetSettings
from pickout.train.recipe import Recipe, find_recipe, load_recipe

Measure = Literal["R@1", "R@5", "R@10", "mAP", "mINP", "rSum"]


class DataPlan(Settings):
    """The drawn people of a study, and those of another domain that its models are also asked about."""

    street: StreetSettings  # who is drawn
    sha256: str = ""  # of the annotations and pictures as the study's author had them; empty: not compared


class Plan(Settings):
    """A base recipe, variants, seeds. The first variant is what the others are compared with."""

    name: str = Field(pattern=r"[a-z0-9][a-z0-9-]*")  # what the study is called
    claim: str = ""  # the sentence of the paper that is put to the test, with its table or figure
    base: str  # a recipe: a path beside the plan, or the name of a shipped one
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1)  # each variant is trained from each
    split: Literal["val", "test"] = "test"  # who the finished models are asked about. No epoch is chosen on it.
    measure: Measure = "R@1"  # what the comparison is about; the others are reported beside it
    settings: dict[str, Any] = Field(default={}, alias="set")
    """Keys of the recipe that every variant has in place of the base's."""
    variants: dict[str, dict[str, Any]] = Field(min_length=1)
    """Keys of the recipe by variant, `"model.method.masking" = "random"`; the first is the base of comparison."""
    data: dict[str, DataPlan] = Field({})
    """The people by name: the first is trained on, all are asked about. None: the recipe's own data. In a plan
    also the name of a TOML file beside it that has this table."""

    @model_validator(mode="after")
    def _seeds_differ(self) -> "Plan":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one stands twice")
        return self


def load_plan(path: Path, overrides: Iterable[str] = ()) -> Plan:
    """Read and check a plan; `overrides` are `key=value` pairs laid over it.

    Raises:
        RecipeError: no such file, no TOML, an unknown key, a wrong value; a recipe that does not take a variant's keys.
    """
    values = apply_overrides(read_toml(path), overrides)
    if isinstance(values.get("data"), str):
        values["data"] = read_toml(path.parent / values["data"])
    plan = parse_settings(Plan, values, source=str(path))
    for variant in plan.variants:
        recipe_of(plan, path, variant, plan.seeds[0], Path())
    return plan


def recipe_of(plan: Plan, path: Path, variant: str, seed: int, root: Path | None) -> Recipe:
    """The recipe of one run; `root` is where its people are, None as the recipe says.

    Raises:
        RecipeError: it does not hold together; names the plan and the variant.
    """
    beside = path.parent / plan.base
    base = beside if beside.is_file() else find_recipe(plan.base)
    keys = {**plan.settings, **plan.variants[variant], "seed": seed}
    if root is not None and plan.data:
        keys |= {"data.name": "street", "data.root": str(root)}
    try:
        return load_recipe(base, [f"{key}={_toml(value)}" for key, value in keys.items()])
    except RecipeError as error:
        raise RecipeError(f"{path}: variant {variant}: {error}") from error


def _toml(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_toml(each)}' for key, each in value.items())}}}"
    return f'"{value}"' if isinstance(value, str) else str(value)
