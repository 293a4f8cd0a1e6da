"""`calibration.json`: the probability that a candidate is a match, and when the best one is no good match."""

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pickout.config import Settings
from pickout.errors import GalleryModelMismatch
from pickout.files import write_atomically
from pickout.gallery.storage.lock import writing
from pickout.gallery.storage.manifest import Manifest, known_format, read_small_file
from pickout.gallery.storage.tables import CALIBRATION

FORMAT = 2
"""Version of the file that this code writes and reads."""
METHOD = "logistic regression on score and lead, of the best and of those behind, by size of gallery (Platt, 1999)"
SHOWN = 10
"""Candidates of a list that probabilities are fitted and checked on."""
_BEHIND = (10, 30)
"""Places of the ranking, from 0, whose mean score is the level that a candidate is held against."""
_GROWN = 2.0
"""How many times as many crops as at the time of calibration a search may look at before it is said."""

_SHIFTED = 0.3
"""Difference between validation images and the gallery's crops, in standard deviations, from which it is said."""


class Fit(Settings):
    """A logistic regression on two measures."""

    means: tuple[float, float]
    """Means of the two measures."""
    deviations: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
    """Their standard deviations."""
    weights: tuple[float, float, float]
    """Intercept, and the weight of each standardised measure."""

    def logits(self, measures_n2: NDArray[np.float64]) -> NDArray[np.float64]:
        """`w0 + sum_i w_i (x_i - mean_i) / deviation_i` for each row (Platt, 1999, with two inputs). Shape (n,)."""
        standard = (measures_n2 - np.array(self.means)) / np.array(self.deviations)
        return np.asarray(self.weights[0] + standard @ np.array(self.weights[1:]))


class Level(Settings):
    """What was found in galleries of one size."""

    size: int = Field(ge=1)
    """Crops searched."""
    best: Fit
    """For the best candidate of a search."""
    behind: Fit
    """For the candidates behind it."""
    absent: tuple[float, ...]
    """Probability of the best candidate of each search for a person who is not there, sorted."""

    def logits(self, measures_n2: NDArray[np.float64], is_best_n: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The logit (n,) of each candidate's probability."""
        return np.where(is_best_n, self.best.logits(measures_n2), self.behind.logits(measures_n2))


class Bin(Settings):
    """Candidates of similar probability, of people not used for fitting."""

    probability: float
    """Their mean probability."""
    share: float
    """The share of them that are matches."""
    weight: float
    """Their share of all candidates."""


class Check(Settings):
    """How well the probabilities hold for people not used for fitting, at the gallery's size."""

    identities: int
    """People."""
    searches: int
    """Searches, with and without the person there."""
    ece: float
    """Expected calibration error over the best ten candidates of each search, in 15 bins of equal width."""
    ece_interval: tuple[float, float]
    """Its 95 % interval, from resampled people."""
    ece_best: float
    """The same over the best candidate of each search alone."""
    ece_best_interval: tuple[float, float]
    """Its 95 % interval."""
    absent_answered: float
    """Share of searches for people who are not there whose best candidate passed the threshold, at error 0.05."""
    present_answered: float
    """Share of searches for people who are there whose best candidate passed it."""
    present_right: float | None
    """Among those, the share whose best candidate is a match; none where no search was answered."""
    bins: tuple[Bin, ...]
    """The reliability curve."""


class Calibration(Settings):
    """The contents of `calibration.json`."""

    format: int = FORMAT
    """Version of the file."""
    method: str = METHOD
    """How probabilities are fitted."""
    model: str
    """Fingerprint of the model whose scores these are."""
    data: str
    """The data set and split whose people were searched for."""
    made: datetime
    """When, UTC."""
    crops: int
    """How many crops the gallery held."""
    identities: int
    """People used for fitting."""
    searches: int
    """Searches used for fitting."""
    present: float
    """The share of searches assumed to be for people who are there."""
    second_look: bool
    """Whether the scores are those of a second look."""
    levels: tuple[Level, ...] = Field(min_length=1)
    """By size of the gallery, the largest first."""
    floor: float
    """Best score that 99 % of the searches for people who are there reach."""
    shift: float
    """How much higher other people's validation crops score than the gallery's, in standard deviations."""
    check: Check
    """Measured on people not used for fitting."""

    def probabilities(
        self, scores_n: NDArray[np.float64], head_h: NDArray[np.float64], passed: int
    ) -> NDArray[np.float64]:
        """The probability of each candidate that it shows the person who was described.

        Args:
            scores_n: the scores that rank them.
            head_h: the first scores of the whole ranking, best first.
            passed: how many crops were searched.

        Returns:
            Shape (n,).
        """
        # The best one comes along, since no candidate behind it is told to be likelier.
        scores = np.concatenate([head_h[:1], scores_n])
        found, is_best = measures(scores, head_h), scores >= head_h[0]
        rising = sorted(self.levels, key=lambda level: level.size)
        place = np.interp(math.log(max(passed, 1)), [math.log(each.size) for each in rising], np.arange(len(rising)))
        below, part = rising[int(place)], float(place % 1)
        logits = below.logits(found, is_best)
        if part:  # Between two sizes: in proportion to the logarithm of the size.
            logits = (1 - part) * logits + part * rising[int(place) + 1].logits(found, is_best)
        return np.minimum(logistic(logits[1:]), logistic(logits[:1]))

    def threshold(self, error: float, passed: int) -> float:
        """The probability that the best candidate must reach; see `passing`."""
        return passing(self.levels, error, passed)

    def warnings(self) -> list[str]:
        """What to say about the calibration itself."""
        told = []
        if abs(self.shift) > _SHIFTED:
            more = "higher" if self.shift > 0 else "lower"
            told.append(
                f"the validation images score {abs(self.shift):.1f} standard deviations {more} than the gallery's "
                f"crops, so they look different; probabilities will be too {'high' if self.shift > 0 else 'low'}."
            )
        if self.check.present_answered < 2 * self.check.absent_answered:
            told.append("this model hardly tells people who are there from people who are not.")
        return told

    def doubts(self, best: float, passed: int) -> list[str]:
        """What to say beside the probabilities of a search.

        Args:
            best: the best score that ranks.
            passed: how many crops were searched.
        """
        told = []
        if best < self.floor:
            told.append(
                "No crop fits this sentence as well as crops fitted 99 of 100 validation sentences: the person may not "
                "be there, or the sentence is unlike any that the model knows."
            )
        if passed > _GROWN * self.crops:
            told.append(
                f"Probabilities were fitted when the gallery held {self.crops:,} crops, {passed:,} are searched now; "
                "run pickout calibrate again."
            )
        return told


def measures(scores_n: NDArray[np.float64], head_h: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a probability is computed from: the score, and its lead over the candidates behind.

    The level behind is the mean score of places 11 to 30; with fewer candidates, of the worse half. It is high for a
    sentence that fits many, so a score that is convincing for one sentence counts for less with another.

    Returns:
        Shape (n, 2).
    """
    start, stop = _BEHIND
    behind = head_h[start:stop] if len(head_h) >= stop else head_h[len(head_h) // 2 :]
    level = float(behind.mean()) if len(behind) else 0.0
    return np.stack([scores_n, scores_n - level], axis=1)


def logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """`1 / (1 + exp(-x))`."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -500, 500))))


def passing(levels: Sequence[Level], error: float, passed: int) -> float:
    """The probability that the best candidate must reach so that at most `error` of person-absent searches pass.

    Split conformal prediction (Vovk et al., 2005): with m such searches, just above the ceil((m + 1)(1 - error))-th
    smallest. Above 1, so that nothing passes, where there were too few to promise such an error.

    Args:
        levels: person-absent searches by size; the nearest size counts.
        error: the share that may pass.
        passed: how many crops are searched.
    """
    level = min(levels, key=lambda level: abs(math.log(level.size / max(passed, 1))))
    place = math.ceil((len(level.absent) + 1) * (1 - error))
    return math.nextafter(level.absent[place - 1], 2.0) if place <= len(level.absent) else 1.01


def read_calibration(gallery: Path, manifest: Manifest) -> Calibration | None:
    """The gallery's calibration; None where it has none.

    Raises:
        GalleryModelMismatch: it was fitted for another model.
        GalleryDamaged: the file is garbled or of a format that this version does not know.
    """
    file = gallery / CALIBRATION
    remedy = f"run pickout calibrate {gallery} again, or delete the file"
    calibration = read_small_file(file, Calibration, remedy, check=lambda found: known_format(found.format, FORMAT))
    if calibration is None:
        return None
    if calibration.model != manifest.model.fingerprint:
        raise GalleryModelMismatch(
            f"{file}: fitted for run {calibration.model[:8]}, the gallery is of run {manifest.model.fingerprint[:8]} "
            f"({manifest.model.name}); {remedy}"
        )
    return calibration


def write_calibration(gallery: Path, calibration: Calibration) -> None:
    """Write `calibration.json`, whole or not at all.

    Raises:
        StorageFull: no space left.
    """
    with writing(gallery):
        write_atomically(gallery / CALIBRATION, calibration.model_dump_json(indent=2) + "\n")
