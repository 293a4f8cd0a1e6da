"""`pickout search`: rank a gallery's crops for a sentence."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.hits import Hit
    from pickout.gallery.where import Where


def search(
    gallery: Annotated[Path, typer.Argument(help="A gallery made by pickout index.")],
    sentence: Annotated[str, typer.Argument(help="A description of a person, in quotes.")],
    top: Annotated[int, typer.Option(help="How many candidates at most.")] = 20,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; may be given several times.")] = None,
    after: Annotated[str | None, typer.Option(help="Only at this time or later, as 2026-03-01T14:30.")] = None,
    before: Annotated[str | None, typer.Option(help="Only earlier than this time.")] = None,
    model: Annotated[str | None, typer.Option(help="Where the gallery's model is, if it is not where it was.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a candidate.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with the pictures to this file.")] = None,
) -> None:
    """Rank a gallery's crops by how well they fit a sentence.

    Results are candidates, not identifications: a person must check each one. Every search is recorded in the
    gallery's audit.jsonl.
    """
    from pickout.cli.model import load_model, remembered_model
    from pickout.errors import NothingFound
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.printable import printable
    from pickout.gallery.rows import parse_time
    from pickout.gallery.where import Where

    where = Where(
        cameras=tuple(camera or ()),
        after=None if after is None else parse_time(after),
        before=None if before is None else parse_time(before),
    )
    opened = Gallery.open(gallery)
    sentence = opened.check(sentence, top=top, where=where)  # a wrong word is told before a model is loaded
    opened.use(load_model(model or remembered_model(gallery, opened.manifest), device))
    hits = opened.search(sentence, top=top, where=where)
    if html is not None:
        _write_sheet(html, opened, sentence, hits, where)
    if not hits:
        raise NothingFound(f"{gallery}: no crop passes the filters" if opened.count() else f"{gallery}: holds no crops")
    _show(hits, json=json)
    if html is not None and not json:
        typer.echo(f"pictures: {printable(html)}")


def _write_sheet(file: Path, gallery: "Gallery", sentence: str, hits: Sequence["Hit"], where: "Where") -> None:
    from pickout.errors import UsageError
    from pickout.files import write_atomically
    from pickout.gallery.sheet import Answer, result_sheet

    answer = Answer(sentence, hits, where)
    page = result_sheet([answer], gallery=gallery.path.name, model=gallery.manifest.model.name, crops=gallery.count())
    try:
        write_atomically(file, page)
    except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
        raise UsageError(f"--html {file}: cannot be written ({error.strerror})") from None


def _show(hits: Sequence["Hit"], *, json: bool) -> None:
    import json as json_text

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pickout.gallery.printable import printable
    from pickout.gallery.sheet import NOTE

    if json:
        for hit in hits:
            typer.echo(json_text.dumps(hit.as_json()))
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    shown = [name for name in ("camera", "time") if any(getattr(hit, name) is not None for hit in hits)]
    for name in (*shown, "crop"):
        table.add_column(name, overflow="fold")
    for hit in hits:
        told = {"camera": hit.camera or "", "time": "" if hit.time is None else hit.time.isoformat(" ")}
        # Text, not markup: a file may be called [red].jpg.
        cells = [Text(printable(told[name])) for name in shown]
        table.add_row(str(hit.rank), f"{hit.score:.3f}", *cells, Text(printable(hit.path)))
    Console().print(table)
    typer.echo(NOTE)
