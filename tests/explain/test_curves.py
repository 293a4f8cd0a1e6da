from itertools import pairwise

import numpy as np
import pytest

from pickout.explain.faithfulness import area, gains, kept_while_deleting

WEIGHTS = np.array([3.0, 1.0, 0.0, 2.0, 0.5], np.float32)


def additive(kept):
    return kept.astype(np.float32) @ WEIGHTS


def deletion_by_loops(heat):
    """The score after each of the hottest players has gone, one by one."""
    left = list(range(len(heat)))
    scores = [sum(WEIGHTS[n] for n in left)]
    while left:
        left.remove(max(left, key=lambda n: (heat[n], -n)))
        scores.append(sum(WEIGHTS[n] for n in left))
    return sum((a + b) / 2 for a, b in pairwise(scores)) / len(heat)


def test_deletion_goes_from_everything_to_nothing_hottest_first():
    kept = kept_while_deleting(np.argsort(-WEIGHTS))
    assert kept.sum(axis=1).tolist() == [5, 4, 3, 2, 1, 0]
    assert np.flatnonzero(~kept[2]).tolist() == [0, 3]


def test_many_players_go_in_equal_steps():
    kept = kept_while_deleting(np.arange(100), steps=8)
    assert kept.shape == (9, 100)
    assert set(np.diff(kept.sum(axis=1)).tolist()) <= {-12, -13}
    assert kept[0].all()
    assert not kept[-1].any()


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_that_of_the_loops(seed):
    heat = np.random.default_rng(seed).integers(0, 3, 5).astype(np.float32)
    scores = additive(kept_while_deleting(np.argsort(-heat, kind="stable")))
    assert area(scores) == pytest.approx(deletion_by_loops(heat))


def test_the_true_weights_gain_most_and_their_opposite_loses():
    heats = {"true": WEIGHTS, "opposite": -WEIGHTS}
    found = gains(additive, heats, 200, np.random.default_rng(0))
    assert min(found["true"]) > 0.5
    assert max(found["opposite"]) < -0.5
    assert found["true"] == pytest.approx([-x for x in found["opposite"]], abs=0.3)


def test_a_random_map_gains_nothing_on_average():
    generator = np.random.default_rng(0)
    found = [
        gains(additive, {"random": generator.random(5, dtype=np.float32)}, 4, generator)["random"] for _ in range(400)
    ]
    assert np.abs(np.mean(found, axis=0)).max() < 0.1
