"""`pickout explain`: why a crop has its score, and whether such reasons hold for a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pickout.cli.explain_words import enrich, masks, vacuous, word

if TYPE_CHECKING:
    from pickout.explain.explanation import Explanation
    from pickout.explain.verdict import Measurement


class _WithDefault(TyperGroup):
    """A group whose first word may also be a model: `pickout explain MODEL ...` is `pickout explain show MODEL ...`."""

    default = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `show` before words that name no command."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_WithDefault,
    no_args_is_help=True,
    help="Why a crop has its score: pickout explain MODEL IMAGE 'a man in a red jacket' (short for explain show).",
)

_Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")]
_Model = Annotated[str, typer.Argument(help="A run folder, or a weight file that an importer knows.")]


@app.command("show")
def show(
    model: _Model,
    image: Annotated[Path, typer.Argument(help="The crop.")],
    sentence: Annotated[str, typer.Argument(help="A description of a person, in quotes.")],
    way: Annotated[str | None, typer.Option(help="Show this way instead of the best one that held.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for overlay pictures, arrays and JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that needs nothing else to this file.")] = None,
    device: _Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the explanation as one line of JSON.")] = False,
) -> None:
    """Words and places on which a crop's score rests, as far as that was measured to be true of the model."""
    import json as json_text

    from pickout.cli.explain_files import write
    from pickout.cli.model import load_model
    from pickout.data.images import open_image
    from pickout.explain.explanation import explain, measurement_file
    from pickout.explain.page import explanation_page
    from pickout.explain.verdict import read_measurement

    picture = open_image(image)
    loaded = load_model(model, device)
    found = explain(loaded, sentence, picture, measurement=read_measurement(measurement_file(loaded)), way=way)
    if out is not None:
        _write_folder(out, found)
    write(html, "--html", lambda: explanation_page(found, image=image.name))
    if json:
        typer.echo(json_text.dumps(found.as_json()))
    else:
        _print(found)
        for name, path in (("page", html), ("pictures", out)):
            if path is not None:
                typer.echo(f"{name}: {path}")


def _write_folder(folder: Path, found: "Explanation") -> None:
    import io
    import json

    import numpy as np

    from pickout.cli.explain_files import png, write
    from pickout.explain.overlay import explanation_sheet, overlay

    arrays, heat = io.BytesIO(), found.patches
    np.savez(arrays, **found.arrays())  # type: ignore[arg-type]  # numpy's stub takes a keyword for allow_pickle
    write(folder / "explanation.json", "--out", lambda: json.dumps(found.as_json(), indent=1))
    write(folder / "arrays.npz", "--out", arrays.getvalue)
    write(folder / "sheet.png", "--out", lambda: png(explanation_sheet(found)))
    if heat is not None:
        write(folder / "overlay.png", "--out", lambda: png(overlay(found.picture, heat, found.grid)))


def _print(found: "Explanation") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pickout.errors import printable
    from pickout.explain.explanation import MEANING

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("word", "weight", "hottest place"):
        table.add_column(name, justify="right" if name == "weight" else "left")
    for said in found.words:
        if said.state != "read":
            continue
        weight = "" if said.weight is None else f"{said.weight:+.4f}"
        place = ""
        if said.patches is not None:
            place = found.grid.place_of(said.patches)
        table.add_row(Text(printable(said.text)), weight, place)
    console = Console()
    console.print(f"score {found.score:.4f}", highlight=False)
    console.print(table)
    cut = sum(said.state == "cut" for said in found.words)
    if cut:
        console.print(f"{cut} words lie beyond what the model reads", highlight=False)
    for target, verdict in found.verdicts.items():
        way = "" if verdict.way is None else f"{verdict.way}, "
        console.print(f"{target.replace('_', ' x ')}: {way}{verdict.note}", highlight=False, soft_wrap=True)
    console.print(MEANING, highlight=False, soft_wrap=True)


@app.command("measure")
def measure(
    model: _Model,
    data: Annotated[str | None, typer.Argument(help="The data set's name; by default the run's own.")] = None,
    root: Annotated[Path | None, typer.Argument(help="Its folder; by default the run's own, else ./data.")] = None,
    split: Annotated[str, typer.Option(help="The split; only val decides what is shown.")] = "val",
    out: Annotated[Path | None, typer.Option(help="Another file than RUN/explain.json.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="For example people=50.")] = None,
    device: _Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the measurement as one line of JSON.")] = False,
) -> None:
    """Hold every way to explain a model against random maps, and on a drawn street against the garments' masks.

    The best way of each kind that is better than chance is what `pickout explain` shows from then on.
    """
    import json as json_text

    from pickout.cli.explain_files import progress, write
    from pickout.cli.model import load_model
    from pickout.cli.run_data import open_run_data
    from pickout.config import apply_overrides, parse_settings
    from pickout.evaluate.protocol import run_folder
    from pickout.explain.explanation import measurement_file
    from pickout.explain.faithfulness import MeasureSettings
    from pickout.explain.faithfulness import measure as measure_model

    settings = parse_settings(MeasureSettings, apply_overrides({}, set_ or []), source="--set")
    loaded = load_model(model, device)
    opened = open_run_data(model, run_folder(loaded), data, root, f"explain measure {model} DATA ROOT")
    with progress("people", shown=not json) as tell:
        found = measure_model(loaded, opened, split, settings, tell)
    file = out or measurement_file(loaded)
    if out is None and split != "val":
        file = file.with_name(file.name.replace(".json", f"-{split}.json"))
    write(file, "--out", lambda: json_text.dumps(found.as_json(), indent=1) + "\n")
    if json:
        typer.echo(json_text.dumps(found.as_json()))
        return
    _print_measurement(found)
    typer.echo(f"written: {file}")


def _print_measurement(found: "Measurement") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from pickout.explain.verdict import TARGETS, Number

    def told(number: Number | None) -> str:
        return "" if number is None else f"{number.mean:.3f} [{number.low:.3f}, {number.high:.3f}]"

    console = Console(width=100)
    for target in TARGETS:
        table = Table(title=target.replace("_", " x "), title_justify="left", box=box.SIMPLE_HEAD)
        for name in ("way", "deletion gain", "insertion gain", "garment ratio", ""):
            table.add_column(name, no_wrap=True)
        best = found.best(target)
        for way, finding in found.findings[target].items():
            mark = "shown" if way == best else "" if finding.holds else "refused"
            numbers = [told(number) for number in (finding.deletion, finding.insertion, finding.ratio)]
            table.add_row(way, *numbers, mark)
        console.print(table)
    facts = found.facts
    console.print(
        f"{facts['people']} people of {facts['data']} {facts['split']}; 95 % intervals over people", highlight=False
    )


@app.command("entropy")
def entropy(
    model: _Model,
    data: Annotated[str | None, typer.Argument(help="The data set's name; by default the run's own.")] = None,
    root: Annotated[Path | None, typer.Argument(help="Its folder; by default the run's own, else ./data.")] = None,
    split: Annotated[str, typer.Option(help="The split whose first pairs are read.")] = "val",
    pairs: Annotated[int, typer.Option(min=1, help="How many images with a sentence each.")] = 100,
    out: Annotated[Path | None, typer.Option(help="Write a picture to this PNG file.")] = None,
    device: _Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """How widely each layer's class token looks: the entropy of its attention (ITSELF, figure 7, left)."""
    import json as json_text

    from pickout.cli.explain_files import open_split, progress, write
    from pickout.cli.model import load_model
    from pickout.explain.attention import attention_entropy
    from pickout.explain.figures import entropy_figure

    loaded = load_model(model, device)
    opened = open_split(loaded, model, data, root, split)
    sample = [(record.image, record.captions[0]) for record in opened.images[:pairs]]
    with progress("pairs", shown=not json) as tell:
        found = attention_entropy(loaded, sample, tell)
    title = f"{loaded.name} on {opened.data}, {split}"
    write(out, "--out", lambda: entropy_figure(found, title))
    means = {kind: [round(float(x), 4) for x in rows.mean(axis=0)] for kind, rows in found.items()}
    if json:
        typer.echo(json_text.dumps({"data": opened.data, "split": split, "pairs": len(sample), **means}))
        return
    for kind, by_layer in means.items():
        typer.echo(f"{kind}: " + "  ".join(f"{layer}: {mean:.2f}" for layer, mean in enumerate(by_layer, start=1)))
    typer.echo(f"nats by layer, mean of {len(sample)} pairs: {title}")
    if out is not None:
        typer.echo(f"picture: {out}")


app.command("word")(word)
app.command("enrich")(enrich)
app.command("masks")(masks)
app.command("vacuous")(vacuous)
