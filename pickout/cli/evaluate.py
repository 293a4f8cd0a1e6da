"""`pickout evaluate`: how good a model is on a split."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pickout.cli.model import open_run_data
from pickout.cli.options import DataName, DataRoot, Device, Json, Run, Texts, setting, settings_of
from pickout.cli.terminal import progress, say, write

if TYPE_CHECKING:
    from pickout.evaluate.evaluation_report import Report


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
    from pickout.evaluate.evaluation_report import render
    from pickout.evaluate.processes import join_launcher
    from pickout.evaluate.protocol import EvaluationSettings, run_folder
    from pickout.evaluate.protocol import evaluate as measure

    settings = settings_of(EvaluationSettings, set_)
    device = str(choose_device(device))
    speaks = join_launcher(device).index == 0
    model = load(run, device=device, precision=settings.precision)
    home = run_folder(model)
    opened = open_run_data(run, home, data, root, speaks=speaks)
    with progress("encoding", quiet=json or not speaks) as show:
        told = lambda what, done, total: show(done, total, what=f"encoding {what}")  # noqa: E731
        report = measure(model, opened, split, protocol=protocol, settings=settings, tell=told)
    if not speaks:
        return
    kind = "" if report.protocol == "standard" else f"-{report.protocol}"
    folder = out or (home and home / "evaluations" / f"{report.subject['data']}-{report.subject['split']}{kind}")
    if folder is not None:
        write_report(folder, report)
    if json:
        typer.echo(report.json_text(indent=None), nl=False)
        return
    Console().print(render(report))
    if folder is not None:
        say(f"Written: {folder / 'report.json'}, {folder / 'cmc.png'}")
