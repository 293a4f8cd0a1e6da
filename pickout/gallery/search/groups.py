"""Candidates that belong together are shown as one."""

from collections.abc import Callable
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


def grouped(
    positions_k: NDArray[np.int64], resident: Resident, grouping: Grouping, *, duplicate: float
) -> list[list[int]]:
    """Walk down a ranking; each crop joins the first group it belongs to, or leads a new one. Places in the ranking.

    So the groups of the first k candidates do not change when more are looked at, except for gaining members."""
    by_track = grouping is Grouping.TRACK and resident.facets.get("track", NO_FACET).names
    if not by_track and grouping is not Grouping.DUPLICATE:
        return [[place] for place in range(len(positions_k))]
    number = _by_track(positions_k, resident) if by_track else _by_vector(positions_k, resident, duplicate)
    groups: dict[int, list[int]] = {}
    for place in range(len(positions_k)):
        groups.setdefault(number(place), []).append(place)
    return list(groups.values())


def _by_track(positions_k: NDArray[np.int64], resident: Resident) -> Callable[[int], int]:
    facets = [resident.facets.get(name, NO_FACET) for name in ("track", "camera", "video")]
    keys = np.stack([facet.positions[positions_k] for facet in facets if facet.names])
    keys = np.where(keys[:1] < 0, -1 - np.arange(len(positions_k)), keys)  # no track: nothing else is like it
    numbers = np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1).tolist()
    return lambda place: int(numbers[place])


def _by_vector(positions_k: NDArray[np.int64], resident: Resident, duplicate: float) -> Callable[[int], int]:
    vectors = resident.vectors.at(positions_k)
    leaders = np.empty_like(vectors)
    count = 0

    def number(place: int) -> int:
        nonlocal count
        alike = np.flatnonzero(leaders[:count] @ vectors[place] >= duplicate)
        if len(alike):
            return int(alike[0])
        leaders[count] = vectors[place]
        count += 1
        return count - 1

    return number
