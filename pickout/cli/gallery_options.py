"""Options and words that the commands of `pickout gallery` share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.search.filters import Where

Texts = list[str] | None
GalleryPath = Annotated[Path, typer.Argument(help="A gallery made by pickout index.")]
Crops = Annotated[Texts, typer.Option("--crop", help="This crop: its id or path, * for any; several times.")]
Camera = Annotated[Texts, typer.Option("--camera", help="Crops of this camera; several times.")]
Track = Annotated[Texts, typer.Option("--track", help="Crops of this track; several times.")]
Video = Annotated[Texts, typer.Option("--video", help="Crops of this source video; several times.")]
Label = Annotated[Texts, typer.Option("--label", help="NAME=VALUE: crops with this label; several times.")]
After = Annotated[str | None, typer.Option("--after", help="Crops at this time or later, as 2026-03-01T14:30.")]
Before = Annotated[str | None, typer.Option("--before", help="Crops earlier than this time.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]


def open_gallery(gallery: Path) -> "Gallery":
    """Open a gallery; its model is not needed."""
    from pickout.gallery.gallery import Gallery

    return Gallery.open(gallery)


def chosen(gallery: Path, crops: Texts, where: "Where") -> tuple["Gallery", list[str]]:
    """A gallery, and the ids of its crops that are named and pass the filters.

    Raises:
        NothingFound: none.
        UsageError: none was named and no filter set, or something unknown was named.
    """
    from pickout.errors import NothingFound

    opened = open_gallery(gallery)
    ids = opened.choose(crops or (), where)
    if not ids:
        raise NothingFound(f"{gallery}: no crop passes the filters; nothing was changed")
    return opened, ids


def where_of(camera: Texts, track: Texts, video: Texts, label: Texts, after: str | None, before: str | None) -> "Where":
    """Filters from the options' words.

    Raises:
        UsageError: a time or label that is none.
    """
    from pickout.gallery.search.filters import Where, parse_labels
    from pickout.gallery.storage.rows import parse_time

    return Where(
        cameras=camera or (),
        tracks=track or (),
        videos=video or (),
        labels=parse_labels(label or ()),
        after=None if after is None else parse_time(after),
        before=None if before is None else parse_time(before),
    )


def tell(values: dict[str, object], *, json: bool) -> None:
    """Print values by name, as words or as one JSON object."""
    import json as json_text

    from pickout.gallery.printable import printable

    if json:
        typer.echo(json_text.dumps(values))
        return
    for name, value in values.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        typer.echo(f"{name.replace('_', ' ')}: {printable(shown)}")
