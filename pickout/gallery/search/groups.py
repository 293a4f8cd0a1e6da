"""Candidates that belong together are shown as one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pickout.gallery.storage.rows import NO_FACET, Resident


class Grouping(StrEnum):
    """Which candidates are shown as one."""

    NONE = "none"
    """Each crop by itself."""
    TRACK = "track"
    """Crops of one track of one camera and video. A crop without track is by itself."""
    DUPLICATE = "duplicate"
    """Crops whose vectors are nearly equal to that of a better candidate."""


@dataclass(slots=True)
class Group:
    """A candidate and what is shown as one with it.

    Args:
        leader: place of the best crop in the ranking that was grouped.
        others: places of the others, best first.
    """

    leader: int
    others: list[int] = field(default_factory=list)


def grouped(positions_k: NDArray[np.int64], resident: Resident, grouping: Grouping, *, duplicate: float) -> list[Group]:
    """Walk down a ranking; each crop joins the first group it belongs to, or leads a new one.

    So the groups of the first k candidates do not change when more are looked at, except for gaining members.

    Args:
        positions_k: rows of the gallery, best first.
        resident: the gallery's rows.
        grouping: what belongs together.
        duplicate: inner product of two vectors from which crops are near-duplicates.
    """
    if grouping is Grouping.NONE:
        return [Group(place) for place in range(len(positions_k))]
    groups: list[Group] = []
    join = (
        _by_track(positions_k, resident) if grouping is Grouping.TRACK else _by_vector(positions_k, resident, duplicate)
    )
    for place in range(len(positions_k)):
        number = join(place)
        if number == len(groups):
            groups.append(Group(place))
        else:
            groups[number].others.append(place)
    return groups


def _by_track(positions_k: NDArray[np.int64], resident: Resident) -> Callable[[int], int]:
    columns = [resident.facets.get(name, NO_FACET) for name in ("track", "camera", "video")]
    columns = [facet for facet in columns if facet.names]
    numbers: dict[Sequence[int], int] = {}
    if not resident.facets.get("track", NO_FACET).names:
        return lambda place: place

    def join(place: int) -> int:
        key = tuple(int(facet.positions[positions_k[place]]) for facet in columns)
        if key[0] < 0:  # no track: nothing else is like it
            key = (-1, place)
        return numbers.setdefault(key, len(numbers))

    return join


def _by_vector(positions_k: NDArray[np.int64], resident: Resident, duplicate: float) -> Callable[[int], int]:
    vectors = resident.vectors.at(positions_k)
    leaders = np.empty_like(vectors)
    count = 0

    def join(place: int) -> int:
        nonlocal count
        vector = vectors[place]
        alike = np.flatnonzero(leaders[:count] @ vector >= duplicate)
        if len(alike):
            return int(alike[0])
        leaders[count] = vector
        count += 1
        return count - 1

    return join
