"""docs/methods/aga.md names options that exist, every option, and commands that parse."""

import re
from pathlib import Path
from typing import Any

import pytest

from pickout.config import apply_overrides, parse_settings
from pickout.methods.aga import AgaSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "aga.md"
LINES = PAGE.read_text(encoding="utf-8").splitlines()
ABLATIONS = [line.strip() for line in LINES if line.startswith("    --set")]
ROWS = [line for line in LINES if line.startswith("| ")]
TABLES: dict[str, list[dict[str, Any]]] = {
    "I": [{"mask": mask} for mask in ("off", "vacuous", "random", "agm")],
    "III": [{"mask": "off"}, {"enrich": False}, {"mask": "random"}, {}],
    "IV": [{"aggregation": aggregation} for aggregation in ("mean", "last", "ema")],
    "V": [{"enrich_probability": p} for p in (0.1, 0.2, 0.3, 0.4)],
    "VI": [{"enrich_candidates": k} for k in (3, 5, 10)],
    "VII": [{"alpha1": alpha1} for alpha1 in (-0.05, 0.0, 0.05, 0.1)],
    "VIII": [{"beta": beta} for beta in (0.9, 0.95, 0.99)],
}
"""The rows of the paper's tables; each is at most one option away from the recipe."""


@pytest.mark.parametrize("line", ABLATIONS)
def test_each_ablation_parses(line: str) -> None:
    values = apply_overrides({}, re.findall(r"--set (\S+)", line))["model"]["method"]
    assert parse_settings(AgaSettings, values, source=str(PAGE)) != AgaSettings()


@pytest.mark.parametrize("table", sorted(TABLES))
def test_the_papers_tables_are_options_of_a_recipe_and_on_the_page(table: str) -> None:
    settings = [parse_settings(AgaSettings, row, source=table) for row in TABLES[table]]
    assert len({repr(row) for row in settings}) == len(settings)
    assert AgaSettings() in settings
    assert any(re.search(rf"tables? (\w+ and )?{table}\b", line) for line in ABLATIONS)


def test_every_option_of_the_table_exists_and_every_option_is_in_it() -> None:
    named = {word for row in ROWS for word in re.findall(r"`(\w+)`", row.rsplit("|", 2)[1])}
    values = {"sequence", "sampled", "none"}
    assert named - values == set(AgaSettings.model_fields) - {"preset"}


def test_the_table_marks_every_key_of_the_presets() -> None:
    for preset, letter in (("as_paper", "P"), ("as_released", "R")):
        cells = " ".join(row.rsplit("|", 2)[1] for row in ROWS)
        marked = set(re.findall(rf"`(\w+)` \({letter}: ", cells))
        assert marked == set(AgaSettings.presets[preset])
