"""Train the head of the detector that comes with the package, on frames put together from drawn people.

    python -m pickout.video.person_net_training STREET OUT.safetensors

The tower is frozen, so its maps are computed once; the head sees each frame as it is.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pickout.nn.efficientnet import EfficientNetLite0
from pickout.synthetic.crowds import Crowd, CrowdMaker
from pickout.video.person_net import STRIDE, PersonHead, tower_maps

SIZE = (288, 512)
"""Height and width of a training frame."""
BATCH, RATE, DECAY = 16, 2e-3, 0.02
_NEAR = 0.25
"""Radius around a middle, as a share of the box, in which cells learn the box, too."""


def targets(boxes_n4: NDArray[np.float32], rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """What the head should say.

    Returns:
        Heat (rows, columns): 1 at each middle, a Gaussian around it (CenterNet); log reaches (4, rows, columns) in
        cells; and the weight (rows, columns) of each cell's box.
    """
    heat, weight = torch.zeros(rows, columns), torch.zeros(rows, columns)
    reach = torch.zeros(4, rows, columns)
    ys, xs = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    for left, top, right, bottom in torch.from_numpy(boxes_n4) / STRIDE:  # larger ones first: the smaller wins
        x, y = (left + right) / 2, (top + bottom) / 2
        wide, tall = (right - left).clamp_min(0.5), (bottom - top).clamp_min(0.5)
        spot = torch.exp(-(((xs - x) / (0.18 * wide + 0.4)) ** 2) / 2 - ((ys - y) / (0.18 * tall + 0.4)) ** 2 / 2)
        row, column = int(y.clamp(0, rows - 1)), int(x.clamp(0, columns - 1))
        spot[row, column] = 1.0
        heat = torch.maximum(heat, spot)
        near = ((xs - x).abs() < _NEAR * wide) & ((ys - y).abs() < _NEAR * tall)
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
    people = here.sum().clamp_min(1)
    guess, true = reach.exp(), sides.exp()
    inside = torch.minimum(guess, true)
    overlap = (inside[:, 0] + inside[:, 2]) * (inside[:, 1] + inside[:, 3])
    area = lambda each: (each[:, 0] + each[:, 2]) * (each[:, 1] + each[:, 3])  # noqa: E731
    iou = overlap / (area(guess) + area(true) - overlap).clamp_min(1e-6)
    box = (weight * (1 - iou + 0.2 * (reach - sides).abs().mean(dim=1))).sum() / weight.sum().clamp_min(1)
    return (positive + negative) / people + 2 * box


def train_head(
    tower: EfficientNetLite0, street: Path, *, frames: int = 4000, epochs: int = 12, seed: int = 1
) -> PersonHead:
    """A head trained on `frames` frames of the street's training people."""
    torch.manual_seed(seed)
    maps, wanted = _cached(tower, CrowdMaker(street, "train").frames(frames, SIZE, seed), frames)
    head = PersonHead().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    steps = epochs * (frames // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    generator, begun = np.random.default_rng(seed), time.monotonic()
    for epoch in range(epochs):
        order, total = torch.from_numpy(generator.permutation(frames)), 0.0
        for chosen in order[: frames // BATCH * BATCH].split(BATCH):
            heat, reach = head([each[chosen].float() for each in maps])
            loss = losses(heat, reach, (wanted[0][chosen], wanted[1][chosen].float(), wanted[2][chosen]))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / (frames // BATCH):.3f}, {time.monotonic() - begun:.0f} s", flush=True)  # noqa: T201
    return head


def _cached(tower: EfficientNetLite0, crowds: Iterator[Crowd], frames: int) -> tuple[list[Tensor], list[Tensor]]:
    maps: list[Tensor] | None = None
    heat = torch.zeros(frames, SIZE[0] // STRIDE, SIZE[1] // STRIDE)
    reach, weight = torch.zeros(frames, 4, *heat.shape[1:], dtype=torch.half), torch.zeros_like(heat)
    for number, crowd in enumerate(crowds):
        with torch.inference_mode():
            found = tower_maps(tower, torch.from_numpy(crowd.image)[None])
        if maps is None:
            maps = [torch.zeros(frames, *each.shape[1:], dtype=torch.half) for each in found]
        for kept, each in zip(maps, found, strict=True):
            kept[number] = each[0].half()
        heat[number], reach[number], weight[number] = targets(crowd.boxes, *heat.shape[1:])
    assert maps is not None
    return maps, [heat, reach, weight]
