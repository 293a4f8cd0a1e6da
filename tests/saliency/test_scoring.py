"""What each rule asks for and makes of a trace."""

import pytest
import torch

from pickout.saliency.aggregation import Scoring
from pickout.shapes import AttentionTrace
from tests.saliency.whole_rollout import rollout


def trace(layers: int = 12, *, seed: int = 0) -> AttentionTrace:
    generator = torch.Generator().manual_seed(seed)
    maps = {n: torch.randn(2, 6, 6, generator=generator).softmax(-1) for n in range(1, layers + 1)}
    query = torch.tensor([0, 3])
    content = torch.tensor([[False, True, True, True, True, True], [False, True, True, False, False, False]])
    rows = {n: attention[torch.arange(2), query] for n, attention in maps.items()}
    return AttentionTrace(rows, maps, query, content)


def test_rollout_reads_the_query_row_of_its_layers_alone() -> None:
    rule = Scoring("mars", (5, 12), 0.25)
    first, other = trace(seed=1), trace(seed=2)
    changed = {n: first.maps[n] if n in (5, 12) else other.maps[n] for n in first.maps}
    scores = rule.scores(first)
    expected = rollout([first.maps[5], first.maps[12]], 0.25)[torch.arange(2), first.query]
    torch.testing.assert_close(scores, expected)
    assert torch.equal(scores, rule.scores(AttentionTrace({}, changed, first.query, first.content)))


def test_rows_are_enough_for_everything_but_rollout() -> None:
    assert Scoring("mars", (5, 12)).request.maps == (5, 12)
    assert Scoring("mars", (5, 12)).request.rows == ()
    for statistic in ("last", "layer", "mean", "std"):
        assert Scoring(statistic, (1, 2)).request.maps == ()
        assert Scoring(statistic, (1, 2)).request.rows == (1, 2)
        assert Scoring(statistic, (1, 2), row="content").request.maps == (1, 2)


def test_single_rows_means_and_spreads() -> None:
    given = trace(3)
    stacked = torch.stack([given.rows[n] for n in (1, 2, 3)])
    torch.testing.assert_close(Scoring("layer", (2,)).scores(given), given.rows[2])
    torch.testing.assert_close(Scoring("mean", (1, 2, 3)).scores(given), stacked.mean(0))
    torch.testing.assert_close(Scoring("std", (1, 2, 3)).scores(given), stacked.std(0, unbiased=False))
    torch.testing.assert_close(Scoring("min_std", (1, 2, 3)).scores(given), stacked.std(0, unbiased=False))


@pytest.mark.parametrize(("statistic", "largest"), [("mean", True), ("min_mean", False), ("min_std", False)])
def test_minimum_rules_prefer_small_scores(statistic: str, largest: bool) -> None:
    assert Scoring(statistic, (1,)).largest is largest  # type: ignore[arg-type]


def test_the_content_row_is_a_mean_over_content() -> None:
    given = trace(2)
    expected = torch.stack([given.maps[2][0, 1:].mean(0), given.maps[2][1, 1:3].mean(0)])
    torch.testing.assert_close(Scoring("last", (2,), row="content").scores(given), expected)
