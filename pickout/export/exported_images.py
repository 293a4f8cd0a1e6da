"""A folder with a model's exported image side: made behind the gate, opened for the model that it was made from, and
chosen where it is the fastest on this machine.

The gate is how far an exported model's vectors may be from the model's own, and what they may cost in searches. A file
in the user's cache folder remembers where the exports of each model lie, and which was fastest where."""

import hashlib
import json
import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.named_weights import weights_home
from pickout.data.data_set import Split
from pickout.data.images import open_image, to_rgb
from pickout.data.transforms import prepare
from pickout.errors import CheckpointError, CheckpointMismatch, ExportRefused, PickoutError, UsageError
from pickout.export.graph import GRAPHS, ExportPrecision, Format, require, write_graph
from pickout.files import read_text, write_atomically
from pickout.methods.base import ImageFeatures

ABOUT = "export.json"
_RUNTIMES = "runtimes.json"  # what is remembered of every model's exports
_RANGES = 128  # crops by which int8 finds ranges
_BATCH, _ROUNDS = 8, 5  # pictures at once, and how often each program encodes them
_SECONDS = 4.0  # after which no further round begins
Runtime = Literal["torch", "openvino", "onnx", "auto"]

MEAN, LEAST = 0.999, 0.99  # cosine with torch's fp32: of all crops together, and of the worst
LOSS = 0.5  # points of R@1 that may be lost on drawn validation people
SEARCHES = 400  # sentences of drawn people that are searched


@dataclass(frozen=True, slots=True)
class Gate:
    """What was measured."""

    crops: int  # pictures whose vectors were compared
    mean_cosine: float
    least_cosine: float
    tokens_cosine: float | None  # mean, of the tokens that a second look reads
    searches: int
    recall_torch: float  # R@1 in percent, by vectors
    recall: float

    @property
    def refusal(self) -> str | None:
        """Why vectors like these may not be mixed with the model's own; None where they may."""
        lowest = self.mean_cosine if self.tokens_cosine is None else min(self.mean_cosine, self.tokens_cosine)
        why = []
        if not lowest >= MEAN:
            why.append(f"mean cosine {lowest:.5f}, at least {MEAN} is asked for")
        if not self.least_cosine >= LEAST:
            why.append(f"least cosine {self.least_cosine:.5f}, at least {LEAST} is asked for")
        if not self.recall_torch - self.recall <= LOSS:
            change = f"R@1 falls from {self.recall_torch:.2f} to {self.recall:.2f} in {self.searches} searches"
            why.append(f"{change}, by more than {LOSS} points")
        return "; ".join(why) or None

    def require(self, what: str) -> None:
        """`ExportRefused` with the numbers where it does not pass."""
        if self.refusal is not None:
            raise ExportRefused(f"{what} is refused: {self.refusal}; try another --precision or other --crops")


def measure(model: LoadedModel, exported: LoadedModel, crops: list[Image.Image], people: Split) -> Gate:
    """Hold `exported` against `model`, which computes with torch in fp32, on the crops and on drawn people."""
    pairs = [pair for pair in people.pairs() if pair.caption.strip()][:SEARCHES]
    texts = model.encode_texts([pair.caption for pair in pairs])
    meant = np.array([pair.identity for pair in pairs])
    shown = np.array([image.identity for image in people.images])
    pictures = [open_image(image.image) for image in people.images]
    own, other = model.encode_images(pictures), _vectors(exported, pictures)
    recalls = [100 * float((shown[(texts @ vectors.T).argmax(1)] == meant).mean()) for vectors in (own, other)]
    cosines = (model.encode_images(crops) * _vectors(exported, crops)).sum(1)
    tokens = None
    if model.candidates and np.isfinite(cosines).all():
        bits = (torch.from_numpy(each.encode_images_with_tokens(crops[:32])[1]) for each in (model, exported))
        meant_tokens, tokens_there = (each.view(torch.bfloat16).float() for each in bits)
        tokens = float(functional.cosine_similarity(meant_tokens, tokens_there, dim=-1).mean())
    return Gate(len(cosines), float(cosines.mean()), float(cosines.min()), tokens, len(pairs), *recalls)


def _vectors(exported: LoadedModel, pictures: list[Image.Image]) -> NDArray[np.float32]:
    """Not numbers where the exported model gives none, which no gate lets pass."""
    try:
        return exported.encode_images(pictures)
    except CheckpointError:
        return np.full((len(pictures), exported.dimension), np.nan, np.float32)


def machine() -> str:
    """What decides how fast a program runs here: the processor, its cores, and torch's version."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "flags"))]
    flags = hashlib.sha256(" ".join(sorted(set(names))).encode()).hexdigest()[:8]
    return f"{names[0] if names else platform.processor()} ({flags}), {os.cpu_count()} cores, torch {torch.__version__}"


def check_export(out: Path, format: Format, precision: ExportPrecision) -> None:
    """Refuse a place that is taken, and what a program cannot do, before anything is computed: a `UsageError`."""
    if out.exists() and not (out / ABOUT).is_file():
        raise UsageError(f"{out}: exists and is no earlier export; name a new folder")
    require(format, precision)


def export(
    model: LoadedModel, out: Path, format: Format, precision: ExportPrecision, crops: list[Image.Image], people: Split
) -> Gate:
    """Write `model`'s image side to the folder `out`, in the place of an earlier export. `crops`, at least one, are
    what it is compared on and quantised by; `people` are drawn ones. `ExportRefused`: it does not pass the gate, and
    nothing is written. `UsageError`: there is something else at `out`, or a package is missing."""
    check_export(out, format, precision)
    exact = _with(model, precision="fp32", look=None)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=".export-") as scratch:
        folder = Path(scratch) / "export"
        folder.mkdir()
        ranges = [prepare(to_rgb(crop), model.settings.image) for crop in crops[:_RANGES]]
        write_graph(exact.method, format, precision, ranges, folder)
        about = {"format": format, "precision": precision, "model": model.name, "fingerprint": model.fingerprint}
        files = {name: _digest(folder / name) for name in GRAPHS[format]}
        gate = measure(exact, _with(exact, look=look(folder, format, precision)), crops, people)
        gate.require(f"{model.name} as {format} {precision}")
        made = {"machine": machine(), "version": version("openvino" if format == "openvino" else "onnxruntime")}
        told = {**about, **made, "files": files, "gate": asdict(gate)}
        write_atomically(folder / ABOUT, json.dumps(told, indent=2) + "\n")
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    return gate


def about_export(folder: Path) -> dict[str, Any]:
    """What is told of an export; `CheckpointError` where there is none, or it is damaged."""
    try:
        found: dict[str, Any] = json.loads(read_text(folder / ABOUT))
        gate, files, format = Gate(**found["gate"]), found["files"], found["format"]
        if set(files) != set(GRAPHS[format]) or found["precision"] not in ("fp32", "bf16", "int8"):
            raise ValueError("other files or another precision than an export has")
        _ = found["fingerprint"], found["model"]
    except FileNotFoundError:
        how = f"make one with pickout export MODEL {folder}"
        raise CheckpointError(f"{folder}: no export (no {ABOUT}); {how}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder / ABOUT}: cannot be read ({error}); export the model again") from None
    for name, digest in files.items():
        if not (folder / name).is_file() or _digest(folder / name) != digest:
            raise CheckpointError(f"{folder / name}: missing or changed since it was exported; export the model again")
    gate.require(f"{folder}")
    return found


def with_export(model: LoadedModel, folder: Path) -> LoadedModel:
    """`model` with its image side computed by the export in `folder`. `CheckpointMismatch`: that is another model's;
    `UsageError`: the model is not on the CPU, or a package is missing; else as `about_export`."""
    found = about_export(folder)
    if found["fingerprint"] != model.fingerprint:
        other = f"made from {found['model']} ({found['fingerprint']}), this is {model.name} ({model.fingerprint})"
        raise CheckpointMismatch(f"{folder}: {other}; export this model: pickout export {model.name} OUT")
    if model.device.type != "cpu":
        raise UsageError(f"{folder}: exports are computed on the CPU; give --device cpu, or --runtime torch")
    require(found["format"])
    try:
        return _with(model, look=look(folder, found["format"], found["precision"]))
    except Exception as error:  # each program has classes of its own for each reason
        why = (str(error).splitlines() or [""])[0][:200]
        raise CheckpointError(f"{folder}: {found['format']} cannot run it ({why}); export the model again") from None


def _with(model: LoadedModel, **changes: Any) -> LoadedModel:
    """A copy that computes otherwise; its fingerprint is not computed again."""
    changed = copy(model)
    vars(changed).update(changes)
    return changed


def look(folder: Path, format: str, precision: str) -> Callable[[Tensor], ImageFeatures]:
    """The graph as a function of prepared images."""
    file = folder / GRAPHS[format][0]
    threads = torch.get_num_threads()
    if format == "openvino":
        import openvino

        how = {"INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16", "INFERENCE_NUM_THREADS": threads}
        compiled = openvino.Core().compile_model(file, "CPU", how)
        run: Callable[[Any], Any] = lambda images: tuple(compiled.infer_new_request([images]).values())  # noqa: E731
    else:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        run = lambda images: session.run(None, {name: images})  # noqa: E731

    def run_on(images: Tensor) -> ImageFeatures:
        embedding, *tokens = (torch.from_numpy(found) for found in run(images.numpy()))
        return ImageFeatures(embedding, tokens[0] if tokens else embedding[:, None])

    return run_on


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remember_export(model: LoadedModel, folder: Path) -> None:
    """Note where an export of `model` lies; which program is fastest is asked anew."""
    _write(model, sorted({*_read(model)[1], str(folder.resolve())}), {})


def with_runtime(model: LoadedModel, runtime: Runtime) -> LoadedModel:
    """`model` with its images computed by that program, `auto`: by the fastest, as it was measured once. `UsageError`:
    there is no such export of it; for other errors see `with_export`."""
    if runtime == "torch" or (runtime == "auto" and model.device.type != "cpu"):
        return model
    (_, places, fastest_on), here = _read(model), machine()
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


def _read(model: LoadedModel) -> tuple[dict[str, Any], list[str], dict[str, str]]:
    """What is remembered of all models, by fingerprint; the folders of this one's exports that are there, and the
    fastest by machine. Nothing where the file is not there or is no such file."""
    known, places, fastest_on = dict[str, Any](), list[str](), dict[str, str]()
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = {**json.loads(read_text(weights_home() / _RUNTIMES))}
        told = known[model.fingerprint]
        places, fastest_on = [place for place in told["exports"] if Path(place).is_dir()], dict(told["fastest"])
    return known, places, fastest_on


def _write(model: LoadedModel, places: list[str], fastest_on: dict[str, str]) -> None:
    known = {**_read(model)[0], model.fingerprint: {"exports": places, "fastest": fastest_on}}
    write_atomically(weights_home() / _RUNTIMES, json.dumps(known, indent=2) + "\n", durable=False)
