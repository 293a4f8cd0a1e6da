"""Whether probabilities hold: expected calibration error, its interval, the reliability curve and its picture."""

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pickout.gallery.search.probability import Calibration

BINS = 15
"""Bins of equal width, as Guo et al. (2017) use."""
_RESAMPLES = 1000


def bin_sums(
    probability_n: NDArray[np.float64], match_n: NDArray[np.bool_], weight_n: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For each bin the weight, and the weighted sums of probability and matches. Shape (bins, 3)."""
    place = np.minimum((probability_n * BINS).astype(np.int64), BINS - 1)
    columns = (weight_n, weight_n * probability_n, weight_n * match_n)
    return np.stack([np.bincount(place, weights=column, minlength=BINS) for column in columns], axis=1)


def expected_calibration_error(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """`sum_b n_b / n |matches_b - probability_b|` (Naeini et al., 2015; Guo et al., 2017, Eq. 3).

    From `bin_sums` (..., bins, 3); shape (...)."""
    return np.asarray(np.abs(sums[..., 2] - sums[..., 1]).sum(-1) / sums[..., 0].sum(-1))


def error_interval(
    probability_n: NDArray[np.float64],
    match_n: NDArray[np.bool_],
    weight_n: NDArray[np.float64],
    person_n: NDArray[np.int64],
    generator: np.random.Generator,
) -> tuple[float, float]:
    """95 % percentile interval of the expected calibration error, from people drawn with replacement."""
    order = np.argsort(person_n, kind="stable")
    each = np.split(order, np.flatnonzero(np.diff(person_n[order])) + 1)
    sums = np.stack([bin_sums(probability_n[chosen], match_n[chosen], weight_n[chosen]) for chosen in each])
    drawn = generator.multinomial(len(each), np.full(len(each), 1 / len(each)), size=_RESAMPLES)
    errors = expected_calibration_error(np.einsum("rp,pbc->rbc", drawn.astype(np.float64), sums))
    low, high = np.percentile(errors, [2.5, 97.5])
    return float(low), float(high)


def plot_reliability(calibration: "Calibration") -> bytes:
    """Share of matches over probability, for people not used for fitting, as PNG bytes."""
    # Not pyplot: its global state warns when many figures are drawn, and would need a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 5.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes, check = figure.add_subplot(), calibration.check
    told = np.array([each.probability for each in check.bins])
    shares, weights = [each.share for each in check.bins], [each.weight for each in check.bins]
    middles = (np.minimum((told * BINS).astype(np.int64), BINS - 1) + 0.5) / BINS
    axes.plot([0, 1], [0, 1], "--", color="#9a9a9a", linewidth=1, label="perfect")
    axes.bar(middles, weights, width=0.9 / BINS, color="#cfe3e2", label="share of candidates")
    axes.plot(told, shares, "o-", color="#0b6e69", linewidth=1.6, markersize=5, label="candidates")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability that was told", ylabel="share that are matches")
    axes.grid(color="#d9d9d9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", frameon=True, framealpha=0.9, edgecolor="#d9d9d9", fontsize=9)
    low, high = check.ece_interval
    title = f"{check.identities} people not used for fitting: ECE {check.ece:.3f} ({low:.3f} to {high:.3f})"
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    stream = io.BytesIO()
    # Without the library's version inside, equal calibrations give equal bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
