"""`pickout audit`, `pickout case`, `pickout retention`: the log of searches and changes with the proof that nobody
changed it, what was handed over, and how long a gallery's crops are kept."""

import json as json_text
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from pickout.cli.model import open_gallery
from pickout.cli.options import Crops, GalleryPath, Json, Texts, filtered
from pickout.cli.terminal import say, tell
from pickout.config import parse_settings
from pickout.errors import GalleryDamaged, NothingFound, UsageError, printable
from pickout.gallery.audit.heads import (
    Head,
    as_csv,
    check_proof,
    entries_showing,
    examine,
    numbered_entries,
    proof,
    read_head,
    sign_head,
    verifier,
)
from pickout.gallery.search.filters import Where
from pickout.serve.retention import Keeping, Retention

audit = typer.Typer(help="The log of searches and changes, and the proof that nobody changed it.", no_args_is_help=True)
case = typer.Typer(help="Cases that were handed over as one file.", no_args_is_help=True)
retention = typer.Typer(
    help="How long a gallery's crops are kept, and what is held against that.", no_args_is_help=True
)

_Key = Annotated[Path | None, typer.Option(help="The signing key, if it is kept outside of the gallery.")]


@audit.command()
def head(
    gallery: GalleryPath,
    since: Annotated[Path | None, typer.Option(help="An earlier head: print the proof that leads on from it.")] = None,
    key: _Key = None,
    public: Annotated[bool, typer.Option("--public", help="Print the key that a witness needs instead.")] = False,
) -> None:
    """Sign how long the log is and what it holds, to be kept by somebody else.

    Whoever keeps a head can tell later whether the log still begins as it did then."""
    folder = open_gallery(gallery).path
    if public:
        typer.echo(verifier(folder, key))
        return
    earlier = None if since is None else _head(since)
    found = sign_head(folder, key)
    typer.echo(found.text if earlier is None else proof(folder, earlier, found), nl=False)


@audit.command()
def verify(
    gallery: GalleryPath,
    head: Annotated[list[Path] | None, typer.Option(help="A head that was kept elsewhere; several times.")] = None,
    key: _Key = None,
    json: Json = False,
) -> None:
    """Read the whole log and name what was changed. Exit code 0: nothing; 3: something."""
    folder = open_gallery(gallery).path
    found = examine(folder, [_head(file) for file in head or ()], key)
    for fault in found.faults:
        say(fault)
    if found.faults:
        raise GalleryDamaged(f"{gallery}: the audit log is not as it was written")
    tell({"entries": found.size, "root": found.root.hex(), "heads": found.heads, "faults": 0}, json=json)


@audit.command()
def witness(
    old: Annotated[Path, typer.Argument(help="The head that you have kept.")],
    proof: Annotated[Path, typer.Argument(help="What pickout audit head --since OLD printed.")],
    public: Annotated[str, typer.Argument(help="The log's public key.")],
    json: Json = False,
) -> None:
    """Check that a log goes on from a head that you kept. Needs no gallery and no log, only the proof."""
    new = check_proof(_head(old), _text(proof), public)
    tell({"entries": new.size, "root": new.root.hex(), "goes_on": True}, json=json)


@audit.command()
def export(
    gallery: GalleryPath,
    form: Annotated[Literal["jsonl", "csv"], typer.Option(help="JSON lines, or CSV for a spreadsheet.")] = "jsonl",
    start: Annotated[int, typer.Option(min=1, help="From this entry on.")] = 1,
) -> None:
    """Print the log: who searched for what, who changed what."""
    entries = numbered_entries(open_gallery(gallery).path, start)
    rows: Iterator[str] = as_csv(entries) if form == "csv" else (json_text.dumps(each) + "\n" for each in entries)
    for row in rows:
        typer.echo(row, nl=False)


@audit.command()
def shown(gallery: GalleryPath, crop: Annotated[str, typer.Argument(help="Id or path.")], json: Json = False) -> None:
    """Which entries provably showed a crop. Nothing once it was erased."""
    opened = open_gallery(gallery)
    found = [entry for each in opened.choose([crop]) for entry in entries_showing(opened.path, each)]
    for number, entry in found:
        words = f"{number}: {entry.get('time')} {entry.get('user')}: {entry.get('sentence') or entry.get('event')}"
        typer.echo(json_text.dumps({"number": number, **entry}) if json else printable(words))
    if not found:
        raise NothingFound(f"{gallery}: no entry is known to have shown {printable(crop)}")


def _head(file: Path) -> Head:
    try:
        return read_head(_text(file))
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read ({error})") from None


@case.callback()
def _case() -> None:
    """Keeps `verify` a command of a group while it is the only one."""


@case.command("verify")
def verify_case(
    file: Annotated[Path, typer.Argument(help="The archive of a case.")],
    key: Annotated[
        str | None, typer.Option(help="The key that it must be signed with: pickout audit head --public tells it.")
    ] = None,
    json: Json = False,
) -> None:
    """Check a case's archive: every picture, judgement and search, and the signature. Needs no server and no gallery.

    Without --key the archive is held against the key that it names itself: then whoever changed it may have signed it
    again with a key of his own. Exit code 0: nothing was changed; 3: something was."""
    if not find_spec("cryptography"):
        raise UsageError("a signature needs one more package: pip install 'pickout[serve]'")
    from pickout.serve.archive import verify_archive

    found = verify_archive(file, key)
    for fault in found.faults:
        say(fault)
    if found.faults:
        raise GalleryDamaged(f"{file}: this is not the archive that was handed over")
    compared = "as you told" if key else "not compared: give the one that you were told with --key"
    told = {"case": found.case.get("name", ""), "members": found.members, "faults": 0, "key": found.key}
    tell({**told, "this key": compared}, json=json)


@retention.command("set")
def set_(
    gallery: GalleryPath,
    days: Annotated[float | None, typer.Option(help="Of every camera without a rule of its own.")] = None,
    camera: Annotated[Texts, typer.Option(metavar="NAME=DAYS", help="Of this camera; several times.")] = None,
) -> None:
    """Say after how many days crops are erased. Replaces the rules that were there; none given: nothing is."""
    rules: list[dict[str, object]] = [] if days is None else [{"days": days}]
    for pair in camera or ():
        name, equals, number = pair.rpartition("=")
        try:
            rules.append({"camera": name, "days": float(number)})
        except ValueError:
            equals = ""
        if not equals or not name:
            raise UsageError(f"--camera {pair}: expected NAME=DAYS, for example lobby=30")
    Retention(open_gallery(gallery)).set_rules(parse_settings(Keeping, {"rules": rules}, source="retention").rules)


@retention.command()
def show(gallery: GalleryPath, json: Json = False) -> None:
    """The rules, the holds, and how many crops are due."""
    kept = Retention(open_gallery(gallery))
    due = kept.due()
    rules = [f"{rule.camera or 'other cameras'}: {rule.days:g} days" for rule in kept.kept.rules]
    holds = [f"{hold.id} ({hold.reason}, {hold.by})" for hold in kept.kept.holds]
    told: dict[str, object] = {"rules": rules, "holds": holds, "due": len(due.erase), "held": due.held}
    tell({**told, "undated": due.undated}, json=json)


@retention.command()
def enforce(gallery: GalleryPath, json: Json = False) -> None:
    """Erase now what is due. Crops without a time have no age and stay."""
    due = Retention(open_gallery(gallery)).enforce()
    tell({"erased": len(due.erase), "held": due.held, "undated": due.undated}, json=json)


@retention.command()
@filtered
def hold(
    gallery: GalleryPath,
    reason: Annotated[str, typer.Argument(help="Why, for example a case number.")],
    where: Where,
    crop: Crops = None,
) -> None:
    """Keep crops whatever the rules say, until the hold is lifted. Prints the hold's id."""
    opened = open_gallery(gallery)
    ids = opened.choose(crop, where) if crop else []
    typer.echo(Retention(opened).hold(reason, ids, None if crop else where).id)


@retention.command()
def lift(gallery: GalleryPath, hold: Annotated[str, typer.Argument(help="The hold's id.")]) -> None:
    """End a hold."""
    Retention(open_gallery(gallery)).lift(hold)
