"""How a detector is judged: which of its boxes are people that are there."""

import numpy as np
from numpy.typing import NDArray
from supervision import Detections, box_iou_batch


def right_boxes(found: Detections, boxes_n4: NDArray[np.floating], overlap: float = 0.5) -> NDArray[np.bool_]:
    """Which of the found boxes are right: surest first, each takes the true box of `boxes_n4` that it overlaps (IoU)
    most, once."""
    right = np.zeros(len(found), dtype=bool)
    if found.confidence is None or not len(found) or not len(boxes_n4):
        return right
    shared = box_iou_batch(boxes_n4, found.xyxy)
    for guess in np.argsort(-found.confidence):
        best = int(shared[:, guess].argmax())
        if shared[best, guess] >= overlap:
            right[guess], shared[best] = True, 0.0
    return right
