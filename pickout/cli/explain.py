"""`pickout explain`: why a crop has its score, and whether such reasons hold for a model."""

import io
import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pickout.cli import model as loading
from pickout.cli.explain_words import enrich, masks, vacuous, word
from pickout.cli.options import DataName, DataRoot, Device, Json, Run, Texts, setting, settings_of
from pickout.cli.terminal import png, progress, say, say_table, tell, write
from pickout.data.images import open_image

if TYPE_CHECKING:
    from pickout.explain.explanation import Explanation
    from pickout.explain.verdict import Measurement


class _WithDefault(TyperGroup):
    """A group whose first word may also be a model: `pickout explain MODEL ...` is `pickout explain show MODEL ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `show` before words that name no command."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_WithDefault,
    no_args_is_help=True,
    help="Why a crop has its score: pickout explain MODEL IMAGE 'a man in a red jacket' (short for explain show).",
)


@app.command("show")
def show(
    model: Run,
    image: Annotated[Path, typer.Argument(help="The crop.")],
    sentence: Annotated[str, typer.Argument(help="A description of a person, in quotes.")],
    way: Annotated[str | None, typer.Option(help="Show this way instead of the best one that held.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for overlay pictures, arrays and JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that needs nothing else to this file.")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Words and places on which a crop's score rests, as far as that was measured to be true of the model."""
    from pickout.explain.explanation import explain, measurement_file
    from pickout.explain.page import explanation_page
    from pickout.explain.verdict import read_measurement

    picture = open_image(image)
    loaded = loading.load_model(model, device)
    found = explain(loaded, sentence, picture, measurement=read_measurement(measurement_file(loaded)), way=way)
    if out is not None:
        _write_folder(out, found)
    write(html, "--html", lambda: explanation_page(found, image=image.name))
    if json:
        tell(found.as_json(), json=True)
        return
    _show(found)
    for name, path in (("page", html), ("pictures", out)):
        if path is not None:
            say(f"{name}: {path}")


def _write_folder(folder: Path, found: "Explanation") -> None:
    import numpy as np

    from pickout.explain.overlay import explanation_sheet, overlay

    arrays, heat = io.BytesIO(), found.patches
    np.savez(arrays, **found.arrays())  # type: ignore[arg-type]  # numpy's stub takes a keyword for allow_pickle
    write(folder / "explanation.json", "--out", lambda: json_text.dumps(found.as_json(), indent=1))
    write(folder / "arrays.npz", "--out", arrays.getvalue)
    write(folder / "sheet.png", "--out", lambda: png(explanation_sheet(found)))
    if heat is not None:
        write(folder / "overlay.png", "--out", lambda: png(overlay(found.picture, heat, found.grid)))


def _show(found: "Explanation") -> None:
    from pickout.explain.explanation import MEANING

    say(f"score {found.score:.4f}")
    rows = []
    for read in (each for each in found.words if each.state == "read"):
        weight = "" if read.weight is None else f"{read.weight:+.4f}"
        rows.append((read.text, weight, "" if read.patches is None else found.grid.place_of(read.patches)))
    say_table(("word", "weight", "hottest place"), rows, right=("weight",))
    if cut := sum(each.state == "cut" for each in found.words):
        say(f"{cut} words lie beyond what the model reads")
    for target, verdict in found.verdicts.items():
        way = "" if verdict.way is None else f"{verdict.way}, "
        say(f"{target.replace('_', ' x ')}: {way}{verdict.note}")
    say(MEANING)


@app.command("measure")
def measure(
    model: Run,
    data: DataName = None,
    root: DataRoot = None,
    split: Annotated[str, typer.Option(help="The split; only val decides what is shown.")] = "val",
    out: Annotated[Path | None, typer.Option(help="Another file than RUN/explain.json.")] = None,
    set_: Annotated[Texts, setting("people=50")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Hold every way to explain a model against random maps, and on a drawn street against the garments' masks.

    The best way of each kind that is better than chance is what `pickout explain` shows from then on.
    """
    from pickout.evaluate.protocol import run_folder
    from pickout.explain.explanation import measurement_file
    from pickout.explain.faithfulness import MeasureSettings
    from pickout.explain.faithfulness import measure as measure_model

    settings = settings_of(MeasureSettings, set_)
    loaded = loading.load_model(model, device)
    opened = loading.open_run_data(model, run_folder(loaded), data, root)
    with progress("people", quiet=json) as on_progress:
        found = measure_model(loaded, opened, split, settings, on_progress)
    file = out or measurement_file(loaded)
    if out is None and split != "val":
        file = file.with_name(file.name.replace(".json", f"-{split}.json"))
    write(file, "--out", lambda: json_text.dumps(found.as_json(), indent=1) + "\n")
    if json:
        tell(found.as_json(), json=True)
        return
    _show_measurement(found)
    say(f"written: {file}")


def _show_measurement(found: "Measurement") -> None:
    from pickout.explain.verdict import TARGETS, Number

    def told(number: Number | None) -> str:
        return "" if number is None else f"{number.mean:.3f} [{number.low:.3f}, {number.high:.3f}]"

    for target in TARGETS:
        best, rows = found.best(target), []
        for way, finding in found.findings[target].items():
            numbers = [told(number) for number in (finding.deletion, finding.insertion, finding.ratio)]
            rows.append((way, *numbers, "shown" if way == best else "" if finding.holds else "refused"))
        columns = ("way", "deletion gain", "insertion gain", "garment ratio", "")
        say_table(columns, rows, title=target.replace("_", " x "), width=100)
    facts = found.facts
    say(f"{facts['people']} people of {facts['data']} {facts['split']}; 95 % intervals over people")


@app.command("entropy")
def entropy(
    model: Run,
    data: DataName = None,
    root: DataRoot = None,
    split: Annotated[str, typer.Option(help="The split whose first pairs are read.")] = "val",
    pairs: Annotated[int, typer.Option(min=1, help="How many images with a sentence each.")] = 100,
    out: Annotated[Path | None, typer.Option(help="Write a picture to this PNG file.")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """How widely each layer's class token looks: the entropy of its attention (ITSELF, figure 7, left)."""
    from pickout.data.training_pairs import with_captions
    from pickout.evaluate.protocol import run_folder
    from pickout.explain.entropy import attention_entropy
    from pickout.explain.figures import entropy_figure

    loaded = loading.load_model(model, device)
    opened = with_captions(loading.split_of(loading.open_run_data(model, run_folder(loaded), data, root), split))
    sample = [(record.image, record.captions[0]) for record in opened.images[:pairs]]
    with progress("pairs", quiet=json) as on_progress:
        found = attention_entropy(loaded, sample, on_progress)
    title = f"{loaded.name} on {opened.data}, {split}"
    write(out, "--out", lambda: entropy_figure(found, title))
    means = {kind: [round(float(x), 4) for x in rows.mean(axis=0)] for kind, rows in found.items()}
    if json:
        tell({"data": opened.data, "split": split, "pairs": len(sample), **means}, json=True)
        return
    for kind, by_layer in means.items():
        say(f"{kind}: " + "  ".join(f"{layer}: {mean:.2f}" for layer, mean in enumerate(by_layer, start=1)))
    say(f"nats by layer, mean of {len(sample)} pairs: {title}")
    if out is not None:
        say(f"picture: {out}")


for command in (word, enrich, masks, vacuous):
    app.command()(command)
