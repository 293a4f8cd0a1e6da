"""`pickout saved`: the searches that a gallery keeps."""

from typing import Annotated

import typer

from pickout.cli.options import GalleryPath, Json, open_gallery
from pickout.cli.terminal import say, tell


def saved(
    gallery: GalleryPath,
    remove: Annotated[str | None, typer.Option(help="Forget the search of this name.")] = None,
    json: Json = False,
) -> None:
    """List the searches that were kept with pickout search --save, or forget one."""
    opened = open_gallery(gallery)
    if remove is not None:
        opened.saved.remove(remove)
    for search in opened.saved.all():
        if json:
            tell(search.as_json(), json=True)
            continue
        query, where, _ = search.parts()
        filters = "".join(f"; {words}" for words in where.words())
        say(f"{search.name}: {query.words()}{filters}")
