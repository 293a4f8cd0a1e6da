"""`pickout weights`: published weights that a training can start from."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

weights = typer.Typer(no_args_is_help=True, help="Fetch published weights, checked and resumable.")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Endpoint = Annotated[str | None, typer.Option(help="Address of a hub or mirror; HF_ENDPOINT does the same.")]


@weights.command("list")
def list_weights(json_: AsJson = False) -> None:
    """Name the weights that can be fetched, and say which are here."""
    from pickout.checkpoints.named_weights import NAMED_WEIGHTS, fetched

    table = Table("name", "MB", "here", "licence", "about", box=None)
    for name, entry in NAMED_WEIGHTS.items():
        here, about = fetched(name) is not None, f"{entry.about}; {entry.note}" if entry.note else entry.about
        if json_:
            row = {"name": name, "repository": entry.repository, "bytes": entry.size, "licence": entry.licence}
            typer.echo(json.dumps({**row, "about": entry.about, "note": entry.note, "here": here}))
        else:
            size = f"{entry.size / 1e6:.0f}" if entry.size else "?"
            table.add_row(name, size, "yes" if here else "no", entry.licence, about)
    if not json_:
        Console().print(table)


@weights.command("get")
def get_weights(
    name: Annotated[
        str, typer.Argument(help="A name of `pickout weights list`, or OWNER/NAME or OWNER/NAME/FILE on the hub.")
    ],
    to: Annotated[Path | None, typer.Option(help="Folder to put them in; by default where `pickout` looks.")] = None,
    endpoint: Endpoint = None,
    json_: AsJson = False,
) -> None:
    """Download weights, go on where an earlier attempt broke off, and check every byte against the hub's checksum."""
    from pickout.checkpoints.named_weights import NAMED_WEIGHTS, fetch_named, named_folder

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
        if name in NAMED_WEIGHTS and NAMED_WEIGHTS[name].note:
            typer.echo(f"licence {NAMED_WEIGHTS[name].licence}; {NAMED_WEIGHTS[name].note}")
        typer.echo(f"use it as: {to or name}  ({to or named_folder(name)})")


@weights.command("push")
def push_weights(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="On the hub; made where it is not there.")],
    licence: Annotated[str | None, typer.Option(help="The hub's name of a licence, for the card.")] = None,
    public: Annotated[bool, typer.Option(help="Let everybody read a new repository; by default only you.")] = False,
    endpoint: Endpoint = None,
) -> None:
    """Upload a run's model with a card about it. The token is HF_TOKEN's, or that of `hf auth login`."""
    from pickout.checkpoints.publication import publish

    typer.echo(publish(run, repository, licence=licence, public=public, endpoint=endpoint))
