"""Makes `pickout/weights/person-head.safetensors`, the detector of people that comes with the package, from nothing.

    python models/person_head.py WORK --avatars FOLDER [--stage draw|train|pack] [--workers 2]

WORK is a folder for some gigabytes; each stage goes on where it was stopped. People, things and places are drawn and
rendered; no photograph goes in but those that ImageNet's weights of the image tower were trained on. The tower is the
default model's, and frozen: its maps are computed once. Two recipes are trained: frames as drawn, and frames into which
people of other frames are pasted; what is shipped is the better one on frames of bodies that neither saw.

Beside the weights comes `person-head.inputs.json`: a hash of every frame and avatar that went in, and the settings.
"""

import argparse
import functools
import hashlib
import json
import multiprocessing
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pickout.data.changed_picture import Picture
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import pickout
from pickout.data.image_changes import STRONG, change_picture
from pickout.nn.efficientnet import EfficientNetLite0
from pickout.synthetic.avatars import find_avatars
from pickout.synthetic.crowds import Crowd, draw_crowd
from pickout.video.boxes import right_boxes
from pickout.video.person_net import (
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
SIZE = (288, 512)
"""Height and width of the views of them that the head sees."""
FRAMES = {"train": (1, 280), "held-out": (2, 60)}
"""For each part of the avatars: seed and number of frames."""
RECIPES = {"drawn": 0.0, "pasted": 0.6}
"""Share of views into which people of another frame are pasted."""
VIEWS, EPOCHS, BATCH, RATE, DECAY = 3, 8, 16, 2e-3, 0.02
"""Views of each frame; passes over all of them; the rest are AdamW's."""
CHANGES = ("darkness", "cast", "desaturation", "contrast", "haze", "uneven_light", "motion_blur", "defocus",
           "low_resolution", "sharpening", "noise", "compression")  # fmt: skip
"""Changes of `pickout.data.image_changes` that leave everything where it is."""
SMALLEST = 10
"""Pixels of height below which a person in a view is not asked for."""
NEAR = 0.25
"""Radius around a middle, as a share of the box, in which cells learn the box, too."""
FALSE_PER_FRAME = 0.05
"""False boxes a frame at which recipes are compared."""


def main() -> None:
    """Run the stages that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--avatars", type=Path, required=True)
    parser.add_argument("--stage", choices=("draw", "train", "pack"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.stage in (None, "draw"):
        draw(given.work, given.avatars, given.workers)
    if given.stage in (None, "train"):
        for recipe in RECIPES:
            teach(given.work, recipe, given.workers)
    if given.stage in (None, "pack"):
        pack(given.work, given.avatars)


def draw(work: Path, avatars: Path, workers: int) -> None:
    """Draw the frames of both parts."""
    jobs = [(work, avatars, take, number) for take, (_, count) in FRAMES.items() for number in range(count)]
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


@dataclass(frozen=True, slots=True)
class Frames:
    """Drawn frames in a folder."""

    files: tuple[Path, ...]

    @classmethod
    def of(cls, work: Path, take: str) -> "Frames":
        """All of one part."""
        return cls(tuple(sorted((work / take).glob("[0-9]*.npz"))))

    def crowd(self, number: int) -> Crowd:
        """One frame."""
        with np.load(self.files[number]) as read:
            return Crowd(read["image"], read["owner"])

    def views(
        self, number: int, count: int, pasting: float, seed: int
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        """`count` views of a frame, with the boxes of the people in it; equal arguments give equal views."""
        for each in range(count):
            generator = np.random.default_rng([seed, number, each])
            crowd = self.crowd(number)
            while generator.random() < pasting:
                crowd = pasted(crowd, self.crowd(int(generator.integers(len(self.files)))), generator)
            yield view(crowd, generator)


def pasted(crowd: Crowd, other: Crowd, generator: np.random.Generator) -> Crowd:
    """A frame with the people of another laid over it, at another size and place."""
    scale = float(np.exp(generator.uniform(np.log(0.4), np.log(1.6))))
    height, width = crowd.owner.shape
    size = (round(width * scale), round(height * scale))
    flip = slice(None, None, -1 if generator.random() < 0.5 else 1)
    people = np.asarray(Image.fromarray(other.image).resize(size, Image.Resampling.BICUBIC))[:, flip]
    who = np.asarray(Image.fromarray(other.owner).resize(size, Image.Resampling.NEAREST))[:, flip]
    down, aside = (
        int(generator.integers(min(0, a - b), max(0, a - b) + 1))
        for a, b in zip((height, width), who.shape, strict=True)
    )
    image, owner = crowd.image.copy(), crowd.owner.copy()
    here = np.s_[max(0, down) : down + who.shape[0], max(0, aside) : aside + who.shape[1]]
    there = np.s_[max(0, -down) : height - down, max(0, -aside) : width - aside]
    light = people[there] * np.exp(generator.normal(0, 0.15))
    covers = who[there] > 0
    image[here] = np.where(covers[..., None], np.clip(light, 0, 255), image[here]).astype(np.uint8)
    before = np.bincount(crowd.owner.ravel(), minlength=256)
    owner[here] = np.where(covers, who[there] + crowd.owner.max(), owner[here])
    after = np.bincount(owner.ravel(), minlength=256)
    hidden = [number for number in range(1, int(crowd.owner.max()) + 1) if after[number] < 0.3 * before[number]]
    return Crowd(image, np.where(np.isin(owner, hidden), 0, owner).astype(np.uint8))


def view(crowd: Crowd, generator: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A part of a frame as a bad camera would have it, with the boxes of the people in it."""
    height, width = crowd.owner.shape
    wide = min(width, round(width * generator.uniform(0.45, 1.25)))
    high = min(height, round(wide * height / width * np.exp(generator.normal(0, 0.2))))
    top, left = (int(generator.integers(most - part + 1)) for most, part in ((height, high), (width, wide)))
    cut = np.s_[top : top + high, left : left + wide]
    scale = min(SIZE[0] / high, SIZE[1] / wide)
    inside = (round(wide * scale), round(high * scale))
    flip = slice(None, None, -1 if generator.random() < 0.5 else 1)
    image = np.asarray(Image.fromarray(crowd.image[cut]).resize(inside, Image.Resampling.BOX))[:, flip]
    owner = np.asarray(Image.fromarray(crowd.owner[cut]).resize(inside, Image.Resampling.NEAREST))[:, flip]
    changed = change_picture(Picture(image / np.float32(255)), {name: STRONG[name] for name in CHANGES}, generator)
    field = np.full((*SIZE, 3), 127, dtype=np.uint8)
    field[: inside[1], : inside[0]] = changed
    whole = np.bincount(crowd.owner.ravel(), minlength=256)
    boxes = []
    for number in np.unique(owner[owner > 0]):
        rows, columns = np.nonzero(owner == number)
        if len(rows) >= 0.12 * whole[number] * scale**2 and rows.max() - rows.min() + 1 >= SMALLEST:
            boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return field, np.array(boxes, dtype=np.float32).reshape(-1, 4)


def targets(boxes_n4: NDArray[np.float32], rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """What the head should say.

    Returns:
        Heat (rows, columns): 1 at each middle, a Gaussian around it (CenterNet); log reaches (4, rows, columns) in
        cells; and the weight (rows, columns) of each cell's box.
    """
    heat, weight = torch.zeros(rows, columns), torch.zeros(rows, columns)
    reach = torch.zeros(4, rows, columns)
    ys, xs = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    area = (boxes_n4[:, 2] - boxes_n4[:, 0]) * (boxes_n4[:, 3] - boxes_n4[:, 1])
    for left, top, right, bottom in torch.from_numpy(boxes_n4[np.argsort(-area)]) / STRIDE:  # the smaller one wins
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


def teach(work: Path, recipe: str, workers: int, seed: int = 1) -> None:
    """Train a head by one recipe, unless it is there."""
    file = work / f"{recipe}.safetensors"
    if file.exists():
        return
    torch.manual_seed(seed)
    maps, boxes = cached(work, recipe, workers, seed)
    wanted = [torch.stack(each) for each in zip(*(targets(each, *maps[0].shape[2:]) for each in boxes), strict=True)]
    head = PersonHead().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    steps = len(boxes) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * steps)
    generator, begun = np.random.default_rng(seed), time.monotonic()
    for epoch in range(EPOCHS):
        order, total = torch.from_numpy(generator.permutation(len(boxes))), 0.0
        for chosen in order[: steps * BATCH].split(BATCH):
            inside = [each[chosen].float().contiguous(memory_format=torch.channels_last) for each in maps]
            loss = losses(*head(inside), (wanted[0][chosen], wanted[1][chosen], wanted[2][chosen]))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        seconds = time.monotonic() - begun
        print(f"{recipe}, epoch {epoch + 1}: loss {total / steps:.3f}, {seconds:.0f} s", flush=True)
    save_file({name: value.half().contiguous() for name, value in head.state_dict().items()}, file)


def cached(work: Path, recipe: str, workers: int, seed: int) -> tuple[list[Tensor], list[NDArray[np.float32]]]:
    """The tower's maps of all views in half precision, and the boxes of the people in each view."""
    frames = Frames.of(work, "train")
    jobs = [(frames, number, RECIPES[recipe], seed) for number in range(len(frames.files))]
    found, boxes = [], []
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done, (maps, people) in enumerate(pool.imap(maps_of, jobs)):
            found.append(maps)
            boxes += people
            if done % 50 == 0:
                print(f"{recipe}: maps of {done} of {len(jobs)} frames", flush=True)
    return [torch.from_numpy(np.concatenate(each)) for each in zip(*found, strict=True)], boxes


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


def measure(detector: PersonNetDetector, frames: Frames) -> dict[str, float]:
    """Recall at `FALSE_PER_FRAME` false boxes a frame, the score that gives it, and recall at any score."""
    scores, right, people, count = [], [], 0, 0
    views = (view for number in range(len(frames.files)) for view in frames.views(number, 2, 0.0, seed=9))
    for image, boxes in views:
        found = detector.detect(image)
        scores.append(found.confidence)
        right.append(right_boxes(found, boxes))
        people, count = people + len(boxes), count + 1
    order = np.argsort(-np.concatenate(scores), kind="stable")
    sure, good = np.concatenate(scores)[order], np.concatenate(right)[order]
    kept = np.flatnonzero(np.cumsum(~good) <= FALSE_PER_FRAME * count)
    last = int(kept[-1]) if len(kept) else 0
    recall = float(good[: last + 1].sum()) / people
    return {"recall": recall, "score": float(sure[last]), "recall_of_all": float(good.sum()) / people, "views": count}


def pack(work: Path, avatars: Path) -> None:
    """Ship the better recipe's head, and write down what went into it."""
    held_out = Frames.of(work, "held-out")
    reached = {}
    for recipe in RECIPES:
        head = PersonHead()
        head.load_state_dict({name: value.float() for name, value in load_file(work / f"{recipe}.safetensors").items()})
        reached[recipe] = measure(PersonNetDetector(tower(), head), held_out)
        print(recipe, reached[recipe], flush=True)
    chosen = max(reached, key=lambda recipe: reached[recipe]["recall"])
    save_file(load_file(work / f"{chosen}.safetensors"), HEAD_FILE, {TOWER: tower_hash(tower())})
    inputs = {
        "sha256": hashed([HEAD_FILE]),
        "tower": tower_hash(tower()),
        "chosen": chosen,
        "reached": reached,
        "settings": {"drawn": DRAWN, "views": VIEWS, "epochs": EPOCHS, "batch": BATCH, "rate": RATE, "decay": DECAY},
        "frames": {
            take: {"seed": FRAMES[take][0], "files": len(files), "sha256": hashed(files)}
            for take, files in ((take, Frames.of(work, take).files) for take in FRAMES)
        },
        "avatars": {file.name: hashed([file]) for file in find_avatars(avatars)},
        "versions": {"pickout": pickout.__version__, "python": platform.python_version()},
    }
    place = Path(__file__).with_name("person-head.inputs.json")
    place.write_text(json.dumps(inputs, indent=1) + "\n", encoding="utf-8")
    print(f"{HEAD_FILE}: {HEAD_FILE.stat().st_size / 1e3:.0f} kB, {chosen}")


def hashed(files: Sequence[Path]) -> str:
    """One hash over the contents of files."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


if __name__ == "__main__":
    main()
