"""Explanations: what is in them, what is left out where nothing may be shown, and the pages made of them."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pickout.errors import UsageError
from pickout.explain.explanation import explain, kept_tokens, measurement_file
from pickout.explain.figures import (
    MOST,
    explanation_page,
    explanation_piece,
    explanation_sheet,
    explanation_style,
    heat_layer,
    leading_words,
    overlay,
    top_of,
)
from pickout.explain.pair import Grid
from pickout.explain.ways import TARGETS, Finding, Measurement, Number
from pickout.pages import tile

GRID = Grid(rows=4, columns=2, patch=8, stride=8, height=32, width=16)
BAD = Finding(Number(0.0, -1.0, 1.0), Number(0.0, -1.0, 1.0))


@pytest.fixture
def found(model, sentence, picture):
    return explain(model, sentence, picture)


def refused(model):
    """A measurement in which everything failed."""
    return Measurement(model.fingerprint, {target: {"shapley": BAD} for target in TARGETS}, {})


def test_the_score_is_the_models_own(model, found, sentence, picture):
    direct = model.encode_images([picture])[0] @ model.encode_texts([sentence])[0]
    assert found.score == pytest.approx(direct, abs=1e-5)


def test_every_word_of_the_sentence_is_there_in_order(found, sentence):
    assert [word.text for word in found.words] == re.findall(r"[\w]+|[.,]", sentence)
    assert [word.state for word in found.words if word.text in ",."] == ["mark", "mark"]
    assert all(sentence[word.start : word.stop] == word.text for word in found.words)
    assert all((word.weight is None) == (word.state == "mark") for word in found.words)


def test_weights_and_heat_come_from_the_named_ways(found, evidence):
    weights = [word.weight for word in found.words if word.state == "read"]
    assert weights == pytest.approx((evidence.effects("words", "shapley").each @ evidence.image).tolist(), abs=1e-5)
    heat = evidence.effects("patches", "shapley").each @ evidence.text
    assert found.patches.ravel() == pytest.approx(heat, abs=1e-5)


def test_equal_seeds_explain_alike(model, sentence, picture):
    first, second = (explain(model, sentence, picture, seed=3).as_json() for _ in range(2))
    assert first == second


def test_json_is_plain_and_whole(found):
    told = json.loads(json.dumps(found.as_json()))
    assert np.array(told["patches"]).shape == (4, 2)
    assert len(told["words"]) == len(found.words)
    assert told["words"][0]["patches"] is not None
    assert told["shown"]["words"]["note"] == "not measured for this model"
    assert "does not say that the score" in told["meaning"]


def test_arrays_have_a_row_for_each_word(found):
    arrays = found.arrays()
    assert arrays["patches"].shape == (4, 2)
    assert arrays["word_patches"].shape == (len(found.words), 4, 2)
    marks = [word.state == "mark" for word in found.words]
    assert np.isnan(arrays["words"]).tolist() == marks


def test_what_failed_its_measurement_is_not_shown_anywhere(model, sentence, picture):
    found = explain(model, sentence, picture, measurement=refused(model))
    assert found.patches is None
    assert all(word.weight is None and word.patches is None for word in found.words)
    assert found.arrays() == {}
    told = found.as_json()
    assert told["patches"] is None
    assert "no way did better than chance" in told["shown"]["patches"]["note"]
    page = explanation_page(found, image="a.png")
    assert 'class="heat h' not in page
    assert "no way did better than chance" in page
    assert explanation_sheet(found).width < 150  # the crop alone


def test_a_way_without_single_words_shows_none(model, sentence, picture):
    found = explain(model, sentence, picture, way="class_row")
    assert found.patches is not None
    assert all(word.patches is None for word in found.words)
    assert "'class_row' gives none" in found.verdicts["word_patches"].note


def test_a_sentence_beyond_the_context_is_explained_as_far_as_it_is_read(load_tiny, sentence, picture):
    found = explain(load_tiny("itself", context=8), sentence, picture)
    cut = [word for word in found.words if word.state == "cut"]
    assert cut
    assert all(word.weight is None for word in cut)
    assert 'title="beyond what the model reads"' in explanation_page(found, image="a")


def test_no_words_no_explanation(model, picture):
    with pytest.raises(UsageError, match="describe a person"):
        explain(model, "?!", picture)


def test_the_bank_is_what_the_local_part_reads(load_tiny, sentence, picture, pair):
    assert kept_tokens(load_tiny("dual"), pair) is None
    model = load_tiny("itself")
    bank = explain(model, sentence, picture).bank
    assert len(bank.patches) == model.method.image_selection.evaluation_kept == 3
    scores = [score for _, score in bank.patches]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= place < 8 for place, _ in bank.patches)
    assert all(pair.ids[place] not in model.tokenizer.special.ids() for place, _ in bank.pieces)


def test_the_measurement_lies_in_the_run_or_beside_the_file(load_tiny, tmp_path):
    model = load_tiny("dual", tmp_path / "run")
    assert measurement_file(model) == tmp_path / "run" / "explain.json"
    file = tmp_path / "weights.pth"
    file.write_bytes(b"")
    model.report = replace(model.report, source=str(file))
    assert measurement_file(model) == tmp_path / "weights.pth.explain.json"


def test_a_layer_is_clear_where_nothing_speaks_for_the_match():
    heat = np.zeros((4, 2), np.float32)
    heat[0, 0], heat[3] = 2.0, -3.0
    layer = np.asarray(heat_layer(heat, GRID, (16, 32)))
    assert layer.shape == (32, 16, 4)
    assert layer[2, 2, 3] > 150
    assert layer[-4:, :, 3].max() == 0


@pytest.mark.parametrize("heat", [np.zeros((4, 2)), -np.ones((4, 2)), np.full((4, 2), np.nan)])
def test_nothing_hot_leaves_the_layer_clear(heat):
    assert np.asarray(heat_layer(heat.astype(np.float32), GRID, (5, 7)))[..., 3].max() == 0


def test_a_layer_ends_where_the_patches_end():
    grid = Grid(rows=1, columns=1, patch=8, stride=8, height=8, width=16)
    layer = np.asarray(heat_layer(np.ones((1, 1), np.float32), grid, (16, 8)))
    assert (layer[:, :8, 3] > 0).all()
    assert (layer[:, 8:, 3] == 0).all()


def test_an_overlay_changes_the_hot_place_most(picture):
    heat = np.zeros((4, 2), np.float32)
    heat[1, 1] = 1
    plain, warm = (np.asarray(overlay(picture, h, GRID), np.int64) for h in (heat * 0, heat))
    changed = np.abs(plain - warm).sum(axis=2)
    assert changed[12:24, 10:].mean() > 10 * changed[36:].mean() + 1


def test_weak_words_stay_pale(found):
    tops = [top_of(found, word) for word in found.words if word.patches is not None]
    highest = max(float(word.patches.max()) for word in found.words if word.patches is not None)
    assert min(tops) >= 0.25 * highest
    assert max(tops) == pytest.approx(highest)


def test_leading_words_stand_in_the_sentences_order(found):
    leading = leading_words(found, 3)
    assert len(leading) == 3
    assert [word.start for word in leading] == sorted(word.start for word in leading)
    others = [word.weight for word in found.words if word.weight is not None and word not in leading]
    assert min(word.weight for word in leading) >= max(others)


def test_a_sheet_has_a_panel_for_each_picture():
    panels = [("text", Image.new("RGB", (20, 30), "red"))] * 7
    sheet = tile(panels, across=3)
    assert sheet.height > 3 * 50
    assert sheet.width < 4 * 40


def test_a_page_makes_no_request_and_runs_no_script(found):
    page = explanation_page(found, image="p<b>.png")
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert "url(" not in page
    assert "p&lt;b&gt;.png" in page
    assert "<b>.png" not in page


def test_every_word_has_a_button_and_a_layer_of_its_own(found):
    piece = explanation_piece(found, name="why")
    words = sum(word.patches is not None for word in found.words)
    assert piece.count('type="radio"') == words + 2
    assert piece.count('class="heat') == words + 1
    assert piece.count("checked") == 1
    assert set(re.findall(r'for="(why\w+)"', piece)) == set(re.findall(r'id="(why\w+)"', piece))
    style = explanation_style()
    assert all(f".h{place}{{" in style for place in range(words + 1))


def test_hostile_sentences_stay_text(model, picture):
    found = explain(model, '<img src=x onerror="alert(1)"> red \u202e jacket', picture)
    piece = explanation_piece(found, name="a")
    assert "<img src=x" not in piece
    assert "\u202e" not in piece


def test_a_very_long_sentence_has_no_more_maps_than_rules(load_tiny, picture):
    found = explain(load_tiny("dual", context=240), "red " * 200, picture)
    assert explanation_piece(found, name="a").count('type="radio"') == MOST + 2
