import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.data.data_set import DataSet, Split
from pickout.errors import DataError, DataMissing
from pickout.evaluate.metrics import BootstrapSettings
from pickout.evaluate.protocol import GLOBAL_WEIGHTS, EvaluationSettings, evaluate, validate

Make = Callable[..., LoadedModel]
QUICK = EvaluationSettings(batch=16, bootstrap=BootstrapSettings(resamples=50))


def test_a_reader_of_colours_finds_people_it_never_saw(colour_model: Make, colours: DataSet):
    report = evaluate(colour_model(), colours, settings=QUICK)
    assert report.subject["split"] == "val"
    assert (report.subject["images"], report.subject["captions"], report.subject["identities"]) == (18, 36, 6)
    assert report.text_to_image.metrics.recall_at_1 > 5 * report.text_to_image.metrics.chance
    assert report.image_to_text.metrics.queries == 18
    assert report.image_to_text.gallery == 36
    assert report.text_to_image.metrics.chance == pytest.approx(100 * 3 / 18)


def test_the_own_image_leaves_the_gallery(colour_model: Make, colours: DataSet):
    report = evaluate(colour_model(), colours, settings=QUICK)
    without = report.text_to_image_without_own
    assert without is not None
    assert without.gallery == 17
    assert without.metrics.chance == pytest.approx(100 * 2 / 17)
    assert report.image_to_text_without_own.gallery == 34


def test_people_with_one_image_cannot_be_scored_without_it(colour_model: Make, colours: DataSet):
    lonely = Split("colours", "val", colours.splits["val"].images[::3])
    report = evaluate(colour_model(), replace(colours, splits={"val": lonely}), settings=QUICK)
    assert report.text_to_image_without_own is None
    assert report.to_json()["text_to_image_without_own"] is None
    assert report.text_to_image.metrics.queries == 12


def test_images_without_captions_are_in_the_gallery_but_no_text_finds_their_person(
    colour_model: Make, colours: DataSet
):
    images = colours.splits["val"].images
    mute = (*images[:15], *(replace(record, captions=()) for record in images[15:]))
    report = evaluate(colour_model(), replace(colours, splits={"val": Split("colours", "val", mute)}), settings=QUICK)
    assert report.text_to_image.gallery == 18
    assert report.text_to_image.metrics.queries == 30
    assert (report.image_to_text.metrics.queries, report.image_to_text.metrics.excluded) == (15, 3)


def test_chunks_change_nothing(colour_model: Make, colours: DataSet):
    one = evaluate(colour_model(), colours, settings=QUICK)
    other = evaluate(colour_model(), colours, settings=QUICK.model_copy(update={"chunk": 3}))
    assert one.directions() == other.directions()


def test_the_paper_protocol_sweeps_the_weight_on_test_and_says_so(colour_model: Make, colours: DataSet):
    model = colour_model()
    report = evaluate(model, colours, protocol="paper", settings=QUICK)
    assert report.subject["split"] == "test"
    assert report.sweep is not None
    assert report.sweep.label == "selected on test"
    assert list(report.sweep.rows) == list(GLOBAL_WEIGHTS)
    assert sorted(GLOBAL_WEIGHTS) == sorted([*(n / 10 for n in range(11)), 0.32, 0.68])
    assert any("selected on test" in note for note in report.notes)
    best = max(found.recall_at_1 for found in report.sweep.rows.values())
    assert report.sweep.rows[report.sweep.best].recall_at_1 == best
    assert json.loads(report.json_text(indent=None))["sweep"]["label"] == "selected on test"


def test_a_folder_that_is_no_run_gets_no_file(colour_model: Make, colours: DataSet, tmp_path: Path):
    evaluate(colour_model(source=str(tmp_path)), colours, split="test", settings=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_the_sweep_shows_that_the_mean_colour_alone_confuses_who_wears_what_where(colour_model: Make, colours: DataSet):
    rows = evaluate(colour_model(), colours, protocol="paper", settings=QUICK).sweep.rows
    recall = {weight: found.recall_at_1 for weight, found in rows.items()}
    assert recall[0.0] == 100
    assert recall[1.0] < 90


def test_a_row_of_the_sweep_is_the_evaluation_of_a_model_with_that_weight(colour_model: Make, colours: DataSet):
    rows = evaluate(colour_model(), colours, protocol="paper", settings=QUICK).sweep.rows
    for share in (0.0, 0.3, 0.5):
        model = colour_model()
        model.method.share = share
        alone = evaluate(model, colours, split="test", settings=QUICK)
        assert rows[share] == alone.text_to_image.metrics


def test_the_standard_protocol_selects_nothing(colour_model: Make, colours: DataSet):
    report = evaluate(colour_model(), colours, split="test", settings=QUICK)
    assert report.sweep is None
    assert report.notes == ()
    assert report.to_json()["protocol"] == "standard"


def test_the_paper_protocol_on_a_model_without_parts_says_that_nothing_was_selected(
    colour_model: Make, colours: DataSet
):
    model = colour_model()
    model.method.encode_images = lambda images, trace=False, whole=model.method.encode_images: replace(
        whole(images), parts={}
    )
    report = evaluate(model, colours, protocol="paper", settings=QUICK)
    assert report.sweep is None
    assert "no weight to select" in report.notes[0]


def test_an_unknown_split_names_those_there_are(colour_model: Make, colours: DataSet):
    with pytest.raises(DataError, match=r"no split 'dev'; it has train, val, test"):
        evaluate(colour_model(), colours, split="dev")


def test_a_set_without_validation_split_is_an_error_not_a_look_at_test(colour_model: Make, colours: DataSet):
    icfg_like = replace(colours, splits={name: colours.splits[name] for name in ("train", "test")})
    with pytest.raises(DataError, match=r"no split 'val'; it has train, test"):
        evaluate(colour_model(), icfg_like)


def test_missing_images_stop_it_before_anything_is_encoded(colour_model: Make, colours: DataSet, tmp_path: Path):
    images = (replace(colours.splits["val"].images[0], image=tmp_path / "gone.png"), *colours.splits["val"].images[1:])
    told: list[object] = []
    with pytest.raises(DataMissing, match=r"gone\.png: no such image; 1 of 18 images"):
        evaluate(
            colour_model(),
            replace(colours, splits={"val": Split("colours", "val", images)}),
            tell=lambda *state: told.append(state),
        )
    assert told == []


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What makes a folder a run's."""
    (tmp_path / "model.toml").touch()
    return tmp_path


def test_looks_at_test_are_noted_in_the_run_folder_and_looks_at_val_are_not(
    colour_model: Make, colours: DataSet, run: Path
):
    model = colour_model(source=str(run))
    evaluate(model, colours, settings=QUICK)
    assert not (run / "evaluations.jsonl").exists()
    report = evaluate(model, colours, split="test", settings=QUICK)
    evaluate(model, colours, protocol="paper", settings=QUICK)
    lines = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    assert [line["protocol"] for line in lines] == ["standard", "paper"]
    assert lines[0]["R@1"] == report.text_to_image.metrics.recall_at_1
    assert lines[0]["fingerprint"] == model.fingerprint


def test_a_model_trained_on_other_people_and_data_is_evaluated_and_labelled(
    colour_model: Make, colours: DataSet, run: Path
):
    (run / "recipe.toml").write_text('[data]\nname = "rstpreid"\nroot = "elsewhere"\n[train]\nselect = "test"\n')
    renumbered = tuple(replace(record, identity=9000 - record.identity) for record in colours.splits["val"].images)
    other = replace(colours, splits={"val": Split("colours", "val", renumbered)})
    report = evaluate(colour_model(source=str(run)), other, settings=QUICK)
    assert report.text_to_image.metrics == evaluate(colour_model(), colours, settings=QUICK).text_to_image.metrics
    assert report.subject["trained_on"] == "rstpreid"
    assert "across data sets: the model was trained on rstpreid" in report.notes
    assert any("epoch was selected on the test split" in note for note in report.notes)


@pytest.mark.parametrize("first", ["import pickout", "import pickout.evaluate.metrics, pickout"])
def test_the_public_name_can_be_called_whatever_was_imported_before(first: str):
    code = f"{first}\ntry:\n    pickout.evaluate(None, 'nobody')\nexcept pickout.errors.UsageError as e:\n    print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "unknown data set 'nobody'" in done.stdout


def test_validation_equals_the_evaluation_and_leaves_the_method_in_training(colour_model: Make, colours: DataSet):
    model = colour_model()
    expected = evaluate(model, colours, settings=QUICK).text_to_image.metrics
    model.method.train()
    before = torch.get_rng_state()
    metrics = validate(model.method, colours.splits["val"], model.tokenizer, model.settings.image)
    assert metrics == expected.named()
    assert model.method.training
    assert torch.equal(torch.get_rng_state(), before)
