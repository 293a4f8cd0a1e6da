"""Build an approximate index, choose how widely it is searched, and measure what that misses."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.config import Settings
from pickout.errors import UsageError
from pickout.gallery.approximate.far_vectors import FarVectors
from pickout.gallery.approximate.index import FEWEST, Codes, NearTable, fitting_codes, fitting_partitions
from pickout.gallery.approximate.record import (
    APPROXIMATE,
    Approximation,
    Recall,
    read_approximation,
    write_approximation,
)
from pickout.gallery.storage.manifest import read_manifest
from pickout.gallery.storage.rows import Resident
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import changing
from pickout.gallery.vectors.held import best_rows

_AT = (10, 100)
"""How many of the best recall is measured on; the last decides."""
_OVERSAMPLES = (4, 16, 64, 256)
_EQUAL = 1e-6
"""Scores that differ by less may come in any order: the search and the measure sum in different precisions."""
_RESAMPLES = 1000

Tell = Callable[[str], None]
"""Called with what is being done."""
_Kind = Literal["sentences", "crops"]
_Queries = dict[_Kind, NDArray[np.float32]]


class ApproximateSettings(Settings):
    """How a gallery too large to hold is searched."""

    above: int = Field(default=1_000_000, ge=0)
    """Crops up to which a search is exact: all vectors are held, 2 GB for a million of 512 numbers."""
    target: float = Field(default=0.99, gt=0, le=1)
    """Recall at 100 that the least effort is chosen for."""
    searches: int = Field(default=200, ge=10)
    """Sentences, and crops, that are searched for; half of them choose, the other half measure."""
    partitions: int | None = Field(default=None, ge=1)
    """Partitions of the index; none: the square root of the number of crops."""
    codes: Codes | None = None
    """What stands for a number of a vector: `bits` or `bytes`, eight times as large and finer. None: bits where the
    length of a vector is a multiple of 8."""
    seed: int = 0
    """Which crops are searched for."""


def approximate(
    gallery: Path,
    store: Store,
    dimension: int,
    settings: ApproximateSettings,
    sentences_QD: NDArray[np.float32] | None = None,
    tell: Tell = lambda _: None,
) -> Approximation:
    """Build the index and measure it. The gallery can be searched meanwhile; writers wait while the index is built.

    Args:
        gallery: the gallery's folder.
        store: its rows.
        dimension: length of a vector.
        settings: how.
        sentences_QD: sentences as the gallery's model encodes them; none: only crops are searched for, which are
            nearer to each other than sentences are to crops, so that recall for sentences may be lower than told.
        tell: called as it goes on.

    Raises:
        UsageError: so few crops that they are searched exactly, or settings that do not fit the vectors.
        GalleryError: another process has been writing for too long.
        StorageFull: no space left.
    """
    rows = store.count()
    check_size(gallery, rows, settings)
    codes = settings.codes or fitting_codes(dimension)
    if codes == "bits" and fitting_codes(dimension) != "bits":
        raise UsageError(f"codes = bits: the length of a vector, {dimension}, is no multiple of 8; say codes=bytes")
    partitions = min(settings.partitions or fitting_partitions(rows), rows)
    tell("building the index")
    near = NearTable(gallery, dimension, store.name)
    with changing(gallery, store):
        near.build(partitions=partitions, codes=codes)
    resident = store.resident(
        lambda ids: FarVectors(near, ids, dimension, probes=1, oversample=_OVERSAMPLES[0], told="")
    )
    queries = _queries(resident, settings, sentences_QD)
    trial = _Trial(resident, queries, tell)
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
        write_approximation(gallery, found)
    return found


def check_size(gallery: Path, rows: int, settings: ApproximateSettings) -> None:
    """Refuse a gallery that is small enough to be searched exactly.

    Raises:
        UsageError: it is.
    """
    least = max(settings.above, FEWEST - 1)
    if rows <= least:
        raise UsageError(
            f"{gallery}: holds {rows:,} crops, which are searched exactly; an approximate index is for more than "
            f"{least:,} (--set above=N)"
        )


def renew(gallery: Path, store: Store) -> None:
    """Build the index anew where there was one and the table was written anew; the caller holds the gallery's lock.

    It is searched as widely as before. Recall is measured again with crops; what was measured with sentences stays,
    with its date.
    """
    manifest = read_manifest(gallery)
    before = read_approximation(gallery, manifest)
    if before is None:
        return
    rows, dimension = store.count(), manifest.model.dimension
    if rows <= max(before.above, FEWEST - 1):
        return  # Searched exactly from now on; the file stays, for when it grows again.
    near, partitions = NearTable(gallery, dimension, store.name), min(before.partitions, rows)
    near.build(partitions=partitions, codes=before.codes)
    resident = store.resident(
        lambda ids: FarVectors(near, ids, dimension, probes=before.probes, oversample=before.oversample, told="")
    )
    trial = _Trial(resident, _queries(resident, ApproximateSettings(), None), lambda _: None)
    kept = tuple(each for each in before.recalls if each.queries == "sentences")
    update = {"built": _now(), "rows": rows, "partitions": partitions}
    recalls = kept + trial.measured(before.probes, before.oversample)
    write_approximation(gallery, before.model_copy(update={**update, "recalls": recalls}))


def carry_over(gallery: Path, before: Approximation, store: Store, dimension: int) -> None:
    """Build an index for a table that took the place of an indexed one; recall is measured with crops.

    Args:
        gallery: the gallery's folder.
        before: what the other table had.
        store: the new table's rows.
        dimension: length of a vector of the new table.
    """
    settings = ApproximateSettings(above=before.above)
    if store.count() > max(before.above, FEWEST - 1):
        approximate(gallery, store, dimension, settings)
    else:
        (gallery / APPROXIMATE).unlink(missing_ok=True)


def search_exactly(gallery: Path, store: Store, dimension: int) -> None:
    """Remove the index: all vectors are held by a search from now on.

    Raises:
        GalleryError: another process has been writing for too long.
    """
    with changing(gallery, store):
        (gallery / APPROXIMATE).unlink(missing_ok=True)
        NearTable(gallery, dimension, store.name).drop()


class _Trial:
    """Searches whose right answers are known."""

    def __init__(self, resident: Resident, queries: _Queries, tell: Tell) -> None:
        self._resident, self._queries, self._tell = resident, queries, tell
        tell("searching exactly")
        every = np.concatenate(list(queries.values()))
        best = best_rows(resident.vectors, every, min(_AT[-1], len(resident.ids)))[1]
        starts = np.cumsum([0, *map(len, queries.values())])
        self._best = {
            kind: best[start : start + len(queries[kind])] for kind, start in zip(queries, starts, strict=False)
        }

    def chosen(self, partitions: int, target: float) -> tuple[int, int]:
        """The least probes and oversampling that reach the target with the half of the searches that choose."""
        probes = oversample = 1
        for oversample in _OVERSAMPLES:
            probes = partitions
            if self._worst(probes, oversample) < target:
                continue  # More partitions cannot help: the index tells vectors apart too coarsely.
            probes = 1
            while probes < partitions and self._worst(probes, oversample) < target:
                probes *= 2
            break
        return min(probes, partitions), oversample

    def measured(self, probes: int, oversample: int) -> tuple[Recall, ...]:
        """Recall with the half of the searches that did not choose."""
        found = []
        for kind in self._queries:
            for at in _AT:
                shares = self._shares(kind, 1, at, probes, oversample)
                draws = np.random.default_rng(0).integers(len(shares), size=(_RESAMPLES, len(shares)))
                low, high = np.quantile(shares[draws].mean(1), (0.025, 0.975))
                found.append(
                    Recall(
                        queries=kind,
                        searches=len(shares),
                        at=at,
                        mean=float(shares.mean()),
                        interval=(float(low), float(high)),
                        rows=len(self._resident.ids),
                        measured=_now(),
                    )
                )
        return tuple(found)

    def _worst(self, probes: int, oversample: int) -> float:
        self._tell(f"trying {probes} partitions")
        return min(float(self._shares(kind, 0, _AT[-1], probes, oversample).mean()) for kind in self._queries)

    def _shares(self, kind: _Kind, half: int, at: int, probes: int, oversample: int) -> NDArray[np.float64]:
        """Share of the best `at` that each search of one half finds."""
        vectors = self._resident.vectors
        assert isinstance(vectors, FarVectors)
        tuned = vectors.tuned(probes, oversample)
        shares = []
        for query, best in zip(self._queries[kind][half::2], self._best[kind][half::2], strict=True):
            least = best[: min(at, len(best))]
            scores = tuned.top(query, top=len(least), order_N=self._resident.order, allowed_N=None, penalties=())[1]
            shares.append(np.count_nonzero(scores >= least[-1] - _EQUAL) / len(least))
        return np.array(shares)


def _queries(resident: Resident, settings: ApproximateSettings, sentences_QD: NDArray[np.float32] | None) -> _Queries:
    drawn = np.random.default_rng(settings.seed).permutation(len(resident.ids))[: settings.searches]
    crops = resident.vectors.at(np.sort(drawn))
    queries: _Queries = {"crops": crops[np.isfinite(crops[:, 0])]}
    if sentences_QD is not None and len(sentences_QD) > 1:
        queries = {"sentences": sentences_QD[: settings.searches], **queries}
    return queries


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
