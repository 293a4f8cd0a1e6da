"""What commands print and write, how far they are, and what they ask."""

import json as json_text
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pickout.errors import UsageError, printable
from pickout.files import atomic_path

if TYPE_CHECKING:
    from PIL.Image import Image

typed: Sequence[str] = ()  # the words of the command line, as `main` got them
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


_HEAD = 64  # bytes of a file by which its kind is told
_KINDS = {b"\x89PNG": "a PNG", b"\xff\xd8\xff": "a JPEG", b"GIF8": "a GIF", b"RIFF": "a WebP", b"PK": "an archive"}
_KINDS |= {b"%PDF": "a PDF", b"<!": "a page", b"<html": "a page", b"<": "XML", b"{": "JSON"}


def _kind(head: bytes) -> str:
    """What a file is by its first bytes; empty for one that holds nothing."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for mark, kind in _KINDS.items() if start.startswith(mark)), "text" if start else "")


def check_place(file: Path | None, option: str) -> None:
    """Refuse a file in a gallery's folder, where it would outlive what is erased or replace a file, and one that the
    command line also names as something else."""
    if file is None:
        return
    from pickout.gallery.storage.tables import MANIFEST

    if any((folder / MANIFEST).exists() for folder in file.resolve().parents):
        raise UsageError(f"{option} {file}: lies in a gallery's folder; give another place for it")
    if file.is_dir():
        raise UsageError(f"{option} {file}: cannot be written (is a folder); give another place")
    places = [Path(part) for word in typed for part in (word, word.partition("=")[2]) if part]
    with suppress(OSError, ValueError):  # where it is not there, or a word can be no path
        if file.exists() and sum(place.exists() and place.samefile(file) for place in places) > 1:
            raise UsageError(f"{option} {file}: is what this command reads; give another place")


def write(
    file: Path | None, option: str, content: Callable[[], "str | bytes | Image"], *, private: bool = False
) -> None:
    """Write a file that an option asked for, whole or not at all, a picture as PNG; None was not asked for. Where it
    shows people it is `private`, its owner's alone. A file of another kind that is there stays: it is the user's."""
    if file is None:
        return
    from pickout.pages import picture_bytes

    check_place(file, option)
    try:
        made = content()
        data = made.encode() if isinstance(made, str) else made
        data = data if isinstance(data, bytes) else picture_bytes(data, "PNG", optimize=True)
        if file.is_file():
            with file.open("rb") as opened:
                there = _kind(opened.read(_HEAD))
            if there not in ("", _kind(data[:_HEAD])):
                raise UsageError(f"{option} {file}: is there and is {there}, which would be lost; give another place")
        with atomic_path(file, private=private) as temporary:
            temporary.write_bytes(data)
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
