"""`pickout token`: who may ask a server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from pickout.cli.options import Json, Texts
from pickout.cli.serve import STATE, State, prepared
from pickout.cli.terminal import say, tell
from pickout.serve.access import OWNER, Role, Tokens
from pickout.serve.hosting import served_name

app = typer.Typer(help="Who may ask a server, what for and how long.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will have it.")],
    role: Annotated[list[Role] | None, typer.Option(help="search, index, audit or admin; several times.")] = None,
    camera: Annotated[Texts, typer.Option(help="Only crops of this camera; several times.")] = None,
    gallery: Annotated[
        Texts,
        typer.Option(
            help="Only this gallery, by its folder's name; several times. A server that starts says so "
            "where it has none of them."
        ),
    ] = None,
    days: Annotated[float, typer.Option(help="How long it is valid.", min=0, max=366)] = 30,
    blurred: Annotated[bool, typer.Option("--blurred", help="Show blurred faces only.")] = False,
    state: State = STATE,
    json: Json = False,
) -> None:
    """Make a token. Its secret is printed this once."""
    expires = datetime.now(UTC) + timedelta(days=days)
    galleries = None if gallery is None else [served_name(Path(each)) for each in gallery]
    token, secret = Tokens(prepared(state)).create(
        OWNER, name, role or [Role.SEARCH], expires, cameras=camera, galleries=galleries, blurred=blurred
    )
    if json:
        tell({**token.model_dump(mode="json", exclude={"digest"}), "secret": secret}, json=True)
    else:
        typer.echo(secret)


@app.command("list")
def list_(state: State = STATE, json: Json = False) -> None:
    """Every token, without its secret."""
    for token in Tokens(state.expanduser()).all():
        if json:
            typer.echo(token.model_dump_json(exclude={"digest"}))
            continue
        ended = "revoked" if token.revoked else "valid" if token.is_valid else "expired"
        say(f"{token.id}: {token.name}: {', '.join(token.roles)}, {ended}, until {token.expires}")


@app.command()
def revoke(token: Annotated[str, typer.Argument(help="The token's id.")], state: State = STATE) -> None:
    """Make a token invalid at once, also at a server that runs."""
    Tokens(state.expanduser()).revoke(OWNER, token)
