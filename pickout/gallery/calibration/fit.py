"""Fit how likely a candidate is a match, and check it on people that were not used for fitting."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import Field

from pickout.config import Settings
from pickout.data.data_set import Split
from pickout.errors import DataError, GalleryError
from pickout.gallery.calibration.evidence import FRACTIONS, Evidence, Lists, Tell, encode_people, gather, simulate
from pickout.gallery.encoder import Encoder, keeps_tokens
from pickout.gallery.search.probability import Bin, Calibration, Check, Fit, Level, logistic, passing
from pickout.gallery.storage.rows import Resident
from pickout.gallery.storage.store import Store
from pickout.gallery.vectors.exact import Doubles, Mask, Rows
from pickout.pages import figure_bytes, new_figure, open_axes

BINS = 15  # of equal width, as Guo et al. (2017) use
_RESAMPLES = 1000


def bin_sums(probability_n: Doubles, match_n: Mask, weight_n: Doubles) -> Doubles:
    """For each bin the weight, and the weighted sums of probability and matches. Shape (bins, 3)."""
    place = np.minimum((probability_n * BINS).astype(np.int64), BINS - 1)
    columns = (weight_n, weight_n * probability_n, weight_n * match_n)
    return np.stack([np.bincount(place, weights=column, minlength=BINS) for column in columns], axis=1)


def expected_calibration_error(sums: Doubles) -> Doubles:
    """`sum_b n_b / n |matches_b - probability_b|` (Naeini et al., 2015; Guo et al., 2017, Eq. 3), of `bin_sums`."""
    return np.asarray(np.abs(sums[..., 2] - sums[..., 1]).sum(-1) / sums[..., 0].sum(-1))


def error_interval(
    probability_n: Doubles, match_n: Mask, weight_n: Doubles, person_n: Rows, generator: np.random.Generator
) -> tuple[float, float]:
    """95 % percentile interval of the expected calibration error, from people drawn with replacement."""
    order = np.argsort(person_n, kind="stable")
    each = np.split(order, np.flatnonzero(np.diff(person_n[order])) + 1)
    sums = np.stack([bin_sums(probability_n[chosen], match_n[chosen], weight_n[chosen]) for chosen in each])
    drawn = generator.multinomial(len(each), np.full(len(each), 1 / len(each)), size=_RESAMPLES)
    errors = expected_calibration_error(np.einsum("rp,pbc->rbc", drawn.astype(np.float64), sums))
    low, high = np.percentile(errors, [2.5, 97.5])
    return float(low), float(high)


def plot_reliability(calibration: Calibration) -> bytes:
    """Share of matches over probability, for people not used for fitting, as PNG bytes."""
    figure = new_figure(5.6, 5.2)
    axes, check = figure.add_subplot(), calibration.check
    told = np.array([each.probability for each in check.bins])
    shares, weights = [each.share for each in check.bins], [each.weight for each in check.bins]
    middles = (np.minimum((told * BINS).astype(np.int64), BINS - 1) + 0.5) / BINS
    axes.plot([0, 1], [0, 1], "--", color="#9a9a9a", linewidth=1, label="perfect")
    axes.bar(middles, weights, width=0.9 / BINS, color="#cfe3e2", label="share of candidates")
    axes.plot(told, shares, "o-", color="#0b6e69", linewidth=1.6, markersize=5, label="candidates")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability that was told", ylabel="share that are matches")
    open_axes(axes)
    axes.legend(loc="upper left", frameon=True, framealpha=0.9, edgecolor="#d9d9d9", fontsize=9)
    low, high = check.ece_interval
    title = f"{check.identities} people not used for fitting: ECE {check.ece:.3f} ({low:.3f} to {high:.3f})"
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    return figure_bytes(figure)


FEWEST_CROPS, FEWEST_PEOPLE = 50, 40
_ERROR = 0.05  # the error rate at which the check tells how many searches are answered
_MOST_ABSENT = 1000  # best probabilities of person-absent searches that are kept for each size
_STEPS = 50


class CalibrationSettings(Settings):
    """How a gallery is calibrated; `pickout calibrate --set` sets it."""

    present: float = Field(default=0.5, gt=0, lt=1)
    """The share of searches assumed to be for people who are in the gallery."""
    searches: int = Field(default=2000, ge=1)  # sentences at most, for fitting and checking together
    looked_again: int = Field(default=300, ge=1)  # the same for a model with a second look, which takes far longer
    seed: int = Field(default=0, ge=0)
    """Draws the sentences, who is used for fitting, and the parts of the gallery that are searched."""


def check_size(crops: int) -> None:
    """Refuse a gallery of too few crops: a `GalleryError`."""
    if crops < FEWEST_CROPS:
        raise GalleryError(f"{crops} crops; a gallery can be calibrated once it holds {FEWEST_CROPS}")


def calibrate(
    split: Split, encoder: Encoder, resident: Resident, store: Store, settings: CalibrationSettings, tell: Tell
) -> Calibration:
    """Calibrate a gallery on people who are not in it, or are known to be by the bytes of their images; half of them
    fit, half check. Their sentences are searched in the gallery and in random parts of it, once with their images added
    and once without. A logistic regression is fitted on the best ten of each list (Platt, 1999)."""
    size, data = len(resident.ids), f"{split.data}, {split.name}"
    check_size(size)
    candidates = encoder.candidates if keeps_tokens(encoder) else 0
    most = settings.looked_again if candidates else settings.searches
    people = encode_people(split, encoder, searches=most, seed=settings.seed, tell=tell)
    drawn = np.random.default_rng(settings.seed).permutation(np.unique(people.meant))
    if len(drawn) < FEWEST_PEOPLE:
        raise DataError(f"{data}: {len(drawn)} people with sentences; calibration needs {FEWEST_PEOPLE}")
    # Which of them each row shows, by the bytes of its file; -1 for the rest.
    person = dict(zip(people.contents, people.shown.tolist(), strict=True))
    rows = {known.id.encode(): person[known.content] for known in store.known() if known.content in person}
    shown = np.array([rows.get(bytes(identifier), -1) for identifier in resident.ids], dtype=np.int64)
    look = people.second_look(encoder, resident, store) if keeps_tokens(encoder) else None
    evidence = list(gather(people, resident, shown, look, candidates, tell))
    fitting = set(drawn[: len(drawn) // 2].tolist())
    halves = ([each for each in evidence if (each.person in fitting) == is_fitting] for is_fitting in (True, False))
    about: dict[str, Any] = {"model": encoder.fingerprint, "data": data, "second_look": bool(candidates)}
    return fit_and_check(*halves, size=size, settings=settings, shift=people.shift(resident), **about)


def fit_and_check(
    fitting: list[Evidence], checking: list[Evidence], *, size: int, settings: CalibrationSettings, **about: Any
) -> Calibration:
    """Fit on the evidence of some people in a gallery of `size` crops, and check on that of others. `about` is what the
    calibration says about itself: `model`, `data`, `shift` and `second_look`."""
    generator = np.random.default_rng(settings.seed)
    # A second look was only taken at the best of the whole gallery, so only that size can be searched.
    fractions = FRACTIONS[:1] if about["second_look"] else [f for f in FRACTIONS if size * f >= FEWEST_CROPS / 2]
    searched = [simulate(fitting, fraction, generator) for fraction in fractions]
    sizes = [round(size * fraction) for fraction in fractions]
    levels = tuple(_level(lists, each, settings.present) for lists, each in zip(searched, sizes, strict=True))
    best = searched[0].inputs[searched[0].first & searched[0].present, 0]
    lists = simulate(checking, 1.0, generator)
    return Calibration(
        made=datetime.now(UTC).replace(microsecond=0),
        crops=size,
        identities=len({each.person for each in fitting}),
        searches=2 * len(fractions) * len(fitting),
        present=settings.present,
        levels=levels,
        floor=float(np.quantile(best, 0.01)),
        check=_check(lists, levels[0], settings.present, passing(levels, _ERROR, size), generator),
        **about,
    )


def _level(lists: Lists, size: int, present: float) -> Level:
    weight, first = _weights(lists, present), lists.first
    best, behind = (_fit(lists.inputs[some], lists.match[some], weight[some]) for some in (first, ~first))
    absent = np.sort(logistic(best.logits(lists.inputs[first & ~lists.present])))
    if len(absent) > _MOST_ABSENT:  # of very many, evenly spaced ones
        absent = absent[np.linspace(0, len(absent) - 1, _MOST_ABSENT).astype(np.int64)]
    return Level(size=size, best=best, behind=behind, absent=tuple(absent.tolist()))


def _fit(inputs: Doubles, match: Mask, weight: Doubles) -> Fit:
    """Weighted logistic regression by Newton's method, with a faint pull of the weights towards 0."""
    means, deviations = inputs.mean(0), inputs.std(0)
    deviations = np.where(deviations > 1e-9, deviations, 1.0)
    design = np.concatenate([np.ones((len(inputs), 1)), (inputs - means) / deviations], axis=1)
    pull = np.diag([1e-6, 1.0, 1.0])
    weights = np.zeros(3)
    for _ in range(_STEPS):
        told = logistic(design @ weights)
        slope = design.T @ (weight * (told - match)) + pull @ weights
        curvature = (design * (weight * told * (1 - told))[:, None]).T @ design + pull
        step = np.linalg.solve(curvature, slope)
        weights -= step * min(1.0, 5 / max(float(np.abs(step).max()), 1e-12))
    return Fit(means=tuple(means.tolist()), deviations=tuple(deviations.tolist()), weights=tuple(weights.tolist()))


def _check(lists: Lists, level: Level, present: float, threshold: float, generator: np.random.Generator) -> Check:
    weight, first = _weights(lists, present), lists.first
    told = logistic(level.logits(lists.inputs, first))
    told = np.minimum(told, told[first][np.cumsum(first) - 1])  # as an answer tells them
    facts, best = (told, lists.match, weight), (told[first], lists.match[first], weight[first])
    sums = bin_sums(*facts)
    answered, whole = first & (told >= threshold), sums[:, 0].sum()
    right = lists.match[answered & lists.present]
    bins = [Bin(probability=float(p / n), share=float(m / n), weight=float(n / whole)) for n, p, m in sums if n > 0]
    return Check(
        identities=len(np.unique(lists.person)),
        searches=int(first.sum()),
        ece=float(expected_calibration_error(sums)),
        ece_interval=error_interval(*facts, lists.person, generator),
        ece_best=float(expected_calibration_error(bin_sums(*best))),
        ece_best_interval=error_interval(*best, lists.person[first], generator),
        absent_answered=float(answered[first & ~lists.present].mean()),
        present_answered=float(answered[first & lists.present].mean()),
        present_right=float(right.mean()) if len(right) else None,
        bins=tuple(bins),
    )


def _weights(lists: Lists, present: float) -> Doubles:
    """Each search was made with and without the person: 2 p and 2 (1 - p) make the share of the former p."""
    return np.where(lists.present, 2 * present, 2 * (1 - present))
