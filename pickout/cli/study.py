"""`pickout study`: train variants of a recipe from several seeds and hold them against each other."""

from pathlib import Path
from typing import Annotated

import typer

from pickout.cli.options import Json, Texts


def study(
    plan: Annotated[Path, typer.Argument(help="A study's TOML file, as those in studies/.")],
    out: Annotated[Path, typer.Option(help="Its folder; give the same one again to go on after a stop.")],
    data: Annotated[Path, typer.Option(help="Where drawn people are kept, for several studies.")] = Path("data"),
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time; each gets its share of the cores.")] = 1,
    set_: Annotated[Texts, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the plan, as seeds=[1,2].")] = None,
    json: Json = False,
) -> None:
    """Train what is missing, ask every finished model, and write table.md, plot.png and study.json into the folder.

    The table is written anew after each run, so a study that is stopped has compared what it has.
    """
    import sys

    from rich.console import Console
    from rich.markdown import Markdown

    from pickout.files import write_atomically
    from pickout.study.comparison import compare, plot, to_json, to_markdown, to_text
    from pickout.study.plan import load_plan
    from pickout.study.runs import carry_out, draw, runs_of

    def say(told: str) -> None:
        print(told, file=sys.stderr, flush=True)

    settings = load_plan(plan, set_ or [])
    runs = runs_of(settings, plan, out, draw(settings, data, jobs, say))
    done = sum(run.is_finished for run in runs)
    say(f"{settings.name}: {len(runs)} runs, {done} of them finished")

    def write() -> None:
        found = compare(settings, runs)
        if any(found.values()):
            write_atomically(out / "study.json", to_text(settings, found))
            write_atomically(out / "table.md", to_markdown(settings, found))
            write_atomically(out / "plot.png", plot(settings, found))

    write()
    for run in carry_out(runs, jobs, say):
        done += 1
        say(f"{run.variant}, seed {run.seed}: {run.seconds():.0f} s; {done} of {len(runs)} finished")
        write()
    found = compare(settings, runs)
    if json:
        import json as writer

        print(writer.dumps(to_json(settings, found), ensure_ascii=False))
    else:
        Console().print(Markdown(to_markdown(settings, found)))
