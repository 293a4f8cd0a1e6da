"""Deletion and insertion: take away, or put back, what a map calls important, and watch the score (RISE; Petsiuk, Das
and Saenko, 2018)."""

import numpy as np
from numpy.typing import NDArray

from pickout.explain.pair import Array

STEPS = 16
"""In how many steps everything is taken away at most."""


def kept_while_deleting(order: NDArray[np.int64], steps: int = STEPS) -> NDArray[np.bool_]:
    """What is still there after each step, from everything to nothing.

    Args:
        order: players, the first to go first.
        steps: at most so many steps; they take equally many players, give or take one.

    Returns:
        Shape: (steps + 1, players). Its opposite is what is there while everything is inserted in this order.
    """
    players = len(order)
    edges = np.linspace(0, players, min(players, steps) + 1).round().astype(np.int64)
    kept = np.ones((len(edges), players), np.bool_)
    for row, gone in zip(kept, edges, strict=True):
        row[order[:gone]] = False
    return kept


def area(scores: Array) -> float:
    """The area under a curve over shares from 0 to 1, by trapezia.

    Args:
        scores: the score after each step, at least two. Shape: (steps + 1,).
    """
    return float(((scores[1:] + scores[:-1]) / 2).mean())
