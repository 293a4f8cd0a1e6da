"""`pickout gallery export` and `import`: a gallery, or a part of it, as one file."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pickout.cli.gallery_options import (
    After,
    Before,
    Camera,
    Crops,
    GalleryPath,
    Json,
    Label,
    Track,
    Video,
    chosen,
    open_gallery,
    tell,
    where_of,
)

_To = Annotated[Path, typer.Argument(help="The file to make, for example people.pickout.")]
_From = Annotated[Path, typer.Argument(help="A file made by pickout gallery export.")]
_Into = Annotated[Path, typer.Argument(help="A gallery of the same model, or a new folder.")]
_Pictures = Annotated[bool, typer.Option("--crops", help="Put the original pictures in, too.")]
_Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")]
_CropsTo = Annotated[Path | None, typer.Option("--crops-to", help="Put the file's pictures into this folder.")]
_Replace = Annotated[bool, typer.Option("--replace", help="Let the file's rows win, also over later ones.")]


def export(
    gallery: GalleryPath,
    file: _To,
    crop: Crops = None,
    camera: Camera = None,
    track: Track = None,
    video: Video = None,
    label: Label = None,
    after: After = None,
    before: Before = None,
    crops: _Pictures = False,
    force: _Force = False,
    json: Json = False,
) -> None:
    """Write a gallery, or the crops that are named or pass the filters, to one file.

    The file holds vectors, thumbnails, paths and all that is known about each crop, as it is at this moment, and can be
    read by its owner only. Erasing from the gallery does not reach it. The export is recorded in the audit.
    """
    from pickout.gallery.search.filters import ANYWHERE

    where, ids = where_of(camera, track, video, label, after, before), None
    if crop or where != ANYWHERE:
        opened, ids = chosen(gallery, crop, where)
    else:
        opened = open_gallery(gallery)
    with _progress(not json) as show:
        report = opened.export(
            file, ids, crops=crops, force=force, on_progress=lambda done, total: show("exporting", done, total)
        )
    tell({"file": str(file), **report.as_json()}, json=json)
    if report.missing and not json:
        typer.echo(
            "missing: pictures that are gone or have changed since they were indexed; their rows are in the file"
        )


def import_(
    file: _From, gallery: _Into, crops_to: _CropsTo = None, replace: _Replace = False, json: Json = False
) -> None:
    """Take the crops of an exported file into a gallery, which is made where there is none.

    The whole file is checked before anything is written. Of two rows of one path the one that was added later stays; of
    equal age, the gallery's. Run it again after a stop, and it goes on.
    """
    from pickout.gallery.portable.reader import import_gallery

    with _progress(not json) as show:
        report = import_gallery(file, gallery, crops_to=crops_to, replace_rows=replace, on_progress=show)
    tell({"gallery": str(gallery), **report.as_json()}, json=json)


@contextmanager
def _progress(speaks: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error; silent unless it `speaks`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("crops"))
    console = Console(file=sys.stderr)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not speaks, transient=True) as bar:
        task = bar.add_task("opening", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield show
