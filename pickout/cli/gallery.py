"""`pickout gallery`: look at a gallery, change it, erase from it, check it."""

from typing import TYPE_CHECKING, Annotated

import typer

from pickout.cli.gallery_approximate import approximate
from pickout.cli.gallery_portable import export, import_
from pickout.cli.gallery_rebuild import rebuild, unfinished
from pickout.cli.options import Crops, GalleryPath, Json, Texts, chosen, filtered, open_gallery
from pickout.cli.terminal import ask, progress, say, tell

if TYPE_CHECKING:
    from pickout.gallery.search.filters import Where
    from pickout.gallery.storage.rows import Metadata

app = typer.Typer(help="Look at a gallery, change it, erase from it, check it.", no_args_is_help=True)

_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_Set = Annotated[
    Texts, typer.Option("--set", metavar="NAME=VALUE", help="camera, time, video, frame, box, track or a label.")
]


@app.command()
def info(gallery: GalleryPath, json: Json = False) -> None:
    """What a gallery holds and which model made it."""
    opened = open_gallery(gallery)
    manifest = opened.manifest
    told = {
        "gallery": str(gallery),
        "rows": opened.count(),
        "cameras": list(opened.cameras()),
        "quarantined": len(opened.quarantined()),
        "saved_searches": len(opened.saved.all()),
        "format": manifest.format,
        "created": manifest.created.isoformat(),
        "model": manifest.model.name,
        "fingerprint": manifest.model.fingerprint,
        "run": manifest.model.run,
        "search": opened.how_searched(),
        "rebuild": unfinished(gallery, opened.count(), json=json),
        "bytes": sum(file.stat().st_size for file in gallery.rglob("*") if file.is_file()),
    }
    tell(told, json=json)


@app.command()
@filtered
def remove(gallery: GalleryPath, where: "Where", crop: Crops = None, yes: _Yes = False, json: Json = False) -> None:
    """Take crops out of a gallery. They are found no more; `erase` also deletes their bytes."""
    from pickout.serve.retention import Retention

    opened, ids = chosen(gallery, crop, where)
    Retention(opened).refuse_held(ids)
    ask(f"remove {len(ids)} of {opened.count()} crops", yes=yes)
    change = opened.remove(ids)
    tell({"removed": change.rows, "rows": opened.count()}, json=json)


@app.command()
@filtered
def erase(gallery: GalleryPath, where: "Where", crop: Crops = None, yes: _Yes = False, json: Json = False) -> None:
    """Take crops out of a gallery and delete every trace of them in its folder.

    Vectors, thumbnails, tokens, paths and earlier versions go, also those of crops that were removed before. The
    pictures themselves, backups and pages of results are elsewhere and stay.
    """
    from pickout.serve.retention import Retention

    opened, ids = chosen(gallery, crop, where)
    Retention(opened).refuse_held(ids)
    ask(f"erase {len(ids)} of {opened.count()} crops for good", yes=yes)
    change = opened.erase(ids)
    tell({"erased": change.rows, "searches_removed": list(change.searches), "rows": opened.count()}, json=json)


@app.command()
@filtered
def update(
    gallery: GalleryPath,
    where: "Where",
    crop: Crops = None,
    set_: _Set = None,
    yes: _Yes = False,
    json: Json = False,
) -> None:
    """Tell more about crops: their camera, time, place in a video or labels. Nothing is encoded again."""
    told = _metadata(set_ or [])
    opened, ids = chosen(gallery, crop, where)
    ask(f"update {len(ids)} of {opened.count()} crops", yes=yes)
    change = opened.update(ids, told)
    tell({"updated": change.rows, "rows": opened.count()}, json=json)


@app.command()
def compact(gallery: GalleryPath, json: Json = False) -> None:
    """Merge the small pieces on disk that many commits leave; changes no crop."""
    opened = open_gallery(gallery)
    opened.compact()
    tell({"rows": opened.count()}, json=json)


@app.command()
def verify(
    gallery: GalleryPath,
    files: Annotated[bool, typer.Option("--files", help="Also read the crops: name those gone or changed.")] = False,
    json: Json = False,
) -> None:
    """Read everything in a gallery and name what is wrong. Exit code 0: nothing; 3: something."""
    import json as json_text

    from pickout.errors import GalleryDamaged
    from pickout.gallery.changes.verification import verify as check

    faults = 0
    with progress("reading", quiet=json) as show:
        for fault in check(gallery, files=files, on_progress=show):
            faults += 1
            say(json_text.dumps(fault.as_json()) if json else f"{fault.file}: {fault.what}")
    if faults:
        raise GalleryDamaged(f"{gallery}: {faults} faults")
    tell({"gallery": str(gallery), "faults": 0}, json=json)


app.command("approximate")(approximate)
app.command("export")(export)
app.command("import")(import_)
app.command("rebuild")(rebuild)


def _metadata(pairs: list[str]) -> "Metadata":
    from pickout.errors import UsageError
    from pickout.gallery.intake.metadata import whole_numbers
    from pickout.gallery.search.filters import parse_labels
    from pickout.gallery.storage.rows import Metadata, parse_time

    told = {name: values[-1] for name, values in parse_labels(pairs).items()}
    if not told:
        raise UsageError("nothing to tell; give --set NAME=VALUE, for example --set camera=lobby")
    time, frame = told.pop("time", None), told.pop("frame", None)
    box = told.pop("box", None)
    sides = None if box is None else whole_numbers("box", box)
    camera, video, track = (told.pop(name, None) for name in ("camera", "video", "track"))
    return Metadata(
        camera=camera,
        time=None if time is None else parse_time(time),
        labels=told,
        video=video,
        frame=None if frame is None else whole_numbers("frame", frame)[0],
        box=None if sides is None else (sides[0], sides[1], sides[2], sides[3]),
        track=track,
    )
