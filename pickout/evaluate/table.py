"""A report as tables for people."""

from rich.console import Group, RenderableType
from rich.table import Table

from pickout.evaluate.metrics import MEASURES, Metrics
from pickout.evaluate.report import Direction, Report, Sweep

_TITLES = {
    "text_to_image": "text → image",
    "text_to_image_without_own": "  own image removed",
    "image_to_text": "image → text",
    "image_to_text_without_own": "  own captions removed",
}


def render(report: Report) -> RenderableType:
    """The report for a terminal: measures with intervals, counts, the sweep, the notes."""
    parts: list[RenderableType] = [_main(report)]
    if report.bootstrap.resamples:
        drawn = report.bootstrap
        parts.append(
            f"[dim]In brackets: {drawn.level:.0%} intervals, {drawn.resamples} resamples of identities, "
            f"seed {drawn.seed}.[/dim]"
        )
    if report.sweep is not None:
        parts.append(_sweep(report.sweep))
    parts += [f"[yellow]Note:[/yellow] {note}." for note in report.notes]
    return Group(*parts)


def _main(report: Report) -> Table:
    subject = report.subject
    title = (
        f"{subject.model} ({subject.fingerprint}) on {subject.data}, {subject.split}: "
        f"{subject.images} images, {subject.captions} captions, {subject.identities} people"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("search", no_wrap=True)
    for measure in MEASURES:
        table.add_column(measure, justify="right")
    table.add_column("chance\nR@1", justify="right")
    table.add_column("queries", justify="right")
    found = report.directions()
    for name, title in _TITLES.items():
        if name in found:
            direction = found[name]
            cells = [_cell(direction, measure, value) for measure, value in direction.metrics.named().items()]
            table.add_row(title, *cells, f"{direction.metrics.chance:.2f}", _queries(direction.metrics))
    return table


def _cell(direction: Direction, measure: str, value: float) -> str:
    if direction.intervals is None:
        return f"{value:.2f}"
    low, high = direction.intervals[measure]
    return f"{value:.2f}\n[dim]{low:.1f}–{high:.1f}[/dim]"


def _queries(metrics: Metrics) -> str:
    return f"{metrics.queries}\n[dim]{metrics.excluded} left out[/dim]" if metrics.excluded else str(metrics.queries)


def _sweep(sweep: Sweep) -> Table:
    table = Table(title=f"Weight of the global similarity, {sweep.label} (text → image)", title_justify="left")
    table.add_column("weight", justify="right")
    for measure in MEASURES:
        table.add_column(measure, justify="right")
    for row in sweep.rows:
        style = "bold" if row is sweep.best else None
        cells = [f"{value:.2f}" for value in row.metrics.named().values()]
        table.add_row(f"{row.global_weight:g}" + (" *" if row is sweep.best else ""), *cells, style=style)
    return table
