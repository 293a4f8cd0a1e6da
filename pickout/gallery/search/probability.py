"""`calibration.json`: the probability that a candidate is a match, and when the best one is no good match."""

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from pickout.config import Settings
from pickout.errors import GalleryModelMismatch
from pickout.gallery.storage.tables import CALIBRATION, Manifest, read_small_file
from pickout.gallery.vectors.exact import Doubles, Mask

FORMAT = 2  # version of the file that this code writes and reads
METHOD = "logistic regression on score and lead, of the best and of those behind, by size of gallery (Platt, 1999)"
SHOWN = 10  # candidates of a list that probabilities are fitted and checked on
_BEHIND = (10, 30)  # places of the ranking, from 0, whose mean score is the level that a candidate is held against
_GROWN = 2.0  # how many times as many crops as at the time of calibration a search may look at before it is said
_SHIFTED = 0.3  # standard deviations between validation images and the gallery's crops from which it is said
_Positive = Annotated[float, Field(gt=0)]


class Fit(Settings):
    """A logistic regression on two measures: their means and standard deviations, an intercept and two weights."""

    means: tuple[float, float]
    deviations: tuple[_Positive, _Positive]
    weights: tuple[float, float, float]

    def logits(self, measures_n2: Doubles) -> Doubles:
        """`w0 + sum_i w_i (x_i - mean_i) / deviation_i` for each row (Platt, 1999, with two inputs). Shape (n,)."""
        standard = (measures_n2 - np.array(self.means)) / np.array(self.deviations)
        return np.asarray(self.weights[0] + standard @ np.array(self.weights[1:]))


class Level(Settings):
    """What was found in galleries of one size: for the best candidate of a search, and for those behind it."""

    size: int = Field(ge=1)  # crops searched
    best: Fit
    behind: Fit
    absent: tuple[float, ...]  # best probability of each search for a person who is not there, sorted

    def logits(self, measures_n2: Doubles, is_best_n: Mask) -> Doubles:
        """The logit (n,) of each candidate's probability."""
        return np.where(is_best_n, self.best.logits(measures_n2), self.behind.logits(measures_n2))


class Bin(Settings):
    """Candidates of similar probability: its mean, the share of matches, and their share of all candidates."""

    probability: float
    share: float
    weight: float


class Check(Settings):
    """How well the probabilities hold for people not used for fitting, at the gallery's size."""

    identities: int
    searches: int  # with and without the person there
    ece: float  # expected calibration error over the best ten candidates of each search, in 15 bins of equal width
    ece_interval: tuple[float, float]  # its 95 % interval, from resampled people
    ece_best: float  # the same over the best candidate of each search alone
    ece_best_interval: tuple[float, float]  # its 95 % interval
    absent_answered: float  # share of searches for absent people whose best candidate passes, at error 0.05
    present_answered: float  # share of searches for people who are there whose best candidate passes
    present_right: float | None  # among those, the share whose best candidate is a match; none of no searches
    bins: tuple[Bin, ...]  # the reliability curve


class Calibration(Settings):
    """The contents of `calibration.json`."""

    format: int = FORMAT
    method: str = METHOD
    model: str  # fingerprint of the model whose scores these are
    data: str  # the data set and split whose people were searched for
    made: datetime  # when, UTC
    crops: int  # how many crops the gallery held
    identities: int  # people used for fitting
    searches: int  # searches used for fitting
    present: float  # the share of searches assumed to be for people who are there
    second_look: bool  # whether the scores are those of a second look
    levels: tuple[Level, ...] = Field(min_length=1)  # by size of the gallery, the largest first
    floor: float  # best score that 99 % of the searches for people who are there reach
    shift: float  # how much higher other people's validation crops score than the gallery's, in standard deviations
    check: Check  # measured on people not used for fitting

    def probabilities(self, scores_n: Doubles, head_h: Doubles, passed: int) -> Doubles:
        """The probability (n,) that each candidate shows the person who was described, from the scores that rank them,
        the first scores of the whole ranking, best first, and how many crops were searched."""
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

    def warnings(self) -> list[str]:
        """What to say about the calibration itself."""
        more, high = ("higher", "high") if self.shift > 0 else ("lower", "low")
        shifted = (
            f"the validation images score {abs(self.shift):.1f} standard deviations {more} than the gallery's crops, "
            f"so they look different; probabilities will be too {high}."
        )
        weak = "this model hardly tells people who are there from people who are not."
        is_weak = self.check.present_answered < 2 * self.check.absent_answered
        return [shifted] * (abs(self.shift) > _SHIFTED) + [weak] * is_weak

    def doubts(self, best: float, passed: int) -> list[str]:
        """What to say beside the probabilities of a search whose best score is `best`, among `passed` crops."""
        unlike = (
            "No crop fits this sentence as well as crops fitted 99 of 100 validation sentences: the person may not be "
            "there, or the sentence is unlike any that the model knows."
        )
        grown = f"Probabilities were fitted when the gallery held {self.crops:,} crops, {passed:,} are searched now"
        is_grown = passed > _GROWN * self.crops
        return [unlike] * (best < self.floor) + [f"{grown}; run pickout calibrate again."] * is_grown


def measures(scores_n: Doubles, head_h: Doubles) -> Doubles:
    """What a probability is computed from (n, 2): the score, and its lead over the mean score of places 11 to 30, or of
    the worse half of fewer, which is high for a sentence that fits many."""
    start, stop = _BEHIND
    behind = head_h[start:stop] if len(head_h) >= stop else head_h[len(head_h) // 2 :]
    level = float(behind.mean()) if len(behind) else 0.0
    return np.stack([scores_n, scores_n - level], axis=1)


def logistic(logits: Doubles) -> Doubles:
    """`1 / (1 + exp(-x))`."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -500, 500))))


def passing(levels: Sequence[Level], error: float, passed: int) -> float:
    """The probability that the best candidate must reach so that at most `error` of person-absent searches pass. Split
    conformal prediction (Vovk et al., 2005): with m such searches among about as many crops as `passed`, just above the
    ceil((m + 1)(1 - error))-th smallest. Above 1, so that nothing passes, where too few were there to promise this."""
    level = min(levels, key=lambda level: abs(math.log(level.size / max(passed, 1))))
    place = math.ceil((len(level.absent) + 1) * (1 - error))
    return math.nextafter(level.absent[place - 1], 2.0) if place <= len(level.absent) else 1.01


def read_calibration(gallery: Path, manifest: Manifest) -> Calibration | None:
    """The gallery's calibration; None where it has none. Another model's, or a garbled one, is an error."""
    file, model = gallery / CALIBRATION, manifest.model
    remedy = f"run pickout calibrate {gallery} again, or delete the file"
    calibration = read_small_file(file, Calibration, remedy, version=FORMAT)
    if calibration is not None and calibration.model != model.fingerprint:
        own = f"the gallery is of run {model.fingerprint[:8]} ({model.name})"
        raise GalleryModelMismatch(f"{file}: fitted for run {calibration.model[:8]}, {own}; {remedy}")
    return calibration
