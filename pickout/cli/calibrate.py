"""`pickout calibrate`: from scores to probabilities, for one gallery."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pickout.data.data_set import Split
    from pickout.gallery.search.probability import Calibration


def calibrate(
    gallery: Annotated[Path, typer.Argument(help="A gallery made by pickout index.")],
    data: Annotated[str | None, typer.Argument(help="A data set with sentences; by default the model's own.")] = None,
    root: Annotated[Path | None, typer.Argument(help="Its folder; by default the model's own, else ./data.")] = None,
    split: Annotated[str, typer.Option(help="The split; its people must not have been used for training.")] = "val",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As present=0.2.")] = None,
    model: Annotated[str | None, typer.Option(help="Where the gallery's model is, if it is not where it was.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the calibration as one line of JSON.")] = False,
) -> None:
    """Fit the probability that a candidate is a match, and when the best one is no good match.

    Half of the split's people are used for fitting, the other half for the check. Written to the gallery's folder:
    calibration.json and calibration.png. Do it again when the gallery has grown much.
    """
    from pickout.cli.model import load_model, remembered_model
    from pickout.cli.run_data import open_run_data
    from pickout.config import apply_overrides, parse_settings
    from pickout.files import write_atomically
    from pickout.gallery.calibration.fit import CalibrationSettings
    from pickout.gallery.calibration.reliability import plot_reliability
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.storage.lock import writing
    from pickout.gallery.storage.tables import CALIBRATION_PLOT

    settings = parse_settings(CalibrationSettings, apply_overrides({}, set_ or []), source="--set")
    opened = Gallery.open(gallery)
    place = model or remembered_model(gallery, opened.manifest)
    home = Path(place) if Path(place).is_dir() else None
    found_data = open_run_data(place, home, data, root, f"pickout calibrate {gallery} DATA ROOT")
    people = _split(found_data.splits, found_data.name, split)
    opened.use(load_model(place, device))
    with _progress(not json) as tell:
        found = opened.calibrate(people, settings=settings, tell=tell)
    plot = plot_reliability(found)
    with writing(gallery):
        write_atomically(gallery / CALIBRATION_PLOT, plot)
    if json:
        typer.echo(found.model_dump_json())
    else:
        _show(gallery, found)


def _split(splits: "dict[str, Split]", data: str, name: str) -> "Split":
    from pickout.errors import UsageError

    if name not in splits:
        raise UsageError(f"{data} has no split '{name}'; it has {', '.join(splits)}")
    return splits[name]


@contextmanager
def _progress(speaks: bool) -> "Iterator[Callable[[str, int, int], None]]":
    from rich.console import Console
    from rich.progress import Progress, TaskID

    tasks: dict[str, TaskID] = {}
    with Progress(console=Console(file=sys.stderr), transient=True, disable=not speaks) as bars:

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield tell


def _show(gallery: Path, found: "Calibration") -> None:
    from pickout.gallery.printable import printable

    check = found.check
    typer.echo(
        f"{printable(gallery)}: calibrated at {found.crops:,} crops with {found.searches:,} searches for "
        f"{found.identities} people of {found.data}"
    )
    typer.echo(f"On {check.identities} people not used for that, when the person is there in half of the searches:")
    for what, error, (low, high) in (
        ("over the best ten candidates", check.ece, check.ece_interval),
        ("over the best one alone", check.ece_best, check.ece_best_interval),
    ):
        typer.echo(f"  expected calibration error {what}: {error:.3f} (95 % interval {low:.3f} to {high:.3f})")
    right = "" if check.present_right is None else f", {check.present_right:.0%} of them with a match in first place"
    typer.echo(
        f"  at error 0.05, {check.absent_answered:.1%} of searches for absent people are answered, and "
        f"{check.present_answered:.1%} of those for people who are there{right}"
    )
    for doubt in found.warnings():
        typer.echo(f"Note: {doubt}")
    typer.echo(f"Written: {printable(gallery)}/calibration.json, calibration.png")
