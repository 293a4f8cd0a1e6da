"""The detector that comes with the package: a small head on the image tower of the default model.

Anchor-free, one cell of 16 pixels a guess: whether a person's middle lies in it, and how far the box reaches to each
side (as in FCOS, Tian et al., arXiv 1904.01355, with the middle's heat of CenterNet, Zhou et al., arXiv 1904.07850)."""

import hashlib
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from supervision import Detections
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.checkpoints.sentence_encoder import DEFAULT_FILE
from pickout.checkpoints.source import load
from pickout.checkpoints.weight_file import read_weights
from pickout.errors import VideoError
from pickout.nn.efficientnet import EfficientNetLite0
from pickout.video.boxes import letterboxed, people

LONG_SIDE = 512  # pixels that frames are reduced to, on the longer side
CHANNELS = {8: (40, 112, 320), 16: (112, 320)}
"""Of the tower's maps from each stride on, each half as fine as the one before."""
HEAD_FILE = Path(__file__).parents[1] / "weights" / "person-head.safetensors"
"""What was trained on the default model's image tower (`models/person_head.py`)."""
TOWER, STRIDE, COUNTS = "tower", "stride", "counts"
"""Entries of the file's header: the hash of the tower that the head reads, pixels of a cell, and the score from which
a box counts."""
_LEAST = 0.05  # cells below this heat are no guess
_OVERLAP = 0.5  # overlap (IoU) above which the weaker of two boxes is the same person


def _separable(width: int) -> nn.Sequential:
    """A 3x3 filter of each channel and a 1x1 mix of them, normalised over groups of channels."""
    filters = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
    return nn.Sequential(filters, nn.Conv2d(width, width, 1, bias=False), nn.GroupNorm(8, width), nn.ReLU(inplace=True))


class PersonHead(nn.Module):
    """The tower's maps to heat and boxes, by cells of `stride` pixels, 8 or 16."""

    def __init__(self, stride: int = 16, width: int = 64) -> None:
        super().__init__()
        self.stride = stride
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in CHANNELS[stride])
        self.mix = nn.ModuleList(_separable(width) for _ in CHANNELS[stride])
        self.trunk = nn.Sequential(*(_separable(width) for _ in range(3)))
        self.heat, self.reach = nn.Conv2d(width, 1, 1), nn.Conv2d(width, 4, 1)
        assert self.heat.bias is not None
        nn.init.constant_(self.heat.bias, -4.0)  # few cells are a person's middle: begin with that

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Heat logits (batch, rows, columns) and log reaches (batch, 4, rows, columns), left, top, right, bottom in
        cells, of maps at strides 8, 16 and 32; the first is left out where cells are larger."""
        x = None
        for lateral, mix, each in zip(reversed(self.lateral), reversed(self.mix), reversed(maps), strict=False):
            side = lateral(each)
            x = mix(side if x is None else side + F.interpolate(x, size=side.shape[2:], mode="nearest"))
        x = self.trunk(x)
        return self.heat(x)[:, 0], self.reach(x).clamp(-4, 6)


class PersonNetDetector:
    """Finds people with the default model's image tower and a head trained on it; `counts` is the head's score from
    which a box counts, bent to 0.5."""

    def __init__(self, tower: EfficientNetLite0, head: PersonHead, counts: float = 0.5) -> None:
        self._tower, self._head, self._counts = tower.eval(), head.eval(), counts

    @classmethod
    def shipped(cls) -> Self:
        """The one in the package. `VideoError`: its file was trained on another tower; `CheckpointError`: the package
        lacks a file, or one is damaged."""
        tower, read = default_tower(), read_weights(HEAD_FILE)
        if read.metadata.get(TOWER) != tower_hash(tower):
            raise VideoError(f"{HEAD_FILE}: was trained on another image tower than {DEFAULT_FILE.name} has")
        head = PersonHead(int(read.metadata[STRIDE]))
        head.load_state_dict({name: value.float() for name, value in read.tensors.items()})
        return cls(tower, head, float(read.metadata[COUNTS]))

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """The people in a picture."""
        height, width = image.shape[:2]
        scale = LONG_SIDE / max(height, width)
        rows, columns = (max(32, -(-round(side * scale) // 32) * 32) for side in (height, width))  # whole cells of 32
        field, scale = letterboxed(image, (rows, columns), 127)
        with torch.inference_mode():
            heat, reach = self._head(tower_maps(self._tower, torch.from_numpy(field)[None]))
            boxes, scores = decode(heat[0].sigmoid(), reach[0], self._head.stride)
        corners = np.clip(boxes.numpy() / scale, 0, [width, height, width, height])
        return people(corners, scores.numpy(), least=_LEAST, counts=self._counts, overlap=_OVERLAP)


def default_tower() -> EfficientNetLite0:
    """The default model's image tower."""
    tower = load(precision="fp32").method.get_submodule("vision.trunk")
    assert isinstance(tower, EfficientNetLite0)
    return tower.eval()


def tower_hash(tower: EfficientNetLite0) -> str:
    """A hash of a tower's weights."""
    weights = (tensor.contiguous().numpy().tobytes() for _, tensor in sorted(tower.state_dict().items()))
    return hashlib.sha256(b"".join(weights)).hexdigest()


def tower_maps(tower: EfficientNetLite0, pixels: Tensor) -> list[Tensor]:
    """Maps at strides 8, 16 and 32 of 8-bit pictures (batch, height, width, 3)."""
    maps: list[Tensor] = tower((pixels.permute(0, 3, 1, 2).float() - 127) / 128)
    return maps[1:]


def decode(heat: Tensor, reach: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Boxes (n, 4) as corners in pixels and scores (n,) of the cells, of `stride` pixels, whose heat (rows, columns), 0
    to 1, is a peak among its neighbours. Reaches (4, rows, columns) are logarithms, in cells."""
    peak = (F.max_pool2d(heat[None, None], 3, 1, 1)[0, 0] == heat) & (heat > _LEAST)
    rows, columns = peak.nonzero(as_tuple=True)
    left, top, right, bottom = reach[:, rows, columns].exp()
    x, y = columns + 0.5, rows + 0.5
    return torch.stack([x - left, y - top, x + right, y + bottom], dim=1) * stride, heat[rows, columns]
