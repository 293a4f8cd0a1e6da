"""What commands print and write, how far they are, and what they ask."""

import json as json_text
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pickout.errors import UsageError, printable
from pickout.files import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image

Show = Callable[..., None]  # told how much is done and of how much in all; `what` is being done and a `note` may follow


def say(text: object, *, err: bool = False) -> None:
    """Print a line in which names of others may stand; with `err` on standard error."""
    typer.echo(printable(text), err=err)


def tell(values: Mapping[str, object], *, json: bool) -> None:
    """Print values by name, as words or as one JSON object."""
    if json:
        typer.echo(json_text.dumps(values))
        return
    for name, value in values.items():
        shown = ", ".join(map(str, value)) or "none" if isinstance(value, list) else value
        say(f"{name.replace('_', ' ')}: {shown}")


def say_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Collection[str] = (), title: str = ""
) -> None:
    """Print rows below their columns' names, some cells at the `right`; names of others may stand in them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table, cells = Table(box=box.SIMPLE_HEAD), [[Text(printable(cell)) for cell in row] for row in rows]
    for place, name in enumerate(columns):
        short = all(len(row[place]) <= 30 for row in cells)  # only longer ones are cut up where there is no room
        table.add_column(name, overflow="fold", no_wrap=short, justify="right" if name in right else "left")
    for row in cells:
        table.add_row(*row)  # Text, not markup: a file may be called [red].jpg
    if title:
        say(title)
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def check_place(file: Path | None, option: str) -> None:
    """Refuse a file in a gallery's folder, where it would outlive what is erased or replace a file."""
    from pickout.gallery.storage.tables import MANIFEST

    if file is not None and any((folder / MANIFEST).exists() for folder in file.resolve().parents):
        raise UsageError(f"{option} {file}: lies in a gallery's folder; give another place for it")


def write(file: Path | None, option: str, content: Callable[[], "str | bytes | Image"]) -> None:
    """Write a file that an option asked for, whole or not at all, a picture as PNG; None was not asked for."""
    if file is None:
        return
    from pickout.pages import picture_bytes

    check_place(file, option)
    try:
        made = content()
        write_atomically(file, made if isinstance(made, str | bytes) else picture_bytes(made, "PNG", optimize=True))
    except OSError as error:
        raise UsageError(f"{option} {file}: cannot be written ({error.strerror}); give another place") from None


@contextmanager
def progress(what: str, *, quiet: bool, stays: bool = False) -> Iterator[Show]:
    """A bar on standard error; nothing where it is `quiet`. Its end `stays`, also in a file, or is wiped off."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    console = Console(file=sys.stderr)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=quiet, transient=not stays) as bar:
        task = bar.add_task(what, total=None, note="")

        def show(done: int, total: int | None, *, what: str = what, note: str = "") -> None:
            if what != bar.tasks[0].description:
                bar.reset(task, description=what)
            seconds = bar.tasks[0].elapsed or 0
            rate = f"{done / seconds:.0f}/s" if seconds else ""
            bar.update(task, completed=done, total=total, note=f"{rate} {note}")

        yield show


def ask(what: str, *, yes: bool) -> None:
    """Ask whether to do something, unless `yes` says so; `UsageError` at no, no answer, or nobody to ask."""
    if yes:
        return
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise UsageError(f"this would {what}; add --yes")
    try:
        agreed = typer.confirm(f"{what}?", err=True)
    except typer.Abort as abort:
        typer.echo(err=True)  # the question's line has no end
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        agreed = False  # the end of what was typed
    if not agreed:
        raise UsageError(f"not confirmed: {what}; nothing was changed")
