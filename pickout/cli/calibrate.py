"""`pickout calibrate`: from scores to probabilities, for one gallery."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from pickout.cli import model as loading
from pickout.cli.options import DataRoot, Device, GalleryPath, Json, Model, Texts, setting, settings_of
from pickout.cli.terminal import progress, say, tell
from pickout.files import write_atomically
from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.lock import writing
from pickout.gallery.storage.tables import CALIBRATION_PLOT


def calibrate(
    gallery: GalleryPath,
    data: Annotated[str | None, typer.Argument(help="A data set with sentences; by default the model's own.")] = None,
    root: DataRoot = None,
    split: Annotated[str, typer.Option(help="The split; its people must not have been used for training.")] = "val",
    set_: Annotated[Texts, setting("present=0.2")] = None,
    model: Model = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Fit the probability that a candidate is a match, and when the best one is no good match.

    Half of the split's people are used for fitting, the other half for the check. Written to the gallery's folder:
    calibration.json and calibration.png. Do it again when the gallery has grown much."""
    from pickout.checkpoints.sentence_encoder import DEFAULT
    from pickout.gallery.calibration.fit import CalibrationSettings, check_size, plot_reliability

    settings = settings_of(CalibrationSettings, set_)
    opened = Gallery.open(gallery)
    check_size(opened.count())
    place = model or loading.remembered_model(gallery, opened.manifest)
    with ExitStack() as stack:
        home = Path(place) if Path(place).is_dir() else None
        if data is None and place == DEFAULT:
            say("no data named: calibrating on drawn people; real ones are harder (docs/calibration.md)", err=True)
            people = stack.enter_context(loading.drawn_people(quiet=False))
        else:
            people = loading.open_run_data(place, home, data, root)
        asked = loading.split_of(people, split)
        opened.use(loading.load_model(place, device))
        show = stack.enter_context(progress("encoding", quiet=json))
        found = opened.calibrate(asked, settings=settings, tell=lambda what, done, total: show(done, total, what=what))
    plot = plot_reliability(found)
    with writing(gallery):
        write_atomically(gallery / CALIBRATION_PLOT, plot)
    if json:
        tell(found.model_dump(mode="json"), json=True)
        return
    check = found.check
    used = f"{found.searches:,} searches for {found.identities} people of {found.data}"
    say(f"{gallery}: calibrated at {found.crops:,} crops with {used}")
    say(f"On {check.identities} people not used for that, when the person is there in half of the searches:")
    for what, error, (low, high) in (
        ("over the best ten candidates", check.ece, check.ece_interval),
        ("over the best one alone", check.ece_best, check.ece_best_interval),
    ):
        say(f"  expected calibration error {what}: {error:.3f} (95 % interval {low:.3f} to {high:.3f})")
    answered = f"{check.absent_answered:.1%} of searches for absent people are answered"
    say(f"  at error 0.05, {answered}, and {check.present_answered:.1%} of those for people who are there")
    for doubt in found.warnings():
        say(f"Note: {doubt}")
    say(f"Written: {gallery}/calibration.json, calibration.png")
