"""`pickout study`: train variants of a recipe from several seeds and hold them against each other."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pickout.cli.options import Json, Texts, setting
from pickout.cli.terminal import say, write
from pickout.errors import UsageError, printable

if TYPE_CHECKING:
    from pickout.study.comparison import Row
    from pickout.study.runs import Plan, Run


def study(
    plan: Annotated[Path, typer.Argument(help="A study's TOML file, as those in studies/.")],
    out: Annotated[Path, typer.Option(help="Its folder; give the same one again to go on after a stop.")],
    data: Annotated[Path, typer.Option(help="Where drawn people are kept, for several studies.")] = Path("data"),
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time; each gets its share of the cores.")] = 1,
    set_: Annotated[Texts, setting("seeds=[1,2]")] = None,
    json: Json = False,
) -> None:
    """Train what is missing, ask every finished model, and write table.md, plot.png and study.json into the folder.

    The table is written anew after each run, so a study that is stopped has compared what it has."""
    from rich.console import Console
    from rich.markdown import Markdown

    from pickout.study.comparison import to_markdown, to_text
    from pickout.study.runs import carry_out, draw, load_plan, places, runs_of

    tell = partial(say, err=True)
    settings = load_plan(plan, set_ or [])
    if out.is_dir() and any(out.iterdir()) and not (out / "runs").is_dir():
        raise UsageError(f"--out {out}: holds other files and no study; give a new folder")
    populations = places(settings, data)
    runs = runs_of(settings, plan, out, populations)  # what was trained or asked otherwise is told before the drawing
    draw(settings, populations, jobs, tell)
    done = sum(run.is_finished for run in runs)
    tell(f"{settings.name}: {len(runs)} runs, {done} of them finished")
    found = _compared(settings, runs, out)
    for run in carry_out(runs, jobs):
        done += 1
        tell(f"{run.variant}, seed {run.seed}: trained in {run.seconds():.0f} s; {done} of {len(runs)} finished")
        found = _compared(settings, runs, out)
    if json:
        typer.echo(to_text(settings, found), nl=False)
    else:
        Console().print(Markdown(printable(to_markdown(settings, found), keep="\n")))


def _compared(plan: "Plan", runs: "list[Run]", out: Path) -> "dict[str, list[Row]]":
    """The comparison of what has ended, in the folder's three files too."""
    from pickout.study.comparison import compare, plot, to_markdown, to_text

    if found := compare(plan, runs):
        for name, make in (("study.json", to_text), ("table.md", to_markdown), ("plot.png", plot)):
            write(out / name, "--out", partial(make, plan, found))
    return found
