"""Identity losses, against the spec's worked example and against loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pickout.losses.alignment import cosine_similarity
from pickout.losses.identity import (
    IGNORED,
    HardNegatives,
    classification,
    hard_negatives,
    matching_pairs,
    mismatch_label,
    pair_classification,
)

SIMILARITY = torch.tensor(
    [[0.9, 0.6, 0.7, 0.1], [0.5, 0.8, 0.2, 0.3], [0.4, 0.65, 0.95, 0.55], [0.3, 0.35, 0.45, 0.85]]
)
IDENTITY = torch.tensor([5, 5, 2, 8])


def negatives_by_loops(similarity: Tensor, identity: list[int]) -> tuple[list[int], list[int]]:
    """For each image the best wrong caption, for each caption the best wrong image; -1 where there is none."""
    size = len(identity)

    def best(score: list[float], own: int) -> int:
        wrong = [k for k in range(size) if identity[k] != identity[own]]
        return max(wrong, key=lambda k: (score[k], -k)) if wrong else -1

    texts = [best(similarity[i].tolist(), i) for i in range(size)]
    images = [best(similarity[:, i].tolist(), i) for i in range(size)]
    return texts, images


def pairs_by_loops(texts: list[int], images: list[int], identity: list[int], mismatch: int) -> list[tuple[int, ...]]:
    """(image, caption, label) of all pairs that count."""
    pairs = []
    for i, who in enumerate(identity):
        pairs.append((i, i, who))
        if images[i] >= 0:
            pairs.append((images[i], i, mismatch))
        if texts[i] >= 0:
            pairs.append((i, texts[i], mismatch))
    return pairs


def cross_entropy_by_loops(logits: list[list[float]], labels: list[int]) -> float:
    losses = [
        math.log(sum(math.exp(value) for value in row)) - row[label]
        for row, label in zip(logits, labels, strict=True)
        if label != IGNORED
    ]
    return sum(losses) / len(losses)


def test_hard_negatives_of_the_worked_example() -> None:
    negatives = hard_negatives(SIMILARITY, IDENTITY)
    assert negatives.text.tolist() == [2, 3, 1, 2]
    assert negatives.image.tolist() == [2, 2, 0, 2]


@pytest.mark.parametrize(("rule", "mismatch"), [("n_id", 11), ("batch_max_plus_one", 9)])
def test_pairs_of_the_worked_example(rule: str, mismatch: int) -> None:
    label = mismatch_label(IDENTITY, 11, rule)  # type: ignore[arg-type]
    pairs = matching_pairs(hard_negatives(SIMILARITY, IDENTITY), IDENTITY, label)
    both = list(zip(pairs.image.tolist(), pairs.text.tolist(), strict=True))
    assert both == [
        *[(0, 0), (2, 0), (0, 2)],
        *[(1, 1), (2, 1), (1, 3)],
        *[(2, 2), (0, 2), (2, 1)],
        *[(3, 3), (2, 3), (3, 2)],
    ]
    x = mismatch
    assert pairs.label.tolist() == [5, x, x, 5, x, x, 2, x, x, 8, x, x]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(0, 2**31))
@settings(max_examples=60)
def test_negatives_and_pairs_equal_their_loop_twins(identity: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    similarity = (torch.rand(len(identity), len(identity), generator=generator) * 6).round() / 6  # with ties
    who = torch.tensor(identity)
    negatives = hard_negatives(similarity, who)
    texts, images = negatives_by_loops(similarity, identity)
    assert (negatives.text.tolist(), negatives.image.tolist()) == (texts, images)
    pairs = matching_pairs(negatives, who, mismatch_label(who, 4, "n_id"))
    assert len(pairs.label) == 3 * len(identity)
    counted = [
        pair
        for pair in zip(pairs.image.tolist(), pairs.text.tolist(), pairs.label.tolist(), strict=True)
        if pair[2] != IGNORED
    ]
    assert counted == pairs_by_loops(texts, images, identity, 4)


def test_negatives_go_by_cosine_not_by_norm() -> None:
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    text = torch.tensor([[1.0, 0.0], [0.0, 50.0], [1.0, 0.9]])
    negatives = hard_negatives(cosine_similarity(image, text), torch.tensor([0, 1, 2]))
    assert negatives.text.tolist() == [2, 2, 0]
    assert negatives.image.tolist() == [2, 2, 0]


def test_classification_equals_its_loop_twin_and_skips_ignored_samples() -> None:
    logits = torch.randn(5, 4)
    labels = torch.tensor([0, 3, IGNORED, 2, 1])
    expected = cross_entropy_by_loops(logits.tolist(), labels.tolist())
    assert float(classification(logits, labels)) == pytest.approx(expected, rel=1e-5)


def test_the_pair_loss_is_the_mean_of_both_orders() -> None:
    first, second, labels = torch.randn(3, 4), torch.randn(3, 4), torch.tensor([0, 1, 3])
    expected = (
        cross_entropy_by_loops(first.tolist(), [0, 1, 3]) + cross_entropy_by_loops(second.tolist(), [0, 1, 3])
    ) / 2
    assert float(pair_classification(first, second, labels)) == pytest.approx(expected, rel=1e-5)


def test_half_precision_logits_are_scored_in_float32() -> None:
    assert classification(torch.randn(2, 3).bfloat16(), torch.tensor([0, 1])).dtype == torch.float32


def test_a_batch_of_one_person_has_own_pairs_only() -> None:
    who = torch.tensor([1, 1])
    negatives = hard_negatives(torch.rand(2, 2), who)
    assert isinstance(negatives, HardNegatives)
    pairs = matching_pairs(negatives, who, mismatch_label(who, 3, "n_id"))
    assert pairs.label.tolist() == [1, IGNORED, IGNORED, 1, IGNORED, IGNORED]
    assert torch.isfinite(classification(torch.randn(6, 4), pairs.label))
