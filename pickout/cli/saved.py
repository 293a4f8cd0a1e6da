"""`pickout saved`: the searches that a gallery keeps."""

from pathlib import Path
from typing import Annotated

import typer


def saved(
    gallery: Annotated[Path, typer.Argument(help="A gallery made by pickout index.")],
    remove: Annotated[str | None, typer.Option(help="Forget the search of this name.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a search.")] = False,
) -> None:
    """List the searches that were kept with pickout search --save, or forget one."""
    import json as json_text

    from pickout.errors import printable
    from pickout.gallery.gallery import Gallery

    opened = Gallery.open(gallery)
    if remove is not None:
        opened.saved.remove(remove)
    for search in opened.saved.all():
        if json:
            typer.echo(json_text.dumps(search.as_json()))
            continue
        query, where, _ = search.parts()
        filters = "".join(f"; {words}" for words in where.words())
        typer.echo(f"{printable(search.name)}: {printable(query.words() + filters)}")
