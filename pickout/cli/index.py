"""`pickout index`: make or update a gallery from a folder of crops."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pickout.gallery.intake.cameras import CameraFrom

if TYPE_CHECKING:
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.intake.report import IngestProgress, IngestReport


def index(
    crops: Annotated[Path, typer.Argument(help="Folder of crops; searched with all folders below it.")],
    out: Annotated[Path, typer.Option(help="The gallery: a new folder, or one to bring up to date.")],
    model: Annotated[
        str | None, typer.Option(help="A run folder or weight file; by default the one the gallery remembers.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="CSV, JSON lines or Parquet: image, camera, time; other columns become labels.")
    ] = None,
    camera_from: Annotated[
        CameraFrom, typer.Option(help="Camera from the crop's folder, or from a part like c5 of its name.")
    ] = CameraFrom.NONE,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Pass over files or folders like this: '*_mask.png'.")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove rows below CROPS whose files are gone.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="For example batch=64.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the summary as one line of JSON.")] = False,
) -> None:
    """Encode a folder of crops into a gallery that can be searched.

    Kill it at any moment and run it again: it goes on where it stopped. Files that cannot be read are listed in the
    gallery's quarantine.jsonl and stop nothing.
    """
    from pickout.config import apply_overrides, parse_settings
    from pickout.gallery.intake.ingest import IngestSettings
    from pickout.gallery.intake.scan import count_images

    settings = parse_settings(IngestSettings, apply_overrides({}, set_ or []), source="--set")
    count_images(crops, exclude or ())  # a wrong folder is told before a model is loaded
    gallery = _gallery(out, model, device)
    with indexing_progress(not json) as on_progress:
        report = gallery.add(
            crops,
            table=table,
            camera_from=camera_from,
            exclude=exclude or (),
            prune=prune,
            settings=settings,
            on_progress=on_progress,
        )
    _show(gallery, report, prune=prune, json=json)


def _gallery(out: Path, model: str | None, device: str) -> "Gallery":
    from pickout.cli.model import load_model, remember, remembered_model
    from pickout.errors import UsageError
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.storage.manifest import MANIFEST, read_manifest

    if (out / MANIFEST).exists():
        gallery = Gallery.open(out)
        gallery.use(load_model(model or remembered_model(out, read_manifest(out)), device))
        return gallery
    if model is None:
        raise UsageError(f"{out} is no gallery yet; say which model makes it: --model RUN")
    return Gallery.create(out, load_model(model, device), run=remember(model))


@contextmanager
def indexing_progress(speaks: bool) -> Iterator[Callable[["IngestProgress"], None]]:
    """A bar on standard error for `Gallery.add`; silent unless it `speaks`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("indexing"), BarColumn(), MofNCompleteColumn(), TextColumn("crops"))
    rate = TextColumn("{task.fields[rate]:.0f}/s, {task.fields[bad]} quarantined, left")
    console = Console(file=sys.stderr)
    with Progress(*columns, rate, TimeRemainingColumn(), console=console, disable=not speaks) as bar:
        task = bar.add_task("indexing", total=None, rate=0.0, bad=0)

        def show(progress: "IngestProgress") -> None:
            seconds = bar.tasks[0].elapsed or 0
            rate = progress.done / seconds if seconds else 0.0
            bar.update(task, completed=progress.done, total=progress.total, rate=rate, bad=progress.quarantined)

        yield show


def _show(gallery: "Gallery", report: "IngestReport", *, prune: bool, json: bool) -> None:
    import json as json_text

    from pickout.data.images import NOT_READ
    from pickout.gallery.intake.quarantine import QUARANTINE
    from pickout.gallery.printable import printable

    count = gallery.count()
    if json:
        typer.echo(json_text.dumps({"gallery": str(gallery.path), "rows": count, **report.as_json()}))
        return
    folder = printable(gallery.path)
    typer.echo(
        f"{folder}: {count} crops ({report.added} new, {report.updated} changed, {report.unchanged} as before) "
        f"in {report.seconds:.1f} s"
    )
    for note in report.notes:
        typer.echo(f"the table: {printable(note)}")
    if report.passed_over:
        kinds = sorted(report.passed_over.items(), key=lambda pair: (-pair[1], pair[0]))
        typer.echo("passed over: " + ", ".join(f"{number} {printable(kind)}" for kind, number in kinds))
    if not NOT_READ.isdisjoint(report.passed_over):
        typer.echo("pictures of some of these kinds are not read; convert them to JPEG and index again")
    if report.quarantined:
        typer.echo(f"{report.quarantined} files could not be read; see {folder}/{QUARANTINE}")
    if report.untold:
        typer.echo(f"{report.untold} crops are not named in the table")
    if report.pruned:
        typer.echo(f"{report.pruned} rows removed, their files are gone")
    elif report.vanished and not prune:
        typer.echo(f"{report.vanished} rows have lost their files and are kept; --prune removes them")
    if report.found == report.quarantined:
        typer.echo("no file could be read: is this a folder of images?")
