"""The command line. One file a command, one line a command in `COMMANDS`."""

from collections.abc import Callable
from typing import Any

import typer

COMMANDS: dict[str, Callable[..., Any] | typer.Typer] = {}
"""Command name to its function or group, in the order of `pickout --help`."""
