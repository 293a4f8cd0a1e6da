"""From a sentence's vector to ranked rows: filter first, then search exactly."""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.errors import UsageError
from pickout.gallery.exact import exact_top
from pickout.gallery.printable import printable
from pickout.gallery.rows import Resident, without_zone

_LISTED = 20
"""Known cameras that an error lists at most."""
LONGEST_SENTENCE = 10_000
"""Characters; a description of a person needs no more, and a model reads far fewer."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which crops a search looks at. A crop whose camera or time is unknown fails a filter on it.

    Args:
        cameras: any of these; empty: any, known or not.
        after: taken at this time or later.
        before: taken earlier than this time.

    Raises:
        UsageError: `after` is not earlier than `before`.
    """

    cameras: Collection[str] = field(default=())
    after: datetime | None = None
    before: datetime | None = None

    def __post_init__(self) -> None:
        if isinstance(self.cameras, str):
            raise UsageError(f"cameras='{self.cameras}': expected a list of names, for example ['{self.cameras}']")
        for name in ("after", "before"):
            time = getattr(self, name)
            object.__setattr__(self, name, None if time is None else without_zone(time))
        if self.after is not None and self.before is not None and self.after >= self.before:
            raise UsageError(
                f"no time is after {self.after.isoformat()} and before {self.before.isoformat()}; swap them or widen"
            )

    def as_json(self) -> dict[str, Any]:
        """The filters that are set, by name."""
        times = {"after": self.after, "before": self.before}
        told: dict[str, Any] = {name: time.isoformat() for name, time in times.items() if time is not None}
        return {"cameras": sorted(self.cameras), **told} if self.cameras else told


ANYWHERE = Where()
"""No filter."""


def clean_sentence(sentence: str) -> str:
    """`sentence` on one line, blanks collapsed.

    Raises:
        UsageError: it holds no letter or digit, is far too long, or is no Unicode text.
    """
    try:
        sentence.encode()
    except UnicodeEncodeError:
        raise UsageError("the sentence is not valid Unicode text") from None
    words = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in sentence).split()
    if not words:
        raise UsageError("the sentence is empty; describe the person, for example 'a woman in a teal jacket'")
    if len(sentence) > LONGEST_SENTENCE:
        raise UsageError(
            f"the sentence has {len(sentence)} characters; describe the person in at most {LONGEST_SENTENCE}"
        )
    clean = " ".join(words)
    if not any(letter.isalnum() for letter in clean):
        raise UsageError(f"'{clean[:40]}' holds no word; describe the person, for example 'a woman in a teal jacket'")
    return clean


def check_cameras(where: Where, resident: Resident) -> None:
    """Refuse a camera that no crop has.

    Raises:
        UsageError: names the cameras that the gallery knows.
    """
    known = resident.camera_names
    for camera in where.cameras:
        if camera not in known:
            listed = ", ".join(known[:_LISTED]) + (f" and {len(known) - _LISTED} more" if len(known) > _LISTED else "")
            have = f"known cameras: {listed}" if known else "no crop here has a camera; see pickout index --camera-from"
            raise UsageError(f"unknown camera '{printable(camera)}'; {have}")


def allowed(where: Where, resident: Resident) -> NDArray[np.bool_] | None:
    """Which rows pass the filters (N,); None when none is set."""
    if not where.cameras and where.after is None and where.before is None:
        return None
    passed = np.ones(len(resident.ids), dtype=np.bool_)
    if where.cameras:
        wanted = np.array([name in where.cameras for name in resident.camera_names] + [False])
        passed &= wanted[resident.cameras]  # a crop without camera has position -1: the last entry, False
    # Comparing with NaT gives False, so a crop without time fails either bound.
    if where.after is not None:
        passed &= resident.times >= np.datetime64(where.after, "us")
    if where.before is not None:
        passed &= resident.times < np.datetime64(where.before, "us")
    return passed


def ranked(resident: Resident, query_D: NDArray[np.float32], *, top: int, where: Where) -> list[tuple[str, float]]:
    """Ids and scores of the `top` best rows that pass the filters, best first; equal scores by path.

    Raises:
        UsageError: an unknown camera.
    """
    check_cameras(where, resident)
    positions, scores = exact_top(
        resident.vectors, query_D, top=top, order_N=resident.order, allowed_N=allowed(where, resident)
    )
    return [(resident.ids[position].decode(), float(score)) for position, score in zip(positions, scores, strict=True)]
