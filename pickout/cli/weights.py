"""`pickout weights`: published weights that a training can start from."""

from pathlib import Path
from typing import Annotated

import typer

from pickout.cli.options import Json
from pickout.cli.terminal import say, say_table, tell

app = typer.Typer(no_args_is_help=True, help="Fetch published weights, checked and resumable.")

Endpoint = Annotated[str | None, typer.Option(help="Address of a hub or mirror; HF_ENDPOINT does the same.")]


@app.command("list")
def list_weights(json: Json = False) -> None:
    """Name the weights that can be fetched, and say which are here."""
    from pickout.checkpoints.named_weights import NAMED_WEIGHTS, fetched

    rows = []
    for name, entry in NAMED_WEIGHTS.items():
        here = fetched(name) is not None
        if json:
            row = {"name": name, "repository": entry.repository, "bytes": entry.size, "licence": entry.licence}
            tell({**row, "about": entry.about, "note": entry.note, "here": here}, json=True)
        size = f"{entry.size / 1e6:.0f}" if entry.size else "?"
        about = "; ".join(filter(None, (entry.about, entry.note)))
        rows.append((name, size, "yes" if here else "no", entry.licence, about))
    if not json:
        say_table(("name", "MB", "here", "licence", "about"), rows)


@app.command("get")
def get_weights(
    name: Annotated[
        str, typer.Argument(help="Of `pickout weights list`, or OWNER/NAME or OWNER/NAME/FILE on the hub.")
    ],
    to: Annotated[Path | None, typer.Option(help="Folder to put them in; by default where `pickout` looks.")] = None,
    endpoint: Endpoint = None,
    json: Json = False,
) -> None:
    """Download weights, go on where an earlier attempt broke off, and check every byte against the hub's checksum."""
    from pickout.checkpoints.named_weights import NAMED_WEIGHTS, fetch_named, named_folder

    for file in fetch_named(name, to, endpoint=endpoint, progress=not json):
        if json:
            told = {"file": str(file.path), "bytes": file.size, "checksum": file.checksum}
            tell({**told, "downloaded": file.downloaded}, json=True)
        else:
            state = f"{file.downloaded:,} bytes fetched" if file.downloaded else "already here"
            say(f"{file.path}: {state}, {file.checksum[:19]} checked")
    if not json:
        if name in NAMED_WEIGHTS and NAMED_WEIGHTS[name].note:
            say(f"licence {NAMED_WEIGHTS[name].licence}; {NAMED_WEIGHTS[name].note}")
        say(f"use it as: {to or name}  ({to or named_folder(name)})")


@app.command("push")
def push_weights(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="On the hub; made where it is not there.")],
    licence: Annotated[str | None, typer.Option(help="The hub's name of a licence, for the card.")] = None,
    public: Annotated[bool, typer.Option(help="Let everybody read a new repository; by default only you.")] = False,
    endpoint: Endpoint = None,
) -> None:
    """Upload a run's model with a card about it. The token is HF_TOKEN's, or that of `hf auth login`."""
    from pickout.checkpoints.saved_model import publish

    say(publish(run, repository, licence=licence, public=public, endpoint=endpoint))
