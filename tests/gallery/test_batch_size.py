"""The trial of batch sizes: counts what is full, keeps the fastest, costs nothing."""

import pytest

from pickout.gallery.encoder import SIZES, BatchSize


def run(seconds_a_crop: dict[int, float], noise: dict[int, float] | None = None) -> BatchSize:
    """A run of twelve batches; `noise`: how many times longer a batch of that number took."""
    size = BatchSize(None)
    for number in range(12):
        size.took(size.now, size.now * seconds_a_crop[size.now] * (noise or {}).get(number, 1))
    return size


@pytest.mark.parametrize("best", SIZES)
def test_the_fastest_is_kept(best: int) -> None:
    assert run({size: 1.0 if size == best else 1.1 for size in SIZES}).now == best


def test_a_slow_start_and_one_disturbed_batch_decide_nothing() -> None:
    assert run({8: 1.1, 16: 1.1, 32: 1.0}, noise={0: 9, 3: 5}).now == 32


def test_a_batch_that_is_not_full_tells_nothing() -> None:
    size = BatchSize(None)
    for _ in range(20):
        size.took(size.now - 1, 0.0)
    assert size.now == 32


def test_a_told_size_stays() -> None:
    size = BatchSize(5)
    size.took(5, 1.0)
    assert size.now == 5
