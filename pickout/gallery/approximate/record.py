"""`approximate.json`: how a gallery too large to hold is searched, and how much that misses."""

from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.config import Settings
from pickout.gallery.approximate.far_vectors import Codes, FarVectors, has_index
from pickout.gallery.storage.manifest import Manifest, known_format, read_small_file
from pickout.gallery.storage.store import Store

APPROXIMATE = "approximate.json"
FORMAT = 1  # version of the file that this code writes and reads


class Recall(Settings):
    """How many of the best crops a search finds, beside an exact search."""

    queries: Literal["sentences", "crops"]  # what was searched for: sentences, or crops of the gallery
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
