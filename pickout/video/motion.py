"""Movement before a camera that stands still, as help for the detector."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from supervision import Detections

_WIDTH = 160  # width to which frames are reduced: movement of people is coarse, and noise goes
_ADAPTS = 0.02  # share of a new frame in the background: things that are put down belong to it after some 50 frames
_CHANGED = 18.0  # difference of a pixel (of 255) from the background that is no noise
_STANDS = 0.5
"""Share of changed pixels above which it is the camera that moves, or the light that was switched, not people."""
_STILL, _MOVING = 0.75, 0.3
"""Factor on the score of a box in which nothing moves; share of moving pixels from which the score is left."""


class StandingCamera:
    """The background of a camera that does not move, learnt as its frames come."""

    def __init__(self) -> None:
        self._background: NDArray[np.float32] | None = None

    def weigh(self, image: NDArray[np.uint8], found: Detections) -> Detections:
        """Lower the scores of boxes in which nothing moves: posters, coats on hooks, pillars. A person who sits still
        for long is weighed like these, so a score falls by a quarter at most: a sure box stays. The frame is (height,
        width, 3)."""
        height, width = image.shape[:2]
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX), dtype=np.float32)
        if self._background is None or self._background.shape != small.shape:
            self._background = small
            return found
        changed = np.abs(small - self._background).max(axis=2) > _CHANGED
        self._background += _ADAPTS * (small - self._background)
        if changed.mean() > _STANDS:
            self._background = small
            return found
        if not len(found) or found.confidence is None:
            return found
        share = np.array([_share(changed, box * (size[0] / width)) for box in found.xyxy])
        found.confidence = found.confidence * np.interp(share, [0.0, _MOVING], [_STILL, 1.0]).astype(np.float32)
        return found


def _share(changed: NDArray[np.bool_], box: NDArray[np.floating]) -> float:
    left, top, right, bottom = (max(0, int(side)) for side in box)
    inside = changed[top : bottom + 1, left : right + 1]
    return float(inside.mean()) if inside.size else 0.0
