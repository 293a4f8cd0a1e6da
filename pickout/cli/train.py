"""`pickout train`: a model from a recipe; `pickout evaluate`: how good it is; `pickout study`: variants of a recipe
from several seeds, held against each other; `pickout adapt`: a model's normalisation fitted to a gallery's crops."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pickout.cli import model as loading
from pickout.cli.options import DataName, DataRoot, Device, GalleryPath, Json, Model, Run, Texts, setting, settings_of
from pickout.cli.terminal import check_place, progress, say, tell, write
from pickout.errors import printable

if TYPE_CHECKING:
    from pickout.evaluate.evaluation_report import Report
    from pickout.study.comparison import Row
    from pickout.study.runs import Plan
    from pickout.study.runs import Run as StudyRun


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's path, or the name of a shipped one, for example smoke.")],
    out: Annotated[Path, typer.Option(help="The run's folder; give the same one again to go on after a stop.")],
    set_: Annotated[Texts, setting("data.root=/data")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train a model. Under `torchrun --no-python` several processes share each batch.

    The run's folder holds the best epoch's model for `pickout evaluate`, `index` and `search`."""
    from pickout.train.display import JsonLines, Terminal
    from pickout.train.recipe import find_recipe, load_recipe
    from pickout.train.training import train as run

    settings = load_recipe(find_recipe(recipe), set_ or [])
    run(settings, out, device=device, display=JsonLines(sys.stdout) if json else Terminal(sys.stderr))


def write_report(folder: Path, report: "Report") -> None:
    """Write the report and the picture of its curve."""
    from pickout.evaluate.evaluation_report import plot_cmc

    write(folder / "report.json", "--out", report.json_text)
    write(folder / "cmc.png", "--out", lambda: plot_cmc(report))


def evaluate(
    run: Run,
    data: DataName = None,
    root: DataRoot = None,
    split: Annotated[str | None, typer.Option(help="The split; by default val (paper protocol: test).")] = None,
    protocol: Annotated[
        Literal["standard", "paper"], typer.Option(help="paper: also sweep the global part's weight.")
    ] = "standard",
    out: Annotated[Path | None, typer.Option(help="Folder for the report; by default RUN/evaluations/...")] = None,
    set_: Annotated[Texts, setting("bootstrap.resamples=0")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure text-to-image and image-to-text search: R@1, R@5, R@10, mAP, mINP, with intervals and a curve.

    Evaluations on the test split are noted in the run's evaluations.jsonl."""
    from rich.console import Console

    from pickout.checkpoints.loaded_model import choose_device
    from pickout.checkpoints.source import load
    from pickout.evaluate import evaluation_report, processes
    from pickout.evaluate import protocol as measuring

    settings = settings_of(measuring.EvaluationSettings, set_)
    device = str(choose_device(device))
    speaks = processes.join_launcher(device).index == 0
    model = load(run, device=device, precision=settings.precision)
    home = measuring.run_folder(model)
    opened = loading.open_run_data(run, home, data, root, speaks=speaks)
    with progress("encoding", quiet=json or not speaks) as show:
        told = lambda what, done, total: show(done, total, what=f"encoding {what}")  # noqa: E731
        report = measuring.evaluate(model, opened, split, protocol=protocol, settings=settings, tell=told)
    if not speaks:
        return
    kind = "" if report.protocol == "standard" else f"-{report.protocol}"
    folder = out or (home and home / "evaluations" / f"{report.subject.data}-{report.subject.split}{kind}")
    if folder is not None:
        write_report(folder, report)
    if json:
        typer.echo(report.json_text(indent=None), nl=False)
        return
    Console().print(evaluation_report.render(report))
    if folder is not None:
        say(f"Written: {folder / 'report.json'}, {folder / 'cmc.png'}")


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
    from pickout.study.runs import carry_out, draw, load_plan, runs_of

    speak = partial(say, err=True)
    settings = load_plan(plan, set_ or [])
    runs = runs_of(settings, plan, out, draw(settings, data, jobs, speak))
    done = sum(run.is_finished for run in runs)
    speak(f"{settings.name}: {len(runs)} runs, {done} of them finished")
    found = _compared(settings, runs, out)
    for run in carry_out(runs, jobs):
        done += 1
        speak(f"{run.variant}, seed {run.seed}: trained in {run.seconds():.0f} s; {done} of {len(runs)} finished")
        found = _compared(settings, runs, out)
    if json:
        typer.echo(to_text(settings, found), nl=False)
    else:
        Console().print(Markdown(printable(to_markdown(settings, found), keep="\n")))


def _compared(plan: "Plan", runs: "list[StudyRun]", out: Path) -> "dict[str, list[Row]]":
    """The comparison of what has ended, in the folder's three files too."""
    from pickout.study.comparison import compare, plot, to_markdown, to_text

    if found := compare(plan, runs):
        write(out / "study.json", "--out", partial(to_text, plan, found))
        write(out / "table.md", "--out", partial(to_markdown, plan, found))
        write(out / "plot.png", "--out", partial(plot, plan, found))
    return found


def adapt(
    gallery: GalleryPath,
    out: Annotated[Path | None, typer.Option(help="The new model; by default GALLERY.adapted.safetensors.")] = None,
    set_: Annotated[Texts, setting("share=0.25")] = None,
    model: Model = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Move a model's normalisation towards a gallery's crops; gallery and old model stay as they are.

    Refused where crops that were held back do not say that it helps. Needs no labels."""
    from pickout.checkpoints.saved_model import write_bundle
    from pickout.train import adaptation

    settings = settings_of(adaptation.AdaptationSettings, set_)
    check_place(out, "--out")
    opened = loading.open_gallery(gallery)
    place = model or loading.remembered_model(gallery, opened.manifest)
    loaded = loading.load_model(place, device)
    some = opened.files()[:: max(1, opened.count() // settings.most)]
    found = adaptation.adapt(loaded, [crop for _, crop in loading.readable(some)], settings)
    target = out or gallery.parent / f"{gallery.name}.adapted.safetensors"
    write_bundle(found.model, target)
    if json:
        told = {"model": str(target), "fingerprint": found.model.fingerprint, "crops": found.crops}
        told |= {"held_back": found.held_back, "before": round(found.before, 2), "after": round(found.after, 2)}
        tell({**told, "gain": [round(each, 2) for each in found.gain]}, json=True)
        return
    say(f"{target}: adapted to {found.crops} crops")
    risen = f"before {found.before:.1f} %, gain {found.gain[0]:+.1f} to {found.gain[1]:+.1f}"
    say(f"mean reciprocal rank of changed copies of {found.held_back} others: {found.after:.1f} % ({risen})")
    say(f"use it: pickout gallery rebuild {gallery} --model {target}")
    say(f"back:   pickout gallery rebuild {gallery} --model {place}")
