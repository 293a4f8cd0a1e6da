"""What a detector of people gives: boxes and scores."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from supervision import Detections

Floats = NDArray[np.floating]


class Detector(Protocol):
    """Finds people in a picture."""

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Boxes (left, top, right, bottom in pixels) and scores of the people in a picture, sRGB (height, width, 3)."""


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
