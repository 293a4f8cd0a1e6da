"""Exact search against its slow twin."""

import numpy as np
import pytest

from pickout.gallery.vectors import exact
from pickout.gallery.vectors.exact import Aim, exact_top


def exact_top_by_loops(vectors, query, *, top, order, allowed=None):
    found = []
    for position, vector in enumerate(vectors):
        if allowed is None or allowed[position]:
            score = float((vector.astype(np.float64) * query.astype(np.float64)).sum())
            found.append((-score, order[position], position))
    found.sort()
    return [position for _, _, position in found[:top]], [-score for score, _, _ in found[:top]]


def unit(generator, rows, dimension):
    vectors = generator.standard_normal((rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(12))
def test_exact_top_equals_its_loop_twin_with_and_without_filter(seed):
    generator = np.random.default_rng(seed)
    rows, dimension = int(generator.integers(1, 300)), int(generator.integers(1, 40))
    vectors, query = unit(generator, rows, dimension), unit(generator, 1, dimension)[0]
    vectors[generator.integers(0, rows, rows // 3)] = vectors[0]  # many ties
    order = generator.permutation(rows)
    for share in (None, 0.0, 0.1, 0.6, 1.0):
        allowed = None if share is None else generator.random(rows) < share
        for top in (1, 7, rows, rows + 5):
            positions, scores = exact_top(vectors, Aim(query), top=top, order_N=order, allowed_N=allowed)
            expected, expected_scores = exact_top_by_loops(vectors, query, top=top, order=order, allowed=allowed)
            assert positions.tolist() == expected
            assert scores.tolist() == expected_scores


def test_equal_vectors_tie_exactly_wherever_they_stand_and_come_in_the_given_order():
    generator = np.random.default_rng(5)
    vectors = unit(generator, 1003, 37)
    twins = [0, 3, 500, 1001, 1002]
    vectors[twins] = vectors[7]
    order = np.arange(1003)[::-1].copy()
    positions, scores = exact_top(vectors, Aim(vectors[7]), top=6, order_N=order)
    assert positions.tolist() == [1002, 1001, 500, 7, 3, 0]
    assert len(set(scores.tolist())) == 1


@pytest.mark.parametrize("share", [0.01, 0.05, 0.29, 0.31, 0.8])
def test_a_filter_changes_no_score(share):
    generator = np.random.default_rng(6)
    vectors, query = unit(generator, 5003, 61), unit(generator, 1, 61)[0]
    order = np.arange(5003)
    all_positions, all_scores = exact_top(vectors, Aim(query), top=5003, order_N=order)
    scores = dict(zip(all_positions.tolist(), all_scores.tolist(), strict=True))
    allowed = generator.random(5003) < share
    positions, found = exact_top(vectors, Aim(query), top=40, order_N=order, allowed_N=allowed)
    assert allowed[positions].all()
    assert found.tolist() == [scores[position] for position in positions.tolist()]


def test_a_gallery_of_equal_crops_is_scored_block_by_block(monkeypatch):
    monkeypatch.setattr(exact, "_BLOCK", 64)
    vectors = np.tile(np.float32([0.6, 0.8]), (1000, 1))
    positions, scores = exact_top(vectors, Aim(np.float32([1, 0])), top=3, order_N=np.arange(1000))
    assert positions.tolist() == [0, 1, 2]
    assert scores.tolist() == [float(np.float32(0.6))] * 3


def test_an_empty_gallery_gives_nothing():
    positions, scores = exact_top(
        np.empty((0, 8), np.float32), Aim(np.ones(8, np.float32)), top=5, order_N=np.empty(0, np.int64)
    )
    assert len(positions) == len(scores) == 0
