"""`pickout video`: from recordings to crops of the people in them, or straight into a gallery."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pickout.cli.options import Device, Json, Texts, settings_of
from pickout.cli.terminal import say, tell
from pickout.errors import DataError, NothingFound, printable

if TYPE_CHECKING:
    from pickout.video.recordings import Recording


def video(
    recordings: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...", help="Video files, folders of them or of pictures, rtsp:// or http:// addresses."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the crops and their table; new, or one to go on with.")],
    detector: Annotated[
        str, typer.Option(help="embedded, movenet, nanodet, or an .onnx file (RF-DETR, D-FINE, YOLOX).")
    ] = "embedded",
    gallery: Annotated[Path | None, typer.Option(help="A gallery to bring up to date with the crops.")] = None,
    model: Annotated[str | None, typer.Option(help="The model of a new gallery; by default the package's own.")] = None,
    camera: Annotated[str | None, typer.Option(help="The camera's name; by default from the file's name.")] = None,
    camera_from: Annotated[
        Literal["file", "folder"], typer.Option(help="file or folder: it names the camera.")
    ] = "file",
    start: Annotated[str | None, typer.Option(help="When the recording began, as 2026-03-01T14:30.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of --start and of times in file names.")] = "UTC",
    per_track: Annotated[int, typer.Option(min=1, help="Crops of one person in one pass, at most.")] = 3,
    last: Annotated[float | None, typer.Option(min=0, help="Seconds to look at live cameras.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Recordings at a time; by default one a core.")] = None,
    set_: Annotated[Texts, typer.Option("--set", metavar="KEY=VALUE", help="For example rate=10.")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Find the people in recordings and keep the best crops of each, with camera, time, track and box.

    Kill it at any moment and run it again: it goes on where it stopped. A recording that breaks off gives the people
    before the break. Boxes are guesses of a detector: some people are missed, and some boxes show nobody."""
    from pickout.gallery.storage.rows import parse_time
    from pickout.video import make_detector, require_libraries

    require_libraries()
    from pickout.video.extraction import ExtractionSettings
    from pickout.video.harvest import TABLE, harvest
    from pickout.video.recordings import find_recordings

    make_detector(detector)  # a wrong file is told before anything is made
    settings = settings_of(ExtractionSettings, set_, {"tracks": {"per_track": per_track}})
    moment = None if start is None else parse_time(start)
    found = find_recordings(recordings, camera=camera, camera_from=camera_from, start=moment, zone=zone)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(workers or cores, len(found))
    with _progress(found, speaks=not json) as tell_of:
        report = harvest(found, out, detector, settings, workers=count, lasts=last, say=tell_of)
    if json:
        tell({"crops_folder": str(out), **report.as_json()}, json=True)
    else:
        say(f"{out}: {report.crops} crops of {report.tracks} tracks in {len(report.recordings)} recordings")
        for name, entry in report.recordings.items():
            if entry.fault:
                say(f"{name}: {entry.fault}")
        for name, why in report.failed.items():
            say(f"{name}: not read: {why}")
    if gallery is not None and report.crops:
        from pickout.cli.index import index

        index(out, gallery, model=model, table=out / TABLE, device=device, json=json)
    if len(report.failed) == len(found):
        raise DataError(f"{out}: none of {len(found)} recordings could be read")
    if not report.crops:
        raise NothingFound(f"{out}: nobody was found in {len(found) - len(report.failed)} of {len(found)} recordings")


@contextmanager
def _progress(found: list["Recording"], *, speaks: bool) -> Iterator[Callable[[str, float | str, float | None], None]]:
    """A bar a recording, with the time left, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not speaks) as bars:
        tasks = {each.name: bars.add_task(printable(each.name), total=None, at="", visible=False) for each in found}

        def say(name: str, what: float | str, length: float | None) -> None:
            if isinstance(what, str):
                console.print(printable(what), markup=False)
                return
            at = f"{what / 60:.1f} min" + (f" of {length / 60:.1f}" if length else "")
            bars.update(tasks[name], completed=what, total=length, at=at, visible=True)

        yield say
