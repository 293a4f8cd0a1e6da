"""The cumulative match curve as a picture."""

import io

from pickout.evaluate.evaluation_report import Direction, Report

_CURVES = (
    ("text_to_image", "text → image", "#0b6e99", "-"),
    ("text_to_image_by_embedding", "text → image, by embedding alone", "#0b6e99", ":"),
    ("text_to_image_without_own", "text → image, own image removed", "#0b6e99", "--"),
    ("image_to_text", "image → text", "#c2571a", "-"),
    ("image_to_text_without_own", "image → text, own captions removed", "#c2571a", "--"),
)
_MARKED = (1, 5, 10)


def plot_cmc(report: Report) -> bytes:
    """Recall at k over k for every direction of the report, as PNG bytes."""
    # Not pyplot: its global state warns when many figures are drawn, and would need a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(7.2, 4.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    found = report.directions()
    length = max(len(direction.cmc) for direction in found.values())
    for name, title, colour, style in _CURVES:
        if name in found:
            curve = found[name].cmc
            places = range(1, len(curve) + 1)
            axes.plot(places, curve, style, color=colour, linewidth=1.8, label=_label(title, found[name]))
            marked = [place for place in _MARKED if place <= len(curve)]
            axes.plot(marked, [curve[place - 1] for place in marked], "o", color=colour, markersize=4)
    axes.set(xlim=(0.5, length + 0.5), ylim=(0, 101), xlabel="rank k", ylabel="queries with a match in the first k")
    axes.set_xticks(sorted({*(place for place in _MARKED if place <= length), *range(20, length + 1, 10)}))
    axes.yaxis.set_major_formatter(PercentFormatter())
    axes.grid(color="#d9d9d9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="#d9d9d9", fontsize=9)
    subject = report.subject
    axes.set_title(f"{subject.model} on {subject.data}, {subject.split}", loc="left", fontsize=11, fontweight="bold")
    stream = io.BytesIO()
    # Without the library's version inside, equal reports give equal bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _label(title: str, direction: Direction) -> str:
    return f"{title} (R@1 {direction.metrics.recall_at_1:.1f} %)"
