"""Roll-out and the other fusions, against the spec's worked examples and against loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pickout.saliency.aggregation import (
    discard_smallest,
    layer_deviation,
    layer_mean,
    point_at,
    rollout_factor,
    rollout_row,
)
from tests.saliency.whole_rollout import rollout

MIDDLE = [[0.50, 0.28, 0.22], [0.10, 0.60, 0.30], [0.15, 0.25, 0.60]]
LATE = [[0.20, 0.45, 0.35], [0.40, 0.42, 0.18], [0.05, 0.12, 0.83]]


def rollout_by_loops(maps: list[Tensor], share: float) -> Tensor:
    """R of one sample, entry by entry, in double precision."""
    size = len(maps[0])
    rolled = [[float(i == j) for j in range(size)] for i in range(size)]
    for attention in maps:
        entries = [(float(attention[i][j]), i * size + j) for i in range(size) for j in range(size)]
        dropped = {flat for _, flat in sorted(entries)[: int(size * size * share)]} - {0}
        factor = []
        for i in range(size):
            row = [0.0 if i * size + j in dropped else float(attention[i][j]) for j in range(size)]
            row = [(value + (i == j)) / 2 for j, value in enumerate(row)]
            factor.append([value / sum(row) for value in row])
        rolled = [[sum(factor[i][k] * rolled[k][j] for k in range(size)) for j in range(size)] for i in range(size)]
    return torch.tensor(rolled)


def random_maps(layers: int, batch: int, size: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, size, size, generator=generator).mul(2).softmax(-1) for _ in range(layers)]


def close(value: Tensor, expected: list[list[float]] | list[float]) -> None:
    torch.testing.assert_close(value, torch.tensor(expected), atol=1e-6, rtol=0)


def test_two_layers_give_the_worked_example() -> None:
    maps = [torch.tensor([MIDDLE]), torch.tensor([LATE])]
    close(rollout_factor(maps[0], 0.25)[0], [[0.75, 0.14, 0.11], [0, 0.842105, 0.157895], [0, 0.135135, 0.864865]])
    close(rollout_factor(maps[1], 0.25)[0], [[0.6, 0.225, 0.175], [0.2, 0.71, 0.09], [0, 0, 1]])
    close(rollout(maps, 0.25)[0], [[0.45, 0.297122, 0.252878], [0.15, 0.638057, 0.211943], [0, 0.135135, 0.864865]])
    close(rollout(maps, 0.25, later_left=False)[0, 0], [0.478, 0.26815, 0.25385])


def test_inputs_are_unchanged() -> None:
    maps = [torch.tensor([MIDDLE]), torch.tensor([LATE])]
    before = [attention.clone() for attention in maps]
    rollout(maps, 0.25)
    rollout_row(maps, point_at(torch.tensor([0]), 3), 0.25)
    discard_smallest(maps[0], 0.0).zero_()
    layer_mean([maps[0][:, 0], maps[1][:, 0]])
    assert all(torch.equal(now, then) for now, then in zip(maps, before, strict=True))


def test_the_first_entry_is_never_discarded() -> None:
    attention = torch.tensor([[[0.05, 0.55, 0.40], [0.31, 0.29, 0.42], [0.18, 0.21, 0.61]]])
    factor = rollout_factor(attention, 0.25)[0]
    close(factor, [[0.525, 0.275, 0.2], [0.153465, 0.638614, 0.207921], [0, 0.115385, 0.884615]])


def test_discarding_everything_leaves_the_residual_path() -> None:
    attention = torch.tensor([[[3.0, 1.0], [0.2, 5.0]]])
    torch.testing.assert_close(rollout_factor(attention, 1.0)[0], torch.eye(2))


@pytest.mark.parametrize("share", [0.25, 0.45])
def test_discarding_from_causal_maps_changes_nothing(share: float) -> None:
    attention = random_maps(1, 2, 77, seed=3)[0].clamp(min=1e-6).tril()
    assert torch.equal(rollout_factor(attention, share), rollout_factor(attention, 0.0))


def test_exactly_n_entries_are_discarded_under_ties() -> None:
    attention = torch.full((2, 5, 5), 0.2)
    attention[1, 4, 4] = 0.1
    kept = discard_smallest(attention, 0.4)
    assert (kept[0] == 0).sum() == 9  # ten taken, the first entry spared
    assert (kept[1] == 0).sum() == 9
    assert kept[1, 4, 4] == 0
    assert kept[0, 0, 0] == pytest.approx(0.2)
    assert kept[0].flatten()[1:10].tolist() == [0.0] * 9


def test_half_precision_maps_are_fused_in_float32() -> None:
    maps = [attention.half() for attention in random_maps(2, 2, 7, seed=5)]
    result = rollout(maps, 0.25)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, rollout([attention.float() for attention in maps], 0.25))


def test_autocast_does_not_lower_the_precision() -> None:
    maps = random_maps(2, 3, 9, seed=6)
    start = point_at(torch.tensor([0, 4, 8]), 9)
    plain = rollout(maps, 0.25), rollout_row(maps, start, 0.25)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = rollout(maps, 0.25), rollout_row(maps, start, 0.25)
    assert torch.equal(plain[0], cast[0])
    assert torch.equal(plain[1], cast[1])


@given(
    layers=st.integers(1, 3),
    size=st.integers(2, 7),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**31),
    coarse=st.booleans(),
)
@settings(max_examples=60)
def test_rollout_equals_its_loop_twin(layers: int, size: int, share: float, seed: int, coarse: bool) -> None:
    maps = random_maps(layers, 2, size, seed)
    if coarse:  # many ties
        maps = [(attention * 8).round() / 8 + 0.125 for attention in maps]
    rolled = rollout(maps, share)
    for sample in range(2):
        expected = rollout_by_loops([attention[sample] for attention in maps], share)
        torch.testing.assert_close(rolled[sample], expected, atol=1e-6, rtol=1e-5)


@given(size=st.integers(2, 12), layers=st.integers(1, 4), seed=st.integers(0, 2**31), later_left=st.booleans())
@settings(max_examples=40)
def test_the_row_form_equals_the_row_of_the_product(size: int, layers: int, seed: int, later_left: bool) -> None:
    maps = random_maps(layers, 3, size, seed)
    query = torch.randint(size, (3,), generator=torch.Generator().manual_seed(seed))
    row = rollout_row(maps, point_at(query, size), 0.25, later_left=later_left)
    whole = rollout(maps, 0.25, later_left=later_left)
    torch.testing.assert_close(row, whole[torch.arange(3), query], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(row.sum(-1), torch.ones(3))


def test_mean_and_spread_are_over_layers() -> None:
    rows = [torch.tensor([[0.1, 0.9]]), torch.tensor([[0.3, 0.7]]), torch.tensor([[0.5, 0.5]])]
    close(layer_mean(rows)[0], [0.3, 0.7])
    close(layer_deviation(rows)[0], [(0.08 / 3) ** 0.5] * 2)
    assert torch.equal(layer_deviation(rows[:1]), torch.zeros(1, 2))


def test_no_gradient_flows_through_scores() -> None:
    attention = random_maps(1, 1, 4, seed=1)[0].requires_grad_()
    assert not rollout_row([attention], point_at(torch.tensor([0]), 4), 0.25).requires_grad
    assert not layer_mean([attention[:, 0]]).requires_grad
