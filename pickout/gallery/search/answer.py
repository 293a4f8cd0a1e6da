"""What one search gives: candidates, how sure they are, and what must be said about them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pickout.gallery.search.filters import ANYWHERE, Where
from pickout.gallery.search.groups import Grouping
from pickout.gallery.search.query import Query
from pickout.gallery.storage.rows import Metadata, Row

_SHOWN = ("id", "file", "path", "width", "height", "metadata", "thumbnail")  # what a hit takes from its row


@dataclass(frozen=True, slots=True)
class Hit:
    """One candidate: a crop that a person must look at, not an identification."""

    rank: int  # 1 for the best
    score: float  # inner product of the query's and the crop's vectors, less penalties
    id: str  # the row's id
    file: Path  # the crop's absolute path when it was indexed; it may have moved
    path: str  # the same below the indexed folder
    width: int  # of the upright original in pixels, as is the height
    height: int
    metadata: Metadata  # camera, time and labels
    thumbnail: bytes  # a small JPEG of it
    match: float | None = None  # score of the model's second look, which ranks the best; None where there was none
    probability: float | None = None  # that it shows the person described; None where that is not calibrated
    others: tuple[str, ...] = ()  # ids of the crops that are shown as one with it, best first

    @classmethod
    def of(cls, row: Row, rank: int, score: float, **told: Any) -> "Hit":
        """The hit that shows `row`; `told` is what else is known."""
        return cls(rank=rank, score=score, **{name: getattr(row, name) for name in _SHOWN}, **told)

    @property
    def camera(self) -> str | None:
        """The camera's name where it is known."""
        return self.metadata.camera

    @property
    def time(self) -> datetime | None:
        """When the crop was taken where it is known, without zone."""
        return self.metadata.time

    def as_json(self) -> dict[str, Any]:
        """All but the thumbnail, with plain values."""
        told = asdict(self)
        about, _ = told.pop("metadata"), told.pop("thumbnail")
        about |= {"time": self.time and self.time.isoformat(), "box": about["box"] and list(about["box"])}
        return {**told, "file": str(self.file), **about, "others": list(self.others)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the best candidate's probability reaches a threshold that a share `error` of searches for absent people
    reaches."""

    best: float
    threshold: float
    error: float

    @property
    def is_good(self) -> bool:
        """False: no good match. The candidates are shown all the same, for a person to judge."""
        return self.best >= self.threshold

    def words(self) -> str:
        """The verdict as a sentence."""
        if self.is_good:
            return f"The best candidate passes the threshold that {self.error:.0%} of searches for absent people pass."
        return (
            f"No good match: the best candidate has probability {self.best:.2f}, below {self.threshold:.2f}, which "
            f"only {self.error:.0%} of searches for absent people reach."
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What one search gave."""

    query: Query  # what was searched for
    hits: Sequence[Hit]  # the page's candidates, best first
    where: Where = ANYWHERE  # the filters
    passed: int = 0  # how many crops pass the filters
    page: int = 1  # the page's number, from 1
    more: bool = False  # whether there is a next page
    grouping: Grouping = Grouping.NONE  # which crops are shown as one
    verdict: Verdict | None = None  # None where the gallery is not calibrated for the query
    notes: Sequence[str] = ()  # what must be said beside the candidates, as that the model does not know a word
    faults: Sequence[str] = ()  # damage: candidates whose rows are not as they were written, or are missing

    @property
    def no_good_match(self) -> bool | None:
        """True where the best candidate is below the threshold; None where nothing can be said."""
        return None if self.verdict is None else not self.verdict.is_good

    def as_json(self) -> dict[str, Any]:
        """All but the candidates, with plain values."""
        verdict = self.verdict
        return {
            "query": self.query.as_json(),
            "where": self.where.as_json(),
            **{name: getattr(self, name) for name in ("passed", "page", "more", "no_good_match")},
            "group": self.grouping.value,
            "best_probability": verdict and verdict.best,
            "threshold": verdict and verdict.threshold,
            "error": verdict and verdict.error,
            "notes": list(self.notes),
            "faults": list(self.faults),
        }
