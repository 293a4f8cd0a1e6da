"""`pickout export`: a model's image side for OpenVINO or ONNX Runtime, where it passes the gate."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer

from pickout.cli import model as loading
from pickout.cli.options import Json, Run
from pickout.cli.terminal import check_place, say, tell
from pickout.data.images import open_image
from pickout.errors import NothingFound
from pickout.gallery.intake.scan import Scan

MOST = 512  # crops that are read


def export(
    model: Run,
    out: Annotated[Path, typer.Argument(help="The folder to write, new or an earlier export.")],
    format: Annotated[Literal["openvino", "onnx"], typer.Option(help="Which program is to compute it.")] = "openvino",
    precision: Annotated[
        Literal["fp32", "bf16", "int8"], typer.Option(help="bf16: OpenVINO; int8: quantised after training.")
    ] = "bf16",
    crops: Annotated[
        Path | None, typer.Option(help="A folder of your crops, to compare and quantise by; else drawn people.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a model's image side for another program, which index, search and serve take with --runtime.

    Refused with the numbers where its vectors differ too much from torch's in fp32, or drawn people are found less
    often. The text side stays with torch."""
    from pickout.export.exported_images import check_export, remember_export
    from pickout.export.exported_images import export as write_export

    check_place(out / "export.json", "OUT")
    check_export(out, format, precision)
    files = [] if crops is None else islice(Scan(crops).files(), MOST)
    pictures = [picture for _, picture in loading.readable(files)]
    if crops is not None and not pictures:
        raise NothingFound(f"--crops {crops}: holds no picture that can be read")
    loaded = loading.load_model(model, "cpu")
    with loading.drawn_people(quiet=json) as drawn:
        people = drawn.splits["val"]
        given = pictures or [open_image(record.image) for record in people.images]
        gate = write_export(loaded, out, format, precision, given, people)
    remember_export(loaded, out)
    if json:
        tell({"export": str(out), "format": format, "precision": precision, **asdict(gate)}, json=True)
        return
    say(f"{out}: {loaded.name} for {format} in {precision}")
    say(f"cosine to torch fp32 over {gate.crops} crops: mean {gate.mean_cosine:.5f}, least {gate.least_cosine:.5f}")
    say(f"R@1 in {gate.searches} searches for drawn people: torch {gate.recall_torch:.2f}, this {gate.recall:.2f}")
    say("use it: --runtime auto with pickout index, search or serve")
