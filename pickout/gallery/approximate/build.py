"""`approximate.json`: the index of a gallery too large to hold is built, how widely it is searched is chosen, and what
that misses is measured."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.config import Settings
from pickout.errors import UsageError
from pickout.files import write_atomically
from pickout.gallery.approximate.far_vectors import FEWEST, Codes, FarVectors, build_index, drop_index, has_index
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import Manifest, changing, known_format, read_manifest, read_small_file
from pickout.gallery.vectors.exact import Floats, best_rows

APPROXIMATE = "approximate.json"
FORMAT = 1  # version of the file that this code writes and reads
_AT = (10, 100)  # how many of the best recall is measured on; the last decides
_OVERSAMPLES = (4, 16, 64, 256)
_EQUAL = 1e-6  # scores that differ by less may come in any order: search and measure sum in different precisions
_RESAMPLES = 1000

Tell = Callable[[str], None]  # called with what is being done
Kind = Literal["sentences", "crops"]


class ApproximateSettings(Settings):
    """How a gallery too large to hold is searched."""

    above: int = Field(default=1_000_000, ge=0)
    """Crops up to which a search is exact: all vectors are held, 2 GB for a million of 512 numbers."""
    target: float = Field(default=0.99, gt=0, le=1)  # recall at 100 that the least effort is chosen for
    searches: int = Field(default=200, ge=10)
    """Sentences, and crops, that are searched for; half of them choose, the other half measure."""
    partitions: int | None = Field(default=None, ge=1)
    """Partitions of the index; none: the square root of the number of crops."""
    codes: Codes | None = None
    """What stands for a number of a vector: `bits` or `bytes`, eight times as large and finer. None: bits where the
    length of a vector is a multiple of 8."""
    seed: int = 0  # which crops are searched for


class Recall(Settings):
    """How many of the best crops a search finds, beside an exact search."""

    queries: Kind  # what was searched for: sentences, or crops of the gallery
    searches: int = Field(ge=1)  # how many searches, none of which helped to choose `probes`
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
    table: str  # the table that the index belongs to
    built: datetime  # when, UTC
    rows: int = Field(ge=1)  # crops in the index
    above: int = Field(ge=0)  # with more crops than that the gallery is searched approximately
    partitions: int = Field(ge=1)  # partitions of the index
    codes: Codes  # what stands for a number of a vector in it
    probes: int = Field(ge=1)  # partitions that a search looks into
    oversample: int = Field(ge=1)  # crops scored exactly for each that is needed
    target: float  # recall at the largest depth that was aimed at
    recalls: tuple[Recall, ...]  # what was measured

    def vectors(self, store: Store, ids_N: NDArray[np.bytes_]) -> FarVectors:
        """The vectors of the gallery's rows, which have these ids."""
        return FarVectors(store, ids_N, self.probes, self.oversample, self.told())

    def told(self) -> str:
        """What was measured at the largest depth, in words."""
        return "; ".join(each.told() for each in self._deepest())

    def warnings(self) -> list[str]:
        """What whoever built the index should know."""
        finer = "" if self.codes == "bytes" else "; --set codes=bytes makes a finer index, eight times as large"
        return [
            f"for {each.queries} the target of {self.target} is missed by more than chance: {each.told()}{finer}"
            for each in self._deepest()
            if each.interval[1] < self.target
        ]

    def _deepest(self) -> list[Recall]:
        depth = max((each.at for each in self.recalls), default=0)
        return [each for each in self.recalls if each.at == depth]


def read_approximation(gallery: Path, manifest: Manifest) -> Approximation | None:
    """How the gallery's table is searched approximately; None where it is not."""
    remedy = f"run pickout gallery approximate {gallery} again, or delete the file"
    file, known = gallery / APPROXIMATE, lambda found: known_format(found.format, FORMAT)
    found = read_small_file(file, Approximation, remedy, check=known)
    return found if found is not None and found.table == manifest.table else None


def usable(gallery: Path, manifest: Manifest, store: Store) -> Approximation | None:
    """How to search the rows of `store`: None means exactly, because they are few enough or there is no index."""
    found = read_approximation(gallery, manifest)
    return found if found is not None and store.count() > found.above and has_index(store) else None


def fitting_partitions(rows: int) -> int:
    """The square root of the rows, so that partitions are as many as each has rows."""
    return max(1, round(math.sqrt(rows)))


def approximate(
    gallery: Path, store: Store, settings: ApproximateSettings, sentences_QD: Floats | None, tell: Tell
) -> Approximation:
    """Build the index and measure it with crops and with sentences (Q, D), as the gallery's model encodes them. The
    gallery can be searched meanwhile; writers wait while the index is built. `UsageError` where so few crops are
    searched exactly, or where settings do not fit the vectors."""
    rows, fills_bytes = store.count(), store.dimension % 8 == 0
    check_size(gallery, rows, settings)
    codes: Codes = settings.codes or ("bits" if fills_bytes else "bytes")
    if codes == "bits" and not fills_bytes:
        raise UsageError(f"codes = bits: a vector's length, {store.dimension}, is no multiple of 8; say codes=bytes")
    partitions = min(settings.partitions or fitting_partitions(rows), rows)
    tell("building the index")
    with changing(gallery, store):
        build_index(store, partitions, codes)
    trial = _Trial(store, settings, sentences_QD, tell)
    probes, oversample = trial.chosen(partitions, settings.target)
    found = Approximation(
        table=store.name,
        built=_now(),
        rows=rows,
        above=settings.above,
        partitions=partitions,
        codes=codes,
        probes=probes,
        oversample=oversample,
        target=settings.target,
        recalls=trial.measured(probes, oversample),
    )
    with changing(gallery, store):
        _write(gallery, found)
    return found


def check_size(gallery: Path, rows: int, settings: ApproximateSettings) -> None:
    """Refuse a gallery that is small enough to be searched exactly, with `UsageError`."""
    if _is_small(rows, settings.above):
        least = f"an approximate index is for more than {max(settings.above, FEWEST - 1):,} (--set above=N)"
        raise UsageError(f"{gallery}: holds {rows:,} crops, which are searched exactly; {least}")


def renew(gallery: Path, store: Store) -> None:
    """Build the index anew where there was one and the table was written anew; the caller holds the gallery's lock.
    Recall is measured again with crops; that with sentences stays, with its date."""
    before, rows = read_approximation(gallery, read_manifest(gallery)), store.count()
    if before is None or _is_small(rows, before.above):
        return  # a small one is searched exactly from now on; the file stays, for when it grows again
    partitions = min(before.partitions, rows)
    build_index(store, partitions, before.codes)
    trial = _Trial(store, ApproximateSettings(), None, lambda _: None)
    kept = tuple(each for each in before.recalls if each.queries == "sentences")
    recalls = kept + trial.measured(before.probes, before.oversample)
    update = {"built": _now(), "rows": rows, "partitions": partitions, "recalls": recalls}
    _write(gallery, before.model_copy(update=update))


def carry_over(gallery: Path, before: Approximation, store: Store) -> None:
    """Build an index for a table that took the place of one indexed as `before`; recall is measured with crops."""
    if _is_small(store.count(), before.above):
        (gallery / APPROXIMATE).unlink(missing_ok=True)
    else:
        approximate(gallery, store, ApproximateSettings(above=before.above), None, lambda _: None)


def search_exactly(gallery: Path, store: Store) -> None:
    """Remove the index: all vectors are held by a search from now on."""
    with changing(gallery, store):
        (gallery / APPROXIMATE).unlink(missing_ok=True)
        drop_index(store)


class _Trial:
    """Searches whose right answers are known: half of them choose, the other half measure."""

    def __init__(self, store: Store, settings: ApproximateSettings, sentences_QD: Floats | None, tell: Tell) -> None:
        self._resident = store.resident(lambda ids: FarVectors(store, ids, 1, 1, ""))
        self._far, self._tell = cast(FarVectors, self._resident.vectors), tell
        drawn = np.random.default_rng(settings.seed).permutation(len(self._resident.ids))[: settings.searches]
        crops = self._far.at(np.sort(drawn))
        self._queries: dict[Kind, Floats] = {"crops": crops[np.isfinite(crops[:, 0])]}
        if sentences_QD is not None and len(sentences_QD) > 1:
            self._queries = {"sentences": sentences_QD[: settings.searches], **self._queries}
        tell("searching exactly")
        depth = min(_AT[-1], len(self._resident.ids))
        self._best = {kind: best_rows(self._far, each, depth)[1] for kind, each in self._queries.items()}

    def chosen(self, partitions: int, target: float) -> tuple[int, int]:
        """The least partitions and oversampling that reach the target, or the most of both."""
        for oversample in _OVERSAMPLES:
            # Where all partitions do not reach it, the index tells vectors apart too coarsely.
            if self._worst(partitions, oversample) >= target:
                tried = (2**power for power in range(partitions.bit_length()))
                reached = (probes for probes in tried if self._worst(probes, oversample) >= target)
                return next(reached, partitions), oversample
        return partitions, _OVERSAMPLES[-1]

    def measured(self, probes: int, oversample: int) -> tuple[Recall, ...]:
        return tuple(self._recall(kind, at, probes, oversample) for kind in self._queries for at in _AT)

    def _recall(self, kind: Kind, at: int, probes: int, oversample: int) -> Recall:
        shares = self._shares(kind, 1, at, probes, oversample)
        draws = np.random.default_rng(0).integers(len(shares), size=(_RESAMPLES, len(shares)))
        low, high = map(float, np.quantile(shares[draws].mean(1), (0.025, 0.975)))
        facts: dict[str, Any] = {"mean": float(shares.mean()), "interval": (low, high), "rows": len(self._resident.ids)}
        return Recall(queries=kind, searches=len(shares), at=at, measured=_now(), **facts)

    def _worst(self, probes: int, oversample: int) -> float:
        self._tell(f"trying {probes} partitions")
        return min(float(self._shares(kind, 0, _AT[-1], probes, oversample).mean()) for kind in self._queries)

    def _shares(self, kind: Kind, half: int, at: int, probes: int, oversample: int) -> NDArray[np.float64]:
        """Share of the best `at` that each search of one half finds."""
        tuned, shares = self._far.tuned(probes, oversample), []
        for query, best in zip(self._queries[kind][half::2], self._best[kind][half::2], strict=True):
            least = best[: min(at, len(best))]
            scores = tuned.top(query, top=len(least), order_N=self._resident.order, allowed_N=None, penalties=())[1]
            shares.append(np.count_nonzero(scores >= least[-1] - _EQUAL) / len(least))
        return np.array(shares)


def _is_small(rows: int, above: int) -> bool:
    return rows <= max(above, FEWEST - 1)


def _write(gallery: Path, found: Approximation) -> None:
    write_atomically(gallery / APPROXIMATE, found.model_dump_json(indent=2) + "\n")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
