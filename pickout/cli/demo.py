"""`pickout demo`: from nothing to ranked crops, with the model that comes with the package or one trained here."""

import json as json_text
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pickout.cli import model as loading
from pickout.cli.evaluate import write_report
from pickout.cli.options import Device, Json, Texts, setting
from pickout.cli.search import answers_page
from pickout.cli.terminal import check_place, progress, say, tell, write
from pickout.cli.train import training
from pickout.config import apply_overrides, parse_settings
from pickout.data.registry import open_data
from pickout.errors import UsageError
from pickout.files import packaged_table
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.intake.scan import count_images

_FACTS = packaged_table("pickout.cli", "demo.toml")  # the people that are drawn, and the sentences that are asked


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything; what is done there is kept.")] = Path("demo"),
    crops: Annotated[Path | None, typer.Option(help="Search this folder of yours in place of drawn people.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Draw more people and train a model on them first.")] = False,
    sentence: Annotated[Texts, typer.Option(help="What to search for, in quotes; may be given several times.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many candidates for each sentence.")] = 9,
    set_: Annotated[Texts, setting("street.captions.per_image=1, or with --train a key of the recipe")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Draw people, index them with the model that comes with Pickout, and search for sentences.

    With --train a compact model is trained by hand on drawn people first, and measured. Nothing is downloaded. A second
    call with other sentences takes seconds."""
    from pickout.gallery.gallery import Gallery
    from pickout.synthetic.street import StreetSettings, draw_street

    check_place(out / "results.html", "--out")
    is_ours = any((out / name).exists() for name in ("people", "street", "results.html"))
    if out.is_dir() and any(out.iterdir()) and not is_ours:
        raise UsageError(f"--out {out}: holds other files and no demo; give a new folder")
    # Whatever does not go together is told before anything is drawn.
    others = [pair for pair in set_ or () if not pair.startswith("street.")]
    if train and crops is not None:
        raise UsageError("--crops searches with the model that comes with Pickout; leave --train out")
    if others and not train:
        raise UsageError(f"--set {others[0]}: only --train has a recipe; for the people drawn give street.KEY=VALUE")
    if crops is not None:
        count_images(crops)
    own = [pair for pair in set_ or () if pair.startswith("street.")]
    street = out / ("street" if train else "people")
    drawn = apply_overrides({"street": _FACTS[street.name]}, own)["street"]
    people = parse_settings(StreetSettings, drawn, source="--set", prefix="street")
    pairs = [f"data.root={json_text.dumps(str(out / 'street'))}", *others]
    learn = training("demo", out / "run", pairs, device, json=json) if train else None
    voice = _Voice(json, stages=5 if train else 2 if crops else 3)
    begun = time.monotonic()
    if crops is None:
        with voice.stage("draw a street of people"), progress("drawing", quiet=False, stays=True) as drawing:
            draw_street(people, street, progress=drawing)
    if learn is None:
        place, searched = loading.default_model(), crops or street / "imgs"
        model = loading.load_model(place, device)
    else:
        with voice.stage("train a compact ITSELF on most of them"):
            learn()
        place, searched = str((out / "run").resolve()), _crops_of_test_people(out)
        model = loading.load_model(place, device)
        with voice.stage("measure it on people it has never seen"):
            _measure(model, out, voice)
    with voice.stage("index your crops" if crops else "index the crops of people it has never seen"):
        name = crops.resolve().name if crops else "crops" if train else "people"
        gallery = Gallery.create(out / f"{name}.gallery", model, run=place)
        with progress("indexing", quiet=False) as show:
            on_progress = lambda at: show(at.done, at.total, note=f"{at.quarantined} quarantined")  # noqa: E731
            gallery.add(searched, camera_from=CameraFrom.FOLDER, on_progress=on_progress)
    page = out / "results.html"
    with voice.stage("search"):
        answers = [gallery.ask(each, top=top) for each in sentence or _FACTS["sentences"]]
        write(page, "--out", lambda: answers_page(gallery, answers), private=True)
    seconds = time.monotonic() - begun
    done = f"Done in {seconds / 60:.1f} minutes. Look at {page} in a browser. Then ask:"
    voice.tell(done, "done", page=str(page), gallery=str(gallery.path), seconds=round(seconds, 1))
    voice.tell(f'  pickout search {gallery.path} "a man in a green jacket" --html results.html')


class _Voice:
    """Speaks to a person or, with `json`, to a program."""

    def __init__(self, json: bool, stages: int) -> None:
        self._json, self._stages, self._stage = json, stages, 0

    def tell(self, words: str, event: str = "", **fields: Any) -> None:
        """Say the words to a person; tell a program of the event, where there is one."""
        if not self._json:
            say(words)
        elif event:
            tell({"event": event, **fields}, json=True)

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Announce a stage and tell how long it took."""
        self._stage += 1
        self.tell(f"[{self._stage}/{self._stages}] {what}")
        begun = time.monotonic()
        yield
        seconds = time.monotonic() - begun
        self.tell(f"      {seconds:.1f} s", "stage", number=self._stage, what=what, seconds=round(seconds, 1))


def _measure(model: "loading.LoadedModel", out: Path, voice: _Voice) -> None:
    """Tell R@1 on the test people with its interval, and how that compares with chance."""
    from pickout.evaluate.protocol import evaluate

    report = evaluate(model, "street", "test", root=out / "street")
    folder = out / "run" / "evaluations" / "street-test"
    write_report(folder, report)
    found, metrics, people = report.text_to_image, report.text_to_image.metrics, report.subject["identities"]
    recall, chance, interval = metrics.recall_at_1, metrics.chance, (found.intervals or {})["R@1"]
    told = {"R@1": recall, "interval": interval, "chance": chance, "times_chance": recall / chance}
    counts = {"queries": metrics.queries, "images": found.gallery, "identities": people}
    words = (
        f"      R@1 {recall:.1f} % (95 % interval {interval[0]:.1f} to {interval[1]:.1f}) for {metrics.queries} "
        f"sentences about {people} held-out people in {found.gallery} crops: {recall / chance:.0f} times chance"
    )
    voice.tell(words, "measured", **told, **counts, report=str(folder / "report.json"))


def _crops_of_test_people(out: Path) -> Path:
    """A folder of the test people's crops alone, linked where the file system can link."""
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
