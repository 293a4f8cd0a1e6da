"""Measuring: what is drawn, what is found, and what a measurement allows to be shown."""

import json

import numpy as np
import pytest

from pickout.config import parse_settings
from pickout.data.registry import open_data
from pickout.errors import CheckpointError, DataError, RecipeError, UsageError
from pickout.evaluate.metrics import BootstrapSettings
from pickout.explain.faithfulness import MeasureSettings, draw_samples, measure
from pickout.explain.ways import TARGETS, WAYS, Finding, Measurement, Number, judge, read_measurement

FEW = MeasureSettings(people=3, random_maps=2, bootstrap=BootstrapSettings(resamples=50))
GOOD, BAD = Number(0.2, 0.1, 0.3), Number(0.1, -0.1, 0.3)


def test_samples_are_one_sentence_of_each_person(street):
    split = open_data("street", street).splits["val"]
    samples = list(draw_samples(split, FEW))
    assert len({image.identity for image, _ in samples}) == 3
    assert all(image in split.images and caption in image.captions for image, caption in samples)
    assert samples == list(draw_samples(split, FEW))
    assert len(list(draw_samples(split, MeasureSettings(people=2)))) == 2


def test_every_way_is_measured_at_what_it_gives(load_tiny, street):
    done = []
    found = measure(load_tiny("itself"), open_data("street", street), "val", FEW, lambda *told: done.append(told))
    assert done == [(1, 3), (2, 3), (3, 3)]
    apart = ("phrases", "attention", "hidden")
    assert set(found.findings["patches"]) == {name for name in WAYS if not name.endswith(apart)}
    assert found.findings["looks"] == {}
    assert set(found.findings["words"]) == set(found.findings["patches"])
    assert "class_row" not in found.findings["word_patches"]
    assert all(finding.ratio is not None for finding in found.findings["word_patches"].values())
    assert found.facts["people"] == 3
    assert found.facts["garment_words"] > 3
    low, high = 0.5, 2.5
    assert low < found.facts["controls"]["centre_word_patches_ratio"][0] < high


def test_equal_seeds_give_equal_findings_and_a_file_keeps_them(load_tiny, street, tmp_path):
    model, data = load_tiny("dual"), open_data("street", street)
    first, second = (measure(model, data, "val", FEW) for _ in range(2))
    assert first == second
    file = tmp_path / "explain.json"
    file.write_text(json.dumps(first.as_json()))
    assert read_measurement(file) == first
    assert "mars" not in first.findings["patches"]


def test_a_data_set_that_was_not_drawn_has_no_ratio(load_tiny, street, tmp_path):
    (tmp_path / "imgs").symlink_to(street / "imgs")
    (tmp_path / "reid_raw.json").write_text((street / "reid_raw.json").read_text())
    found = measure(load_tiny("dual"), open_data("cuhk-pedes", tmp_path), "val", FEW)
    assert all(finding.ratio is None for finding in found.findings["word_patches"].values())


def test_a_split_that_is_not_there_or_shows_one_person_is_refused(load_tiny, street):
    data = open_data("street", street)
    with pytest.raises(UsageError, match="no split 'tset'"):
        measure(load_tiny("dual"), data, "tset", FEW)
    with pytest.raises(DataError, match="fewer than two people"):
        measure(load_tiny("dual"), data, "train", FEW)


@pytest.mark.parametrize(
    "values", [{"people": 1}, {"fill": "red"}, {"random_maps": 0}, {"pairs": 3}, {"bootstrap": {"resamples": 0}}]
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(RecipeError):
        parse_settings(MeasureSettings, values, source="--set")


@pytest.mark.parametrize(
    ("finding", "holds"),
    [
        (Finding(GOOD, GOOD), True),
        (Finding(GOOD, BAD), False),
        (Finding(BAD, GOOD), False),
        (Finding(GOOD, GOOD, Number(2.5, 1.1, 3)), True),
        (Finding(GOOD, GOOD, Number(2.5, 0.9, 3)), False),
    ],
)
def test_a_way_holds_where_all_its_intervals_are_better_than_chance(finding, holds):
    assert finding.holds == holds


MEASUREMENT = Measurement(
    "abc",
    {
        "patches": {"shapley": Finding(GOOD, GOOD), "left_out": Finding(Number(0.5, 0.4, 0.6), GOOD)},
        "words": {"class_row": Finding(BAD, BAD)},
        "word_patches": {
            "shapley": Finding(Number(9, 8, 10), GOOD, Number(1.5, 1.2, 2)),
            "shapley_phrases": Finding(GOOD, GOOD, Number(2.5, 2.1, 3)),
        },
    },
    {"people": 3},
)


def test_the_best_way_that_holds_is_shown():
    found = judge(MEASUREMENT, "abc")
    assert [found[target].way for target in TARGETS] == ["left_out", None, "shapley_phrases", None]
    assert all(verdict.measured for verdict in found.values())
    assert "2.5 times" in found["word_patches"].note
    assert "no way did better than chance" in found["words"].note


def test_a_way_that_failed_is_not_shown_even_if_asked_for():
    found = judge(MEASUREMENT, "abc", "class_row")
    assert found["words"].way is None
    assert "'class_row' did no better than chance" in found["words"].note
    assert "gives none" in found["patches"].note
    assert judge(MEASUREMENT, "abc", "shapley")["patches"].way == "shapley"


@pytest.mark.parametrize("measurement", [None, MEASUREMENT])
def test_another_models_measurement_counts_as_none(measurement):
    found = judge(measurement, "def")
    assert [verdict.note for verdict in found.values()] == ["not measured for this model"] * 4
    assert found["patches"].way == "shapley"
    assert not found["patches"].measured


def test_an_unknown_way_is_refused():
    with pytest.raises(UsageError, match="known are shapley"):
        judge(None, "abc", "magic")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "x"}', '{"schema": "pickout.explain/1", "findings": 3}'])
def test_a_damaged_file_is_named(tmp_path, text):
    file = tmp_path / "explain.json"
    file.write_text(text)
    with pytest.raises(CheckpointError, match=str(file)):
        read_measurement(file)
    assert read_measurement(tmp_path / "none.json") is None


def test_the_loops_agree_on_a_mean():
    from pickout.explain.faithfulness import Tally

    tally = Tally(MeasureSettings(bootstrap=BootstrapSettings(resamples=500)))
    values = np.random.default_rng(0).random(7)
    for person, value in enumerate(values):
        tally.kept["patches", "shapley", "deletion"].append((float(value), person))
    number = tally.number("patches", "shapley", "deletion")
    assert number.mean == pytest.approx(sum(values) / 7, abs=1e-6)
    assert number.low < number.mean < number.high
    assert tally.number("patches", "shapley", "insertion") is None
