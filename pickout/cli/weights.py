"""`pickout weights`: published weights that a training can start from."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pickout.config import nearest
from pickout.errors import UsageError

weights = typer.Typer(no_args_is_help=True, help="Fetch published weights, checked and resumable.")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@weights.command("list")
def list_weights(json_: AsJson = False) -> None:
    """Name the weights that can be fetched, and say which are here."""
    from pickout.checkpoints.named_weights import NAMED_WEIGHTS, is_fetched

    table = Table("name", "MB", "here", "about", box=None)
    for name, entry in NAMED_WEIGHTS.items():
        here = is_fetched(name)
        if json_:
            row = {
                "name": name,
                "repository": entry.repository,
                "bytes": entry.size,
                "about": entry.about,
                "here": here,
            }
            typer.echo(json.dumps(row))
        else:
            table.add_row(name, f"{entry.size / 1e6:.0f}", "yes" if here else "no", entry.about)
    if not json_:
        Console().print(table)


@weights.command("get")
def get_weights(
    name: Annotated[str, typer.Argument(help="A name of `pickout weights list`.")],
    to: Annotated[Path | None, typer.Option(help="Folder to put them in; by default where `pickout` looks.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Address of a hub or mirror; HF_ENDPOINT does the same.")] = None,
    json_: AsJson = False,
) -> None:
    """Download weights, go on where an earlier attempt broke off, and check every byte against the hub's checksum."""
    from pickout.checkpoints.named_weights import NAMED_WEIGHTS, fetch_named, named_folder

    if name not in NAMED_WEIGHTS:
        raise UsageError(f"weights '{name}': unknown name{nearest(name, NAMED_WEIGHTS)}")
    for file in fetch_named(name, to, endpoint=endpoint, progress=not json_):
        if json_:
            row = {
                "file": str(file.path),
                "bytes": file.size,
                "checksum": file.checksum,
                "downloaded": file.downloaded,
            }
            typer.echo(json.dumps(row))
        else:
            state = f"{file.downloaded:,} bytes fetched" if file.downloaded else "already here"
            typer.echo(f"{file.path}: {state}, {file.checksum[:19]} checked")
    if not json_:
        typer.echo(f"use it as: {to or name}  ({to or named_folder(name)})")
