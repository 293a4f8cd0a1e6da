"""`pickout retention`: how long a gallery's crops are kept, and what is held against that."""

from typing import Annotated

import typer

from pickout.cli.options import Crops, GalleryPath, Json, Texts, filtered
from pickout.cli.terminal import say, tell
from pickout.errors import UsageError, listed
from pickout.gallery.changes.retention import KeepRule
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.filters import Where
from pickout.gallery.storage.rows import composed

app = typer.Typer(help="How long a gallery's crops are kept, and what is held against that.", no_args_is_help=True)


@app.command("set")
def set_(
    gallery: GalleryPath,
    days: Annotated[float | None, typer.Option(help="Of every camera without a rule of its own.")] = None,
    camera: Annotated[Texts, typer.Option(metavar="NAME=DAYS", help="Of this camera; several times.")] = None,
) -> None:
    """Say after how many days crops are erased. Replaces the rules that were there; none given: nothing is."""
    rules = [] if days is None else [_rule(f"--days {days:g}", None, str(days))]
    for pair in camera or ():
        name, _, number = pair.rpartition("=")
        rules.append(_rule(f"--camera {pair}", name, number))
    opened = Gallery.open(gallery)
    opened.retention.set_rules(rules)
    known = set(map(composed, opened.cameras()))
    for rule in rules:
        if rule.camera is not None and composed(rule.camera) not in known:
            cameras = listed(opened.cameras(), 20) or "none"
            say(f"no crop has the camera '{rule.camera}' so far; those that are known: {cameras}")
    show(gallery)


def _rule(given: str, camera: str | None, days: str) -> KeepRule:
    """One rule; `given` is how it was said."""
    try:
        return KeepRule(camera=camera, days=float(days))
    except ValueError:
        kind = "NAME=DAYS, for example lobby=30, of" if camera is not None else "a number of"
        raise UsageError(f"{given}: expected {kind} 0 to 36500 days") from None


@app.command()
def show(gallery: GalleryPath, json: Json = False) -> None:
    """The rules, the holds, and how many crops are due."""
    opened = Gallery.open(gallery)
    kept, due = opened.retention.kept, opened.retention.due()
    rules = [f"{rule.camera or 'other cameras'}: {rule.days:g} days" for rule in kept.rules]
    counts = opened.retention.counts()
    holds = [f"{hold.id} ({hold.reason}, {hold.by}): {counts.get(hold.id, 0)} crops" for hold in kept.holds]
    told: dict[str, object] = {"rules": rules, "holds": holds, "due": len(due.erase), "held": due.held}
    tell({**told, "undated": due.undated}, json=json)


@app.command()
def enforce(gallery: GalleryPath, json: Json = False) -> None:
    """Erase now what is due. Crops without a time have no age and stay."""
    due = Gallery.open(gallery).erase_due()
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
    opened = Gallery.open(gallery)
    ids = opened.choose(crop, where) if crop else []
    made = opened.retention.hold(reason, ids, None if crop else where)
    say(f"{opened.retention.counts()[made.id]} crops are held by it now", err=True)
    typer.echo(made.id)


@app.command()
def lift(gallery: GalleryPath, hold: Annotated[str, typer.Argument(help="The hold's id.")]) -> None:
    """End a hold."""
    Gallery.open(gallery).retention.lift(hold)
