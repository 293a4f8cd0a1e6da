"""A report for people: as tables narrow enough for 80 columns, and as a picture."""

import io

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from pickout.errors import printable
from pickout.evaluate.evaluation_report import Direction, Report, Sweep
from pickout.evaluate.metrics import MEASURES

_DIRECTIONS = {
    "text_to_image": ("text → image", "text → image", "#0b6e99", "-"),
    "text_to_image_by_embedding": ("by embed-\nding alone", "text → image, by embedding alone", "#0b6e99", ":"),
    "text_to_image_without_own": ("own image\nremoved", "text → image, own image removed", "#0b6e99", "--"),
    "image_to_text": ("image → text", "image → text", "#c2571a", "-"),
    "image_to_text_without_own": ("own captions\nremoved", "image → text, own captions removed", "#c2571a", "--"),
}  # head of the column, name, colour and style of the curve
_MARKED = (1, 5, 10)


def render(report: Report) -> RenderableType:
    """The report for a terminal: measures with intervals, counts, the sweep, the notes."""
    subject = report.subject
    model, data, split = (escape(printable(name)) for name in (subject.model, subject.data, subject.split))
    parts: list[RenderableType] = [
        f"[bold]{model}[/bold] ({subject.fingerprint}) on [bold]{data}[/bold], {split}: "
        f"{subject.images} images, {subject.captions} captions, {subject.identities} people",
        _measures(report.directions()),
    ]
    if report.bootstrap.resamples:
        drawn = report.bootstrap
        told = f"{drawn.level:.0%} interval: {drawn.resamples} resamples of people, seed {drawn.seed}"
        parts.append(f"[dim]Below each number its {told}.[/dim]")
    if report.sweep is not None:
        parts += ["", f"Weight of the global similarity, {report.sweep.label} (text → image):", _sweep(report.sweep)]
    parts += [f"[yellow]Note:[/yellow] {escape(printable(note))}." for note in report.notes]
    return Group(*parts)


def _measures(found: dict[str, Direction]) -> Table:
    names = [name for name in _DIRECTIONS if name in found]
    directions = [found[name] for name in names]
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("%")
    for name in names:
        table.add_column(_DIRECTIONS[name][0], justify="right", vertical="bottom")
    for measure in MEASURES:
        cells = [f"{direction.metrics.named()[measure]:.2f}" for direction in directions]
        for place, direction in enumerate(directions):
            if direction.intervals is not None:
                low, high = direction.intervals[measure]
                cells[place] += f"\n[dim]{low:.1f}–{high:.1f}[/dim]"
        table.add_row(measure, *cells)
    table.add_section()
    table.add_row("R@1 by chance", *(f"{direction.metrics.chance:.2f}" for direction in directions))
    table.add_row("queries", *(str(direction.metrics.queries) for direction in directions))
    if any(direction.metrics.excluded for direction in directions):
        table.add_row("queries left out", *(str(direction.metrics.excluded) for direction in directions))
    table.add_row("gallery", *(str(direction.gallery) for direction in directions))
    return table


def _sweep(sweep: Sweep) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("weight", *MEASURES):
        table.add_column(title, justify="right")
    for row in sweep.rows:
        mark, style = ("* ", "bold") if row is sweep.best else ("", None)
        cells = [f"{value:.2f}" for value in row.metrics.named().values()]
        table.add_row(f"{mark}{row.global_weight:g}", *cells, style=style)
    return table


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
    for name, (_, title, colour, style) in _DIRECTIONS.items():
        if name in found:
            curve, label = found[name].cmc, f"{title} (R@1 {found[name].metrics.recall_at_1:.1f} %)"
            axes.plot(range(1, len(curve) + 1), curve, style, color=colour, linewidth=1.8, label=label)
            marked = [place for place in _MARKED if place <= len(curve)]
            axes.plot(marked, [curve[place - 1] for place in marked], "o", color=colour, markersize=4)
    axes.set(xlim=(0.5, length + 0.5), ylim=(0, 101), xlabel="rank k", ylabel="queries with a match in the first k")
    axes.set_xticks(sorted({*(place for place in _MARKED if place <= length), *range(20, length + 1, 10)}))
    axes.yaxis.set_major_formatter(PercentFormatter())
    axes.grid(color="#d9d9d9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="#d9d9d9", fontsize=9)
    subject = report.subject
    title = printable(f"{subject.model} on {subject.data}, {subject.split}")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", parse_math=False)  # a name may hold $
    stream = io.BytesIO()
    # Without the library's version inside, equal reports give equal bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
