"""`pickout train`: train a model from a recipe, or go on with a run that was interrupted."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's path, or the name of a shipped one, for example smoke.")],
    out: Annotated[Path, typer.Option(help="The run's folder; give the same one again to go on after a stop.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting, for example data.root=/data.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead of words.")] = False,
) -> None:
    """Train a model. Under `torchrun --no-python` several processes share each batch.

    The run's folder holds the best epoch's model for `pickout evaluate`, `index` and `search`.
    """
    from pickout.train.display import JsonLines, Terminal
    from pickout.train.recipe import find_recipe, load_recipe
    from pickout.train.training import train as run

    settings = load_recipe(find_recipe(recipe), overrides or [])
    run(settings, out, device=device, display=JsonLines(sys.stdout) if as_json else Terminal(sys.stderr))
