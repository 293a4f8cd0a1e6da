"""`pickout mcp`: galleries for agents, by the Model Context Protocol."""

import os
from importlib.util import find_spec
from typing import Annotated

import typer

from pickout.cli.serve import STATE, Galleries, State, check_packages, open_service, prepared
from pickout.errors import UsageError


def mcp(
    galleries: Galleries,
    state: State = STATE,
    model: Annotated[str | None, typer.Option(help="Where the galleries' model is, if not where it was.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
) -> None:
    """Let an agent search, explain, look at crops and list cameras, over standard input and output.

    The same tokens, purposes and audit as of pickout serve: once the server's folder has tokens, one is needed in the
    environment's PICKOUT_TOKEN."""
    check_packages()
    if find_spec("mcp") is None:
        raise UsageError("an agent needs one more package: pip install 'pickout[serve]'")
    from pickout.serve.mcp import create_mcp

    service = open_service(galleries, prepared(state), model, device, via="mcp")
    create_mcp(service, os.environ.get("PICKOUT_TOKEN")).run("stdio")
