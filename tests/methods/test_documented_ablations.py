"""docs/methods/itself.md names options that exist and commands that parse."""

import re
from pathlib import Path

import pytest

from pickout.config import apply_overrides, parse_settings
from pickout.methods import METHODS
from pickout.methods.itself import ItselfSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "itself.md"
ABLATIONS = [line.strip() for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("    --set")]


def test_the_page_lists_ablations() -> None:
    assert len(ABLATIONS) >= 8


@pytest.mark.parametrize("line", ABLATIONS)
def test_each_ablation_parses(line: str) -> None:
    values = apply_overrides({"model": {"method": {"name": "itself"}}}, re.findall(r"--set (\S+)", line))
    method = values["model"]["method"]
    name = method.pop("name")
    settings = parse_settings(METHODS[name].settings, method, source=str(PAGE))
    assert (name, settings) != ("itself", ItselfSettings())


def test_every_option_of_the_table_exists() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    named = {word for row in rows for word in re.findall(r"`(\w+)`", row.rsplit("|", 2)[1])}
    values = {"all", "gpo", "content", "batch_max_plus_one"}
    assert named - values <= set(ItselfSettings.model_fields)
    assert len(named) > 15


def test_the_table_marks_every_key_of_the_presets() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    for preset, letter in (("as_paper", "P"), ("as_released", "R")):
        marked = " ".join(row.rsplit("|", 2)[1] for row in rows if f"({letter}: " in row)
        assert all(f"`{key}`" in marked for key in ItselfSettings.presets[preset])
