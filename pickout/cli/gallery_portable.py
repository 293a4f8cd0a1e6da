"""`pickout gallery export` and `import`: a gallery, or a part of it, as one file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pickout.cli.options import Crops, GalleryPath, Json, chosen, filtered, open_gallery
from pickout.cli.terminal import progress, say, tell

if TYPE_CHECKING:
    from pickout.gallery.search.filters import Where


@filtered
def export(
    gallery: GalleryPath,
    file: Annotated[Path, typer.Argument(help="The file to make, for example people.pickout.")],
    where: "Where",
    crop: Crops = None,
    crops: Annotated[bool, typer.Option("--crops", help="Put the original pictures in, too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    json: Json = False,
) -> None:
    """Write a gallery, or the crops that are named or pass the filters, to one file.

    The file holds vectors, thumbnails, paths and all that is known about each crop, as it is at this moment, and can be
    read by its owner only. Erasing from the gallery does not reach it. The export is recorded in the audit.
    """
    from pickout.gallery.search.filters import ANYWHERE

    some = crop or where != ANYWHERE
    opened, ids = chosen(gallery, crop, where) if some else (open_gallery(gallery), None)
    with progress("exporting", quiet=json) as show:
        report = opened.export(file, ids, crops=crops, force=force, on_progress=show)
    tell({"file": str(file), **report.as_json()}, json=json)
    if report.missing and not json:
        say("missing: pictures that are gone or have changed since they were indexed; their rows are in the file")


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
    equal age, the gallery's. Run it again after a stop, and it goes on.
    """
    from pickout.gallery.portable.reader import import_gallery

    with progress("opening", quiet=json) as show:
        report = import_gallery(
            file,
            gallery,
            crops_to=crops_to,
            replace_rows=replace,
            again=again,
            on_progress=lambda what, done, total: show(done, total, what=what),
        )
    tell({"gallery": str(gallery), **report.as_json()}, json=json)
