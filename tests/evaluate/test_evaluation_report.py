import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from pickout.evaluate.evaluation_report import (
    Direction,
    Report,
    Sweep,
    Training,
    log_look,
    plot_cmc,
    read_training,
    render,
    summarise,
)
from pickout.evaluate.metrics import BootstrapSettings, find_relevant, rank

SUBJECT = {
    "model": "run [7]",
    "fingerprint": "3f2c91abcd12",
    "method": "Dual",
    "trained_on": None,
    "epoch_selected_on": None,
    "data": "street",
    "root": "/data/street",
    "split": "test",
    "images": 40,
    "captions": 40,
    "identities": 10,
}


def direction(settings: BootstrapSettings, seed: int = 0) -> Direction:
    generator = np.random.default_rng(seed)
    identity = np.repeat(np.arange(10), 4)
    relevance = find_relevant(identity, identity, np.arange(40), np.arange(40))
    scores = torch.from_numpy((np.eye(40) + generator.normal(0, 0.4, (40, 40))).astype(np.float32))
    found = summarise(rank(torch.eye(40), scores, relevance), identity, settings, cmc_ranks=50)
    assert found is not None
    return found


def report(settings: BootstrapSettings | None = None, sweep: bool = False) -> Report:
    settings = settings or BootstrapSettings(resamples=30, seed=5)
    both = direction(settings)
    rows = {weight: direction(settings, n).metrics for n, weight in enumerate((0.0, 0.32, 1.0))}
    return Report(
        *(SUBJECT, "standard", ("a note",), both, direction(settings, 1), None, both),
        sweep=Sweep(rows, 0.32, "selected on test") if sweep else None,
        bootstrap=settings,
        circumstances={"date": "2026-11-21T00:00:00+00:00", "tie_rule": "as documented"},
    )


def shown(report: Report, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(render(report))
    return stream.getvalue()


def test_the_json_says_what_was_measured_how_and_how_surely():
    found = json.loads(report().json_text(indent=None))
    assert found["schema"] == "pickout.evaluation/1"
    assert (found["model"], found["fingerprint"], found["data"], found["split"]) == (
        *("run [7]", "3f2c91abcd12"),
        *("street", "test"),
    )
    assert found["bootstrap"] == {"resamples": 30, "seed": 5, "level": 0.95, "unit": "identity", "kind": "percentile"}
    side = found["text_to_image"]
    assert side["rSum"] == pytest.approx(side["R@1"] + side["R@5"] + side["R@10"])
    assert (side["queries"], side["excluded_queries"], side["gallery"]) == (40, 0, 40)
    assert len(side["cmc"]) == 40
    assert [side["cmc"][k - 1] for k in (1, 5, 10)] == pytest.approx([side["R@1"], side["R@5"], side["R@10"]])
    assert all(low <= side[name] <= high for name, (low, high) in side["intervals"].items())
    assert found["text_to_image_without_own"] is None
    assert found["sweep"] is None


def test_the_json_of_a_line_and_of_a_file_are_the_same():
    assert report().json_text(indent=None).count("\n") == 1
    assert json.loads(report().json_text(indent=None)) == json.loads(report().json_text())


def test_without_resampling_there_are_no_intervals_to_show():
    bare = report(BootstrapSettings(resamples=0))
    assert json.loads(bare.json_text(indent=None))["text_to_image"]["intervals"] is None
    assert "interval" not in shown(bare)
    assert "–" not in shown(bare)


def test_the_table_holds_every_number_in_80_columns():
    lines = shown(report(sweep=True)).splitlines()
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    for name, value in report().text_to_image.metrics.named().items():
        row = next(line for line in lines if line.split()[:1] == [name])
        assert f"{value:.2f}" in row
    assert "run [7] (3f2c91abcd12) on street, test: 40 images, 40 captions, 10 people" in text
    assert "seed 5" in text
    assert "* 0.32" in text
    assert "selected on test" in text
    assert "Note: a note." in text


def test_queries_left_out_are_shown_where_there_are_some():
    full = report()
    lonely = replace(full.text_to_image, metrics=replace(full.text_to_image.metrics, excluded=3))
    assert "left out" not in shown(full)
    assert "queries left out" in shown(replace(full, text_to_image=lonely))


def test_the_plot_is_a_picture_and_the_same_for_the_same_report():
    data = plot_cmc(report())
    assert data == plot_cmc(report())
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}
    assert {(0x0B, 0x6E, 0x99), (0xC2, 0x57, 0x1A)} <= colours


def test_names_of_others_are_neither_formulas_nor_control_characters():
    evil = replace(report(), subject={**SUBJECT, "model": "a$\\frac$\x1b[31m", "data": "[b]$^"})
    assert plot_cmc(evil).startswith(b"\x89PNG")
    assert "a$\\frac$\ufffd[31m (3f2c91abcd12) on [b]$^, test" in shown(evil)


def test_a_direction_without_any_relevant_item_is_none():
    relevance = find_relevant(np.array([1, 2]), np.array([3]), np.array([0, 1]), np.array([2]))
    ranks = rank(torch.eye(2), torch.ones(1, 2), relevance)
    assert summarise(ranks, np.array([1, 2]), BootstrapSettings(), cmc_ranks=5) is None


def test_the_log_grows_by_one_whole_line_a_look(tmp_path):
    log_look(tmp_path, report())
    log_look(tmp_path, report())
    lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["split"] == "test"


def test_a_folder_without_recipe_tells_nothing_of_the_training(tmp_path):
    assert read_training(tmp_path) == read_training(None) == Training()


def test_a_recipe_of_another_shape_tells_what_it_can(tmp_path):
    (tmp_path / "recipe.toml").write_text('data = 3\n[train]\nselect = "val"\n')
    assert read_training(tmp_path) == Training(selected_on="val")
