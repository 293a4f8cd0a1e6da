"""What each place on an avatar's body shows: skin, hair, or which garment."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.outfits import Outfit
from pickout.synthetic.surfaces import Part

Array = NDArray[np.floating[Any]]
Parts = NDArray[np.uint8]


class Regions:
    """What places on a body show: by where they are at rest, and by which garment's colour theirs is nearest."""

    def __init__(
        self,
        where: Array,
        lab: Array,
        outfit: Outfit,
        joints: dict[str, tuple[int, Array]],
        eyes: float,
        height: float,
        wig: bool,
    ) -> None:
        self.x, self.y, self.z = np.abs(where[:, 0]), where[:, 1] / height, where[:, 2]
        self.lab, self.outfit, self.wig = lab, outfit, wig
        self.eyes = eyes / height
        self.neck = float(joints["Neck"][1][1]) / height
        self.shoulder, self.elbow, self.wrist = (
            float(joints[f"Left{name}"][1][0]) for name in ("Arm", "ForeArm", "Hand")
        )
        self.depth, self.toes = float(joints["Head"][1][2]), float(joints["LeftToeBase"][1][2]) - 0.02
        self.arm = (self.x > self.shoulder) & (self.y > 0.7)
        self.head = (self.y > self.neck - 0.012) & (self.x < self.shoulder * 0.8)
        self.legs = (self.y < 0.52) & ~self.arm
        self.trunk = ~self.arm & ~self.head & ~self.legs
        self.skin = self._middle(self.arm & (self.x > self.wrist + 0.03))
        self.upper = self._middle((self.y > 0.64) & (self.y < 0.76) & (self.z < 0.0) & ~self.arm)
        self.lower = self._middle((self.y > 0.38) & (self.y < 0.45) & ~self.arm)

    def _middle(self, mask: NDArray[np.bool_]) -> Array:
        return np.asarray(np.median(self.lab[mask], axis=0))

    def _near(self, colour: Array) -> Array:
        """How far each place's colour is from `colour`, at most 60."""
        return np.asarray(np.minimum(np.linalg.norm(self.lab - colour, axis=1), 60.0))

    def _edge(
        self, along: Array, mask: NDArray[np.bool_], below: Array, above: Array, reach: tuple[float, float]
    ) -> float:
        """The place along `along`, within `reach`, that best parts the colours `below` and `above`."""
        steps = np.linspace(*reach, 49)
        gain = (self._near(above) - self._near(below))[mask]
        total = [float(gain[along[mask] < step].sum()) for step in steps]
        return float(steps[int(np.argmax(total))])

    def parts(self) -> Parts:
        """A `Part` for each place."""
        top = int(Part.OUTER if self.outfit.top.over else Part.UPPER)
        part = np.full(len(self.y), top, dtype=np.uint8)
        self._trunk(part)
        self._legs(part)
        self._arms(part, top)
        self._head(part, top)
        return part

    def _trunk(self, part: Parts) -> None:
        below = ~self.arm & (self.y < 0.7)
        if self.outfit.bottom.kind is None:
            below[:] = False
        elif self.outfit.top.hem:
            part[below & (self.y < self.outfit.top.hem)] = int(Part.LOWER)
        else:
            hem = self._edge(self.y, below, self.lower, self.upper, (0.50, 0.66))
            near = below & (np.abs(self.y - hem) < 0.035)
            lower = below & (self.y < hem)
            if np.linalg.norm(self.lower - self.upper) > 12:
                lower = np.where(near, self._near(self.lower) < self._near(self.upper), lower)
            part[lower] = int(Part.LOWER)
        chest = self.trunk & (self.y > 0.66) & (self.z > 0.0) & (self.x < 0.12)
        if self.outfit.top.over:
            inner = chest & (self._near(self.upper) > 14)
            part[inner] = int(Part.UPPER)
        bare = chest & (self.y > self.neck - 0.10) & (self._near(self.skin) < 16)
        part[bare & (self._near(self.skin) < self._near(self.upper))] = int(Part.SKIN)

    def _legs(self, part: Parts) -> None:
        legs, outfit = ~self.arm & (self.y < 0.5), self.outfit
        toes = legs & (self.y < 0.05) & (self.z > self.toes)
        shoes = self._middle(toes)
        ends = {"thigh": (0.28, 0.42), "knee": (0.22, 0.34), "calf": (0.12, 0.27)}
        if outfit.bottom.kind is None or outfit.bottom.length in ends:
            hem = outfit.top.hem
            if outfit.bottom.kind is not None:
                low, high = ends[outfit.bottom.length]
                hem = -self._edge(-self.y, legs, self.lower, self.skin, (-high, -low))
            part[legs & (self.y < hem)] = int(Part.SKIN)
            top = self._edge(self.y, legs & (self.y < hem - 0.02), shoes, self.skin, (0.015, 0.09))
            part[legs & (self.y < top)] = int(Part.SHOES)
        elif outfit.shoes == "boots":
            top = self._edge(self.y, legs, shoes, self.lower, (0.08, 0.16))
            part[legs & (self.y < top)] = int(Part.SHOES)
        else:
            # Wide trousers reach the ground behind the toes.
            part[legs & (self.y < 0.06) & (self._near(shoes) < self._near(self.lower))] = int(Part.SHOES)
            part[toes | (legs & (self.y < 0.008))] = int(Part.SHOES)
        if outfit.shoes in ("flats", "sandals"):
            part[legs & (self.y < 0.06) & (self._near(self.skin) < 18)] = int(Part.SKIN)

    def _arms(self, part: Parts, top: int) -> None:
        end = self.wrist - 0.01
        if self.outfit.top.sleeve == "short":
            reach = (self.shoulder + 0.03, self.elbow + 0.03)
            end = self._edge(self.x, self.arm, self.upper, self.skin, reach)
        elif self.outfit.top.sleeve == "long":
            end = self._edge(self.x, self.arm, self.upper, self.skin, (self.wrist - 0.06, self.wrist + 0.03))
        part[self.arm] = np.where(self.x[self.arm] < end, top, int(Part.SKIN))

    def _head(self, part: Parts, top: int) -> None:
        face = self._middle(self.head & (np.abs(self.y - self.eyes + 0.02) < 0.02) & (self.z > self.depth + 0.05))
        part[self.head] = int(Part.SKIN)
        collar = self.head & (self.y < self.neck + 0.03)
        part[collar & (self._near(self.upper) < np.minimum(self._near(face), self._near(self.skin)))] = top
        above = self.y > self.eyes + 0.022
        behind = (self.z < self.depth + 0.035) & (self.y > self.eyes - 0.075)
        hair = self.head & (above | behind)
        # Hair painted on the skull is darker than the skin; beneath a wig all of the skull is hair.
        if self.wig:
            hair &= (self.y > self.eyes + 0.05) | (self.z < self.depth - 0.01)
        else:
            hair &= self._near(face) > 16
        if self.outfit.hair[0] != "bald":
            part[hair] = int(Part.HAIR)
