"""One rule that scores tokens: which attention it asks of a tower, and what it makes of it."""

from dataclasses import dataclass
from typing import Literal

from pickout.saliency.aggregation import average_over, layer_deviation, layer_mean, point_at, read_row, rollout_row
from pickout.shapes import AttentionRequest, AttentionTrace, Scores

Statistic = Literal["last", "layer", "mean", "std", "min_mean", "min_std", "mars"]
QueryRow = Literal["query", "content"]


@dataclass(frozen=True, slots=True)
class Scoring:
    """How attention becomes one score a token: `mars` rolls `layers` out; `last` and `layer` read one layer; `mean` and
    `std` take their statistic over all `layers`, `min_mean` and `min_std` too, but prefer the smallest."""

    statistic: Statistic
    layers: tuple[int, ...]  # from 1, ascending
    share: float = 0.0  # part of each map that `mars` discards
    later_left: bool = True  # order of the product of `mars`
    row: QueryRow = "query"  # that of the class or end-of-text token, or the mean row of the `content`

    @property
    def largest(self) -> bool:
        """Whether a large score is good."""
        return not self.statistic.startswith("min_")

    @property
    def request(self) -> AttentionRequest:
        """The attention that `scores` reads: rows where they are enough, since maps are quadratic."""
        needs_maps = self.statistic == "mars" or self.row == "content"
        return AttentionRequest(maps=self.layers) if needs_maps else AttentionRequest(rows=self.layers)

    def scores(self, trace: AttentionTrace) -> Scores:
        """One score a token, float32, without gradient, from a trace that holds what `request` names."""
        start_BN = point_at(trace.query, trace.content.shape[1]) if self.row == "query" else average_over(trace.content)
        if self.statistic == "mars":
            maps = [trace.maps[layer] for layer in self.layers]
            return rollout_row(maps, start_BN, self.share, later_left=self.later_left)
        if self.row == "query":
            rows = [trace.rows[layer] for layer in self.layers]
        else:
            rows = [read_row(trace.maps[layer], start_BN) for layer in self.layers]
        return layer_deviation(rows) if self.statistic.endswith("std") else layer_mean(rows)
