"""Probabilities hold on people not used for fitting, absent people are mostly not answered, and files are guarded."""

import itertools
import json
import math

import numpy as np
import pytest
from colour_encoder import COLOURS, ColourEncoder

from pickout.data.data_set import ImageRecord, Split
from pickout.errors import DataError, GalleryDamaged, GalleryError, GalleryModelMismatch
from pickout.gallery.calibration.evidence import Evidence, simulate
from pickout.gallery.calibration.fit import (
    CalibrationSettings,
    bin_sums,
    error_interval,
    expected_calibration_error,
    plot_reliability,
)
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.probability import Fit, Level, logistic, measures, passing
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import SearchSettings

CLOTHES = list(itertools.product(COLOURS, COLOURS, COLOURS))


def write_people(draw, folder, clothes, images=1):
    """Crops of people, and the split that describes them."""
    records = []
    for number, (hair, top, bottom) in enumerate(clothes):
        for copy in range(images):
            file = draw(folder / f"{number:03d}_{copy}.png", hair, top, bottom, shade=7 * number + copy, size=(8, 24))
            sentence = f"{hair} hair, {top} jacket, {bottom} trousers"
            records.append(ImageRecord(file, number, (sentence,)))
    return Split("drawn", "val", tuple(records))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A gallery of 120 people and a split of 60 others, some of whom dress alike."""
    from tests.gallery.conftest import draw_crop

    root = tmp_path_factory.mktemp("drawn")
    chosen = [CLOTHES[place] for place in np.random.default_rng(0).permutation(len(CLOTHES))[:180]]
    write_people(draw_crop, root / "crops", chosen[:120])
    split = write_people(draw_crop, root / "val", [*chosen[120:150], *chosen[:30]])
    gallery = Gallery.create(root / "g", ColourEncoder())
    gallery.add(root / "crops")
    return gallery, split, gallery.calibrate(split)


def ece_by_loops(probability, match, weight):
    total = 0.0
    for number in range(15):
        inside = [i for i, p in enumerate(probability) if min(int(p * 15), 14) == number]
        if inside:
            mass = sum(weight[i] for i in inside)
            told = sum(weight[i] * probability[i] for i in inside) / mass
            true = sum(weight[i] * match[i] for i in inside) / mass
            total += mass / sum(weight) * abs(told - true)
    return total


def test_the_expected_calibration_error_equals_its_loop_twin():
    generator = np.random.default_rng(2)
    probability, weight = generator.random(500), generator.random(500)
    match = generator.random(500) < probability**2
    found = expected_calibration_error(bin_sums(probability, match, weight))
    assert found == pytest.approx(ece_by_loops(probability, match, weight))
    low, high = error_interval(probability, match, weight, generator.integers(0, 50, 500), generator)
    assert 0 < low < found < high < 1


def test_probabilities_hold_on_people_not_used_for_fitting(drawn):
    _, _, calibration = drawn
    check = calibration.check
    assert (calibration.crops, calibration.identities, check.identities) == (120, 30, 30)
    assert check.ece <= 0.05 and check.ece_interval[0] <= check.ece_interval[1]
    assert check.absent_answered <= 0.15
    assert check.bins and sum(each.weight for each in check.bins) == pytest.approx(1)


def test_answers_carry_probabilities_that_fall_with_the_rank(drawn):
    gallery, split, calibration = drawn
    answer = gallery.ask(split.images[40].captions[0], top=7)
    told = [hit.probability for hit in answer.hits]
    assert told == sorted(told, reverse=True) and 0 <= told[-1] <= told[0] <= 1
    assert answer.verdict.best == told[0]
    assert answer.verdict.threshold == passing(calibration.levels, 0.05, 120)
    assert answer.no_good_match == (told[0] < answer.verdict.threshold)
    behind = gallery.ask(split.images[40].captions[0], top=7, page=2)
    assert behind.verdict == answer.verdict
    assert max(hit.probability for hit in behind.hits) <= told[-1]


def test_a_stricter_error_rate_asks_for_more(drawn):
    gallery, split, _ = drawn
    sentence = split.images[0].captions[0]
    thresholds = [
        gallery.ask(sentence, settings=SearchSettings(error=error)).verdict.threshold for error in (0.5, 0.2, 0.1)
    ]
    assert thresholds == sorted(thresholds)
    assert gallery.ask(sentence, settings=SearchSettings(error=1e-6)).no_good_match is True


def test_a_sentence_unlike_all_validation_sentences_is_said(drawn):
    gallery, _, _ = drawn
    answer = gallery.ask("nothing that the encoder knows")
    assert answer.no_good_match and "validation sentences" in " ".join(answer.notes)


def test_queries_of_several_parts_have_no_probability_and_say_so(drawn):
    gallery, _, _ = drawn
    answer = gallery.ask(Query(["teal jacket"], without=["black hair"]))
    assert answer.verdict is None and answer.no_good_match is None
    assert {hit.probability for hit in answer.hits} == {None}
    assert "only told for a single sentence" in answer.notes[0]


def test_rows_of_validation_people_are_no_distractors_for_them(drawn, tmp_path):
    _, split, calibration = drawn
    inside = Gallery.create(tmp_path / "g", ColourEncoder())
    inside.add(split.images[0].image.parent)
    found = inside.calibrate(split)
    assert found.crops == 60
    # Were a person's own crop counted as somebody else's, equal scores would stand on both sides.
    assert found.check.present_answered > found.check.absent_answered
    assert found.check.ece < 0.1
    assert calibration.model == found.model


def level_of(size, absent, best=0.0, behind=0.0):
    """The same logit for each best candidate, and for each behind it."""
    fits = [Fit(means=(0, 0), deviations=(1, 1), weights=(weight, 0, 0)) for weight in (best, behind)]
    return Level(size=size, best=fits[0], behind=fits[1], absent=absent)


def test_threshold_is_the_order_statistic_of_absent_searches():
    level = level_of(100, tuple(np.linspace(0.01, 0.99, 99).tolist()))
    for error in (0.5, 0.1, 0.05, 0.02):
        threshold = passing([level], error, 100)
        assert sum(value >= threshold for value in level.absent) == pytest.approx(error * 100 - 1, abs=1.001)
        assert sum(value >= threshold for value in level.absent) / 99 <= error
    assert passing([level], 0.001, 100) > 1
    far = level_of(10_000, (0.5,) * 99)
    assert passing([level, far], 0.1, 9_000) == math.nextafter(0.5, 2)


def test_simulated_searches_equal_their_loop_twin_without_chance():
    generator = np.random.default_rng(4)
    pool = np.sort(generator.standard_normal(60))[::-1]
    own = np.array([0.7, 1.4])
    each = Evidence(3, np.stack([own, own], 1), np.stack([pool, pool], 1), 0)
    lists = simulate([each], 1.0, generator)
    rows = []
    for there in (own.tolist(), []):
        ranking = sorted([(-score, 0) for score in there] + [(-score, 1) for score in pool])
        scores = [-score for score, _ in ranking]
        behind = np.mean(scores[10:30])
        rows += [(scores[i], scores[i] - behind, ranking[i][1] == 0, i == 0, bool(there)) for i in range(10)]
    assert lists.inputs.tolist() == [pytest.approx(row[:2]) for row in rows]
    assert lists.match.tolist() == [row[2] for row in rows]
    assert lists.first.tolist() == [row[3] for row in rows]
    assert lists.present.tolist() == [row[4] for row in rows]
    assert set(lists.person.tolist()) == {3}


def test_a_second_look_ranks_only_the_best_by_vector():
    own = np.array([[0.1, 99.0], [0.9, 5.0]])
    pool = np.stack([np.linspace(0.8, 0.2, 30), np.arange(30.0)], 1)
    lists = simulate([Evidence(0, own, pool, 12)], 1.0, np.random.default_rng(0))
    first_of_present = lists.inputs[lists.first & lists.present, 0]
    assert first_of_present.tolist() == [10.0]  # 99 stands outside the twelve best by vector
    assert lists.match[lists.present].sum() == 1


def test_the_measures_are_the_score_and_its_lead_over_places_eleven_to_thirty():
    head = np.linspace(0.9, 0.1, 50)
    assert measures(head[:2], head).tolist() == [
        pytest.approx([score, score - head[10:30].mean()]) for score in head[:2]
    ]
    assert measures(head[:1], head[:4]).tolist() == [pytest.approx([0.9, 0.9 - head[2:4].mean()])]
    assert measures(np.array([0.5]), np.array([0.5])).tolist() == [[0.5, 0.0]]
    assert logistic(np.array([0.0, 900.0, -900.0])).tolist() == pytest.approx([0.5, 1.0, 0.0])


def test_between_two_sizes_the_logits_are_mixed_and_beyond_them_the_nearest_counts(drawn):
    low, high = (level_of(size, (0.1,), best=weight) for size, weight in ((100, 2.0), (10_000, -2.0)))
    calibration = drawn[2].model_copy(update={"levels": (high, low)})
    for passed, logit in ((1, 2.0), (100, 2.0), (1_000, 0.0), (3_162.2777, -1.0), (10_000, -2.0), (10**7, -2.0)):
        told = calibration.probabilities(np.array([0.3]), np.array([0.3]), passed)
        assert told.tolist() == pytest.approx([1 / (1 + math.exp(-logit))], rel=1e-6)


def test_the_best_candidate_has_a_fit_of_its_own_and_none_behind_it_is_likelier(drawn):
    calibration = drawn[2].model_copy(update={"levels": (level_of(100, (0.1,), best=-1.0, behind=-2.0),)})
    head = np.array([0.9, 0.5, 0.4])
    found = calibration.probabilities(head, head, 100)
    assert found.tolist() == pytest.approx([1 / (1 + math.exp(1)), *[1 / (1 + math.exp(2))] * 2])
    assert calibration.probabilities(head[1:], head, 100).tolist() == pytest.approx(found[1:].tolist())
    twins = np.array([0.9, 0.9, 0.4])
    assert len(set(calibration.probabilities(twins, twins, 100)[:2].tolist())) == 1
    steep = drawn[2].model_copy(update={"levels": (level_of(100, (0.1,), best=-1.0, behind=3.0),)})
    assert set(steep.probabilities(head, head, 100).tolist()) == {found[0]}


def test_the_reliability_plot_is_a_picture_and_repeatable(drawn):
    content = plot_reliability(drawn[2])
    assert content.startswith(b"\x89PNG") and content == plot_reliability(drawn[2])


def test_a_calibration_of_another_model_or_a_damaged_one_is_refused(drawn):
    gallery = drawn[0]
    file = gallery.path / "calibration.json"
    kept = file.read_text()
    try:
        for damage, kind, problem in (
            ({"model": "0" * 12}, GalleryModelMismatch, "fitted for run 00000000"),
            ({"format": 99}, GalleryDamaged, "format 99"),
            ({"present": "often"}, GalleryDamaged, "present"),
            ({"levels": []}, GalleryDamaged, "levels"),
        ):
            file.write_text(json.dumps({**json.loads(kept), **damage}))
            with pytest.raises(kind, match=problem):
                gallery.ask("a teal jacket")
        file.write_text("{")
        with pytest.raises(GalleryDamaged, match=r"calibration\.json"):
            gallery.ask("a teal jacket")
    finally:
        file.write_text(kept)
    assert gallery.ask("a teal jacket").verdict is not None


def test_too_few_crops_or_people_are_told(drawn, gallery):
    full, split, _ = drawn
    with pytest.raises(GalleryError, match="6 crops; a gallery can be calibrated once it holds 50"):
        gallery.calibrate(split)
    few = Split("drawn", "val", split.images[:39])
    with pytest.raises(DataError, match="39 people with sentences; calibration needs 40"):
        full.calibrate(few)


def test_equal_seeds_give_equal_calibrations(drawn):
    gallery, split, calibration = drawn
    again = gallery.calibrate(split, settings=CalibrationSettings(seed=0))
    assert again.model_copy(update={"made": calibration.made}) == calibration


def test_a_gallery_that_has_grown_or_looks_different_is_said(drawn):
    calibration = drawn[2]
    assert any("run pickout calibrate again" in note for note in calibration.doubts(9.0, 10_000))
    assert calibration.doubts(9.0, 120) == []
    shifted = calibration.model_copy(update={"shift": 0.8})
    assert "score 0.8 standard deviations higher" in shifted.warnings()[0]
