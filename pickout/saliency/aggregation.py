"""Make one score a token of the attention of several layers: single rows, means, deviations, roll-out (MARS); and the
rule that says which attention a tower must expose for it.

MARS (ITSELF, Eq. 1 and 2) zeroes the smallest entries of each selected map, adds the residual path, makes rows sum to
one and multiplies the layers. A row of a map is written as a start vector times the map, so that a roll-out can carry
the vector through its layers and never needs the product of whole maps. Nothing here carries a gradient, all of it is
float32, and no input is written to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pickout.shapes import AttentionRequest, AttentionTrace, Float, Ints, Mask, Scores

Statistic = Literal["last", "layer", "mean", "std", "min_mean", "min_std", "mars"]
QueryRow = Literal["query", "content"]


def point_at(query_B: Ints, tokens: int) -> Scores:
    """The start vector of the class or end-of-text row: one at each sample's query token, zero elsewhere."""
    return (torch.arange(tokens, device=query_B.device) == query_B[:, None]).float()


def average_over(content_BN: Mask) -> Scores:
    """The start vector of the mean row of a sample's content; zero where a sample has no content."""
    return content_BN.float() / content_BN.sum(dim=1, keepdim=True).clamp(min=1)


@torch.no_grad()
def read_row(map_BNN: Float[Tensor, "batch tokens tokens"], start_BN: Scores) -> Scores:
    """`start` times the map, rows of which are queries: where the starting tokens look."""
    with torch.autocast(map_BNN.device.type, enabled=False):
        return torch.einsum("bn,bnm->bm", start_BN.float(), map_BNN.float())


@torch.no_grad()
def layer_mean(rows: Sequence[Scores]) -> Scores:
    """The mean of the rows over layers (ITSELF, table 6 B)."""
    return torch.stack([row_BN.float() for row_BN in rows]).mean(dim=0)


@torch.no_grad()
def layer_deviation(rows: Sequence[Scores]) -> Scores:
    """The population standard deviation of the rows over layers (ITSELF, table 6 D)."""
    return torch.stack([row_BN.float() for row_BN in rows]).std(dim=0, correction=0)


@torch.no_grad()
def layer_ema(rows: Sequence[Scores], *, beta: float, debias: bool = False) -> Scores:
    """a_k = beta * a_(k-1) + (1 - beta) * row_k from a_0 = 0, earliest layer first; the last a (AGA, Eq. 7).

    With beta near one the layers weigh almost the same, and the result sums to 1 - beta ** layers only: what follows is
    so much flatter than after `layer_mean`. With `debias` it is divided by that sum, as the paper does not do."""
    fused_BN = torch.zeros_like(rows[0], dtype=torch.float32)
    for row_BN in rows:
        fused_BN = beta * fused_BN + (1 - beta) * row_BN.float()
    return fused_BN / (1 - beta ** len(rows)) if debias else fused_BN


@torch.no_grad()
def discard_smallest(
    map_BNN: Float[Tensor, "batch tokens tokens"], share: float
) -> Float[Tensor, "batch tokens tokens"]:
    """A copy with the n = int(N * N * share) smallest entries of each whole map set to zero (ITSELF, Eq. 1). Rows are
    queries, the share is from 0 to 1.

    Exactly n entries are taken, the first ones in reading order among equals; entry (0, 0) is then spared if it is
    among them and no other takes its place. (ITSELF's released roll-out, which keeps this exemption from the usual ViT
    roll-out.)"""
    flat_BM = map_BNN.float().flatten(1)
    count = int(flat_BM.shape[1] * share)
    if count == 0:
        return flat_BM.view_as(map_BNN).clone()
    threshold_B1 = flat_BM.topk(count, dim=1, largest=False, sorted=False).values.amax(dim=1, keepdim=True)
    below_BM, equal_BM = flat_BM < threshold_B1, flat_BM == threshold_B1
    wanted_B1 = count - below_BM.sum(dim=1, keepdim=True)
    dropped_BM = below_BM | (equal_BM & (equal_BM.cumsum(dim=1) <= wanted_B1))
    dropped_BM[:, 0] = False
    return flat_BM.masked_fill(dropped_BM, 0.0).view_as(map_BNN)


@torch.no_grad()
def rollout_factor(map_BNN: Float[Tensor, "batch tokens tokens"], share: float) -> Float[Tensor, "batch tokens tokens"]:
    """One layer of the roll-out: discard a share of the entries, then (A + I) / 2, then rows, which are queries,
    divided by their sums (ITSELF, Eq. 1)."""
    mixed_BNN = (discard_smallest(map_BNN, share) + torch.eye(map_BNN.shape[-1], device=map_BNN.device)) / 2
    return mixed_BNN / mixed_BNN.sum(dim=-1, keepdim=True)


@torch.no_grad()
def rollout_row(
    maps: Sequence[Float[Tensor, "batch tokens tokens"]], start_BN: Scores, share: float, *, later_left: bool = True
) -> Scores:
    """`start` times the roll-out matrix R = F_last ... F_first, by vector-matrix products (ITSELF, Eq. 2).

    Maps are those of the selected layers, earliest first; the start is one at the class or end-of-text token
    (`point_at`), or any weights of the rows; the share is part of each map to discard. With `later_left` the later
    layer stands on the left, as in the released program; the paper leaves it open."""
    row_BN = start_BN.float()
    for map_BNN in reversed(maps) if later_left else maps:
        row_BN = read_row(rollout_factor(map_BNN, share), row_BN)
    return row_BN


@dataclass(frozen=True, slots=True)
class Scoring:
    """How attention becomes one score a token: `mars` rolls out `layers`; `last` and `layer` read one layer; `mean` and
    `std` take their statistic over all `layers`, `min_mean` and `min_std` too, but prefer the smallest."""

    statistic: Statistic
    layers: tuple[int, ...]  # numbers from 1, ascending; one for `last` and `layer`
    share: float = 0.0  # part of each map that `mars` discards
    later_left: bool = True  # order of the product of `mars`
    row: QueryRow = "query"  # `query`: the row of the class or end-of-text token; `content`: the content's mean row

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
