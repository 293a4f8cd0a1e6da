"""What surfaces are: their colours and words, the pixels that show them, and what a painter answers."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]
RGB = tuple[float, float, float]


class Part(IntEnum):
    """What a pixel of a part mask shows."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    HEADWEAR = 3
    UPPER = 4
    OUTER = 5
    LOWER = 6
    SHOES = 7
    BAG = 8
    CARRIED = 9
    ACCESSORY = 10
    OCCLUDER = 11


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """How something is coloured.

    Args:
        style: which painter of `pickout.synthetic.cloth` colours it: cloth, skin, face, hair, shoe or plain.
        rgb: main colour, sRGB.
        second: second colour, sRGB.
        under: what shows at the neck or below an opening, sRGB: skin, or the garment below.
        pattern: a `Pattern` of `pickout.synthetic.attributes`.
        details: words that the painter knows: `buttons`, `zip`, `logo`, `v neck`, `torn` ...
        origin: of the frame in which details are placed (torso: the pelvis, face: the head's middle).
        axes: rows left, up, forward of that frame, divided by the unit that the painter expects.
        folds: how deep the folds are.
        shine: how glossy it is.
        seed: where its patterns begin.
        part: what it is in the mask.
    """

    style: str
    rgb: RGB
    part: Part
    second: RGB | None = None
    under: RGB | None = None
    pattern: str = "plain"
    details: frozenset[str] = frozenset()
    origin: Vector = field(default_factory=lambda: np.zeros(3))
    axes: Vector = field(default_factory=lambda: np.eye(3))
    folds: float = 0.0
    shine: float = 0.0
    seed: int = 0


@dataclass(slots=True, eq=False)
class Pixels:
    """Visible pixels of one surface.

    Args:
        world: places. Shape: (3, n).
        normal: outward unit normals in the world. Shape: (3, n).
        u: cloth coordinate around, metres. Shape: (n,).
        v: cloth coordinate down the garment, metres. Shape: (n,).
        hem: metres to the lower hem. Shape: (n,).
    """

    world: Array
    normal: Array
    u: Array
    v: Array
    hem: Array


@dataclass(slots=True, eq=False)
class Paint:
    """What a painter answers: linear colour (3, n), shade of folds (n,), and the part of each pixel (n,)."""

    colour: Array
    shade: Array
    part: NDArray[np.uint8]


def linear(rgb: tuple[float, float, float]) -> Array:
    """Linear light of an sRGB colour. Shape: (3, 1)."""
    return np.power(np.array(rgb, dtype=np.float32), np.float32(2.2))[:, None]


def local(surface: Surface, pixels: Pixels) -> Array:
    """Places in the surface's own frame. Shape: (3, n)."""
    axes = surface.axes.astype(np.float32)
    return np.asarray(axes @ (pixels.world - surface.origin.astype(np.float32)[:, None]))
