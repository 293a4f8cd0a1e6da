"""Alignment losses, against the spec's worked examples and against loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pickout.losses.alignment import cosine_similarity, hinge_sum, info_nce, same_identity, similarity_distribution
from pickout.losses.alignment import triplet_alignment as tal

SIMILARITY = torch.tensor([[0.60, 0.50, 0.20], [0.55, 0.70, 0.30], [0.10, 0.25, 0.40]])


def hinges_by_loops(similarity: list[list[float]], identity: list[int], tau: float, margin: float) -> list[float]:
    """The terms of each row before the hinge; minus infinity for a row without negatives."""
    terms = []
    for j, row in enumerate(similarity):
        positives = [k for k in range(len(row)) if identity[k] == identity[j]]
        negatives = [k for k in range(len(row)) if identity[k] != identity[j]]
        total = sum(math.exp(row[k] / tau) for k in positives)
        attraction = sum(math.exp(row[k] / tau) / total * row[k] for k in positives)
        repulsion = tau * math.log(sum(math.exp(row[k] / tau) for k in negatives)) if negatives else -math.inf
        terms.append(margin - attraction + repulsion)
    return terms


def tal_by_loops(similarity: Tensor, identity: list[int], tau: float, margin: float) -> float:
    rows = hinges_by_loops(similarity.double().tolist(), identity, tau, margin)
    columns = hinges_by_loops(similarity.double().T.tolist(), identity, tau, margin)
    return sum(max(0.0, term) for term in rows + columns)


def sdm_by_loops(similarity: Tensor, identity: list[int], temperature: float) -> float:
    """IRRA's KL divergence, entry by entry."""
    loss = 0.0
    for scores in (similarity.double(), similarity.double().T):
        for j, row in enumerate(scores.tolist()):
            total = sum(math.exp(value / temperature) for value in row)
            same = [float(other == identity[j]) for other in identity]
            for value, label in zip(row, same, strict=True):
                p = math.exp(value / temperature) / total
                loss += p * (math.log(p) - math.log(label / sum(same) + 1e-8)) / len(row) if p > 0 else 0.0
    return loss


def tal_of(similarity: Tensor, identity: list[int], tau: float) -> float:
    same = same_identity(torch.tensor(identity))
    rows = hinge_sum(similarity, same, temperature=tau, margin=0.1)
    return float(rows + hinge_sum(similarity.T, same.T, temperature=tau, margin=0.1))


@pytest.mark.parametrize(
    ("identity", "tau", "rows", "columns", "loss"),
    [
        ([0, 0, 1], 0.1, [-0.273106, -0.272636, -0.029859], [-0.381123, -0.326159, 0.031326], 0.031326),
        ([0, 1, 2], 0.1, [0.004859, -0.042111, -0.029859], [0.051105, -0.092111, 0.031326], 0.087290),
    ],
)
def test_terms_and_loss_of_the_worked_example(
    identity: list[int], tau: float, rows: list[float], columns: list[float], loss: float
) -> None:
    assert hinges_by_loops(SIMILARITY.tolist(), identity, tau, 0.1) == pytest.approx(rows, abs=1e-6)
    assert hinges_by_loops(SIMILARITY.T.tolist(), identity, tau, 0.1) == pytest.approx(columns, abs=1e-6)
    assert tal_of(SIMILARITY, identity, tau) == pytest.approx(loss, abs=1e-6)


def test_the_papers_temperature_gives_the_worked_loss() -> None:
    assert tal_of(SIMILARITY, [0, 1, 2], 0.015) == pytest.approx(0.050019, abs=1e-6)


@pytest.mark.parametrize(("identity", "loss"), [([4, 4, 7], 0.705689), ([4, 5, 7], 0.705686)])
def test_features_give_the_worked_loss_whatever_their_norm(identity: list[int], loss: float) -> None:
    image = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    text = torch.tensor([[3.0, 0.0], [0.6, 0.8], [1.0, 1.0]])
    who = torch.tensor(identity)
    assert float(tal(image, text, who, temperature=0.015, margin=0.1)) == pytest.approx(loss, abs=1e-6)
    assert float(tal(2 * image, text, who, temperature=0.015, margin=0.1)) == pytest.approx(loss, abs=1e-6)


def test_equal_similarities_of_a_full_batch() -> None:
    features = torch.ones(256, 4)
    identity = torch.arange(128).repeat_interleave(2)
    loss = tal(features, features, identity, temperature=0.015, margin=0.1)
    assert float(loss) == pytest.approx(512 * (0.1 + 0.015 * math.log(254)), rel=1e-5)
    assert float(loss) == pytest.approx(93.727, abs=1e-3)


def test_one_person_alone_gives_zero_and_finite_gradients() -> None:
    image = torch.randn(4, 3).requires_grad_()
    text = torch.randn(4, 3).requires_grad_()
    loss = tal(image, text, torch.zeros(4, dtype=torch.int64), temperature=0.015, margin=0.1)
    loss.backward()
    assert loss.item() == 0
    assert image.grad is not None and text.grad is not None
    assert torch.equal(image.grad, torch.zeros(4, 3))
    assert torch.equal(text.grad, torch.zeros(4, 3))


def test_the_weights_of_positives_carry_no_gradient() -> None:
    similarity = SIMILARITY.clone().requires_grad_()
    same = same_identity(torch.tensor([0, 0, 1]))
    hinge_sum(similarity, same, temperature=0.1, margin=1.0).backward()
    weights = (SIMILARITY / 0.1).masked_fill(~same, -torch.inf).softmax(1)
    others = (SIMILARITY / 0.1).masked_fill(same, -torch.inf).softmax(1)
    torch.testing.assert_close(similarity.grad, others - weights)


features = st.integers(2, 7).flatmap(
    lambda size: st.tuples(st.lists(st.integers(0, 3), min_size=size, max_size=size), st.integers(0, 2**31))
)


@given(features)
@settings(max_examples=60)
def test_tal_equals_its_loop_twin(case: tuple[list[int], int]) -> None:
    identity, seed = case
    generator = torch.Generator().manual_seed(seed)
    image, text = torch.randn(2, len(identity), 3, generator=generator).unbind()
    loss = tal(image, text, torch.tensor(identity), temperature=0.05, margin=0.1)
    expected = tal_by_loops(cosine_similarity(text, image), identity, 0.05, 0.1)
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@given(features)
@settings(max_examples=60)
def test_sdm_equals_its_loop_twin_and_is_no_less_than_zero(case: tuple[list[int], int]) -> None:
    identity, seed = case
    generator = torch.Generator().manual_seed(seed)
    image, text = torch.randn(2, len(identity), 3, generator=generator).unbind()
    loss = float(similarity_distribution(image, text, torch.tensor(identity), temperature=0.1))
    expected = sdm_by_loops(cosine_similarity(text, image), identity, 0.1)
    assert loss == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert loss > -1e-5


@given(features, st.permutations(range(7)))
@settings(max_examples=30)
def test_the_order_of_the_batch_does_not_matter(case: tuple[list[int], int], order: list[int]) -> None:
    identity, seed = case
    place = torch.tensor([i for i in order if i < len(identity)])
    who = torch.tensor(identity)
    image, text = torch.randn(2, len(identity), 3, generator=torch.Generator().manual_seed(seed)).unbind()
    plain = tal(image, text, who, temperature=0.015, margin=0.1)
    mixed = tal(image[place], text[place], who[place], temperature=0.015, margin=0.1)
    torch.testing.assert_close(plain, mixed, atol=1e-5, rtol=1e-5)


def test_autocast_does_not_lower_the_precision() -> None:
    image, text = torch.randn(2, 6, 5).unbind()
    identity = torch.tensor([0, 0, 1, 2, 3, 3])
    plain = tal(image, text, identity, temperature=0.015, margin=0.1)
    sdm = similarity_distribution(image, text, identity, temperature=0.02)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(tal(image, text, identity, temperature=0.015, margin=0.1), plain)
        assert torch.equal(similarity_distribution(image, text, identity, temperature=0.02), sdm)


def test_info_nce_shares_the_target_among_a_persons_pairs() -> None:
    image, text = torch.randn(5, 8), torch.randn(5, 8)
    identity = torch.tensor([0, 1, 0, 2, 3])
    scores = 7.0 * F.normalize(text, dim=1) @ F.normalize(image, dim=1).T
    expected = torch.zeros(())
    for table in (scores, scores.T):
        for row in range(5):
            same = (identity == identity[row]).nonzero().flatten()
            expected = expected - table[row].log_softmax(0)[same].mean() / 5
    loss = info_nce(image, text, identity, scale=torch.tensor(7.0))
    torch.testing.assert_close(loss, expected)
    best = F.normalize(torch.eye(4), dim=1)
    assert info_nce(best, best, torch.arange(4), scale=torch.tensor(40.0)) < 1e-6
