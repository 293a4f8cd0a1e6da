"""From a query to ranked rows: filter first, search, look again at the best, group, cut out a page."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.config import Settings
from pickout.gallery.encoder import Encoder, Matching
from pickout.gallery.search.filters import ANYWHERE, Where, allowed, check_where
from pickout.gallery.search.groups import Grouping, grouped
from pickout.gallery.search.query import Query
from pickout.gallery.search.query_vector import Aim, AimSettings
from pickout.gallery.storage.rows import Resident
from pickout.gallery.storage.store import Store

LOOKED_AT = 50
"""Rows ranked at least, whatever is shown: what stands behind a candidate tells how much its score means."""
_GROUPED = 1000  # rows that are grouped at least, so that a group has its members

SecondLook = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Matching scores (k,) of rows (k,); NaN for a row that was indexed without tokens."""


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
class Asked:
    """A search as it was asked for: `top` candidates on each page, pages from 1."""

    query: Query
    where: Where = ANYWHERE
    top: int = 20
    page: int = 1
    grouping: Grouping = Grouping.NONE
    settings: SearchSettings = field(default_factory=SearchSettings)


@dataclass(frozen=True, slots=True)
class Place:
    """One row in the ranking, with its score, that of a second look, and the rows that are shown as one with it."""

    position: int
    score: float
    match: float | None
    others: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranking:
    """A page of the ranking and what stands around it."""

    places: list[Place]  # best first
    passed: int  # how many rows pass the filters
    head: NDArray[np.float64]  # (h,) scores that rank the first rows of all, best first, whatever the page
    more: bool  # whether there is a next page


def ranked(
    resident: Resident, aim: Aim, asked: Asked, candidates: int = 0, second_look: SecondLook | None = None
) -> Ranking:
    """A page of rows, or groups of rows, that pass the filters, best first; equal scores by path.

    The best `candidates` are looked at again and ranked by that; the rest follow as they were."""
    check_where(asked.where, resident)
    mask = allowed(asked.where, resident)
    passed = len(resident.ids) if mask is None else int(np.count_nonzero(mask))
    top, wanted, grouping = asked.top, asked.page * asked.top, asked.grouping
    depth = max(wanted + 1, candidates, LOOKED_AT, _GROUPED if grouping is not Grouping.NONE else 0)
    looked: dict[int, float] = {}
    came = -1
    while True:
        rows, scores = resident.vectors.top(
            aim.vector, top=depth, order_N=resident.order, allowed_N=mask, penalties=aim.penalties
        )
        if second_look is not None and candidates:
            first = rows[:candidates].tolist()
            if not looked:
                matches = zip(first, second_look(rows[:candidates]).tolist(), strict=True)
                looked = {row: match for row, match in matches if match == match}
            # Rows that had no second look keep the order they had, behind those that had one.
            order = np.arange(len(rows))
            order[: len(first)] = np.argsort([-looked.get(row, -np.inf) for row in first], kind="stable")
            rows, scores = rows[order], scores[order]
        groups = grouped(rows, resident, grouping, duplicate=asked.settings.duplicate)
        # All that pass may never come: a crop goes away meanwhile, or its page of an index is damaged.
        if len(groups) > wanted or len(rows) >= passed or len(rows) <= came:
            break
        depth, came = 4 * depth, len(rows)
    numbers = rows.tolist()
    places = [
        Place(numbers[best], float(scores[best]), looked.get(numbers[best]), tuple(numbers[other] for other in others))
        for best, *others in groups[wanted - top : wanted]
    ]
    head = [looked[row] for row in numbers[: len(looked)]] if looked else scores[:LOOKED_AT]
    return Ranking(places, passed, np.asarray(head, dtype=np.float64), len(groups) > wanted)


def looks_again(encoder: Encoder, query: Query, candidates: int | None) -> int:
    """How many of the best are looked at again, of `candidates` wanted; 0 for a model that cannot, or without sentence.

    With pictures in the query the second look would forget them, so there is none."""
    if not isinstance(encoder, Matching) or query.images or query.more_like or query.less_like or not query.texts:
        return 0
    return encoder.candidates if candidates is None or not encoder.candidates else candidates


def second_look(encoder: Matching, query: Query, resident: Resident, store: Store, without: float) -> SecondLook:
    """The mean matching score of the query's sentences, less `without` times that of the unwanted above its mean."""

    def look(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        ids = [resident.ids[row].decode() for row in rows]
        tokens = store.fetch_tokens(ids)
        have = np.array([each in tokens for each in ids], np.bool_)
        scores = np.full(len(ids), np.nan, dtype=np.float32)
        if have.any():
            stacked = np.stack([tokens[each] for each in ids if each in tokens])
            found = np.mean([encoder.match(text, stacked) for text in query.texts], axis=0)
            for text in query.without:
                unwanted = encoder.match(text, stacked)
                found = found - without * np.maximum(unwanted - unwanted.mean(), 0)
            scores[have] = found
        return scores

    return look
