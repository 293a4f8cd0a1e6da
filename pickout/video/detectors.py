"""Which detector is meant, and what one gives: boxes and scores of people."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from supervision import Detections

from pickout.errors import UsageError

EMBEDDED = "embedded"  # the detector that comes with the package, and is taken where none is named
Floats = NDArray[np.floating]


class Detector(Protocol):
    """Finds people in a picture."""

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Boxes (left, top, right, bottom in pixels) and scores of the people in a picture, sRGB (height, width, 3)."""


def make_detector(name: str, threads: int | None = None) -> Detector:
    """A detector by its name (`embedded`, `movenet`, `nanodet`), or the one in an ONNX file, on so many threads; None:
    as many as there are cores. `UsageError`: another name or kind of file; `VideoError`: a file that cannot be used, or
    a package that is not installed."""
    if name.endswith(".onnx"):
        from pickout.video.onnx_detector import OnnxDetector

        return OnnxDetector(Path(name), threads)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if name == EMBEDDED:
        from pickout.video.person_net import PersonNetDetector

        return PersonNetDetector.shipped()
    if name in ("movenet", "nanodet"):
        from pickout.video.installed_detectors import InstalledDetector

        return InstalledDetector(name)
    why = f"detector {name}: expected {EMBEDDED}, movenet, nanodet, or the path of an .onnx file (docs/video.md)"
    raise UsageError(why)


def detections(boxes_n4: Floats, scores_n: Floats) -> Detections:
    """Boxes and scores as the trackers read them; all of class 0, a person."""
    boxes, scores = (np.asarray(each, dtype=np.float32) for each in (boxes_n4, scores_n))
    return Detections(xyxy=boxes.reshape(-1, 4), confidence=scores, class_id=np.zeros(len(scores_n), dtype=int))


def people(boxes_n4: Floats, scores_n: Floats, *, least: float, counts: float, overlap: float) -> Detections:
    """The boxes with at least a score, of those that overlap more (IoU) the best. Scores are bent so that 0.5 is the
    score from which a box counts, whatever the detector, whose own is `counts`."""
    keep = scores_n >= least
    return detections(boxes_n4[keep], scores_n[keep] ** (np.log(0.5) / np.log(counts))).with_nms(overlap)


def letterboxed(image: NDArray[np.uint8], size: tuple[int, int], fill: int) -> tuple[NDArray[np.uint8], float]:
    """The picture reduced to fit (height, width), at the top left of a field of `fill`; and by what it was scaled."""
    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    inside = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    field = np.full((*size, 3), fill, dtype=np.uint8)
    field[: inside[1], : inside[0]] = np.asarray(Image.fromarray(image).resize(inside, Image.Resampling.BILINEAR))
    return field, scale
