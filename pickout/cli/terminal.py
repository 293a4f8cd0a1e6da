"""What commands print, how far they are, and what they ask."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import typer

Show = Callable[..., None]
"""Told how much is done and of how much in all; `what` is being done and a `note` may follow."""


def say(text: object) -> None:
    """Print a line in which names of others may stand."""
    from pickout.errors import printable

    typer.echo(printable(text))


def tell(values: Mapping[str, object], *, json: bool) -> None:
    """Print values by name, as words or as one JSON object."""
    import json as json_text

    if json:
        typer.echo(json_text.dumps(values))
        return
    for name, value in values.items():
        say(f"{name.replace('_', ' ')}: {', '.join(map(str, value)) if isinstance(value, list) else value}")


@contextmanager
def progress(what: str, *, quiet: bool) -> Iterator[Show]:
    """A bar on standard error, counting crops; nothing where it is `quiet`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    console = Console(file=sys.stderr)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=quiet, transient=True) as bar:
        task = bar.add_task(what, total=None, note="")

        def show(done: int, total: int | None, *, what: str = what, note: str = "") -> None:
            seconds = bar.tasks[0].elapsed or 0
            rate = f"{done / seconds:.0f}/s" if seconds else ""
            bar.update(task, description=what, completed=done, total=total, note=f"{rate} {note}")

        yield show


def ask(what: str, *, yes: bool) -> None:
    """Ask whether to do something, unless `yes` says so.

    Raises:
        UsageError: no, no answer, or nobody to ask.
    """
    from pickout.errors import UsageError

    if yes:
        return
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise UsageError(f"this would {what}; add --yes")
    try:
        agreed = typer.confirm(f"{what}?", err=True)
    except typer.Abort:  # Ctrl-C, or the end of what was typed
        agreed = False
    if not agreed:
        raise UsageError(f"not confirmed: {what}; nothing was changed")
