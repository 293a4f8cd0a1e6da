"""`pickout train`: train a model from a recipe, or go on with a run that was interrupted."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pickout.cli.options import Device, Json, Texts, setting


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's path, or the name of a shipped one, for example smoke.")],
    out: Annotated[Path, typer.Option(help="The run's folder; give the same one again to go on after a stop.")],
    set_: Annotated[Texts, setting("data.root=/data")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train a model. Under `torchrun --no-python` several processes share each batch.

    The run's folder holds the best epoch's model for `pickout evaluate`, `index` and `search`."""
    training(recipe, out, set_ or [], device, json=json)()


def training(recipe: str, out: Path, overrides: list[str], device: str, *, json: bool) -> Callable[[], object]:
    """What trains a model; its recipe is checked here."""
    from pickout.train.display import JsonLines, Terminal
    from pickout.train.recipe import find_recipe, load_recipe
    from pickout.train.training import train as run

    settings = load_recipe(find_recipe(recipe), overrides)
    return partial(run, settings, out, device=device, display=JsonLines(sys.stdout) if json else Terminal(sys.stderr))
