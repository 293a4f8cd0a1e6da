"""`pickout data`: check data sets, list the known ones, fetch or draw one."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pickout.cli.options import Json, Texts, setting, settings_of
from pickout.cli.terminal import check_place, progress, say, say_table, tell, write
from pickout.data.integrity import Report
from pickout.data.integrity import check as check_data
from pickout.data.own_data import OURS, fetch_rows
from pickout.data.registry import DATASETS, reader_of
from pickout.errors import DataError, UsageError, printable

app = typer.Typer(help="Check data sets, list the known ones, or draw one.", no_args_is_help=True)


@app.command("draw")
def draw(
    out: Annotated[Path, typer.Argument(help="Folder to write to: new, empty, or begun with the same settings.")],
    set_: Annotated[Texts, setting("identities=2000")] = None,
    avatars: Annotated[
        Path | None, typer.Option(help="Folder of rigged avatars (glTF) to render in place of drawn people.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Drawing processes; by default one a core.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write a picture of some of the people here (PNG).")] = None,
    json: Json = False,
) -> None:
    """Draw people with sentences about them, in the format of CUHK-PEDES. Run it again to go on after a stop."""
    from pickout.synthetic.street import StreetSettings, contact_sheet, draw_street

    settings = settings_of(StreetSettings, set_, {} if avatars is None else {"avatars": {"folder": str(avatars)}})
    check_place(sheet, "--sheet")
    start = time.monotonic()
    with progress("drawing", quiet=False, stays=True) as show:
        draw_street(settings, out, workers=workers, progress=show)
    write(sheet, "--sheet", lambda: contact_sheet(out))
    images, seconds = settings.people * settings.images, round(time.monotonic() - start, 1)
    captions = images * settings.captions.per_image
    if json:
        counts = {"identities": settings.people, "images": images, "captions": captions, "seconds": seconds}
        tell({"type": "result", "out": str(out), **counts, "sheet": sheet and str(sheet)}, json=True)
        return
    say(f"{out}: {settings.people} people, {images} images, {captions} captions in {seconds} s.")
    say(f"Next: pickout data check street {out}")


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="The data set's name; see: pickout data list.")],
    root: Annotated[Path, typer.Argument(help="Its own folder or its parent; for table also the file.")],
    decode: Annotated[bool, typer.Option("--open", help="Also open every image, which takes a while.")] = False,
    json: Json = False,
) -> None:
    """Say what is missing or odd in a data set. Exit code 3 when it cannot be used."""
    with progress("opening", quiet=not decode, stays=True) as show:
        report = check_data(name, root, decode=decode, progress=show)
    if json:
        for finding in report.findings:
            tell({"type": "finding", **asdict(finding)}, json=True)
        splits = {split: asdict(counts) for split, counts in report.splits.items()}
        facts = {"data": report.name, "root": str(report.root), "usable": report.usable, "splits": splits}
        tell({"type": "result", **facts}, json=True)
    else:
        _show(report)
    if not report.usable:
        raise typer.Exit(DataError.exit_code)


def _show(report: Report) -> None:
    if report.splits:
        columns = ("identities", "images", "captions")
        rows = [[split, *(f"{getattr(counts, each):,}" for each in columns)] for split, counts in report.splits.items()]
        say_table(("split", *columns), rows, right=columns, title=f"{report.name} in {report.root}")
    for finding in report.findings:
        level = typer.style(finding.level, fg="red" if finding.level == "error" else "yellow")
        typer.echo(" ".join((level, printable(finding.message, keep="\n"))))
        for example in finding.examples:
            say(f"    {example if len(example) <= 160 else example[:157] + '...'}")
        if finding.examples and finding.count > len(finding.examples):
            say(f"    ... and {finding.count - len(finding.examples)} more")
    if not report.findings:
        say("Nothing is missing or odd.")
    else:
        say("It can be used." if report.usable else "It cannot be used as it is.")
    if {"missing-images", "counts"} & {finding.kind for finding in report.findings}:
        say(reader_of(report.name).request)


@app.command("fetch")
def fetch(
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A data set of the hub.")],
    out: Annotated[Path, typer.Option(help="A new folder, for the images and their table.")],
    column: Annotated[Texts, typer.Option(metavar="OURS=THEIRS", help="For example caption=description.")] = None,
) -> None:
    """Read a data set of the hub as a table of your own; needs the extra `datasets`. Mind the terms of its images."""
    columns = {}
    for pair in column or ():
        ours, _, theirs = pair.partition("=")
        if ours not in OURS or not theirs:
            raise UsageError(f"--column {ours}: expected one of {', '.join(OURS)}, =, and the name there")
        columns[ours] = theirs
    count = fetch_rows(repository, out, columns)
    say(f"{count:,} images written; check them with: pickout data check table {out}")


@app.command("list")
def list_known(json: Json = False) -> None:
    """List the data sets that Pickout reads, their layout and where each can be had."""
    for name, reader in DATASETS.items():
        if json:
            splits = {split: asdict(counts) for split, counts in reader.published.items()}
            facts = {"name": name, "title": reader.title, "request": reader.request, "layout": reader.layout}
            tell({**facts, "splits": splits}, json=True)
        else:
            say(f"{name}: {reader.title}. {reader.request}")
            typer.echo("".join(f"    {line}\n" for line in reader.layout.split("\n")))
