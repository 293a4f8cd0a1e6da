"""Replaced words, against the spec's worked example and against loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pickout.losses.identity import IGNORED
from pickout.losses.replaced_words import replace_words, replaced_labels, replaced_word_loss, sample_words

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


def sample_by_loops(logits: list[float], uniform: float) -> int:
    top = max(logits)
    powers = [math.exp(value - top) for value in logits]
    running = 0.0
    for place, power in enumerate(powers):
        running += power / sum(powers)
        if running > uniform:
            return place
    return len(powers) - 1


def test_the_worked_example_by_sample_and_by_place() -> None:
    sampled = torch.tensor([[9, 5, 9, PAD, 8]])
    replaced = replace_words(ORIGINAL, CONTENT, sampled)
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
    replaced = replace_words(torch.tensor([original]), torch.tensor([content]), torch.tensor([sampled]))
    labels = replaced_labels(
        replaced, torch.tensor([original]), torch.tensor([content]), ignored_ids=(PAD, CLS) if released else ()
    )
    assert (replaced[0].tolist(), labels[0].tolist()) == labels_by_loops(original, sampled, content, released)


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=40)
def test_samples_equal_their_loop_twin_in_chunks_of_any_size(batch: int, tokens: int, chunk: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, tokens, 9, generator=generator) * 3
    uniform = torch.rand(batch, tokens, generator=generator)
    drawn = sample_words(logits, uniform, chunk=chunk)
    assert drawn.shape == (batch, tokens)
    for row, numbers, found in zip(logits.double().tolist(), uniform.double().tolist(), drawn.tolist(), strict=True):
        assert found == [sample_by_loops(scores, number) for scores, number in zip(row, numbers, strict=True)]


def test_a_word_without_probability_is_never_sampled() -> None:
    logits = torch.randn(400, 300, generator=torch.Generator().manual_seed(2))
    logits[:, 1::2] = -torch.inf
    logits[:, 200:] = -1000.0
    for number in (0.0, 0.5, 1 - 2**-24):
        drawn = sample_words(logits, torch.full((400,), number))
        assert bool((drawn % 2 == 0).all()) and bool((drawn < 200).all())


def test_samples_follow_the_softmax() -> None:
    logits = torch.tensor([0.0, math.log(3.0), math.log(6.0)]).expand(20000, 3)
    drawn = sample_words(logits.bfloat16(), torch.rand(20000, generator=torch.Generator().manual_seed(0)))
    shares = drawn.bincount(minlength=3) / 20000
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.3, 0.6]), atol=0.015, rtol=0)


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
