"""`pickout gallery rebuild`: another model for a gallery."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pickout.cli.gallery_options import GalleryPath, Json, open_gallery, tell

if TYPE_CHECKING:
    from pickout.gallery.changes.transfer import RebuildProgress

_Model = Annotated[str, typer.Option(help="The other model: a run folder or weight file.")]
_Drop = Annotated[bool, typer.Option("--drop-missing", help="Leave out crops whose originals cannot be read.")]
_Restart = Annotated[bool, typer.Option("--restart", help="Throw away what an earlier rebuild has begun.")]
_Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="For example batch=64.")]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")]


def rebuild(
    gallery: GalleryPath,
    model: _Model,
    drop_missing: _Drop = False,
    restart: _Restart = False,
    set_: _Set = None,
    device: _Device = "auto",
    json: Json = False,
) -> None:
    """Encode every crop of a gallery anew with another model.

    The new table is built beside the old one, which is searched and changed as before until the new one takes its place
    at the end. Kill it at any moment and run it again: it goes on where it stopped. Each crop is read from its original
    again; while one cannot be read, or has changed, the gallery stays as it is.
    """
    from pickout.cli.model import load_model, remember
    from pickout.config import apply_overrides, parse_settings
    from pickout.gallery.intake.ingest import IngestSettings
    from pickout.gallery.intake.quarantine import QUARANTINE
    from pickout.gallery.printable import printable

    settings = parse_settings(IngestSettings, apply_overrides({}, set_ or []), source="--set")
    opened = open_gallery(gallery)  # a wrong folder is told before a model is loaded
    encoder = load_model(model, device)
    with _progress(not json) as show:
        report = opened.rebuild(
            encoder,
            run=remember(model),
            settings=settings,
            drop_missing=drop_missing,
            restart=restart,
            on_progress=show,
        )
    if json:
        told = {"gallery": str(gallery), "model": encoder.name, "fingerprint": encoder.fingerprint}
        tell({**told, **report.as_json()}, json=True)
        return
    folder = printable(gallery)
    begun = f", {report.resumed} were there from before" if report.resumed else ""
    typer.echo(f"{folder}: {report.rows} crops, now of {printable(encoder.name)}{begun}, in {report.seconds:.1f} s")
    if report.dropped:
        typer.echo(f"{len(report.dropped)} crops were left out; see {folder}/{QUARANTINE}")
    if report.uncalibrated:
        typer.echo(f"the calibration went with the old model; for probabilities run: pickout calibrate {folder}")


def unfinished(gallery: Path, rows: int, *, json: bool) -> object:
    """What `pickout gallery info` tells of a rebuild that has begun; None, or the word for it, where none has."""
    from pickout.gallery.changes.rebuild import unfinished_rebuild

    found = unfinished_rebuild(gallery)
    if found is None:
        return None if json else "none"
    model = found.manifest.model
    if json:
        return {
            "model": model.name,
            "fingerprint": model.fingerprint,
            "run": model.run,
            "done": found.done,
            "rows": rows,
        }
    place = f" from {model.run}" if model.run else ""
    return f"to {model.name} {model.fingerprint[:8]}{place}, {found.done} of {rows} rows; run it again to go on"


@contextmanager
def _progress(speaks: bool) -> Iterator[Callable[["RebuildProgress"], None]]:
    """A bar on standard error; silent unless it `speaks`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("rebuilding"), BarColumn(), MofNCompleteColumn(), TextColumn("crops"))
    lost = TextColumn("{task.fields[lost]} lost, left")
    console = Console(file=sys.stderr)
    with Progress(*columns, lost, TimeRemainingColumn(), console=console, disable=not speaks) as bar:
        task = bar.add_task("rebuilding", total=None, lost=0)
        yield lambda at: bar.update(task, completed=at.done, total=at.total, lost=at.lost)
