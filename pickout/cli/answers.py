"""Answers on the terminal, as JSON lines and as a page; shared by the commands that search."""

import json as json_text
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pickout.checkpoints.loaded_model import LoadedModel
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.search.answer import Answer
    from pickout.gallery.search.hits import Hit


def write_page(file: Path, gallery: "Gallery", answers: Sequence["Answer"], model: "LoadedModel | None" = None) -> None:
    """Write answers as one self-contained page; with a model also why each candidate was chosen.

    Raises:
        UsageError: the file cannot be written.
    """
    from pickout.errors import UsageError
    from pickout.files import write_atomically
    from pickout.gallery.search.sheet import NO_REASONS, result_sheet

    reasons = NO_REASONS
    if model is not None:
        from pickout.cli.reasons import find_reasons

        reasons = find_reasons(model, answers)
    name, crops = gallery.manifest.model.name, gallery.count()
    page = result_sheet(answers, gallery=gallery.path.name, model=name, crops=crops, reasons=reasons)
    try:
        write_atomically(file, page)
    except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
        raise UsageError(f"--html {file}: cannot be written ({error.strerror})") from None


def show_answer(answer: "Answer", page: Path | None = None, *, json: bool) -> None:
    """Print the candidates, how sure they are, what must be said beside them, and where their page was written."""
    if json:
        for hit in answer.hits:
            typer.echo(json_text.dumps(hit.as_json()))
        if answer.hits:
            typer.echo(json_text.dumps({"answer": answer.as_json()}))
        return
    if answer.hits:
        _show_table(answer.hits)
    for words in (*((answer.verdict.words(),) if answer.verdict else ()), *answer.notes):
        typer.echo(words)
    if answer.hits:
        from pickout.gallery.search.sheet import NOTE

        typer.echo(NOTE)
        if answer.more:
            typer.echo(f"More: --page {answer.page + 1}")
        if page is not None:
            from pickout.gallery.printable import printable

            typer.echo(f"pictures: {printable(page)}")


def _show_table(hits: Sequence["Hit"]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pickout.gallery.printable import printable

    table = Table(box=box.SIMPLE_HEAD)
    cells = [_cells(hit) for hit in hits]
    shown = [name for name in cells[0] if any(row[name] for row in cells)]
    for name in shown:
        table.add_column(name, overflow="fold", justify="right" if name in _NUMBERS else "left")
    for row in cells:
        # Text, not markup: a file may be called [red].jpg.
        table.add_row(*(Text(printable(row[name])) for name in shown))
    Console().print(table)


_NUMBERS = ("rank", "score", "match", "probability", "others")


def _cells(hit: "Hit") -> dict[str, str]:
    return {
        "rank": str(hit.rank),
        "probability": "" if hit.probability is None else f"{hit.probability:.2f}",
        "match": "" if hit.match is None else f"{hit.match:.3f}",
        "score": f"{hit.score:.3f}",
        "camera": hit.camera or "",
        "time": "" if hit.time is None else hit.time.isoformat(" "),
        "others": f"+{len(hit.others)}" if hit.others else "",
        "crop": hit.path,
    }
