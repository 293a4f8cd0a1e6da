"""From a query to ranked rows: filter first, search, look again at the best, group, cut out a page."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.config import Settings
from pickout.gallery.search.filters import Where, allowed, check_where
from pickout.gallery.search.groups import Grouping, grouped
from pickout.gallery.search.query_vector import Aim, AimSettings
from pickout.gallery.storage.rows import Resident

LOOKED_AT = 50
"""Rows ranked at least, whatever is shown: what stands behind a candidate tells how much its score means."""
_GROUPED = 1000
"""Rows that are grouped at least, so that a group has its members."""

SecondLook = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Matching scores (k,) of rows (k,)."""


class SearchSettings(Settings):
    """Rarely changed numbers of a search; `pickout search --set` sets them."""

    aim: AimSettings = AimSettings()
    """How the parts of a query are weighed."""
    error: float = Field(default=0.05, gt=0, lt=1)
    """Share of searches for people who are not there that may be answered, once the gallery is calibrated."""
    duplicate: float = Field(default=0.95, gt=0, le=1)
    """Inner product of two crops' vectors from which they are near-duplicates."""
    candidates: int | None = Field(default=None, ge=0)
    """How many of the best are looked at again by a model that can; none: as many as the model says."""


@dataclass(frozen=True, slots=True)
class Place:
    """One row in the ranking.

    Args:
        position: the row.
        score: inner product with the query, less penalties.
        match: score of the second look; None where there was none.
        others: rows that are shown as one with it, best first.
    """

    position: int
    score: float
    match: float | None
    others: tuple[int, ...] = ()

    @property
    def decisive(self) -> float:
        """The score that ranks it."""
        return self.score if self.match is None else self.match


@dataclass(frozen=True, slots=True)
class Ranking:
    """A page of the ranking and what stands around it.

    Args:
        places: the page, best first.
        passed: how many rows pass the filters.
        head: (h,) the scores that rank the first rows of all, best first, whatever the page; of a second look those
            that had one.
        more: whether there is a next page.
    """

    places: list[Place]
    passed: int
    head: NDArray[np.float64]
    more: bool


def ranked(
    resident: Resident,
    aim: Aim,
    *,
    top: int,
    where: Where,
    page: int = 1,
    grouping: Grouping = Grouping.NONE,
    duplicate: float = 0.95,
    candidates: int = 0,
    second_look: SecondLook | None = None,
) -> Ranking:
    """The rows that pass the filters, best first; equal scores by path.

    Args:
        resident: the gallery's rows.
        aim: the encoded query.
        top: rows, or groups of rows, on a page.
        where: the filters.
        page: from 1.
        grouping: which rows are shown as one.
        duplicate: see `SearchSettings.duplicate`.
        candidates: how many of the best are looked at again and ranked by that; the rest follow as they were.
        second_look: how.

    Raises:
        UsageError: a filter names what no crop has.
    """
    check_where(where, resident)
    mask = allowed(where, resident)
    passed = len(resident.ids) if mask is None else int(np.count_nonzero(mask))
    wanted = page * top
    depth = max(wanted + 1, candidates, LOOKED_AT, _GROUPED if grouping is not Grouping.NONE else 0)
    looked: dict[int, float] = {}
    came = -1
    while True:
        positions, scores = resident.vectors.top(
            aim.vector, top=depth, order_N=resident.order, allowed_N=mask, penalties=aim.penalties
        )
        if second_look is not None and candidates:
            positions, scores = _look_again(positions, scores, candidates, second_look, looked)
        groups = grouped(positions, resident, grouping, duplicate=duplicate)
        # All that pass may never come: a crop goes away meanwhile, or its page of an index is damaged.
        if len(groups) > wanted or len(positions) >= passed or len(positions) <= came:
            break
        depth, came = 4 * depth, len(positions)
    places = [
        Place(
            int(positions[group.leader]),
            float(scores[group.leader]),
            looked.get(int(positions[group.leader])),
            tuple(int(positions[other]) for other in group.others),
        )
        for group in groups[wanted - top : wanted]
    ]
    head = np.array([looked[int(row)] for row in positions[: len(looked)]]) if looked else scores[:LOOKED_AT]
    return Ranking(places, passed, np.asarray(head, dtype=np.float64), len(groups) > wanted)


def _look_again(
    positions: NDArray[np.int64],
    scores: NDArray[np.float64],
    candidates: int,
    second_look: SecondLook,
    looked: dict[int, float],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first `candidates` rows in the order of their matching scores; equal ones stay in the order they had."""
    first = positions[:candidates]
    if not looked:
        matches = second_look(first)
        looked.update((int(row), float(match)) for row, match in zip(first, matches, strict=True) if match == match)
    order = np.argsort([-looked.get(int(row), -np.inf) for row in first], kind="stable")
    return (
        np.concatenate([first[order], positions[candidates:]]),
        np.concatenate([scores[:candidates][order], scores[candidates:]]),
    )
