"""`pickout evaluate`: how good a model is on a split."""

import sys
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pickout.evaluate.encoding import Tell
    from pickout.evaluate.evaluation_report import Report


class Protocol(StrEnum):
    """How numbers are chosen."""

    standard = "standard"
    paper = "paper"


def evaluate(
    run: Annotated[str, typer.Argument(help="A run folder, or a weight file that an importer knows.")],
    data: Annotated[str | None, typer.Argument(help="The data set's name; by default the run's own.")] = None,
    root: Annotated[Path | None, typer.Argument(help="Its folder; by default the run's own, else ./data.")] = None,
    split: Annotated[str | None, typer.Option(help="The split; by default val (paper protocol: test).")] = None,
    protocol: Annotated[
        Protocol, typer.Option(help="paper: also choose the weight of the global part on the evaluated split.")
    ] = Protocol.standard,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.json and cmc.png; by default RUN/evaluations/...")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="For example bootstrap.resamples=0.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the report as one line of JSON.")] = False,
) -> None:
    """Measure text-to-image and image-to-text search: R@1, R@5, R@10, mAP, mINP, with intervals and a curve.

    Evaluations on the test split are noted in the run's evaluations.jsonl.
    """
    from pickout.checkpoints.device import choose_device
    from pickout.checkpoints.source import load
    from pickout.cli.run_data import open_run_data
    from pickout.config import apply_overrides, parse_settings
    from pickout.evaluate.directions import EvaluationSettings
    from pickout.evaluate.processes import join_launcher
    from pickout.evaluate.protocol import evaluate as measure
    from pickout.evaluate.protocol import run_folder

    settings = parse_settings(EvaluationSettings, apply_overrides({}, set_ or []), source="--set")
    device = str(choose_device(device))
    share = join_launcher(device)
    model = load(run, device=device, precision=settings.precision)
    home = run_folder(model)
    speaks = share.index == 0
    opened = open_run_data(run, home, data, root, f"pickout evaluate {run} DATA ROOT", speaks=speaks)
    with _progress(speaks and not json) as tell:
        report = measure(model, opened, split, protocol=protocol.value, settings=settings, tell=tell)
    if speaks:
        _show(report, out or (home and _folder(home, report)), json=json)


def _folder(home: Path, report: "Report") -> Path:
    subject = report.subject
    name = f"{subject.data}-{subject.split}" + ("" if report.protocol == "standard" else f"-{report.protocol}")
    return home / "evaluations" / name


def _show(report: "Report", folder: Path | None, *, json: bool) -> None:
    from rich.console import Console

    from pickout.evaluate.plot import plot_cmc
    from pickout.evaluate.printout import render
    from pickout.files import write_atomically

    if folder is not None:
        write_atomically(folder / "report.json", report.json_text())
        write_atomically(folder / "cmc.png", plot_cmc(report))
    if json:
        sys.stdout.write(report.json_line() + "\n")
        return
    console = Console()
    console.print(render(report))
    if folder is not None:
        console.print(f"Written: {folder / 'report.json'}, {folder / 'cmc.png'}", soft_wrap=True, highlight=False)


def _progress(shown: bool) -> "AbstractContextManager[Tell | None]":
    """A progress bar for each stage on standard error, or nothing."""
    return _Bars() if shown else nullcontext()


class _Bars(AbstractContextManager["Tell"]):
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "Tell":
        self._bars.start()
        return self._tell

    def __exit__(self, *reason: object) -> None:
        self._bars.stop()

    def _tell(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(f"encoding {what}", total=total)
        self._bars.update(self._tasks[what], completed=done)
