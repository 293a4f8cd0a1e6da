"""`pickout demo`: from nothing to ranked crops, with the model that comes with the package or one trained here."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pickout.checkpoints.loaded_model import LoadedModel
    from pickout.gallery.gallery import Gallery
    from pickout.synthetic.street import StreetSettings
    from pickout.train.recipe import Recipe

STREET: Mapping[str, Any] = {"identities": 1500, "val_identities": 100, "test_identities": 400, "images": 2}
"""The street of `--train`; what is not listed is drawn as `pickout data draw` draws it."""
SMALL_STREET: Mapping[str, Any] = {"identities": 1, "val_identities": 0, "test_identities": 150, "images": 2}
"""The street otherwise: people that no model has seen."""
SENTENCES = (
    "A woman in a red coat and black trousers, carrying a handbag.",
    "The man wears a blue shirt, grey trousers and white trainers, with a backpack on his back.",
    "A person with a yellow top and dark shorts.",
)
"""What is searched for when the user gives no sentence."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything; what is done there already is kept.")] = Path(
        "demo"
    ),
    crops: Annotated[Path | None, typer.Option(help="Search this folder of yours in place of drawn people.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Draw more people and train a model on them first.")] = False,
    sentence: Annotated[
        list[str] | None, typer.Option(help="What to search for, in quotes; may be given several times.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many candidates for each sentence.")] = 9,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="street.KEY=VALUE, or with --train a key of the recipe."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead of words.")] = False,
) -> None:
    """Draw people, index them with the model that comes with Pickout, and search for sentences.

    With --train a compact model is trained by hand on drawn people first, and measured. Nothing is downloaded. A second
    call with other sentences takes seconds.
    """
    from pickout.cli.model import default_model

    pairs = overrides or []
    settings = [pair.removeprefix("street.") for pair in pairs if pair.startswith("street.")]
    others = [pair for pair in pairs if not pair.startswith("street.")]
    _refuse(crops, others, train=train)
    people = _street(STREET if train else SMALL_STREET, settings)
    recipe = _recipe(out, others) if train else None
    show = _Voice(as_json, stages=5 if recipe else 2 if crops else 3)
    begun = time.monotonic()
    if crops is None:
        street = out / ("street" if train else "people")
        with show.stage("draw a street of people"):
            _draw(people, street)
    if recipe is None:
        place = default_model()
        model, searched = _load(place, device), crops or street / "imgs"
    else:
        with show.stage("train a compact ITSELF on most of them"):
            _train(recipe, out / "run", device, as_json)
        place = str((out / "run").resolve())
        model, searched = _load(place, device), _crops_of_test_people(out)
        with show.stage("measure it on people it has never seen"):
            show.measured(_measure(model, out))
    with show.stage("index your crops" if crops else "index the crops of people it has never seen"):
        name = crops.resolve().name if crops else "crops" if train else "people"
        gallery = _index(model, place, searched, out / f"{name}.gallery")
    with show.stage("search"):
        page = _search(gallery, sentence or SENTENCES, top, out)
    show.done(page, gallery.path, time.monotonic() - begun)


def _refuse(crops: Path | None, others: Sequence[str], *, train: bool) -> None:
    """Say what does not go together before anything is drawn.

    Raises:
        UsageError: crops or the recipe's settings where they mean nothing.
        DataMissing: no folder of images.
    """
    from pickout.errors import UsageError
    from pickout.gallery.intake.scan import count_images

    if train and crops is not None:
        raise UsageError("--crops searches with the model that comes with Pickout; leave --train out")
    if others and not train:
        raise UsageError(f"--set {others[0]}: only --train has a recipe; for the people drawn give street.KEY=VALUE")
    if crops is not None:
        count_images(crops)


class _Voice:
    """Speaks to a person or, with `as_json`, to a program."""

    def __init__(self, as_json: bool, stages: int) -> None:
        from rich.console import Console

        self._json, self._stages, self._stage = as_json, stages, 0
        self._console = Console(stderr=as_json, quiet=as_json, highlight=False)

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Announce a stage and tell how long it took."""
        self._stage += 1
        self._console.print(f"[bold]\\[{self._stage}/{self._stages}] {what}[/bold]")
        begun = time.monotonic()
        yield
        seconds = time.monotonic() - begun
        self._tell("stage", number=self._stage, what=what, seconds=round(seconds, 1))
        self._console.print(f"      {seconds:.1f} s\n")

    def measured(self, numbers: Mapping[str, Any]) -> None:
        """Tell how often the right person came first."""
        self._tell("measured", **numbers)
        low, high = numbers["interval"]
        self._console.print(
            f"      R@1 {numbers['R@1']:.1f} % (95 % interval {low:.1f} to {high:.1f}) for {numbers['queries']} "
            f"sentences about {numbers['identities']} held-out people in {numbers['images']} crops: "
            f"{numbers['times_chance']:.0f} times chance ({numbers['chance']:.2f} %)"
        )

    def done(self, page: Path, gallery: Path, seconds: float) -> None:
        """Tell where the results are and what to type next."""
        self._tell("done", page=str(page), gallery=str(gallery), seconds=round(seconds, 1))
        self._console.print(f"Done in {seconds / 60:.1f} minutes. Look at [bold]{page}[/bold] in a browser. Then ask:")
        self._console.print(f'  pickout search {gallery} "a man in a green jacket" --html results.html', markup=False)

    def _tell(self, event: str, **fields: Any) -> None:
        if self._json:
            sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
            sys.stdout.flush()


def _street(chosen: Mapping[str, Any], overrides: Sequence[str]) -> "StreetSettings":
    from pickout.config import apply_overrides, parse_settings
    from pickout.synthetic.street import StreetSettings

    return parse_settings(StreetSettings, apply_overrides(chosen, overrides), source="--set", prefix="street")


def _recipe(out: Path, overrides: Sequence[str]) -> "Recipe":
    from pickout.train.recipe import find_recipe, load_recipe

    return load_recipe(find_recipe("demo"), [f"data.root={json.dumps(str(out / 'street'))}", *overrides])


def _draw(settings: "StreetSettings", street: Path) -> None:
    from pickout.cli.data_draw import drawing_progress
    from pickout.synthetic.street import draw_street

    with drawing_progress() as progress:
        draw_street(settings, street, progress=progress)


def _train(recipe: "Recipe", run: Path, device: str, as_json: bool) -> None:
    from pickout.train.display import JsonLines, Terminal
    from pickout.train.training import train

    train(recipe, run, device=device, display=JsonLines(sys.stdout) if as_json else Terminal(sys.stderr))


def _load(model: str, device: str) -> "LoadedModel":
    from pickout.cli.model import load_model

    return load_model(model, device)


def _measure(model: "LoadedModel", out: Path) -> dict[str, Any]:
    """R@1 on the test people with its interval, and how that compares with chance."""
    from pickout.evaluate.plot import plot_cmc
    from pickout.evaluate.protocol import evaluate
    from pickout.files import write_atomically

    report = evaluate(model, "street", "test", root=out / "street")
    folder = out / "run" / "evaluations" / "street-test"
    write_atomically(folder / "report.json", report.json_text())
    write_atomically(folder / "cmc.png", plot_cmc(report))
    found = report.text_to_image
    recall = found.metrics.named()["R@1"]
    return {
        "R@1": recall,
        "interval": (found.intervals or {})["R@1"],
        "chance": found.metrics.chance,
        "times_chance": recall / found.metrics.chance,
        "queries": found.metrics.queries,
        "images": found.gallery,
        "identities": report.subject.identities,
        "report": str(folder / "report.json"),
    }


def _index(model: "LoadedModel", place: str, crops: Path, folder: Path) -> "Gallery":
    from pickout.cli.index import indexing_progress
    from pickout.gallery.gallery import Gallery
    from pickout.gallery.intake.metadata import CameraFrom

    gallery = Gallery.create(folder, model, run=place)
    with indexing_progress(True) as progress:
        gallery.add(crops, camera_from=CameraFrom.FOLDER, on_progress=progress)
    return gallery


def _crops_of_test_people(out: Path) -> Path:
    """A folder of the test people's crops alone, linked where the file system can link."""
    from pickout.data.registry import open_data

    images = out / "street" / "imgs"
    for record in open_data("street", out / "street").splits["test"].images:
        target = out / "crops" / record.image.relative_to(images.resolve())
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            try:
                os.link(record.image, target)
            except OSError:
                shutil.copyfile(record.image, target)
    return out / "crops"


def _search(gallery: "Gallery", sentences: Sequence[str], top: int, out: Path) -> Path:
    from pickout.files import write_atomically
    from pickout.gallery.search.sheet import result_sheet

    answers = [gallery.ask(sentence, top=top) for sentence in sentences]
    page = out / "results.html"
    write_atomically(
        page,
        result_sheet(answers, gallery=gallery.path.name, model=gallery.manifest.model.name, crops=gallery.count()),
    )
    return page
