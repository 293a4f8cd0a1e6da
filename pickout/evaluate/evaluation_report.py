"""What an evaluation found, as data and as JSON (docs/evaluation.md), what a run folder tells about its model, and its
record of looks at the test split; for people as tables narrow enough for 80 columns, and as a picture."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table

from pickout.config import flat, read_toml
from pickout.errors import printable
from pickout.evaluate import metrics as measures
from pickout.files import storage_errors
from pickout.pages import figure_bytes, new_figure, open_axes

SCHEMA = "pickout.evaluation/1"
_OURS = ("text_to_image", "image_to_text", "text_to_image_without_own", "image_to_text_without_own")

ProtocolName = Literal["standard", "paper"]
"""`standard` chooses nothing on the evaluated split; `paper` repeats the field's habit of doing so."""


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of the search, for example captions against images."""

    metrics: measures.Metrics
    intervals: Mapping[str, tuple[float, float]] | None  # of each measure by its short name; None without resampling
    gallery: int  # number of items
    cmc: tuple[float, ...]  # recall at 1, 2, ... in percent

    def to_json(self) -> dict[str, Any]:
        """The direction as JSON fields."""
        return {
            **self.metrics.named(),
            "chance R@1": self.metrics.chance,
            "queries": self.metrics.queries,
            "excluded_queries": self.metrics.excluded,
            "gallery": self.gallery,
            "intervals": self.intervals,
            "cmc": self.cmc,
        }


@dataclass(frozen=True, slots=True)
class Sweep:
    """The published habit: several weights scored on the evaluated split, the best kept."""

    rows: Mapping[float, measures.Metrics]  # text to image by weight of the global similarity (ITSELF, Eq. 8), rising
    best: float  # the weight of the highest R@1; the smaller of two that are equal
    label: str  # how to call its numbers wherever they are shown


@dataclass(frozen=True, slots=True)
class Report:
    """A whole evaluation. A direction is None where no query has anything to find."""

    # the `model`, its `fingerprint` and `method`; the data set it was `trained_on` and the split that chose its epoch,
    # `epoch_selected_on`, where known; `data`, `root`, `split`, and how many `images`, `captions` and `identities`
    subject: Mapping[str, Any]
    protocol: ProtocolName
    notes: tuple[str, ...]  # sentences a reader of the numbers must know
    text_to_image: Direction  # captions as queries, images as gallery
    image_to_text: Direction
    text_to_image_without_own: Direction | None  # each caption's own image taken out of its gallery
    image_to_text_without_own: Direction | None  # each image's own captions taken out
    sweep: Sweep | None  # weights tried on this split, under the paper protocol
    bootstrap: measures.BootstrapSettings
    circumstances: Mapping[str, Any]  # date, versions, device, processes, tie rule, seconds
    text_to_image_by_embedding: Direction | None = None  # before the second look, where the method has one

    def directions(self) -> dict[str, Direction]:
        """The directions that could be scored, by the name of their JSON field."""
        return {name: found for name in _DIRECTIONS if (found := getattr(self, name)) is not None}

    def to_json(self) -> dict[str, Any]:
        """The report as JSON fields (schema `SCHEMA`)."""
        sweep = None
        if self.sweep is not None:
            rows = {weight: {"global_weight": weight, **found.named()} for weight, found in self.sweep.rows.items()}
            sweep = {"label": self.sweep.label, "best": rows[self.sweep.best], "rows": list(rows.values())}
        return {
            "schema": SCHEMA,
            **self.subject,
            "protocol": self.protocol,
            "notes": list(self.notes),
            **dict.fromkeys(_OURS),
            **{name: direction.to_json() for name, direction in self.directions().items()},
            "sweep": sweep,
            "bootstrap": {**self.bootstrap.model_dump(), "unit": "identity", "kind": "percentile"},
            **self.circumstances,
        }

    def json_text(self, indent: int | None = 2) -> str:
        """The report as JSON for a file, indented, or on one line."""
        return json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False, indent=indent) + "\n"


def summarise(
    ranks: measures.RelevantRanks, identity: NDArray[np.int64], settings: measures.BootstrapSettings, *, cmc_ranks: int
) -> Direction | None:
    """One direction, or None when no query has a relevant item; `identity` says who each query is about."""
    scores = measures.score_queries(ranks)
    if not len(scores.kept):
        return None
    intervals = None
    if settings.resamples:
        low, high = measures.bootstrap(scores.values, identity[scores.kept], settings)
        intervals = dict(zip(measures.MEASURES, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    gallery = int(ranks.gallery.max())
    return Direction(measures.average(scores), intervals, gallery, tuple(measures.cmc(scores, min(cmc_ranks, gallery))))


LOG_FILE = "evaluations.jsonl"
"""One line for each evaluation on a test split. Who looks often and keeps the best number has chosen on test."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a run's model came about, as far as its folder tells."""

    data: str | None = None
    root: Path | None = None
    selected_on: str | None = None  # the split that chose the epoch, or `last epoch`


def read_training(folder: Path | None) -> Training:
    """Read the recipe in a run folder; one without, or None, tells nothing. `RecipeError` where it is no TOML."""
    if folder is None or not (folder / "recipe.toml").is_file():
        return Training()
    values = read_toml(folder / "recipe.toml")
    # A finished run says what it chose its epoch on: it knows when its data set had no split for that.
    with suppress(OSError, ValueError):
        values["summary"] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    told = {key: value for key, value in flat(values).items() if isinstance(value, str)}
    root = None if "data.root" not in told else Path(told["data.root"])
    return Training(told.get("data.name"), root, told.get("summary.selected_on") or told.get("train.select"))


def log_look(folder: Path, report: Report) -> None:
    """Append one line about an evaluation on a test split to the run's `evaluations.jsonl`, or raise `StorageFull`."""
    subject, metrics = report.subject, report.text_to_image.metrics
    line = {"date": report.circumstances["date"], "data": subject["data"], "split": subject["split"]}
    line |= {"protocol": report.protocol, "fingerprint": subject["fingerprint"]}
    line |= {"R@1": metrics.recall_at_1, "mAP": metrics.mean_average_precision}
    path = folder / LOG_FILE
    with storage_errors(path), path.open("ab") as file:
        file.write(json.dumps(line).encode() + b"\n")


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
    model, data, split = (escape(printable(subject[key])) for key in ("model", "data", "split"))
    parts: list[RenderableType] = [
        f"[bold]{model}[/bold] ({subject['fingerprint']}) on [bold]{data}[/bold], {split}: "
        f"{subject['images']} images, {subject['captions']} captions, {subject['identities']} people",
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
    heads = (Column(_DIRECTIONS[name][0], justify="right", vertical="bottom") for name in found)
    table, directions = Table("%", *heads, box=box.SIMPLE_HEAD), found.values()
    for measure in measures.MEASURES:
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
    table = Table(*(Column(title, justify="right") for title in ("weight", *measures.MEASURES)), box=box.SIMPLE_HEAD)
    for weight, found in sweep.rows.items():
        mark, style = ("* ", "bold") if weight == sweep.best else ("", None)
        cells = [f"{value:.2f}" for value in found.named().values()]
        table.add_row(f"{mark}{weight:g}", *cells, style=style)
    return table


def plot_cmc(report: Report) -> bytes:
    """Recall at k over k for every direction of the report, as PNG bytes."""
    from matplotlib.ticker import PercentFormatter

    figure = new_figure(7.2, 4.8)
    axes = figure.add_subplot()
    found = report.directions()
    length = max(len(direction.cmc) for direction in found.values())
    for name, direction in found.items():
        (_, title, colour, style), curve = _DIRECTIONS[name], direction.cmc
        label = f"{title} (R@1 {direction.metrics.recall_at_1:.1f} %)"
        axes.plot(range(1, len(curve) + 1), curve, style, color=colour, linewidth=1.8, label=label)
        marked = [place for place in _MARKED if place <= len(curve)]
        axes.plot(marked, [curve[place - 1] for place in marked], "o", color=colour, markersize=4)
    axes.set(xlim=(0.5, length + 0.5), ylim=(0, 101), xlabel="rank k", ylabel="queries with a match in the first k")
    axes.set_xticks(sorted({*(place for place in _MARKED if place <= length), *range(20, length + 1, 10)}))
    axes.yaxis.set_major_formatter(PercentFormatter())
    open_axes(axes)
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="#d9d9d9", fontsize=9)
    subject = report.subject
    title = printable(f"{subject['model']} on {subject['data']}, {subject['split']}")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", parse_math=False)  # a name may hold $
    return figure_bytes(figure)
