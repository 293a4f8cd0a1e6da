"""Answers on the terminal, as JSON lines and as a page."""

import json as json_text
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pickout.cli.terminal import say

if TYPE_CHECKING:
    from PIL.Image import Image

    from pickout.checkpoints.loaded_model import LoadedModel
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.search.answer import Answer, Hit
    from pickout.gallery.search.sheet import Reasons

_NUMBERS = ("rank", "score", "match", "probability", "others")


def check_page(file: Path) -> None:
    """Refuse a place for a page where it would lie among, or replace, a gallery's files.

    Raises:
        UsageError: it lies in a gallery's folder, or leads there.
    """
    from pickout.errors import UsageError
    from pickout.gallery.storage.manifest import MANIFEST

    if any((folder / MANIFEST).exists() for folder in file.resolve().parents):
        raise UsageError(f"--html {file}: lies in a gallery's folder; give another place for the page")


def write_page(file: Path, gallery: "Gallery", answers: Sequence["Answer"], model: "LoadedModel | None" = None) -> None:
    """Write answers as one self-contained page; with a model also why each candidate was chosen.

    Raises:
        UsageError: the file cannot be written.
    """
    from pickout.errors import UsageError
    from pickout.files import write_atomically
    from pickout.gallery.search.sheet import NO_REASONS, result_sheet

    reasons = NO_REASONS if model is None else find_reasons(model, answers)
    name, crops = gallery.manifest.model.name, gallery.count()
    page = result_sheet(answers, gallery=gallery.path.name, model=name, crops=crops, reasons=reasons)
    try:
        write_atomically(file, page)
    except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
        raise UsageError(f"--html {file}: cannot be written ({error.strerror})") from None


def find_reasons(model: "LoadedModel", answers: Sequence["Answer"]) -> "Reasons":
    """Explain every candidate's score for the first sentence of its query; a query without sentence has no reasons.

    A crop that has moved or changed since it was indexed is explained by its thumbnail, if that is whole.

    Args:
        model: the gallery's.
        answers: what was found.

    Raises:
        CheckpointError: the model's measurement is damaged.
    """
    from pickout.explain.explanation import explain, measurement_file
    from pickout.explain.page import explanation_piece, explanation_style
    from pickout.explain.verdict import read_measurement
    from pickout.gallery.search.sheet import Reasons

    measurement = read_measurement(measurement_file(model))
    pieces: dict[str, str] = {}
    for answer in answers:
        for hit in answer.hits if answer.query.texts else ():
            if (picture := _picture(hit)) is not None:
                found = explain(model, answer.query.texts[0], picture, measurement=measurement)
                pieces[hit.id] = explanation_piece(found, name=f"why{len(pieces)}x")
    return Reasons(explanation_style(), pieces)


def _picture(hit: "Hit") -> "Image | None":
    from pickout.data.images import open_image
    from pickout.errors import ImageUnreadable

    for source in (hit.file, hit.thumbnail):
        try:
            picture = open_image(source)
        except ImageUnreadable:
            continue
        if source is hit.thumbnail or picture.size == (hit.width, hit.height):
            return picture
    return None


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
        say(words)
    if answer.hits:
        from pickout.gallery.search.sheet import NOTE

        say(NOTE)
        if answer.more:
            say(f"More: --page {answer.page + 1}")
        if page is not None:
            say(f"pictures: {page}")


def _show_table(hits: Sequence["Hit"]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pickout.errors import printable

    table = Table(box=box.SIMPLE_HEAD)
    cells = [_cells(hit) for hit in hits]
    shown = [name for name in cells[0] if any(row[name] for row in cells)]
    for name in shown:
        table.add_column(name, overflow="fold", justify="right" if name in _NUMBERS else "left")
    for row in cells:
        # Text, not markup: a file may be called [red].jpg.
        table.add_row(*(Text(printable(row[name])) for name in shown))
    Console().print(table)


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
