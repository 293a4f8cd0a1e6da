"""Masked words with soft labels, against the spec's worked example and against loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pickout.losses.fusion import counted_mean, masked_word_loss, masked_word_loss_over_sequence
from pickout.losses.identity import IGNORED

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]])
TEACHER = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]).log()


def log_sum(values: list[Tensor]) -> Tensor:
    return torch.log(sum((torch.exp(value) for value in values[1:]), torch.exp(values[0])))


def loss_by_loops(logits: Tensor, labels: Tensor, teacher: Tensor, alpha: float, axis: str) -> Tensor:
    """Entry by entry in double precision over (captions, tokens, words); `teacher` likewise. Differentiable."""
    terms = []
    for b, caption in enumerate(logits):
        for i, scores in enumerate(caption):
            if labels[b, i] == IGNORED:
                continue
            hard = log_sum(list(scores)) - scores[labels[b, i]]
            soft = logits.new_zeros(())
            for v in range(len(scores)):
                over = list(scores) if axis == "vocabulary" else [token[v] for token in caption]
                share = torch.exp(teacher[b, i, v]) / sum(torch.exp(value) for value in teacher[b, i])
                soft = soft - share * (scores[v] - log_sum(over))
            terms.append((1 - alpha) * hard + alpha * soft)
    return sum(terms[1:], terms[0]) / len(terms) if terms else logits.sum() * 0


def of_chosen(logits: Tensor, labels: Tensor, teacher: Tensor, alpha: float, axis: str) -> Tensor:
    chosen = labels != IGNORED
    if axis == "sequence":
        return masked_word_loss_over_sequence(logits, labels, teacher[chosen], alpha)
    return masked_word_loss(logits[chosen], labels[chosen], teacher[chosen], alpha)


@pytest.mark.parametrize(
    ("axis", "first", "second"), [("vocabulary", 0.869846, 1.069846), ("sequence", 0.753317, 0.317561)]
)
def test_soft_labels_of_the_worked_example(axis: str, first: float, second: float) -> None:
    for place, expected in ((0, first), (1, second)):
        labels = torch.full((1, 2), IGNORED)
        labels[0, place] = 0
        loss = of_chosen(LOGITS[None], labels, TEACHER[None], 1.0, axis)
        assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("axis", "total"), [("vocabulary", 0.449846), ("sequence", 0.403234)])
def test_both_terms_of_the_worked_example(axis: str, total: float) -> None:
    labels = torch.tensor([[0, IGNORED]])
    assert float(of_chosen(LOGITS[None], labels, TEACHER[None], 0.0, axis)) == pytest.approx(0.169846, abs=1e-6)
    assert float(of_chosen(LOGITS[None], labels, TEACHER[None], 0.4, axis)) == pytest.approx(total, abs=1e-6)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**31), st.sampled_from(["vocabulary", "sequence"]))
@settings(max_examples=30)
def test_loss_and_gradient_equal_the_loop_twin(batch: int, tokens: int, seed: int, axis: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, teacher = torch.randn(2, batch, tokens, 5, generator=generator).mul(2).unbind()
    labels = torch.randint(0, 5, (batch, tokens), generator=generator)
    labels = labels.masked_fill(torch.rand(batch, tokens, generator=generator) < 0.4, IGNORED)
    fast, slow = logits.clone().requires_grad_(), logits.double().requires_grad_()
    found = of_chosen(fast, labels, teacher, 0.4, axis)
    expected = loss_by_loops(slow, labels, teacher.double(), 0.4, axis)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    found.backward()
    expected.backward()
    assert slow.grad is not None
    torch.testing.assert_close(fast.grad, slow.grad.float(), atol=1e-6, rtol=1e-4)


def test_an_ignored_label_takes_a_position_out() -> None:
    labels = torch.tensor([0, IGNORED])
    loss = masked_word_loss(LOGITS, labels, TEACHER, 0.4)
    assert loss.item() == pytest.approx(0.449846, abs=1e-6)


def test_nothing_chosen_gives_zero_and_zero_gradient() -> None:
    logits = torch.randn(2, 3, 5, requires_grad=True)
    labels = torch.full((2, 3), IGNORED)
    for axis in ("vocabulary", "sequence"):
        loss = of_chosen(logits, labels, torch.randn(2, 3, 5), 0.4, axis)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.item() == 0
        assert torch.equal(gradient, torch.zeros(2, 3, 5))


def test_the_teacher_gets_no_gradient() -> None:
    teacher = TEACHER.clone().requires_grad_()
    assert not masked_word_loss(LOGITS, torch.tensor([0, 1]), teacher, 0.4).requires_grad


@pytest.mark.parametrize("axis", ["vocabulary", "sequence"])
def test_halves_with_a_given_count_average_to_the_whole(axis: str) -> None:
    logits, teacher = torch.randn(2, 4, 3, 6).unbind()
    labels = torch.tensor([[1, IGNORED, 2], [0, 3, 4], [IGNORED] * 3, [IGNORED, IGNORED, 5]])
    chosen = labels != IGNORED
    whole = of_chosen(logits, labels, teacher, 0.4, axis)
    total = whole.new_zeros(())
    for rows in (slice(0, 2), slice(2, 4)):
        near, label, count = chosen[rows], labels[rows], chosen.sum() / 2
        if axis == "sequence":
            half = masked_word_loss_over_sequence(logits[rows], label, teacher[rows][near], 0.4, count=count)
        else:
            half = masked_word_loss(logits[rows][near], label[near], teacher[rows][near], 0.4, count=count)
        total = total + half / 2
    torch.testing.assert_close(total, whole)


def test_half_precision_and_autocast_are_scored_in_float32() -> None:
    labels = torch.tensor([0, 2])
    plain = masked_word_loss(LOGITS.bfloat16(), labels, TEACHER.bfloat16(), 0.4)
    assert plain.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(masked_word_loss(LOGITS.bfloat16(), labels, TEACHER.bfloat16(), 0.4), plain)


def test_a_counted_mean_divides_by_the_kept_or_by_the_count() -> None:
    values, kept = torch.tensor([1.0, math.inf, 5.0]), torch.tensor([True, False, True])
    assert float(counted_mean(values, kept)) == 3
    assert float(counted_mean(values, kept, 4)) == 1.5
    assert float(counted_mean(values, kept, torch.tensor(0.5))) == 12
    assert float(counted_mean(values, torch.zeros(3, dtype=torch.bool), 0)) == 0
