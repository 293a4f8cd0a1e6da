"""Replaced words, against the spec's worked example and against loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pickout.losses.fusion import replaced_labels, replaced_word_loss
from pickout.losses.identity import IGNORED

PAD, CLS = 0, 1
ORIGINAL = torch.tensor([[CLS, 5, 6, 7, PAD]])
CONTENT = torch.tensor([[False, True, True, True, False]])


def labels_by_loops(
    original: list[int], sampled: list[int], content: list[bool], released: bool
) -> tuple[list[int], list[int]]:
    """The caption that is judged, and its labels."""
    replaced = [s if c else o for o, s, c in zip(original, sampled, content, strict=True)]
    labels = []
    for o, r, c in zip(original, replaced, content, strict=True):
        ignored = r in (PAD, CLS) if released else not c
        labels.append(IGNORED if ignored else int(o != r))
    return replaced, labels


def test_the_worked_example_by_sample_and_by_place() -> None:
    sampled = torch.tensor([[9, 5, 9, PAD, 8]])
    replaced = torch.where(CONTENT, sampled, ORIGINAL)
    assert replaced.tolist() == [[CLS, 5, 9, PAD, PAD]]
    released = replaced_labels(replaced, ORIGINAL, CONTENT, ignored_ids=(PAD, CLS))
    assert released.tolist() == [[IGNORED, 0, 1, IGNORED, IGNORED]]
    assert replaced_labels(replaced, ORIGINAL, CONTENT).tolist() == [[IGNORED, 0, 1, 1, IGNORED]]


@given(st.lists(st.tuples(st.integers(2, 5), st.integers(0, 5)), max_size=6), st.integers(0, 3), st.booleans())
@settings(max_examples=60)
def test_labels_equal_their_loop_twin(words: list[tuple[int, int]], padding: int, released: bool) -> None:
    original = [CLS, *[word for word, _ in words], *[PAD] * padding]
    sampled = [3, *[sample for _, sample in words], *[4] * padding]
    content = [False, *[True] * len(words), *[False] * padding]
    replaced = torch.where(torch.tensor([content]), torch.tensor([sampled]), torch.tensor([original]))
    labels = replaced_labels(
        replaced, torch.tensor([original]), torch.tensor([content]), ignored_ids=(PAD, CLS) if released else ()
    )
    assert (replaced[0].tolist(), labels[0].tolist()) == labels_by_loops(original, sampled, content, released)


def loss_by_loops(logits: Tensor, labels: Tensor) -> Tensor:
    terms = [
        torch.log(torch.exp(pair).sum()) - pair[label]
        for pair, label in zip(logits.flatten(0, 1), labels.flatten(), strict=True)
        if label != IGNORED
    ]
    return torch.stack(terms).mean()


def test_loss_and_gradient_equal_the_loop_twin() -> None:
    labels = torch.tensor([[IGNORED, 0, 1, 1], [IGNORED, 1, IGNORED, IGNORED]])
    fast = torch.randn(2, 4, 2, requires_grad=True)
    slow = fast.detach().double().requires_grad_()
    found, expected = replaced_word_loss(fast, labels), loss_by_loops(slow, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    found.backward()
    expected.backward()
    assert slow.grad is not None
    torch.testing.assert_close(fast.grad, slow.grad.float())


def test_halves_with_a_given_count_average_to_the_whole() -> None:
    logits, labels = torch.randn(2, 4, 2), torch.tensor([[IGNORED, 0, 1, 1], [IGNORED, 1, IGNORED, IGNORED]])
    halves = [replaced_word_loss(logits[b : b + 1], labels[b : b + 1], count=2) for b in (0, 1)]
    torch.testing.assert_close(sum(halves) / 2, replaced_word_loss(logits, labels))


def test_captions_without_words_give_zero() -> None:
    logits = torch.randn(2, 3, 2, requires_grad=True)
    loss = replaced_word_loss(logits, torch.full((2, 3), IGNORED))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(2, 3, 2))
