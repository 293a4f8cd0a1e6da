"""`pickout data`: check data sets, list the known ones, draw one."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pickout.cli.data_draw import draw
from pickout.errors import printable

if TYPE_CHECKING:
    from pickout.data.integrity import Report

app = typer.Typer(help="Check data sets, list the known ones, or draw one.", no_args_is_help=True)
app.command("draw")(draw)

UNUSABLE = 3
"""Exit code when a data set cannot be used."""


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="The data set's name; see: pickout data list.")],
    root: Annotated[Path, typer.Argument(help="Its own folder or its parent; for table also the file.")],
    decode: Annotated[bool, typer.Option("--open", help="Also open every image, which takes a while.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON objects, one a line, instead of words.")] = False,
) -> None:
    """Say what is missing or odd in a data set. Exit code 3 when it cannot be used."""
    from pickout.data.integrity import check as check_data

    if decode:
        with _progress() as progress:
            report = check_data(name, root, decode=True, progress=progress)
    else:
        report = check_data(name, root)
    if as_json:
        _print_json(report)
    else:
        _print_table(report)
    if not report.usable:
        raise typer.Exit(UNUSABLE)


@app.command("fetch")
def fetch(
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A data set of the hub.")],
    out: Annotated[Path, typer.Option(help="A new folder, for the images and their table.")],
    column: Annotated[
        list[str] | None, typer.Option(metavar="OURS=THEIRS", help="A column, for example caption=description.")
    ] = None,
) -> None:
    """Read a data set of the hub as a table of your own; needs pickout[datasets]. Mind the terms of its images."""
    from pickout.data.hub_rows import SYNONYMS, fetch_rows
    from pickout.errors import UsageError

    pairs = [pair.partition("=") for pair in column or ()]
    for ours, _, theirs in pairs:
        if ours not in SYNONYMS or not theirs:
            raise UsageError(f"--column {ours}: expected one of {', '.join(SYNONYMS)}, =, and the name there")
    count = fetch_rows(repository, out, {ours: theirs for ours, _, theirs in pairs})
    typer.echo(f"{count:,} images written; check them with: pickout data check table {out}")


@app.command("list")
def list_known(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON objects, one a line, instead of words.")] = False,
) -> None:
    """List the data sets that Pickout reads, their layout and where each can be had."""
    from pickout.data.registry import DATASETS

    for name, reader in DATASETS.items():
        if as_json:
            splits = {split: asdict(counts) for split, counts in reader.published.items()}
            facts = {"name": name, "title": reader.title, "request": reader.request, "layout": reader.layout}
            typer.echo(json.dumps({**facts, "splits": splits}))
        else:
            typer.echo(f"{name}: {reader.title}. {reader.request}")
            typer.echo("".join(f"    {line}\n" for line in reader.layout.split("\n")))


def _print_json(report: "Report") -> None:
    for finding in report.findings:
        typer.echo(json.dumps({"type": "finding", **asdict(finding)}))
    splits = {split: asdict(counts) for split, counts in report.splits.items()}
    facts = {"data": report.name, "root": str(report.root), "usable": report.usable, "splits": splits}
    typer.echo(json.dumps({"type": "result", **facts}))


def _print_table(report: "Report") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from pickout.data.registry import reader_of

    console = Console(highlight=False, soft_wrap=True)
    if report.splits:
        table = Table("split", title=escape(printable(f"{report.name} in {report.root}")), title_justify="left")
        for heading in ("identities", "images", "captions"):
            table.add_column(heading, justify="right")
        for split, counts in report.splits.items():
            table.add_row(split, f"{counts.identities:,}", f"{counts.images:,}", f"{counts.captions:,}")
        console.print(table)
    for finding in report.findings:
        colour = "red" if finding.level == "error" else "yellow"
        console.print(f"[{colour}]{finding.level}[/{colour}] {escape(printable(finding.message))}")
        for example in finding.examples:
            console.print(f"    {escape(printable(_shortened(example)))}")
        if finding.examples and finding.count > len(finding.examples):
            console.print(f"    ... and {finding.count - len(finding.examples)} more")
    if not report.findings:
        console.print("Nothing is missing or odd.")
    else:
        console.print("It can be used." if report.usable else "It cannot be used as it is.")
    if {"missing-images", "counts"} & {finding.kind for finding in report.findings}:
        console.print(escape(reader_of(report.name).request))


def _shortened(text: str, length: int = 160) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("opening"), BarColumn(), MofNCompleteColumn(), TextColumn("images, left"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(file=sys.stderr)) as bar:
        task = bar.add_task("opening", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
