"""A report as tables for people, narrow enough for 80 columns."""

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from pickout.evaluate.evaluation_report import Direction, Report, Sweep
from pickout.evaluate.metrics import MEASURES

_TITLES = {
    "text_to_image": "text → image",
    "text_to_image_by_embedding": "by embed-\nding alone",
    "text_to_image_without_own": "own image\nremoved",
    "image_to_text": "image → text",
    "image_to_text_without_own": "own captions\nremoved",
}


def render(report: Report) -> RenderableType:
    """The report for a terminal: measures with intervals, counts, the sweep, the notes."""
    subject = report.subject
    parts: list[RenderableType] = [
        f"[bold]{escape(subject.model)}[/bold] ({subject.fingerprint}) on [bold]{escape(subject.data)}[/bold], "
        f"{escape(subject.split)}: {subject.images} images, {subject.captions} captions, {subject.identities} people",
        _measures(report.directions()),
    ]
    if report.bootstrap.resamples:
        drawn = report.bootstrap
        parts.append(
            f"[dim]Below each number its {drawn.level:.0%} interval: {drawn.resamples} resamples of people, "
            f"seed {drawn.seed}.[/dim]"
        )
    if report.sweep is not None:
        parts += ["", f"Weight of the global similarity, {report.sweep.label} (text → image):", _sweep(report.sweep)]
    parts += [f"[yellow]Note:[/yellow] {escape(note)}." for note in report.notes]
    return Group(*parts)


def _measures(found: dict[str, Direction]) -> Table:
    directions = [found[name] for name in _TITLES if name in found]
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("%")
    for name, title in _TITLES.items():
        if name in found:
            table.add_column(title, justify="right", vertical="bottom")
    for measure in MEASURES:
        table.add_row(measure, *(_cell(direction, measure) for direction in directions))
    table.add_section()
    table.add_row("R@1 by chance", *(f"{direction.metrics.chance:.2f}" for direction in directions))
    table.add_row("queries", *(str(direction.metrics.queries) for direction in directions))
    if any(direction.metrics.excluded for direction in directions):
        table.add_row("queries left out", *(str(direction.metrics.excluded) for direction in directions))
    table.add_row("gallery", *(str(direction.gallery) for direction in directions))
    return table


def _cell(direction: Direction, measure: str) -> str:
    value = f"{direction.metrics.named()[measure]:.2f}"
    if direction.intervals is None:
        return value
    low, high = direction.intervals[measure]
    return f"{value}\n[dim]{low:.1f}–{high:.1f}[/dim]"


def _sweep(sweep: Sweep) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("weight", *MEASURES):
        table.add_column(title, justify="right")
    for row in sweep.rows:
        chosen = row is sweep.best
        cells = [f"{value:.2f}" for value in row.metrics.named().values()]
        table.add_row(("* " if chosen else "") + f"{row.global_weight:g}", *cells, style="bold" if chosen else None)
    return table
