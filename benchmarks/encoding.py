"""How fast each program computes the image side of a model, beside torch, in one run.

    python benchmarks/encoding.py [--model pickout-small] [--batch 8] [--rounds 9] [--threads 1] [--int8]

`--model` is a trained run, `pickout-small`, or a recipe whose model is built with random weights (itself-cuhk-pedes:
ViT-B/16 at 384 x 128). Every side gets the same prepared pictures of drawn people; they take turns, and the order turns
each round. Reported are medians of wall and processor time a picture, the ratio of medians to torch in fp32 and bf16,
and the cosines of the vectors with torch's in fp32. One thread is the default: with more threads than idle cores,
waiting threads count as processor time, and torch's wait longest. `--int8` adds OpenVINO's int8, which needs NNCF and
minutes.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from adding import loaded, write_crops
from torch.nn import functional as F

import pickout
from pickout.checkpoints.loaded_model import LoadedModel
from pickout.data.images import open_image
from pickout.data.transforms import prepare
from pickout.export.exported_images import look
from pickout.export.graph import write_graph

Side = Callable[[torch.Tensor], torch.Tensor]


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    model = pickout.load() if options.model == "pickout-small" else loaded(options.model)
    with TemporaryDirectory() as folder:
        write_crops(Path(folder) / "crops", options.pictures)
        files = sorted((Path(folder) / "crops").iterdir())
        pictures = torch.stack([prepare(open_image(file), model.settings.image) for file in files])
        sides = all_sides(model, pictures, Path(folder), int8=options.int8)
        exact = vectors(sides["torch fp32"], pictures, options.batch)
        cosines = {name: (vectors(side, pictures, options.batch) * exact).sum(1) for name, side in sides.items()}
        times = take_turns(sides, pictures, options.batch, options.rounds)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{options.model}: batches of {options.batch}, {options.threads} threads, {platform.processor()}, load {load}"
    )
    for name, taken in times.items():
        wall, busy = (statistics.median(part) for part in zip(*taken, strict=True))
        told = {"side": name, "wall_ms": 1000 * wall / options.batch, "processor_ms": 1000 * busy / options.batch}
        for other in ("torch fp32", "torch bf16"):
            own = [statistics.median(part) for part in zip(*times[other], strict=True)]
            told |= {f"wall x {other}": own[0] / wall, f"processor x {other}": own[1] / busy}
        cosine = {"cosine": float(cosines[name].mean()), "least": float(cosines[name].min())}
        print(
            json.dumps({key: each if isinstance(each, str) else round(each, 2) for key, each in told.items()}), end=" "
        )
        print(json.dumps({key: round(each, 5) for key, each in cosine.items()}))


def all_sides(model: LoadedModel, pictures: torch.Tensor, folder: Path, *, int8: bool) -> dict[str, Side]:
    """Each program by name, as a function from prepared pictures to vectors."""

    def by_torch(enabled: bool) -> Side:
        def encode(images: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                return model.method.encode_images(images).embedding.float()

        return encode

    def exported(format: Any, precision: Any) -> Side:
        place = folder / f"{format}-{precision}"
        place.mkdir()
        write_graph(model.method, format, precision, list(pictures), place)
        run = look(place, format, precision)
        return lambda images: run(images).embedding

    sides = {"torch fp32": by_torch(False), "torch bf16": by_torch(True)}
    kinds = [("openvino", "fp32"), ("openvino", "bf16"), *([("openvino", "int8")] if int8 else [])]
    for format, precision in (*kinds, ("onnx", "fp32"), ("onnx", "int8")):
        sides[f"{format} {precision}"] = exported(format, precision)
    return sides


def vectors(side: Side, pictures: torch.Tensor, batch: int) -> torch.Tensor:
    return F.normalize(torch.cat([side(some) for some in pictures.split(batch)]), dim=-1)


def take_turns(
    sides: dict[str, Side], pictures: torch.Tensor, batch: int, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of each side in each round."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sides if number % 2 else reversed(sides):
            began = time.perf_counter(), time.process_time()
            sides[name](pictures[:batch])
            times[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    return times


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pickout-small")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=64, help="over which cosines are taken")
    parser.add_argument("--int8", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
