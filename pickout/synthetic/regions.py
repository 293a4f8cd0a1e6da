"""What each place on an avatar's body shows: skin, hair, or which garment."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.outfits import Outfit
from pickout.synthetic.surfaces import Array, Part

Parts = NDArray[np.uint8]
Mask = NDArray[np.bool_]
_ENDS = {"thigh": (0.28, 0.42), "knee": (0.22, 0.34), "calf": (0.12, 0.27)}
"""Between which heights trousers of a length end."""


class Regions:
    """What places on a body show: by where they are at rest, and by which garment's colour theirs is nearest."""

    def __init__(
        self,
        where: Array,  # the places, metres. Shape: (n, 3)
        lab: Array,  # their colours in L*a*b*. Shape: (n, 3)
        outfit: Outfit,
        joints: Mapping[str, tuple[int, Array]],  # number and place at rest of each
        eyes: float,  # their height, metres
        height: float,  # the body's, metres; heights are held as parts of it
        wig: bool,  # whether the hair is a mesh of its own
    ) -> None:
        self.x, self.y, self.z = np.abs(where[:, 0]), where[:, 1] / height, where[:, 2]
        self.lab, self.outfit, self.wig, self.eyes = lab, outfit, wig, eyes / height
        self.top = int(Part.OUTER if outfit.top.over else Part.UPPER)
        self.neck = float(joints["Neck"][1][1]) / height
        bones = ("LeftArm", "LeftForeArm", "LeftHand")
        self.shoulder, self.elbow, self.wrist = (float(joints[name][1][0]) for name in bones)
        self.depth, self.toes = float(joints["Head"][1][2]), float(joints["LeftToeBase"][1][2]) - 0.02
        self.arm = (self.x > self.shoulder) & (self.y > 0.7)
        self.head = (self.y > self.neck - 0.012) & (self.x < self.shoulder * 0.8)
        self.skin = self._middle(self.arm & (self.x > self.wrist + 0.03))
        self.upper = self._middle((self.y > 0.64) & (self.y < 0.76) & (self.z < 0.0) & ~self.arm)
        self.lower = self._middle((self.y > 0.38) & (self.y < 0.45) & ~self.arm)

    def parts(self) -> Parts:
        """A `Part` for each place."""
        part = np.full(len(self.y), self.top, dtype=np.uint8)
        self._trunk(part)
        self._legs(part)
        self._arms(part)
        self._head(part)
        return part

    def _middle(self, mask: Mask) -> Array:
        return np.asarray(np.median(self.lab[mask], axis=0))

    def _near(self, colour: Array) -> Array:
        """How far each place's colour is from `colour`, at most 60."""
        return np.asarray(np.minimum(np.linalg.norm(self.lab - colour, axis=1), 60.0))

    def _edge(self, along: Array, mask: Mask, below: Array, above: Array, low: float, high: float) -> float:
        """The place along `along`, from `low` to `high`, that best parts the colours `below` and `above`."""
        steps = np.linspace(low, high, 49)
        gain = (self._near(above) - self._near(below))[mask]
        return float(steps[int(np.argmax([float(gain[along[mask] < step].sum()) for step in steps]))])

    def _trunk(self, part: Parts) -> None:
        below, hem, bottom = ~self.arm & (self.y < 0.7), self.outfit.top.hem, self.outfit.bottom
        if bottom.kind is not None and hem:
            part[below & (self.y < hem)] = int(Part.LOWER)
        elif bottom.kind is not None:
            hem = self._edge(self.y, below, self.lower, self.upper, 0.50, 0.66)
            lower = below & (self.y < hem)
            if np.linalg.norm(self.lower - self.upper) > 12:
                near = below & (np.abs(self.y - hem) < 0.035)
                lower = np.where(near, self._near(self.lower) < self._near(self.upper), lower)
            part[lower] = int(Part.LOWER)
        chest = ~self.arm & ~self.head & (self.y > 0.66) & (self.z > 0.0) & (self.x < 0.12)
        if self.outfit.top.over:
            part[chest & (self._near(self.upper) > 14)] = int(Part.UPPER)
        bare = chest & (self.y > self.neck - 0.10) & (self._near(self.skin) < 16)
        part[bare & (self._near(self.skin) < self._near(self.upper))] = int(Part.SKIN)

    def _legs(self, part: Parts) -> None:
        legs, outfit, bottom = ~self.arm & (self.y < 0.5), self.outfit, self.outfit.bottom
        toes = legs & (self.y < 0.05) & (self.z > self.toes)
        shoes = self._middle(toes)
        if bottom.kind is None or bottom.length in _ENDS:
            hem = outfit.top.hem
            if bottom.kind is not None:
                low, high = _ENDS[bottom.length]
                hem = -self._edge(-self.y, legs, self.lower, self.skin, -high, -low)
            part[legs & (self.y < hem)] = int(Part.SKIN)
            top = self._edge(self.y, legs & (self.y < hem - 0.02), shoes, self.skin, 0.015, 0.09)
            part[legs & (self.y < top)] = int(Part.SHOES)
        elif outfit.shoes == "boots":
            part[legs & (self.y < self._edge(self.y, legs, shoes, self.lower, 0.08, 0.16))] = int(Part.SHOES)
        else:
            # Wide trousers reach the ground behind the toes.
            part[legs & (self.y < 0.06) & (self._near(shoes) < self._near(self.lower))] = int(Part.SHOES)
            part[toes | (legs & (self.y < 0.008))] = int(Part.SHOES)
        if outfit.shoes in ("flats", "sandals"):
            part[legs & (self.y < 0.06) & (self._near(self.skin) < 18)] = int(Part.SKIN)

    def _arms(self, part: Parts) -> None:
        low, high = self.wrist - 0.06, self.wrist + 0.03
        if self.outfit.top.sleeve == "short":
            low, high = self.shoulder + 0.03, self.elbow + 0.03
        end = self._edge(self.x, self.arm, self.upper, self.skin, low, high)
        part[self.arm] = np.where(self.x[self.arm] < end, self.top, int(Part.SKIN))

    def _head(self, part: Parts) -> None:
        face = self._middle(self.head & (np.abs(self.y - self.eyes + 0.02) < 0.02) & (self.z > self.depth + 0.05))
        part[self.head] = int(Part.SKIN)
        collar = self.head & (self.y < self.neck + 0.03)
        part[collar & (self._near(self.upper) < np.minimum(self._near(face), self._near(self.skin)))] = self.top
        behind = (self.z < self.depth + 0.035) & (self.y > self.eyes - 0.075)
        hair = self.head & ((self.y > self.eyes + 0.022) | behind)
        # Hair painted on the skull is darker than the skin; beneath a wig all of the skull is hair.
        if self.wig:
            hair &= (self.y > self.eyes + 0.05) | (self.z < self.depth - 0.01)
        else:
            hair &= self._near(face) > 16
        if self.outfit.hair[0] != "bald":
            part[hair] = int(Part.HAIR)
