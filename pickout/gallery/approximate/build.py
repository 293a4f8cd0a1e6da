"""`approximate.json`: how widely a gallery too large to hold is searched by codes is chosen, and measured is what that
misses and how much faster it is than an exact search in memory."""

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from pydantic import Field

from pickout.config import Settings
from pickout.errors import UsageError
from pickout.files import write_atomically
from pickout.gallery.approximate.far_vectors import CODES, FarVectors, kept_codes
from pickout.gallery.storage import tables
from pickout.gallery.storage.rows import Resident
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Aim, Doubles, Floats, best_rows, exact_top

APPROXIMATE = "approximate.json"
FORMAT = 2  # version of the file that this code writes and reads
_AT = (10, 100)  # how many of the best recall is measured on; the last decides
_WIDE = (1, 2, 4, 8, 16, 32, 64, 128)
_EQUAL = 1e-6  # scores that differ by less may come in any order: search and measure sum in different precisions
_RESAMPLES = 1000
_SAMPLE = 100_000  # vectors at most whose exact search is timed, for what one of all would take

Tell = Callable[[str], None]  # called with what is being done
Kind = Literal["sentences", "crops"]


class ApproximateSettings(Settings):
    """How a gallery too large to hold is searched."""

    above: int = Field(default=1_000_000, ge=0)
    """Crops up to which a search is exact: all vectors are held, 2 GB for a million of 512 numbers."""
    target: float = Field(default=0.99, gt=0, le=1)  # recall at 100 that the least effort is chosen for
    searches: int = Field(default=200, ge=10)
    """Sentences, and crops, that are searched for; half of them choose, the other half measure."""
    faster: float = Field(default=2.0, ge=0)
    """How many times as fast as an exact search in memory it must be; otherwise it is refused."""
    seed: int = 0  # which crops are searched for


class Recall(Settings):
    """How many of the best crops a search finds, beside an exact search."""

    queries: Kind  # what was searched for: sentences, or crops of the gallery
    searches: int = Field(ge=1)  # how many searches, none of which helped to choose `wide`
    at: int = Field(ge=1)  # how many of the best
    mean: float = Field(ge=0, le=1)  # mean share of the best `at` that were found
    interval: tuple[float, float]  # 95 % interval of that mean, by drawing the searches again
    rows: int = Field(ge=1)  # crops searched
    measured: datetime  # when, UTC

    def told(self) -> str:
        """In words."""
        low, high = self.interval
        return f"recall at {self.at} {self.mean:.3f} ({low:.3f} to {high:.3f}, {self.searches} {self.queries})"


class Approximation(Settings):
    """The contents of `approximate.json`."""

    format: int = FORMAT  # version of the file's layout
    table: str  # the table whose vectors were searched
    built: datetime  # when, UTC
    rows: int = Field(ge=1)  # how many it had
    above: int = Field(ge=0)  # with more crops than that the gallery is searched approximately
    wide: int = Field(ge=1)  # crops that are looked at closely, for each that is scored exactly
    target: float  # recall at the largest depth that was aimed at
    faster: float  # how many times as fast as an exact search in memory it was
    recalls: tuple[Recall, ...]  # what was measured

    def told(self) -> str:
        """What was measured at the largest depth, in words."""
        return "; ".join(each.told() for each in self._deepest())

    def warnings(self) -> list[str]:
        """What whoever built the index should know."""
        return [
            f"for {each.queries} the target of {self.target} is missed by more than chance: {each.told()}"
            for each in self._deepest()
            if each.interval[1] < self.target
        ]

    def _deepest(self) -> list[Recall]:
        return [each for each in self.recalls if each.at == max(other.at for other in self.recalls)]


def read_approximation(gallery: Path, manifest: tables.Manifest) -> Approximation | None:
    """How the gallery's table is searched approximately; None where it is not."""
    remedy = f"run pickout gallery approximate {gallery} again, or delete the file"
    found = tables.read_small_file(gallery / APPROXIMATE, Approximation, remedy, version=FORMAT)
    return found if found is not None and found.table == manifest.table else None


def usable(gallery: Path, manifest: tables.Manifest, store: Store) -> Approximation | None:
    """How to search the rows of `store`: None means exactly, because they are few enough or nothing was measured."""
    found = read_approximation(gallery, manifest)
    return found if found is not None and store.count() > found.above else None


def approximate(
    gallery: Path, store: Store, settings: ApproximateSettings, sentences_QD: Floats | None, tell: Tell
) -> Approximation:
    """Make the codes and measure searches by them with crops and with sentences (Q, D), as the gallery's model encodes
    them. The gallery can be searched and changed meanwhile. `UsageError` where so few crops are searched exactly, or
    the search is not as much faster as it must be."""
    rows = store.count()
    check_size(gallery, rows, settings.above)
    tell("coding")
    resident = store.resident(FarVectors.maker(store, anew=True))
    trial = _Trial(resident, settings, sentences_QD, tell)
    wide = trial.chosen(settings.target)
    faster = trial.faster()
    found = Approximation(
        table=store.name,
        built=datetime.now(UTC).replace(microsecond=0),
        rows=rows,
        above=settings.above,
        wide=wide,
        target=settings.target,
        faster=round(faster, 2),
        recalls=tuple(trial.measured()),
    )
    if faster < settings.faster:
        what = f"only {faster:.1f} times as fast as an exact search in memory, {settings.faster:g} was asked for"
        remedy = "search exactly, or ask for less: --set faster=0, or --set target=0.95"
        raise UsageError(f"{gallery}: a search by codes is {what}, at a {found.told()}; {remedy}")
    with tables.changing(gallery, store):
        cast(FarVectors, resident.vectors).keep()
        write_atomically(gallery / APPROXIMATE, found.model_dump_json(indent=2) + "\n")
    return found


def check_size(gallery: Path, rows: int, above: int) -> None:
    """Refuse a gallery that is small enough to be searched exactly, with `UsageError`."""
    if rows <= above:
        least = f"an approximate search is for more than {above:,} (--set above=N)"
        raise UsageError(f"{gallery}: holds {rows:,} crops, which are searched exactly; {least}")


def keep_codes(gallery: Path, store: Store, *, unless: float = 0.0) -> None:
    """Write the codes of all rows that are there now, and of no others, where they are kept; the caller holds the
    gallery's lock. Nothing is written where the number of rows has changed by less than this share."""
    if usable(gallery, tables.read_manifest(gallery), store) is None:
        (gallery / CODES).unlink(missing_ok=True)  # remade when they are needed again
    elif not unless or abs(store.count() - len(held := kept_codes(store)[0])) > unless * len(held):
        cast(FarVectors, store.resident(FarVectors.maker(store)).vectors).keep()


def carry_over(gallery: Path, before: Approximation, store: Store) -> None:
    """Measure a table that took the place of one measured as `before`, with crops."""
    (gallery / CODES).unlink(missing_ok=True)
    if store.count() <= before.above:
        (gallery / APPROXIMATE).unlink(missing_ok=True)
    else:
        settings = ApproximateSettings(above=before.above, target=before.target, faster=0)
        approximate(gallery, store, settings, None, lambda _: None)


class _Trial:
    """Searches whose right answers are known: half of them choose, the other half measure."""

    def __init__(
        self, resident: Resident, settings: ApproximateSettings, sentences_QD: Floats | None, tell: Tell
    ) -> None:
        self._resident, self._far, self._tell = resident, cast(FarVectors, resident.vectors), tell
        drawn = np.random.default_rng(settings.seed).permutation(len(resident.ids))
        crops = self._far.at(np.sort(drawn[: settings.searches]))
        self._queries: dict[Kind, Floats] = {"crops": crops[np.isfinite(crops[:, 0])]}
        if sentences_QD is not None and len(sentences_QD) > 1:
            self._queries = {"sentences": sentences_QD[: settings.searches], **self._queries}
        self._sample = self._far.at(drawn[:_SAMPLE])
        tell("searching exactly")
        depth = min(_AT[-1], len(resident.ids))
        self._best = {kind: best_rows(self._far, each, depth)[1] for kind, each in self._queries.items()}

    def chosen(self, target: float) -> int:
        """The least width that reaches the target, or the most, with which searches go on here."""
        for wide in _WIDE:
            self._tell(f"trying {wide} crops looked at for each")
            self._far.wide = wide
            if all(self._shares(kind, 0, _AT[-1]).mean() >= target for kind in self._queries):
                break
        return wide

    def faster(self) -> float:
        """How many times as fast as an exact search of all vectors in memory: times taken in turns, of medians. That
        one is timed for a sample, and taken to grow with the rows, as it does."""
        taken, order = list[tuple[float, float]](), np.arange(len(self._sample))
        for query in self._queries["crops"]:
            began = time.perf_counter()
            exact_top(self._sample, Aim(query), top=_AT[-1], order_N=order)
            between = time.perf_counter()
            self._far.top(Aim(query), top=_AT[-1], order_N=self._resident.order)
            taken.append((between - began, time.perf_counter() - between))
        exact, codes = (statistics.median(each[which] for each in taken) for which in (0, 1))
        return exact * len(self._resident.ids) / len(self._sample) / codes

    def measured(self) -> Iterator[Recall]:
        now, rows = datetime.now(UTC).replace(microsecond=0), len(self._resident.ids)
        for kind, at in product(self._queries, _AT):
            shares = self._shares(kind, 1, at)
            draws = np.random.default_rng(0).integers(len(shares), size=(_RESAMPLES, len(shares)))
            low, high = map(float, np.quantile(shares[draws].mean(1), (0.025, 0.975)))
            facts: dict[str, Any] = {"mean": float(shares.mean()), "interval": (low, high), "rows": rows}
            yield Recall(queries=kind, searches=len(shares), at=at, measured=now, **facts)

    def _shares(self, kind: Kind, half: int, at: int) -> Doubles:
        """Share of the best `at` that each search of one half finds."""
        shares = []
        for query, best in zip(self._queries[kind][half::2], self._best[kind][half::2], strict=True):
            least = best[: min(at, len(best))]
            scores = self._far.top(Aim(query), top=len(least), order_N=self._resident.order)[1]
            shares.append(np.count_nonzero(scores >= least[-1] - _EQUAL) / len(least))
        return np.array(shares)
