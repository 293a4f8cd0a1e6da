"""`pickout gallery`: look at a gallery, change it, erase from it, check it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.rows import Metadata
    from pickout.gallery.where import Where

app = typer.Typer(help="Look at a gallery, change it, erase from it, check it.", no_args_is_help=True)

_Texts = list[str] | None
_Path = Annotated[Path, typer.Argument(help="A gallery made by pickout index.")]
_Crops = Annotated[_Texts, typer.Option("--crop", help="This crop: its id or path, * for any; several times.")]
_Camera = Annotated[_Texts, typer.Option("--camera", help="Crops of this camera; several times.")]
_Track = Annotated[_Texts, typer.Option("--track", help="Crops of this track; several times.")]
_Video = Annotated[_Texts, typer.Option("--video", help="Crops of this source video; several times.")]
_Label = Annotated[_Texts, typer.Option("--label", help="NAME=VALUE: crops with this label; several times.")]
_After = Annotated[str | None, typer.Option("--after", help="Crops at this time or later, as 2026-03-01T14:30.")]
_Before = Annotated[str | None, typer.Option("--before", help="Crops earlier than this time.")]
_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
_Set = Annotated[
    _Texts, typer.Option("--set", metavar="NAME=VALUE", help="camera, time, video, frame, track or a label.")
]


@app.command()
def info(gallery: _Path, json: _Json = False) -> None:
    """What a gallery holds and which model made it."""
    opened = _open(gallery)
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
        "bytes": sum(file.stat().st_size for file in gallery.rglob("*") if file.is_file()),
    }
    _tell(told, json=json)


@app.command()
def remove(
    gallery: _Path,
    crop: _Crops = None,
    camera: _Camera = None,
    track: _Track = None,
    video: _Video = None,
    label: _Label = None,
    after: _After = None,
    before: _Before = None,
    yes: _Yes = False,
    json: _Json = False,
) -> None:
    """Take crops out of a gallery. They are found no more; `erase` also deletes their bytes."""
    opened, ids = _chosen(gallery, crop, _where(camera, track, video, label, after, before))
    _ask(f"remove {len(ids)} of {opened.count()} crops", yes=yes)
    change = opened.remove(ids)
    _tell({"removed": change.rows, "rows": opened.count()}, json=json)


@app.command()
def erase(
    gallery: _Path,
    crop: _Crops = None,
    camera: _Camera = None,
    track: _Track = None,
    video: _Video = None,
    label: _Label = None,
    after: _After = None,
    before: _Before = None,
    yes: _Yes = False,
    json: _Json = False,
) -> None:
    """Take crops out of a gallery and delete every trace of them in its folder.

    Vectors, thumbnails, tokens, paths and earlier versions go, also those of crops that were removed before. The
    pictures themselves, backups and pages of results are elsewhere and stay.
    """
    opened, ids = _chosen(gallery, crop, _where(camera, track, video, label, after, before))
    _ask(f"erase {len(ids)} of {opened.count()} crops for good", yes=yes)
    change = opened.erase(ids)
    _tell({"erased": change.rows, "searches_removed": list(change.searches), "rows": opened.count()}, json=json)


@app.command()
def update(
    gallery: _Path,
    crop: _Crops = None,
    camera: _Camera = None,
    track: _Track = None,
    video: _Video = None,
    label: _Label = None,
    after: _After = None,
    before: _Before = None,
    set_: _Set = None,
    yes: _Yes = False,
    json: _Json = False,
) -> None:
    """Tell more about crops: their camera, time, place in a video or labels. Nothing is encoded again."""
    told = _metadata(set_ or [])
    opened, ids = _chosen(gallery, crop, _where(camera, track, video, label, after, before))
    _ask(f"update {len(ids)} of {opened.count()} crops", yes=yes)
    change = opened.update(ids, told)
    _tell({"updated": change.rows, "rows": opened.count()}, json=json)


@app.command()
def compact(gallery: _Path, json: _Json = False) -> None:
    """Merge the small pieces on disk that many commits leave; changes no crop."""
    opened = _open(gallery)
    opened.compact()
    _tell({"rows": opened.count()}, json=json)


@app.command()
def verify(
    gallery: _Path,
    files: Annotated[bool, typer.Option("--files", help="Also read the crops: name those gone or changed.")] = False,
    json: _Json = False,
) -> None:
    """Read everything in a gallery and name what is wrong. Exit code 0: nothing; 3: something."""
    import json as json_text

    from rich.console import Console
    from rich.progress import Progress

    from pickout.errors import GalleryDamaged
    from pickout.gallery.printable import printable
    from pickout.gallery.verify import verify as check

    faults = 0
    with Progress(console=Console(file=sys.stderr), disable=json, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        for fault in check(
            gallery, files=files, on_progress=lambda done, total: bar.update(task, completed=done, total=total)
        ):
            faults += 1
            told = f"{printable(fault.file)}: {printable(fault.what)}"
            typer.echo(json_text.dumps(fault.as_json()) if json else told)
    if faults:
        raise GalleryDamaged(f"{gallery}: {faults} faults")
    _tell({"gallery": str(gallery), "faults": 0}, json=json)


def _open(gallery: Path) -> "Gallery":
    from pickout.gallery.gallery import Gallery

    return Gallery.open(gallery)


def _chosen(gallery: Path, crops: _Texts, where: "Where") -> tuple["Gallery", list[str]]:
    from pickout.errors import NothingFound

    opened = _open(gallery)
    ids = opened.choose(crops or (), where)
    if not ids:
        raise NothingFound(f"{gallery}: no crop passes the filters; nothing was changed")
    return opened, ids


def _where(
    camera: _Texts, track: _Texts, video: _Texts, label: _Texts, after: str | None, before: str | None
) -> "Where":
    from pickout.gallery.rows import parse_time
    from pickout.gallery.where import Where, parse_labels

    return Where(
        cameras=camera or (),
        tracks=track or (),
        videos=video or (),
        labels=parse_labels(label or ()),
        after=None if after is None else parse_time(after),
        before=None if before is None else parse_time(before),
    )


def _metadata(pairs: list[str]) -> "Metadata":
    from pickout.errors import UsageError
    from pickout.gallery.rows import Metadata, parse_time
    from pickout.gallery.where import parse_labels

    told = {name: values[-1] for name, values in parse_labels(pairs).items()}
    if not told:
        raise UsageError("nothing to tell; give --set NAME=VALUE, for example --set camera=lobby")
    time, frame = told.pop("time", None), told.pop("frame", None)
    if frame is not None and not frame.isdecimal():
        raise UsageError(f"frame '{frame}': expected a whole number")
    camera, video, track = (told.pop(name, None) for name in ("camera", "video", "track"))
    return Metadata(
        camera=camera,
        time=None if time is None else parse_time(time),
        labels=told,
        video=video,
        frame=None if frame is None else int(frame),
        track=track,
    )


def _ask(what: str, *, yes: bool) -> None:
    from pickout.errors import UsageError

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"this would {what}; add --yes")
    typer.confirm(f"{what}?", abort=True, err=True)


def _tell(values: dict[str, object], *, json: bool) -> None:
    import json as json_text

    from pickout.gallery.printable import printable

    if json:
        typer.echo(json_text.dumps(values))
        return
    for name, value in values.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        typer.echo(f"{name.replace('_', ' ')}: {printable(shown)}")
