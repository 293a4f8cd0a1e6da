"""docs/methods/aga.md names options that exist, every option, and lines that run the experiment of the paper's row."""

import re
from pathlib import Path
from typing import Any

import pytest

from pickout.methods.aga import AgaSettings
from pickout.methods.model import method_settings
from pickout.train.recipe import find_recipe, load_recipe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "aga.md"
TEXT = PAGE.read_text(encoding="utf-8").splitlines()
LINES = [line.strip() for line in TEXT if line.startswith("    --set")]
ABLATIONS = {re.sub(r"(--set \S+\s+)+", "", line): re.findall(r"--set (\S+)", line) for line in LINES}
ROWS = [line for line in TEXT if line.startswith("| ")]

ROW_OF: dict[str, dict[str, Any]] = {
    "tables I and III, baseline without masks": {"mask": "off"},
    "table I, picked": {"mask": "vacuous", "enrich": False},
    "table I, random (RaSa)": {"mask": "random", "enrich": False},
    "tables I and III, AGM": {"enrich": False},
    "table III, TEM": {"mask": "random"},
    "table IV, mean": {"aggregation": "mean"},
    "table IV, last": {"aggregation": "last"},
    "table V (0.1 to 0.4)": {"enrich_probability": 0.1},
    "table VI (3, 5, 10)": {"enrich_candidates": 3},
    "table VII (-0.05, 0, 0.05, 0.1)": {"alpha1": -0.05},
    "table VIII (0.9, 0.95, 0.99)": {"beta": 0.9},
    "Eq. 9 as printed": {"normalisation": "none"},
    "Eq. 9 by the largest weight": {"normalisation": "max"},
    "Eq. 7 with its sum divided out": {"debias": True},
    "new words at hidden places alone": {"enrich_positions": "hidden"},
    "attention without dropout": {"attention_dropout": False},
    "new captions for the online model alone": {"enrich_view": "online"},
    "the release's soft labels": {"distillation_axis": "sequence"},
}
"""What each line changes of the whole method, which is the tables' last or middle row."""
WHOLE: dict[str, Any] = {
    "mask": "agm",
    "enrich": True,
    "aggregation": "ema",
    "enrich_probability": 0.3,
    "enrich_candidates": 5,
    "alpha1": 0.05,
    "alpha2": 0.15,
    "beta": 0.95,
    "attention_temperature": 0.02,
}
"""AGA's own row of its tables (section IV.B)."""


def settings_of(overrides: list[str]) -> dict[str, Any]:
    recipe = load_recipe(find_recipe("aga-cuhk-pedes"), overrides)
    name, settings = method_settings(recipe.model)
    assert name == "aga"
    return settings.model_dump()


def test_the_recipe_is_the_papers_own_row() -> None:
    settings = settings_of([])
    assert {key: settings[key] for key in WHOLE} == WHOLE


def test_every_line_of_the_page_is_held_against_a_row() -> None:
    assert ABLATIONS.keys() == ROW_OF.keys()
    assert len(LINES) == len(ABLATIONS)


@pytest.mark.parametrize("row", sorted(ROW_OF))
def test_a_line_changes_what_its_row_names_and_nothing_else(row: str) -> None:
    whole, changed = settings_of([]), settings_of(ABLATIONS[row])
    assert {key: value for key, value in changed.items() if value != whole[key]} == ROW_OF[row]


def test_every_option_of_the_table_exists_and_every_option_is_in_it() -> None:
    named = {word for row in ROWS for word in re.findall(r"`(\w+)`", row.rsplit("|", 2)[1])}
    values = {"sequence", "sampled", "none"}
    assert named - values == set(AgaSettings.model_fields) - {"preset"}


def test_the_table_marks_every_key_of_the_presets() -> None:
    for preset, letter in (("as_paper", "P"), ("as_released", "R")):
        cells = " ".join(row.rsplit("|", 2)[1] for row in ROWS)
        marked = set(re.findall(rf"`(\w+)` \({letter}: ", cells))
        assert marked == set(AgaSettings.presets[preset])
