"""Draws from given numbers, against a loop and at the edges of rounding."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pickout.chance import categorical


def draw_by_loops(weights: list[float], uniform: float) -> int:
    """The first positive weight at which the running sum exceeds uniform times the sum; -1 where all are zero."""
    if sum(weights) == 0:
        return -1
    running, last = 0.0, -1
    for place, weight in enumerate(weights):
        running += weight
        if weight > 0:
            last = place
            if running > uniform * sum(weights):
                return place
    return last


weights = st.lists(st.integers(0, 4), min_size=1, max_size=7)


@given(st.lists(weights, min_size=1, max_size=4), st.integers(0, 2**31))
@settings(max_examples=80)
def test_draws_equal_their_loop_twin(rows: list[list[int]], seed: int) -> None:
    width = max(map(len, rows))
    table = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], dtype=torch.float32)
    uniform = torch.rand(len(rows), generator=torch.Generator().manual_seed(seed))
    drawn = categorical(table, uniform)
    expected = [draw_by_loops(row, float(u)) for row, u in zip(table.tolist(), uniform, strict=True)]
    assert drawn.valid.tolist() == [place >= 0 for place in expected]
    assert drawn.index.tolist() == [max(0, place) for place in expected]


@pytest.mark.parametrize(("uniform", "place"), [(0.0, 1), (0.2499, 1), (0.25, 3), (0.9999, 3)])
def test_each_choice_owns_its_stretch_of_the_numbers(uniform: float, place: int) -> None:
    drawn = categorical(torch.tensor([[0.0, 1.0, 0.0, 3.0, 0.0]]), torch.tensor([uniform]))
    assert drawn.index.tolist() == [place]


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24, 1.0])
@pytest.mark.parametrize("scale", [1e-38, 1e-6, 1.0, 3e37])
def test_the_first_and_the_last_number_draw_a_possible_choice(uniform: float, scale: float) -> None:
    generator = torch.Generator().manual_seed(3)
    table = torch.rand(64, 999, generator=generator) * scale
    table[:, ::2] = 0
    table[:, -300:] = 0
    drawn = categorical(table, torch.full((64,), uniform))
    assert bool(drawn.valid.all())
    assert bool((table[torch.arange(64), drawn.index] > 0).all())


def test_shares_of_many_draws_follow_the_weights() -> None:
    table = torch.tensor([[1.0, 0.0, 4.0, 5.0]]).expand(20000, 4)
    uniform = torch.rand(20000, generator=torch.Generator().manual_seed(0))
    shares = categorical(table, uniform).index.bincount(minlength=4) / 20000
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.0, 0.4, 0.5]), atol=0.015, rtol=0)
