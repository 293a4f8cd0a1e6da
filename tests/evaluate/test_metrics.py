import numpy as np
import pytest
import torch

from pickout.evaluate.metrics import MEASURES, average, cmc, find_relevant, rank, score_queries


def order_by_loops(scores: np.ndarray) -> list[int]:
    return sorted(range(len(scores)), key=lambda column: -scores[column])


def cmc_by_loops(scores, query_identity, gallery_identity, ranks: int) -> list[float]:
    curve = []
    for k in range(1, ranks + 1):
        hits = 0
        for row, identity in zip(scores, query_identity, strict=True):
            hits += any(gallery_identity[column] == identity for column in order_by_loops(row)[:k])
        curve.append(100 * hits / len(query_identity))
    return curve


def average_precision_by_loops(row, identity, gallery_identity) -> float:
    hits, precisions = 0, []
    for place, column in enumerate(order_by_loops(row), start=1):
        if gallery_identity[column] == identity:
            hits += 1
            precisions.append(hits / place)
    return 100 * sum(precisions) / len(precisions)


def minp_by_loops(row, identity, gallery_identity) -> float:
    last = relevant = 0
    for place, column in enumerate(order_by_loops(row), start=1):
        if gallery_identity[column] == identity:
            last, relevant = place, relevant + 1
    return 100 * relevant / last


def scored(scores, query_identity, gallery_identity):
    query_image = np.full(len(query_identity), -1)
    relevance = find_relevant(
        np.asarray(query_identity), np.asarray(gallery_identity), query_image, np.arange(len(gallery_identity))
    )
    gallery = torch.from_numpy(np.ascontiguousarray(np.asarray(scores).T, dtype=np.float32))
    return score_queries(rank(torch.eye(len(scores)), gallery, relevance))


def test_the_worked_example_of_the_specification():
    """ITSELF specification, E12."""
    scores = [
        [0.9, 0.8, 0.7, 0.1, 0.05, 0.04, 0.03, 0.02, 0.01, 0],
        [0.2, 0.6, 0.5, 0.4, 0.3, 0.1, 0.09, 0.08, 0.07, 0.06],
    ]
    found = scored(scores, [1, 2], [3, 1, 2, 1, 5, 6, 7, 8, 9, 2])
    metrics = average(found)
    assert (metrics.recall_at_1, metrics.recall_at_5, metrics.recall_at_10) == (0, 100, 100)
    assert found.values[:, MEASURES.index("mAP")].tolist() == pytest.approx([50, 35])
    assert metrics.mean_average_precision == pytest.approx(42.5)
    assert metrics.mean_inverse_negative_penalty == pytest.approx(35)
    assert metrics.recall_sum == 200


@pytest.mark.parametrize("levels", [1000, 4])
def test_every_measure_equals_its_loop(levels: int):
    generator = np.random.default_rng(levels)
    gallery_identity = np.concatenate([np.arange(8), generator.integers(0, 8, 40)])
    query_identity = generator.integers(0, 8, 25)
    scores = generator.integers(0, levels, (25, 48)) / 1024
    found = scored(scores, query_identity, gallery_identity)
    metrics = average(found)
    curve = cmc_by_loops(scores, query_identity, gallery_identity, 20)
    rows = list(zip(scores, query_identity, strict=True))
    assert cmc(found, 20) == pytest.approx(curve)
    assert [metrics.recall_at_1, metrics.recall_at_5, metrics.recall_at_10] == pytest.approx(
        [curve[0], curve[4], curve[9]]
    )
    assert metrics.recall_sum == pytest.approx(curve[0] + curve[4] + curve[9])
    assert metrics.mean_average_precision == pytest.approx(
        np.mean([average_precision_by_loops(row, identity, gallery_identity) for row, identity in rows])
    )
    assert metrics.mean_inverse_negative_penalty == pytest.approx(
        np.mean([minp_by_loops(row, identity, gallery_identity) for row, identity in rows])
    )
    assert metrics.chance == pytest.approx(np.mean([100 * np.mean(gallery_identity == who) for who in query_identity]))


def test_a_perfect_ranking_scores_a_hundred_everywhere():
    identity = np.arange(12)
    metrics = average(scored(np.eye(12), identity, identity))
    assert metrics.named() == {"R@1": 100, "R@5": 100, "R@10": 100, "mAP": 100, "mINP": 100, "rSum": 300}


def test_queries_without_a_relevant_item_are_left_out_and_counted():
    found = scored([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], [0, 7, 1], [0, 1])
    metrics = average(found)
    assert (metrics.queries, metrics.excluded) == (2, 1)
    assert found.kept.tolist() == [0, 2]
    assert metrics.recall_at_1 == 50


def test_no_query_with_a_relevant_item_is_an_error_not_a_zero():
    with pytest.raises(ValueError, match="no query has a relevant item"):
        average(scored([[0.9, 0.1]], [5], [0, 1]))


def test_the_curve_does_not_fall_and_counts_only_up_to_its_length():
    generator = np.random.default_rng(0)
    found = scored(generator.normal(size=(30, 50)), generator.integers(0, 10, 30), np.tile(np.arange(10), 5))
    curve = cmc(found, 50)
    assert curve == sorted(curve)
    assert curve[-1] == 100
    assert cmc(found, 3) == curve[:3]


def test_the_worked_example_of_agas_specification():
    """E7: matches along the ranking 0, 1, 0, 1, 0."""
    result = scored([[0.9, 0.8, 0.7, 0.6, 0.5]], [1], [0, 1, 0, 1, 0])
    metrics = average(result)
    assert metrics.recall_at_1 == 0 and metrics.recall_at_5 == 100
    assert metrics.mean_average_precision == pytest.approx(50)
    assert metrics.mean_inverse_negative_penalty == pytest.approx(50)
