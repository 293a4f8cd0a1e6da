"""`pickout index`: make or update a gallery from a folder of crops."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pickout.cli import model as loading
from pickout.cli.options import Device, Engine, Json, Runtime, Texts, Workers, setting, settings_of
from pickout.cli.terminal import progress, say, tell
from pickout.data.images import NOT_READ
from pickout.errors import listed
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.left_out import QUARANTINE
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.intake.report import IngestReport, IngestSettings
from pickout.gallery.intake.scan import count_images
from pickout.gallery.storage.tables import MANIFEST, checked_folder


def index(
    crops: Annotated[Path, typer.Argument(help="Folder of crops; searched with all folders below it.")],
    out: Annotated[Path, typer.Option(help="The gallery: a new folder, or one to bring up to date.")],
    model: Annotated[str | None, typer.Option(help="By default the gallery's own, else pickout-small.")] = None,
    table: Annotated[Path | None, typer.Option(help="CSV, JSON lines or Parquet: image, camera, time, labels.")] = None,
    camera_from: Annotated[
        CameraFrom, typer.Option(help="From the crop's folder, or from a part like c5 of its name.")
    ] = CameraFrom.NONE,
    exclude: Annotated[
        Texts, typer.Option(metavar="PATTERN", help="Pass over what is called like '*_mask.png'.")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove rows below CROPS whose files are gone.")] = False,
    prune_folders: Annotated[bool, typer.Option("--prune-folders", help="Also where a whole folder is gone.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Take back crops below CROPS that were erased.")] = False,
    set_: Annotated[Texts, setting("batch=64")] = None,
    device: Device = "auto",
    runtime: Runtime = "torch",
    engine: Engine = "local",
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Encode a folder of crops into a gallery that can be searched.

    Kill it at any moment and run it again: it goes on where it stopped. Files that cannot be read are listed in the
    gallery's quarantine.jsonl and stop nothing."""
    settings = settings_of(IngestSettings, set_)
    exclude = exclude or []
    count_images(crops, exclude)  # a wrong folder is told before a model is loaded
    checked_folder(out)
    clustered = loading.has_cluster(engine, workers)
    if (out / MANIFEST).exists():
        gallery = Gallery.open(out)
        place = loading.remember(model or loading.remembered_model(out, gallery.manifest))
        encoder = loading.load_model(place, device, runtime)
        gallery.use(encoder)
    else:
        place = loading.remember(model or loading.default_model())
        encoder = loading.load_model(place, device, runtime)
        gallery = Gallery.create(out, encoder, run=place)
    if clustered:
        from pickout.cluster.spread import TOGETHER, ClusterModel

        spread = ClusterModel.of(encoder, place, device, runtime, workers)
        gallery.use(spread)
        settings = settings.model_copy(update={"batch": settings.batch or TOGETHER * spread.workers.number})
    with progress("indexing", quiet=json) as show:
        on_progress = lambda at: show(at.done, at.total, note=f"{at.quarantined} quarantined")  # noqa: E731
        told: dict[str, Any] = {"table": table, "camera_from": camera_from, "exclude": exclude, "again": again}
        gone: dict[str, Any] = {"prune": prune, "prune_folders": prune_folders}
        report = gallery.add(crops, **told, **gone, settings=settings, on_progress=on_progress)
    if json:
        tell({"gallery": str(out), "rows": gallery.count(), **report.as_json()}, json=True)
    else:
        _show(out, gallery.count(), report)


def _show(gallery: Path, count: int, report: IngestReport) -> None:
    changes = f"{report.added} new, {report.updated} changed, {report.unchanged} as before"
    say(f"{gallery}: {count} crops ({changes}) in {report.seconds:.1f} s")
    for note in report.notes:
        say(f"the table: {note}")
    if report.passed_over:
        kinds = sorted(report.passed_over.items(), key=lambda pair: (-pair[1], pair[0]))
        say("passed over: " + ", ".join(f"{number} {kind}" for kind, number in kinds))
    if not NOT_READ.isdisjoint(report.passed_over):
        say("pictures of some of these kinds are not read; convert them to JPEG and index again")
    unmounted = (
        f"rows are kept though none of their folder's files is there any more ({listed(report.folders, 3)}): is a "
        "disk not mounted? If they are gone for good, --prune-folders removes them"
    )
    counted = (
        (report.quarantined, f"files could not be read; see {gallery}/{QUARANTINE}"),
        (report.untold, "crops are not named in the table"),
        (report.erased, "crops were erased and stay so; --again takes them back"),
        (report.pruned, "rows removed, their files are gone"),
        (report.held, "rows have lost their files and are kept, since they are held; see pickout retention show"),
        (0 if report.pruned else report.vanished, "rows have lost their files and are kept; --prune removes them"),
        (report.deserted if report.pruned < report.vanished + report.deserted else 0, unmounted),
        (report.unseen, f"rows are kept whose files could not be looked for; see {gallery}/{QUARANTINE}"),
    )
    for number, what in counted:
        if number:
            say(f"{number} {what}")
    if report.found == report.quarantined:
        say("no file could be read: is this a folder of images?")
