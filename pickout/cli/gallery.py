"""`pickout gallery`: look at a gallery, change it, erase from it, check it, carry it elsewhere."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pickout.cli import model as loading
from pickout.cli.options import Crops, Device, GalleryPath, Json, Model, Texts, filtered, setting, settings_of
from pickout.cli.terminal import ask, progress, say, tell
from pickout.data.spreadsheet import column_of
from pickout.errors import GalleryDamaged, NothingFound, UsageError
from pickout.gallery.approximate.build import ApproximateSettings, check_size
from pickout.gallery.changes.verification import verify as check
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.left_out import QUARANTINE
from pickout.gallery.intake.metadata import READERS
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.portable.reader import import_gallery
from pickout.gallery.search.filters import ANYWHERE, Where, parse_labels
from pickout.gallery.storage.rows import Metadata

app = typer.Typer(help="Look at a gallery, change it, erase from it, check it.", no_args_is_help=True)

_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_Set = Annotated[
    Texts, typer.Option("--set", metavar="NAME=VALUE", help="camera, time, video, frame, box, track, a label.")
]


@app.command()
def info(gallery: GalleryPath, json: Json = False) -> None:
    """What a gallery holds and which model made it."""
    told = Gallery.open(gallery).about()
    begun = told["rebuild"]
    if not json:
        told["rebuild"] = "none"
        if begun is not None:
            place = f" from {begun['run']}" if begun["run"] else ""
            done = f"{begun['done']} of {begun['rows']} rows; run it again to go on"
            told["rebuild"] = f"to {begun['model']} {begun['fingerprint'][:8]}{place}, {done}"
    tell({"gallery": str(gallery), **told}, json=json)


@app.command()
@filtered
def remove(gallery: GalleryPath, where: Where, crop: Crops = None, yes: _Yes = False, json: Json = False) -> None:
    """Take crops out of a gallery. They are found no more; `erase` also deletes their bytes."""
    opened, ids = _chosen(gallery, crop, where)
    opened.retention.refuse_held(ids)
    ask(f"remove {len(ids)} of {opened.count()} crops", yes=yes)
    change = opened.remove(ids)
    tell({"removed": change.rows, "rows": opened.count()}, json=json)


@app.command()
@filtered
def erase(gallery: GalleryPath, where: Where, crop: Crops = None, yes: _Yes = False, json: Json = False) -> None:
    """Take crops out of a gallery and delete every trace of them in its folder.

    Vectors, thumbnails, tokens, paths and earlier versions go, also those of crops that were removed before. The
    pictures themselves, backups and pages of results are elsewhere and stay."""
    opened, ids = _chosen(gallery, crop, where)
    opened.retention.refuse_held(ids)
    ask(f"erase {len(ids)} of {opened.count()} crops for good", yes=yes)
    change = opened.erase(ids)
    tell({"erased": change.rows, "searches_removed": list(change.searches), "rows": opened.count()}, json=json)


def _chosen(gallery: Path, crops: Texts, where: Where) -> tuple[Gallery, list[str]]:
    """A gallery, and the ids of its crops that are named and pass the filters; `NothingFound` if there are none."""
    opened = Gallery.open(gallery)
    ids = opened.choose(crops or (), where)
    if not ids:
        raise NothingFound(f"{gallery}: no crop passes the filters; nothing was changed")
    return opened, ids


@app.command()
@filtered
def update(
    gallery: GalleryPath, where: Where, crop: Crops = None, set_: _Set = None, yes: _Yes = False, json: Json = False
) -> None:
    """Tell more about crops: their camera, time, place in a video or labels. Nothing is encoded again.

    --set camera= takes back what is known of the camera, and so on."""
    told, forget = _metadata(set_ or [])
    opened, ids = _chosen(gallery, crop, where)
    ask(f"update {len(ids)} of {opened.count()} crops", yes=yes)
    change = opened.update(ids, told, forget=forget)
    tell({"updated": change.rows, "rows": opened.count()}, json=json)


def _metadata(pairs: list[str]) -> tuple[Metadata, list[str]]:
    forget = [name.strip() for name, equals, value in (pair.partition("=") for pair in pairs) if equals and not value]
    rest = [pair for pair in pairs if pair.partition("=")[0].strip() not in forget]
    told = {name: values[-1] for name, values in parse_labels(rest).items()}
    if not told and not forget:
        raise UsageError("nothing to tell; give --set NAME=VALUE, for example --set camera=lobby")
    found: dict[str, Any] = {name: told.pop(name, None) for name in ("camera", "video", "track")}
    found |= {name: read(told.pop(name)) for name, read in READERS.items() if name in told}
    for name in told:
        if (meant := column_of(name)) in found.keys() | READERS.keys():
            raise UsageError(f"--set {name}={told[name]}: such a label is easily taken for {meant}; write {meant}=")
    return Metadata(labels=told, **found), forget


@app.command()
def compact(gallery: GalleryPath, json: Json = False) -> None:
    """Merge the small pieces on disk that many commits leave; changes no crop."""
    opened = Gallery.open(gallery)
    opened.compact()
    tell({"rows": opened.count()}, json=json)


@app.command()
def verify(
    gallery: GalleryPath,
    files: Annotated[bool, typer.Option("--files", help="Also read the crops: name those gone or changed.")] = False,
    json: Json = False,
) -> None:
    """Read everything in a gallery and name what is wrong. Exit code 0: nothing; 3: something."""
    faults = 0
    with progress("reading", quiet=json) as show:
        for faults, fault in enumerate(check(gallery, files=files, on_progress=show), start=1):  # noqa: B007
            if json:
                tell(fault.as_json(), json=True)
            else:
                say(f"{fault.file}: {fault.what}")
    if faults:
        raise GalleryDamaged(f"{gallery}: {faults} faults")
    tell({"gallery": str(gallery), "faults": 0}, json=json)


@app.command()
def approximate(
    gallery: GalleryPath,
    model: Model = None,
    device: Device = "auto",
    set_: Annotated[Texts, setting("above=2000000")] = None,
    off: Annotated[bool, typer.Option("--off", help="Remove the codes: search exactly again.")] = False,
    json: Json = False,
) -> None:
    """Search a gallery too large to hold in memory by codes, and measure how much that misses and how fast it is.

    The best crops by four bits for each number of a vector are scored exactly. Recall and time are measured with drawn
    sentences and with crops of the gallery, beside an exact search, and written to approximate.json."""
    from pickout.synthetic.captions import drawn_sentences

    opened = Gallery.open(gallery)
    if off:
        opened.search_exactly()
        tell({"gallery": str(gallery), "search": "exact"}, json=json)
        return
    settings = settings_of(ApproximateSettings, set_)
    check_size(gallery, opened.count(), settings.above)
    encoder = loading.load_model(model or loading.remembered_model(gallery, opened.manifest), device)
    with progress("encoding sentences", quiet=json) as show:
        sentences = drawn_sentences(settings.searches, seed=settings.seed)
        found = opened.approximate(sentences, encoder, settings=settings, tell=lambda what: show(0, None, what=what))
    told = {name: getattr(found, name) for name in ("rows", "above", "wide", "faster")}
    recalls = [each.model_dump(mode="json") if json else each.told() for each in found.recalls]
    tell({"gallery": str(gallery), **told, "recalls": recalls}, json=json)
    for warning in found.warnings():
        typer.echo(f"Note: {warning}", err=True)


@app.command()
@filtered
def export(
    gallery: GalleryPath,
    file: Annotated[Path, typer.Argument(help="The file to make, for example people.pickout.")],
    where: Where,
    crop: Crops = None,
    crops: Annotated[bool, typer.Option("--crops", help="Put the original pictures in, too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    json: Json = False,
) -> None:
    """Write a gallery, or the crops that are named or pass the filters, to one file.

    The file holds vectors, thumbnails, paths and all that is known about each crop, as it is at this moment, and can be
    read by its owner only. Erasing from the gallery does not reach it. The export is recorded in the audit."""
    some = crop or where != ANYWHERE
    opened, ids = _chosen(gallery, crop, where) if some else (Gallery.open(gallery), None)
    with progress("exporting", quiet=json) as show:
        report = opened.export(file, ids, crops=crops, force=force, on_progress=show)
    tell({"file": str(file), **report.as_json()}, json=json)
    if report.missing and not json:
        say("missing: pictures that are gone or have changed since they were indexed; their rows are in the file")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file made by pickout gallery export.")],
    gallery: Annotated[Path, typer.Argument(help="A gallery of the same model, or a new folder.")],
    crops_to: Annotated[Path | None, typer.Option(help="Put the file's pictures into this folder.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Let the file's rows win, also over later ones.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Take back crops that were erased from the gallery.")] = False,
    json: Json = False,
) -> None:
    """Take the crops of an exported file into a gallery, which is made where there is none.

    The whole file is checked before anything is written. Of two rows of one path the one that was added later stays; of
    equal age, the gallery's. Run it again after a stop, and it goes on."""
    with progress("opening", quiet=json) as show:
        on_progress = lambda what, done, total: show(done, total, what=what)  # noqa: E731
        choices: dict[str, Any] = {"crops_to": crops_to, "replace_rows": replace, "again": again}
        report = import_gallery(file, gallery, **choices, on_progress=on_progress)
    tell({"gallery": str(gallery), **report.as_json()}, json=json)


@app.command()
def rebuild(
    gallery: GalleryPath,
    model: Annotated[str, typer.Option(help="The other model: a run folder or weight file.")],
    drop_missing: Annotated[bool, typer.Option("--drop-missing", help="Leave out crops that cannot be read.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what an earlier rebuild has begun.")] = False,
    set_: Annotated[Texts, setting("batch=64")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Encode every crop of a gallery anew with another model.

    The new table is built beside the old one, which is searched and changed as before until the new one takes its place
    at the end. Kill it at any moment and run it again: it goes on where it stopped. Each crop is read from its original
    again; while one cannot be read, or has changed, the gallery stays as it is."""
    settings = settings_of(IngestSettings, set_)
    opened = Gallery.open(gallery)  # a wrong folder is told before a model is loaded
    encoder, place = loading.load_model(model, device), loading.remember(model)
    with progress("rebuilding", quiet=json) as show:
        on_progress = lambda at: show(at.done, at.total, note=f"{at.quarantined} lost")  # noqa: E731
        report = opened.rebuild(
            encoder, run=place, settings=settings, drop_missing=drop_missing, restart=restart, on_progress=on_progress
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
