"""What one search gives: candidates, how sure they are, and what must be said about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pickout.gallery.search.filters import ANYWHERE, Where
from pickout.gallery.search.groups import Grouping
from pickout.gallery.search.hits import Hit
from pickout.gallery.search.query import Query


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the best candidate is good enough, at an error rate that the searcher chose.

    Args:
        best: probability that the best candidate of all is a match.
        threshold: the probability it must reach.
        error: the share of searches for people who are not there that reach it.
    """

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
    """What one search gave.

    Args:
        query: what was searched for.
        hits: the page's candidates, best first.
        where: the filters.
        passed: how many crops pass the filters.
        page: the page's number, from 1.
        more: whether there is a next page.
        grouping: which crops are shown as one.
        verdict: whether the best candidate is good enough; None where the gallery is not calibrated for the query.
        notes: what must be said beside the candidates, for example that the model does not know a word.
        faults: what was found damaged: candidates whose rows are not as they were written, or are missing.
    """

    query: Query
    hits: Sequence[Hit]
    where: Where = ANYWHERE
    passed: int = 0
    page: int = 1
    more: bool = False
    grouping: Grouping = Grouping.NONE
    verdict: Verdict | None = None
    notes: Sequence[str] = ()
    faults: Sequence[str] = ()

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
            "passed": self.passed,
            "page": self.page,
            "more": self.more,
            "group": self.grouping.value,
            "no_good_match": self.no_good_match,
            "best_probability": None if verdict is None else verdict.best,
            "threshold": None if verdict is None else verdict.threshold,
            "error": None if verdict is None else verdict.error,
            "notes": list(self.notes),
            "faults": list(self.faults),
        }
