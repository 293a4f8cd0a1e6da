"""Pooling over banks."""

import pytest
import torch

from pickout.nn.heads import LearnedPool, max_pool


def filled(lengths: list[int], kept: int) -> torch.Tensor:
    return torch.arange(kept) < torch.tensor(lengths)[:, None]


def test_maxima_come_from_different_tokens_and_skip_fillers() -> None:
    z = torch.tensor([[[0.7, 1.2], [0.8, 0.6], [9.0, 9.0]]])
    assert torch.equal(max_pool(z, filled([2], 3)), torch.tensor([[0.8, 1.2]]))


def test_the_gradient_of_a_maximum_goes_to_one_token() -> None:
    z = torch.ones(1, 3, 2, requires_grad=True)
    max_pool(z, filled([3], 3)).sum().backward()
    assert z.grad is not None
    assert z.grad.sum().item() == 2
    assert set(z.grad.flatten().tolist()) == {0.0, 1.0}


def learned_by_loops(pool: LearnedPool, z: torch.Tensor, length: int) -> torch.Tensor:
    """One sample: sort each channel, weigh the ranks."""
    codes = pool._codes(length, z)[None]
    both = pool.reader(codes)[0][0].unflatten(-1, (2, -1)).mean(-2)
    weights = (pool.score(both)[:, 0] / pool.temperature).softmax(0)
    channels = [
        sum(w * v for w, v in zip(weights, sorted(column.tolist(), reverse=True), strict=True))
        for column in z[:length].T
    ]
    return torch.stack(channels)


def test_learned_pooling_equals_its_loop_twin() -> None:
    torch.manual_seed(0)
    pool, z, lengths = LearnedPool(), torch.randn(4, 6, 3), [6, 2, 1, 2]
    pooled = pool(z, filled(lengths, 6))
    for sample, length in enumerate(lengths):
        torch.testing.assert_close(pooled[sample], learned_by_loops(pool, z[sample], length), atol=1e-6, rtol=1e-5)


def test_rank_weights_sum_to_one_and_stop_at_the_length() -> None:
    weights = LearnedPool().rank_weights(torch.tensor([1, 3]), 5)
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    assert weights[0].tolist() == [1, 0, 0, 0, 0]
    assert torch.equal(weights[1, 3:], torch.zeros(2))


def test_learned_pooling_trains_and_stays_finite_with_fillers() -> None:
    pool = LearnedPool()
    z = torch.randn(2, 4, 3, requires_grad=True)
    pool(z, filled([1, 4], 4)).sum().backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in pool.parameters())
    assert pool.score.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kept", [1, 7])
def test_the_order_of_tokens_does_not_matter(kept: int) -> None:
    pool, z = LearnedPool(), torch.randn(2, kept, 3)
    mask = filled([kept, kept], kept)
    torch.testing.assert_close(pool(z, mask), pool(z.flip(1), mask))
