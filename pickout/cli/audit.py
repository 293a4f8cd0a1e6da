"""`pickout audit`: the log of searches and changes, and the proof that nobody changed it."""

import json as json_text
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from pickout.cli.options import GalleryPath, Json
from pickout.cli.terminal import say, tell
from pickout.errors import DataError, GalleryDamaged, NothingFound, UsageError, printable
from pickout.gallery.audit import heads
from pickout.gallery.gallery import Gallery

app = typer.Typer(help="The log of searches and changes, and the proof that nobody changed it.", no_args_is_help=True)

_Key = Annotated[Path | None, typer.Option(help="The signing key, if it is kept outside of the gallery.")]


@app.command()
def head(
    gallery: GalleryPath,
    since: Annotated[Path | None, typer.Option(help="An earlier head: print the proof that leads on from it.")] = None,
    key: _Key = None,
    public: Annotated[bool, typer.Option("--public", help="Print the key that a witness needs instead.")] = False,
) -> None:
    """Sign how long the log is and what it holds, to be kept by somebody else.

    Whoever keeps a head can tell later whether the log still begins as it did then."""
    folder = Gallery.open(gallery).path
    if public:
        typer.echo(heads.verifier(folder, key))
        return
    earlier = None if since is None else _head(since)
    found = heads.sign_head(folder, key)
    typer.echo(found.text if earlier is None else heads.proof(folder, earlier, found), nl=False)


@app.command()
def verify(
    gallery: GalleryPath,
    head: Annotated[list[Path] | None, typer.Option(help="A head that was kept elsewhere; several times.")] = None,
    key: _Key = None,
    json: Json = False,
) -> None:
    """Read the whole log and name what was changed. Exit code 0: nothing; 3: something."""
    folder = Gallery.open(gallery).path
    found = heads.examine(folder, [_head(file) for file in head or ()], key)
    for fault in found.faults:
        say(fault)
    if found.faults:
        raise GalleryDamaged(f"{gallery}: the audit log is not as it was written")
    tell({"entries": found.size, "root": found.root.hex(), "heads": found.heads, "faults": 0}, json=json)


@app.command()
def witness(
    old: Annotated[Path, typer.Argument(help="The head that you have kept.")],
    proof: Annotated[Path, typer.Argument(help="What pickout audit head --since OLD printed.")],
    public: Annotated[str, typer.Argument(help="The log's public key.")],
    json: Json = False,
) -> None:
    """Check that a log goes on from a head that you kept. Needs no gallery and no log, only the proof."""
    new = heads.check_proof(_head(old), _text(proof), public)
    tell({"entries": new.size, "root": new.root.hex(), "goes_on": True}, json=json)


@app.command()
def export(
    gallery: GalleryPath,
    form: Annotated[Literal["jsonl", "csv"], typer.Option(help="JSON lines, or CSV for a spreadsheet.")] = "jsonl",
    start: Annotated[int, typer.Option(min=1, help="From this entry on.")] = 1,
) -> None:
    """Print the log: who searched for what, who changed what."""
    entries = heads.numbered_entries(Gallery.open(gallery).path, start)
    rows: Iterator[str] = heads.as_csv(entries) if form == "csv" else (json_text.dumps(each) + "\n" for each in entries)
    for row in rows:
        typer.echo(row, nl=False)


@app.command()
def shown(gallery: GalleryPath, crop: Annotated[str, typer.Argument(help="Id or path.")], json: Json = False) -> None:
    """Which entries provably showed a crop. Nothing once it was erased."""
    opened = Gallery.open(gallery)
    found = [entry for each in opened.choose([crop]) for entry in heads.entries_showing(opened.path, each)]
    for number, entry in found:
        words = f"{number}: {entry.get('time')} {entry.get('user')}: {entry.get('sentence') or entry.get('event')}"
        typer.echo(json_text.dumps({"number": number, **entry}) if json else printable(words))
    if not found:
        raise NothingFound(f"{gallery}: no entry is known to have shown {printable(crop)}")


def _head(file: Path) -> heads.Head:
    text = _text(file)
    try:
        return heads.read_head(text)
    except UsageError as error:
        raise DataError(f"{file}: {error}") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or 'it is no text'})") from None
