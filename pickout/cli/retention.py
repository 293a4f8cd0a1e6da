"""`pickout retention`: how long a gallery's crops are kept, and what is held against that."""

from typing import Annotated

import typer

from pickout.cli.model import open_gallery
from pickout.cli.options import Crops, GalleryPath, Json, Texts, filtered
from pickout.cli.terminal import tell
from pickout.config import parse_settings
from pickout.errors import UsageError
from pickout.gallery.search.filters import Where
from pickout.serve.retention import Keeping, Retention

app = typer.Typer(help="How long a gallery's crops are kept, and what is held against that.", no_args_is_help=True)


@app.command("set")
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


@app.command()
def show(gallery: GalleryPath, json: Json = False) -> None:
    """The rules, the holds, and how many crops are due."""
    kept = Retention(open_gallery(gallery))
    due = kept.due()
    rules = [f"{rule.camera or 'other cameras'}: {rule.days:g} days" for rule in kept.kept.rules]
    holds = [f"{hold.id} ({hold.reason}, {hold.by})" for hold in kept.kept.holds]
    told: dict[str, object] = {"rules": rules, "holds": holds, "due": len(due.erase), "held": due.held}
    tell({**told, "undated": due.undated}, json=json)


@app.command()
def enforce(gallery: GalleryPath, json: Json = False) -> None:
    """Erase now what is due. Crops without a time have no age and stay."""
    due = Retention(open_gallery(gallery)).enforce()
    tell({"erased": len(due.erase), "held": due.held, "undated": due.undated}, json=json)


@app.command()
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


@app.command()
def lift(gallery: GalleryPath, hold: Annotated[str, typer.Argument(help="The hold's id.")]) -> None:
    """End a hold."""
    Retention(open_gallery(gallery)).lift(hold)
