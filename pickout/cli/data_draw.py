"""`pickout data draw`: draw a street of people."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pickout.synthetic.street import ProgressCallback


def draw(
    out: Annotated[Path, typer.Argument(help="Folder to write to: new, empty, or begun with the same settings.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting, for example identities=2000.")
    ] = None,
    avatars: Annotated[
        Path | None, typer.Option(help="Folder of rigged, textured avatars (glTF) to render in place of drawn people.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Drawing processes; by default one a core.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write a picture of some of the people here (PNG).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")] = False,
) -> None:
    """Draw people with sentences about them, in the format of CUHK-PEDES. Run it again to go on after a stop."""
    from pickout.config import apply_overrides, parse_settings
    from pickout.synthetic.street import StreetSettings, draw_street

    chosen = {} if avatars is None else {"avatars": {"folder": str(avatars)}}
    settings = parse_settings(StreetSettings, apply_overrides(chosen, overrides or []), source="--set")
    start = time.monotonic()
    with drawing_progress() as progress:
        draw_street(settings, out, workers=workers, progress=progress)
    if sheet is not None:
        _write_sheet(out, sheet)
    images = settings.people * settings.images
    facts = {
        "type": "result",
        "out": str(out),
        "identities": settings.people,
        "images": images,
        "captions": images * settings.captions.per_image,
        "seconds": round(time.monotonic() - start, 1),
        "sheet": None if sheet is None else str(sheet),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(
        f"{out}: {settings.people} people, {images} images, {facts['captions']} captions in {facts['seconds']} s. "
        f"Next: pickout data check street {out}"
    )


@contextmanager
def drawing_progress() -> Iterator["ProgressCallback"]:
    """A bar on standard error for `draw_street`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("drawing"), BarColumn(), MofNCompleteColumn(), TextColumn("images, left"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(file=sys.stderr)) as bar:
        task = bar.add_task("drawing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _write_sheet(street: Path, sheet: Path) -> None:
    from PIL import Image

    from pickout.errors import UsageError
    from pickout.files import atomic_path
    from pickout.synthetic.contact_sheet import contact_sheet

    full = contact_sheet(street)
    palette = full.quantize(256, method=Image.Quantize.FASTOCTREE)
    picture = full.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    try:
        with atomic_path(sheet) as temporary:
            picture.save(temporary, format="PNG", optimize=True)
    except OSError as error:
        raise UsageError(f"--sheet {sheet}: cannot be written ({error.strerror}); give another file") from None
