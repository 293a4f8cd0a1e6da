"""docs/methods/itself.md names options that exist, and lines that run the experiment of the paper's row."""

import re
from pathlib import Path
from typing import Any

import pytest

from pickout.methods.base import Progress
from pickout.methods.itself import Itself, ItselfSettings
from pickout.methods.model import build_model, method_settings
from pickout.text.tokenizer import SpecialTokens
from pickout.train.recipe import Recipe, find_recipe, load_recipe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "itself.md"
LINES = [line.strip() for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("    --set")]
ABLATIONS = {re.sub(r"(--set \S+\s+)+", "", line): re.findall(r"--set (\S+)", line) for line in LINES}
STEPS = 144
"""Steps of an epoch of RSTPReid at batch 256, as the sampler yields them (the spec, section 6)."""
NARROW = ["vision.width=16", "vision.heads=2", "vision.embedding=8", "text.width=16", "text.heads=2"]
NARROW += ["text.embedding=8", "method.local_dimension=8", "method.hidden=4"]

OURS = {"scored_by": "mars", "layers": (5, 12), "discard": 0.25, "first": (124, 48), "last": (96, 37)}
"""What training does without a line: kept patches and words at the first step, and from T on (the spec, section 4)."""
OFF = {"first": (76, 30), "last": (76, 30)}
"""40 % of 192 patches and 75 words, at every step (the spec, section 3.1)."""
SINGLE = {"scored_by": "layer", "layers": (3,)}
ALL = tuple(range(1, 13))
PAPER: dict[str, dict[str, Any]] = {
    "table 3, + SL (layer 3)": SINGLE | OFF,
    "table 3, + MARS": OFF,
    "table 3, + SL + ATS": SINGLE,
    "table 4, no ATS": SINGLE | OFF,
    "table 4, by epoch": SINGLE | {"first": (121, 47), "by_epoch": 10},
    "table 4, by step": SINGLE,
    "table 5, ViT-B/32": {"first": (31, 48), "last": (24, 37), "grid": (12, 4)},
    "table 6, A": {"scored_by": "min_mean", "layers": ALL} | OFF,
    "table 6, B": {"scored_by": "mean", "layers": ALL} | OFF,
    "table 6, C": {"scored_by": "min_std", "layers": ALL} | OFF,
    "table 6, D": {"scored_by": "std", "layers": ALL} | OFF,
    "figure 7, early and middle": {"layers": (3, 5)} | OFF,
    "figure 7, early and late": {"layers": (3, 12)} | OFF,
    "figure 7, early, middle and late": {"layers": (3, 5, 12)} | OFF,
    "figure 7, share discarded (0.1 to 0.45)": {"discard": 0.1} | OFF,
    "SDM (IRRA) in place of TAL": {},
}
"""What each row of the paper names, where it differs from the whole method."""


class _Clip:
    vocabulary_size, context = 49408, 77
    special = SpecialTokens(padding=0, start=49406, end=49407, mask=49405)
    vocabulary = None


def resolved(overrides: list[str]) -> tuple[Recipe, Itself]:
    """The recipe of a line, and its model with narrow towers."""
    recipe = load_recipe(find_recipe("itself-rstpreid"), overrides)
    narrow = load_recipe(find_recipe("itself-rstpreid"), [*overrides, *(f"model.{pair}" for pair in NARROW)])
    method = build_model(narrow.model, _Clip(), 0)
    assert isinstance(method, Itself)
    return recipe, method


def kept(method: Itself, step: int) -> tuple[int, int]:
    progress = Progress(step=step, epoch=(step - 1) // STEPS + 1, steps_per_epoch=STEPS, epochs=60)
    return method.image_selection.training_kept(progress), method.text_selection.training_kept(progress)


def test_every_line_of_the_page_is_held_against_a_row_and_every_table_has_one() -> None:
    assert ABLATIONS.keys() == PAPER.keys()
    assert len(LINES) == len(ABLATIONS)


@pytest.mark.parametrize("row", sorted(PAPER))
def test_a_line_runs_the_experiment_of_its_row(row: str) -> None:
    recipe, method = resolved(ABLATIONS[row])
    expected = OURS | PAPER[row]
    rule = method.image_selection.training
    assert (rule.statistic, rule.layers) == (expected["scored_by"], expected["layers"])
    assert rule.share == expected["discard"]
    assert method.text_selection.training == rule
    assert (kept(method, 1), kept(method, 10 * STEPS + 100), kept(method, 60 * STEPS)) == (
        expected["first"],
        expected["last"],
        expected["last"],
    )
    assert method.vision.grid == expected.get("grid", (24, 8))
    if "by_epoch" in expected:
        drops = [step for step in range(2, 12 * STEPS) if kept(method, step) != kept(method, step - 1)]
        assert all(step % STEPS == 1 for step in drops)
        assert kept(method, 9 * STEPS) == (98, 38)
        assert kept(method, 9 * STEPS + 1) == expected["last"]
    _, settings = method_settings(recipe.model)
    assert settings != ItselfSettings() or row in ("table 4, by step", "table 5, ViT-B/32")


def test_the_line_of_table_5_starts_from_weights_of_its_patch() -> None:
    recipe, _ = resolved(ABLATIONS["table 5, ViT-B/32"])
    assert (recipe.train.initial, recipe.model.vision.patch) == ("clip-vit-base-patch32", 32)
    baseline = load_recipe(find_recipe("dual-rstpreid"), ABLATIONS["table 5, ViT-B/32"])
    assert (baseline.model.method["name"], baseline.model.vision.patch) == ("dual", 32)


def test_sdm_takes_the_place_of_tal() -> None:
    _, method = resolved(ABLATIONS["SDM (IRRA) in place of TAL"])
    assert set(method.global_objective.weights) == {"sdm", "cid_pair", "id_image", "id_text"}


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
