"""`pickout gallery rebuild`: another model for a gallery."""

from pathlib import Path
from typing import Annotated

import typer

from pickout.cli.options import Device, GalleryPath, Json, Texts, open_gallery, settings_of
from pickout.cli.terminal import progress, say, tell


def rebuild(
    gallery: GalleryPath,
    model: Annotated[str, typer.Option(help="The other model: a run folder or weight file.")],
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Leave out crops whose originals cannot be read.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what an earlier rebuild has begun.")] = False,
    set_: Annotated[Texts, typer.Option("--set", metavar="KEY=VALUE", help="For example batch=64.")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Encode every crop of a gallery anew with another model.

    The new table is built beside the old one, which is searched and changed as before until the new one takes its place
    at the end. Kill it at any moment and run it again: it goes on where it stopped. Each crop is read from its original
    again; while one cannot be read, or has changed, the gallery stays as it is.
    """
    from pickout.cli.model import load_model, remember
    from pickout.gallery.intake.quarantine import QUARANTINE
    from pickout.gallery.intake.report import IngestSettings

    settings = settings_of(IngestSettings, set_)
    opened = open_gallery(gallery)  # a wrong folder is told before a model is loaded
    encoder = load_model(model, device)
    with progress("rebuilding", quiet=json) as show:
        report = opened.rebuild(
            encoder,
            run=remember(model),
            settings=settings,
            drop_missing=drop_missing,
            restart=restart,
            on_progress=lambda at: show(at.done, at.total, note=f"{at.lost} lost"),
        )
    if json:
        told = {"gallery": str(gallery), "model": encoder.name, "fingerprint": encoder.fingerprint}
        tell({**told, **report.as_json()}, json=True)
        return
    begun = f", {report.resumed} were there from before" if report.resumed else ""
    say(f"{gallery}: {report.rows} crops, now of {encoder.name}{begun}, in {report.seconds:.1f} s")
    if report.dropped:
        say(f"{len(report.dropped)} crops were left out; see {gallery}/{QUARANTINE}")
    if report.uncalibrated:
        say(f"the calibration went with the old model; for probabilities run: pickout calibrate {gallery}")


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
