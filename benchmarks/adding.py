"""How fast crops become rows beside the model's own speed, in one run.

    python benchmarks/adding.py [--model dual-cuhk-pedes] [--crops 384] [--batch 32] [--rounds 5] [--threads 4]

`--model` is a trained run's folder, or the name of a recipe whose model is built with random weights: dual-cuhk-pedes
(CLIP ViT-B/16 at 384 x 128), demo (`pickout demo`'s small ITSELF), aga-cuhk-pedes (ViT-B/16 at 384 x 384 with 0.9 MB of
tokens a crop), aga-demo. The crops are drawn people of 128 x 384 pixels as JPEG files, no two alike.

The encoder alone gets the same crops, decoded and in memory, in the same batches (`encode_images`, or
`encode_images_with_tokens` for a model with a second look). `Gallery.add` brings them from the files into a new
gallery, with everything that belongs to it: reading, digests, thumbnails, commits, merging of pieces. The two take
turns, and change who goes first. A ratio of 1 means that adding costs nothing beside the model.

`--parts` also times what adding does to a crop besides the model, one thing after another in one thread.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import pickout
from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.weight_file import KeyReport
from pickout.data.transforms import prepare
from pickout.export.exported_images import with_runtime
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.picture import decode, digest, read_file
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.storage.rows import Metadata, Row
from pickout.gallery.storage.store import Store
from pickout.methods.model import build_model
from pickout.synthetic.cameras import sample_cameras
from pickout.synthetic.drawing import draw_crop
from pickout.synthetic.people import sample_person, sample_view
from pickout.text.build import train_tokenizer
from pickout.train.recipe import find_recipe, load_recipe

HEIGHT, WIDTH = 384, 128
DRAWN = 24
"""People who are drawn; the other crops are these, shifted, mirrored and lit otherwise, with noise of their own."""


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    model = with_runtime(loaded(options.model), options.runtime)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        crops = Path(folder) / "crops"
        write_crops(crops, options.crops)
        images = [decode(file, read_file(file)).image for file in sorted(crops.iterdir())]
        settings = IngestSettings(batch=options.batch)
        sides: dict[str, Callable[[], None]] = {
            "encoder alone": lambda: encode(model, images, options.batch),
            "adding": lambda: add(model, crops, settings),
        }
        encode(model, images[: 2 * options.batch], options.batch)
        rounds = [one_round(sides, turned=number % 2 == 1) for number in range(options.rounds)]
        tell(options, rounds)
        if options.parts:
            tell_parts(model, crops)


def loaded(model: str) -> LoadedModel:
    """A trained run, or a recipe's model with random weights."""
    if Path(model).exists():
        return pickout.load(model)
    torch.manual_seed(0)
    settings = load_recipe(find_recipe(model)).model
    tokenizer = train_tokenizer(["a woman in a teal jacket"], context=settings.tokenizer.context)
    method = build_model(settings, tokenizer, 0)
    return LoadedModel(
        name=model,
        method=method,
        tokenizer=tokenizer,
        settings=settings,
        identities=0,
        report=KeyReport(model, "random weights"),
    )


def write_crops(folder: Path, count: int) -> None:
    """JPEG files of drawn people, no two alike."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    cameras = sample_cameras(generator, 4)
    drawn = []
    for index in range(min(DRAWN, count)):
        person, camera = sample_person(generator), cameras[index % len(cameras)]
        drawing = draw_crop(person, sample_view(generator, person, camera), camera, (HEIGHT, WIDTH))
        drawn.append(drawing.image)
    for index in range(count):
        pixels = np.roll(drawn[index % len(drawn)], generator.integers(-8, 9), axis=1).astype(np.float32)
        if generator.random() < 0.5:
            pixels = pixels[:, ::-1]
        pixels = pixels * generator.uniform(0.7, 1.3) + generator.normal(0, 3, pixels.shape)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{index:06d}.jpg", quality=90)


def encode(model: LoadedModel, images: list[Image.Image], batch: int) -> None:
    """The encoder alone."""
    for start in range(0, len(images), batch):
        if model.candidates:
            model.encode_images_with_tokens(images[start : start + batch])
        else:
            model.encode_images(images[start : start + batch])


def add(model: LoadedModel, crops: Path, settings: IngestSettings) -> None:
    """From files to a new gallery; the gallery is made before."""
    with tempfile.TemporaryDirectory(dir=crops.parent) as folder:
        gallery = Gallery.create(Path(folder) / "g", model)
        began = time.perf_counter(), time.process_time()
        report = gallery.add(crops, settings=settings)
        TIMES[:] = time.perf_counter() - began[0], time.process_time() - began[1]
        assert report.added == report.encoded == report.found, report


TIMES = [0.0, 0.0]
"""Wall and processor seconds of the last call of `add`, without the making and deleting of the folder."""


def one_round(sides: dict[str, Callable[[], None]], *, turned: bool) -> dict[str, tuple[float, float]]:
    """Wall and processor seconds of each side."""
    found = {}
    for name in reversed(sides) if turned else sides:
        began = time.perf_counter(), time.process_time()
        sides[name]()
        found[name] = (time.perf_counter() - began[0], time.process_time() - began[1])
        if name == "adding":
            found[name] = (TIMES[0], TIMES[1])
    return found


def tell(options: argparse.Namespace, rounds: list[dict[str, tuple[float, float]]]) -> None:
    """Medians of both sides, and of the ratio of each round."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{options.model}: {options.crops} crops, batch {options.batch}, torch threads {options.threads}, load {load}"
    )
    for name in ("encoder alone", "adding"):
        rates = [options.crops / wall for wall, _ in (found[name] for found in rounds)]
        busy = statistics.median(1000 * spent / options.crops for _, spent in (found[name] for found in rounds))
        print(
            f"{name:14} {statistics.median(rates):7.1f} crops/s ({min(rates):.1f} to {max(rates):.1f}), "
            f"{busy:.2f} processor ms a crop"
        )
    ratios = [found["encoder alone"][0] / found["adding"][0] for found in rounds]
    print(
        f"adding runs at {statistics.median(ratios):.3f} of the encoder's speed "
        f"({min(ratios):.3f} to {max(ratios):.3f}, {len(ratios)} rounds)"
    )
    shares = [found["encoder alone"][1] / found["adding"][1] for found in rounds]
    print(
        f"the encoder is {statistics.median(shares):.3f} of adding's processor time "
        f"({min(shares):.3f} to {max(shares):.3f})"
    )


def tell_parts(model: LoadedModel, crops: Path) -> None:
    """Milliseconds a crop of what adding does besides the model, each alone."""
    files = sorted(crops.iterdir())
    contents = [read_file(file) for file in files]
    pictures = [decode(file, content) for file, content in zip(files, contents, strict=True)]
    generator = np.random.default_rng(0)
    tokens = None
    if model.candidates:
        tokens = model.encode_images_with_tokens([pictures[0].image])[1][0]
    vector = generator.standard_normal(model.dimension).astype(np.float32)
    plain = Row("", "", str(crops), "", vector, WIDTH, HEIGHT, Metadata(), b"", datetime(2026, 1, 1), tokens)
    rows = [
        replace(plain, id=f"{number:032x}", content=digest(content), path=str(number), thumbnail=picture.thumbnail)
        for number, (content, picture) in enumerate(zip(contents, pictures, strict=True))
    ]
    with tempfile.TemporaryDirectory(dir=crops.parent) as folder:
        store = Store(Path(folder), model.dimension, create=True)
        parts: dict[str, Callable[[], object]] = {
            "read": lambda: [read_file(file) for file in files],
            "digest": lambda: [digest(content) for content in contents],
            "decode, thumbnail": lambda: [decode(file, content) for file, content in zip(files, contents, strict=True)],
            "prepare (both sides)": lambda: [prepare(picture.image, model.settings.image) for picture in pictures],
            "write rows": lambda: [store.put(rows[start : start + 256]) for start in range(0, len(rows), 256)],
            "merge pieces": store.compact,
        }
        for name, work in parts.items():
            began = time.perf_counter(), time.process_time()
            work()
            wall, busy = (1000 * (now - then) / len(files) for now, then in zip(clocks(), began, strict=True))
            print(f"  {name:22} {wall:6.3f} ms a crop, {busy:6.3f} of processor time")
    print(f"  {sum(map(len, contents)) / len(contents) / 1000:.1f} kB a file, {thumbnail_bytes(rows):.1f} a thumbnail")


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def thumbnail_bytes(rows: list[Row]) -> float:
    return sum(len(row.thumbnail) for row in rows) / len(rows) / 1000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dual-cuhk-pedes")
    parser.add_argument("--crops", type=int, default=384)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--runtime", default="torch", help="torch, or what pickout export has exported the model for")
    parser.add_argument("--folder", help="where files and galleries are made; the system's folder by default")
    parser.add_argument("--parts", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
