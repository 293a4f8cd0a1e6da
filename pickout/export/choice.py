"""Which program computes a model's image side: one that it was exported for, or the fastest on this machine.

A file in the user's cache folder remembers where the exports of each model lie, and which was fastest where."""

import json
import statistics
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.named_weights import weights_home
from pickout.errors import PickoutError, UsageError
from pickout.export.exported_images import about_export, machine, with_export
from pickout.files import read_text, write_atomically

Runtime = Literal["torch", "openvino", "onnx", "auto"]
_BATCH, _ROUNDS = 8, 5  # pictures at once, and how often each program encodes them
_SECONDS = 4.0  # after which no further round begins


def remember_export(model: LoadedModel, folder: Path) -> None:
    """Note where an export of `model` lies; which program is fastest is asked anew."""
    _write(model, sorted({*_read(model)[0], str(folder.resolve())}), {})


def with_runtime(model: LoadedModel, runtime: Runtime) -> LoadedModel:
    """`model` with its images computed by that program, `auto`: by the fastest, as it was measured once. `UsageError`:
    there is no such export of it; for other errors see `with_export`."""
    if runtime == "torch" or (runtime == "auto" and model.device.type != "cpu"):
        return model
    (places, fastest_on), here = _read(model), machine()
    sides = {"torch": model} if runtime == "auto" else {}
    if runtime == "auto" and (best := fastest_on.get(here)) in ("torch", *places):
        with suppress(PickoutError):
            return model if best == "torch" else with_export(model, Path(best))
    problems = list[PickoutError]()
    for place in places:
        try:
            if runtime in ("auto", about_export(Path(place))["format"]):
                sides[place] = with_export(model, Path(place))
        except PickoutError as error:
            problems.append(error)
    if not sides:
        make = f"make one with pickout export MODEL OUT --format {runtime}"
        raise (*problems, UsageError(f"--runtime {runtime}: no such export of {model.name} is known here; {make}"))[0]
    best = fastest(sides)
    if runtime == "auto":
        _write(model, places, {**fastest_on, here: best})
    return sides[best]


def fastest(sides: Mapping[str, LoadedModel]) -> str:
    """Which side encodes pictures in the least time, by medians of interleaved rounds."""
    if len(sides) == 1:
        return next(iter(sides))
    pictures = [Image.new("RGB", (128, 256), "grey")] * _BATCH
    times: dict[str, list[float]] = {name: [] for name in sides}
    began = time.monotonic()
    for number in range(1 + _ROUNDS):
        for name, side in sides.items():
            start = time.perf_counter()
            side.encode_images(pictures)
            if number:  # at first a program is still making itself ready
                times[name].append(time.perf_counter() - start)
        if number and time.monotonic() - began > _SECONDS:
            break
    return min(times, key=lambda name: statistics.median(times[name]))


def _file() -> Path:
    return weights_home() / "runtimes.json"


def _known() -> dict[str, Any]:
    """What is remembered, by fingerprint; nothing where the file is not there or is no such file."""
    try:
        found = json.loads(read_text(_file()))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(model: LoadedModel) -> tuple[list[str], dict[str, str]]:
    """The folders of the model's exports that are there, and the fastest by machine."""
    try:
        entry = _known()[model.fingerprint]
        return [place for place in entry["exports"] if Path(place).is_dir()], dict(entry["fastest"])
    except (KeyError, TypeError, ValueError):
        return [], {}


def _write(model: LoadedModel, places: list[str], fastest_on: dict[str, str]) -> None:
    known = {**_known(), model.fingerprint: {"exports": places, "fastest": fastest_on}}
    _file().parent.mkdir(parents=True, exist_ok=True)
    write_atomically(_file(), json.dumps(known, indent=2) + "\n", durable=False)
