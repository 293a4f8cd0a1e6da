"""Makes `pickout/weights/person-head.safetensors`, the detector of people that comes with the package, from nothing.

    python models/person_head.py WORK --avatars FOLDER [--stage draw|train|pack|compare] [--workers 2]

WORK is a folder for some gigabytes; each stage goes on where it was stopped. People, things and places are drawn and
rendered; no photograph goes in but those that ImageNet's weights of the image tower were trained on. The tower is the
default model's, and frozen: its maps are computed once. Two heads are trained, with cells of 8 and of 16 pixels; what
is shipped is the better one on frames of bodies that neither saw.

Beside the weights comes `person-head.inputs.json`: a hash of every frame and avatar that went in, and the settings.
"""

import argparse
import functools
import hashlib
import json
import multiprocessing
import platform
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from crowd_views import Frames
from crowds import draw_crowd
from numpy.typing import NDArray
from right_boxes import right_boxes
from safetensors.torch import load_file, save_file
from torch import Tensor

import pickout
from pickout.nn.efficientnet import EfficientNetLite0
from pickout.synthetic.avatars import find_avatars
from pickout.video import make_detector
from pickout.video.boxes import Detector
from pickout.video.person_net import (
    CHANNELS,
    COUNTS,
    HEAD_FILE,
    STRIDE,
    TOWER,
    PersonHead,
    PersonNetDetector,
    default_tower,
    tower_hash,
    tower_maps,
)

DRAWN = (432, 768)
"""Height and width of the frames that are drawn."""
FRAMES = {"train": (1, 280), "held-out": (2, 60)}
"""For each part of the avatars: seed and number of frames."""
EPOCHS = {8: 4, 16: 12}
"""For each stride of a head: passes over all views. A pass with small cells takes four times as long."""
PASTING = 0.6
"""Share of views into which people of another frame are pasted; as often again, those of a third."""
VIEWS, BATCH, RATE, DECAY = 3, 16, 2e-3, 0.02
"""Views of each frame; the rest are AdamW's."""
NEAR = 0.25
"""Radius around a middle, as a share of the box, in which cells learn the box, too."""
FALSE_PER_FRAME = 0.5
"""False boxes a frame of the held-out ones at the score from which a box counts. They are drawn to be hard: most people
are hidden, cut off or tiny."""


def main() -> None:
    """Run the stages that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--avatars", type=Path, required=True)
    parser.add_argument("--stage", choices=("draw", "train", "pack", "compare"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.stage in (None, "draw"):
        draw(given.work, given.avatars, given.workers)
    if given.stage in (None, "train"):
        for stride in EPOCHS:
            teach(given.work, stride, given.workers)
    if given.stage in (None, "pack"):
        pack(given.work, given.avatars)
    if given.stage == "compare":
        compare(given.work, given.avatars, given.workers)


def draw(work: Path, avatars: Path, workers: int, takes: Iterable[str] = FRAMES) -> None:
    """Draw the frames of both parts."""
    jobs = [(work, avatars, take, number) for take in takes for number in range(FRAMES[take][1])]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done, _ in enumerate(pool.imap(draw_one, jobs, chunksize=4)):
            if done % 50 == 0:
                print(f"{done} of {len(jobs)} frames", flush=True)


def draw_one(job: tuple[Path, Path, str, int]) -> None:
    """Draw one frame, unless it is there."""
    work, avatars, take, number = job
    file = work / take / f"{number:05d}.npz"
    if file.exists():
        return
    bodies = find_avatars(avatars, "train" if take == "train" else "held-out")
    crowd = draw_crowd(np.random.default_rng([FRAMES[take][0], number]), DRAWN, bodies)
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_name(f".{file.name}")
    np.savez(half, image=crowd.image, owner=crowd.owner)
    half.rename(file)


def targets(boxes_n4: NDArray[np.float32], stride: int, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """What the head should say.

    Returns:
        Heat (rows, columns): 1 at each middle, a Gaussian around it (CenterNet); log reaches (4, rows, columns) in
        cells; and the weight (rows, columns) of each cell's box.
    """
    heat, weight = torch.zeros(rows, columns), torch.zeros(rows, columns)
    reach = torch.zeros(4, rows, columns)
    ys, xs = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    area = (boxes_n4[:, 2] - boxes_n4[:, 0]) * (boxes_n4[:, 3] - boxes_n4[:, 1])
    for left, top, right, bottom in torch.from_numpy(boxes_n4[np.argsort(-area)]) / stride:  # the smaller one wins
        x, y = (left + right) / 2, (top + bottom) / 2
        wide, tall = (right - left).clamp_min(0.5), (bottom - top).clamp_min(0.5)
        spot = torch.exp(-(((xs - x) / (0.18 * wide + 0.4)) ** 2) / 2 - ((ys - y) / (0.18 * tall + 0.4)) ** 2 / 2)
        row, column = int(y.clamp(0, rows - 1)), int(x.clamp(0, columns - 1))
        spot[row, column] = 1.0
        heat = torch.maximum(heat, spot)
        near = ((xs - x).abs() < NEAR * wide) & ((ys - y).abs() < NEAR * tall)
        near[row, column] = True
        sides = torch.stack([xs - left, ys - top, right - xs, bottom - ys]).clamp_min(0.05).log()
        reach[:, near] = sides[:, near]
        weight[near] = spot[near]
    return heat, reach, weight


def losses(heat: Tensor, reach: Tensor, wanted: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The focal loss of the heat (CenterNet, Eq. 1, with alpha 2 and beta 4) and the IoU loss of the boxes."""
    target, sides, weight = wanted
    chance = heat.sigmoid().clamp(1e-4, 1 - 1e-4)
    here = target.eq(1)
    positive = -((1 - chance) ** 2 * chance.log())[here].sum()
    negative = -((1 - target) ** 4 * chance**2 * (1 - chance).log())[~here].sum()
    guess, true = reach.exp(), sides.exp()
    least = torch.minimum(guess, true)
    overlap, ours, theirs = ((each[:, 0] + each[:, 2]) * (each[:, 1] + each[:, 3]) for each in (least, guess, true))
    iou = overlap / (ours + theirs - overlap).clamp_min(1e-6)
    box = (weight * (1 - iou + 0.2 * (reach - sides).abs().mean(dim=1))).sum() / weight.sum().clamp_min(1)
    return (positive + negative) / here.sum().clamp_min(1) + 2 * box


def teach(work: Path, stride: int, workers: int, seed: int = 1) -> None:
    """Train a head, unless it is there."""
    file = work / f"stride-{stride}.safetensors"
    if file.exists():
        return
    torch.manual_seed(seed)
    maps, boxes = cached(work, workers, seed)
    maps = maps[-len(CHANNELS[stride]) :]
    cells = maps[0].shape[2:]
    wanted = [torch.stack(each) for each in zip(*(targets(each, stride, *cells) for each in boxes), strict=True)]
    head = PersonHead(stride).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    steps = len(boxes) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS[stride] * steps)
    generator, begun = np.random.default_rng(seed), time.monotonic()
    for epoch in range(EPOCHS[stride]):
        order, total = torch.from_numpy(generator.permutation(len(boxes))), 0.0
        for chosen in order[: steps * BATCH].split(BATCH):
            inside = [each[chosen].float().contiguous(memory_format=torch.channels_last) for each in maps]
            heat, reach = head(inside)
            loss = losses(heat, reach, (wanted[0][chosen], wanted[1][chosen], wanted[2][chosen]))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        seconds = time.monotonic() - begun
        print(f"stride {stride}, epoch {epoch + 1}: loss {total / steps:.3f}, {seconds:.0f} s", flush=True)
    save_file({name: value.half().contiguous() for name, value in head.state_dict().items()}, file)


def cached(work: Path, workers: int, seed: int) -> tuple[list[Tensor], list[NDArray[np.float32]]]:
    """The tower's maps of all views in half precision, and the boxes of the people in each view."""
    kept = work / "maps.pt"
    if kept.exists():
        maps, boxes = torch.load(kept, weights_only=False)
        return maps, boxes
    frames = Frames.of(work, "train")
    jobs = [(frames, number, PASTING, seed) for number in range(len(frames.files))]
    found, boxes = [], []
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done, (maps, people) in enumerate(pool.imap(maps_of, jobs)):
            found.append(maps)
            boxes += people
            if done % 50 == 0:
                print(f"maps of {done} of {len(jobs)} frames", flush=True)
    whole = [torch.from_numpy(np.concatenate(each)) for each in zip(*found, strict=True)]
    torch.save((whole, boxes), kept)
    return whole, boxes


def maps_of(job: tuple[Frames, int, float, int]) -> tuple[list[NDArray[np.float16]], list[NDArray[np.float32]]]:
    """The tower's maps of the views of one frame, and the boxes in each."""
    frames, number, pasting, seed = job
    torch.set_num_threads(1)
    views = list(frames.views(number, VIEWS, pasting, seed))
    with torch.inference_mode():
        each = [tower_maps(tower(), torch.from_numpy(image)[None]) for image, _ in views]
    return [torch.cat(maps).half().numpy() for maps in zip(*each, strict=True)], [boxes for _, boxes in views]


@functools.cache
def tower() -> EfficientNetLite0:
    """The default model's image tower, read once a process."""
    return default_tower()


def compare(work: Path, avatars: Path, workers: int) -> None:
    """The shipped head on the frames that are held out, beside the detectors of the installed package."""
    draw(work, avatars, workers, ["held-out"])
    frames = Frames.of(work, "held-out")
    for name in ("embedded", "movenet", "nanodet"):
        for allowed in (0.05, FALSE_PER_FRAME):
            print(name, f"{allowed} false boxes a frame:", measure(make_detector(name), frames, allowed), flush=True)


def measure(detector: Detector, frames: Frames, allowed: float = FALSE_PER_FRAME) -> dict[str, float]:
    """Average precision at IoU 0.5; the score that gives `allowed` false boxes a frame, and recall there and in all."""
    scores, right, people = [], [], 0
    for number in range(len(frames.files)):
        for image, boxes in frames.views(number, 1, 0.0, seed=9):
            found = detector.detect(image)
            scores.append(found.confidence)
            right.append(right_boxes(found, boxes))
            people += len(boxes)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    sure, good = np.concatenate(scores)[order], np.concatenate(right)[order]
    precision = np.cumsum(good) / np.arange(1, len(good) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    last = int(np.flatnonzero(np.cumsum(~good) <= allowed * len(frames.files))[-1])
    return {
        "average_precision": round(float(best[good].sum()) / people, 4),
        "score": round(float(sure[last]), 4),
        "recall": round(float(good[: last + 1].sum()) / people, 4),
        "recall_of_all": round(float(good.sum()) / people, 4),
        "people": people,
    }


def pack(work: Path, avatars: Path) -> None:
    """Ship the better one of the heads that were trained, and write down what went into it."""
    held_out, reached = Frames.of(work, "held-out"), {}
    for stride in [each for each in EPOCHS if (work / f"stride-{each}.safetensors").exists()]:
        head = PersonHead(stride)
        state = load_file(work / f"stride-{stride}.safetensors")
        head.load_state_dict({name: value.float() for name, value in state.items()})
        reached[stride] = measure(PersonNetDetector(tower(), head), held_out)
        print(stride, reached[stride], flush=True)
    chosen = max(reached, key=lambda stride: reached[stride]["average_precision"])
    header = {TOWER: tower_hash(tower()), STRIDE: str(chosen), COUNTS: f"{reached[chosen]['score']:.4f}"}
    save_file(load_file(work / f"stride-{chosen}.safetensors"), HEAD_FILE, header)
    inputs = {
        "sha256": hashed(HEAD_FILE),
        "tower": tower_hash(tower()),
        "chosen": chosen,
        "reached": reached,
        "settings": {
            "drawn": DRAWN,
            "views": VIEWS,
            "pasting": PASTING,
            "epochs": EPOCHS,
            "batch": BATCH,
            "rate": RATE,
            "decay": DECAY,
        },
        "frames": {
            take: {"seed": FRAMES[take][0], "files": len(files), "sha256": hashed(*files)}
            for take, files in ((take, Frames.of(work, take).files) for take in FRAMES)
        },
        "avatars": {file.name: hashed(file) for file in find_avatars(avatars)},
        "versions": {"pickout": pickout.__version__, "python": platform.python_version()},
    }
    place = Path(__file__).with_name("person-head.inputs.json")
    place.write_text(json.dumps(inputs, indent=1) + "\n", encoding="utf-8")
    print(f"{HEAD_FILE}: {HEAD_FILE.stat().st_size / 1e3:.0f} kB, {chosen}")


def hashed(*files: Path) -> str:
    """A file's hash; of several, a hash over theirs."""
    each = [hashlib.sha256(file.read_bytes()) for file in files]
    return each[0].hexdigest() if len(each) == 1 else hashlib.sha256(b"".join(one.digest() for one in each)).hexdigest()


if __name__ == "__main__":
    main()
