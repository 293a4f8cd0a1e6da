"""The body without its clothes' details: outline of the trunk, limbs, hands, head, face and hair, as pieces."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pickout.synthetic.attributes import Person, tags
from pickout.synthetic.habits import skin_colour
from pickout.synthetic.skeleton import BODIES, Limb, Skeleton
from pickout.synthetic.solids import Piece, Plane, cone, ellipsoid
from pickout.synthetic.surfaces import RGB, Part, Surface, Vector

Place = tuple[float, float, float]


class Girth:
    """Radii of the limbs in metres, for sex, build and height."""

    def __init__(self, person: Person) -> None:
        h, woman = person.height, person.sex == "woman"
        thick, arm = h * (0.87 + 0.36 * person.build), 0.90 if woman else 1.0
        self.upper_arm, self.elbow, self.wrist = thick * 0.0290 * arm, thick * 0.0225 * arm, h * 0.0155 * arm
        self.thigh, self.neck = thick * 0.0475 * (1.03 if woman else 1.0), thick * (0.0262 if woman else 0.0310)
        self.knee, self.calf, self.ankle = thick * 0.0325, thick * 0.0325, h * 0.0205


def trunk_outline(person: Person, torso: float) -> tuple[Vector, Vector, Vector, Vector]:
    """Heights above the hip joints, half-widths, half-depths and forward shifts of the trunk, metres."""
    h, child = person.height, person.age == "child"
    heights = np.array(BODIES["heights"]) * torso
    widths, depths, shifts = np.array(BODIES["trunk"]["woman" if person.sex == "woman" and not child else "man"])
    if child:
        widths[5:9] *= 0.92
    belly = 0.024 * max(0.0, person.build - 0.45) / 0.55
    bulge = np.exp(-(((heights / torso - 0.33) / 0.22) ** 2)) * belly * h
    wide, deep = 0.90 + 0.26 * person.build, 0.86 + 0.34 * person.build
    return heights, h * widths * wide, h * depths * deep + bulge * 0.7, h * shifts + bulge * 0.6


def skin_surface(person: Person) -> Surface:
    """Bare skin."""
    return Surface("skin", skin_colour(person.skin), Part.SKIN, seed=person.seed)


def bare_leg(surface: Surface, limb: Limb, size: Girth, ahead: Vector, ease: float = 0.0) -> Iterator[Piece]:
    """Thigh, calf and ankle, close to the body."""
    calf = limb.middle + (limb.bottom - limb.middle) * 0.30 - ahead * size.calf * 0.22
    yield cone(surface, limb.top, limb.middle, (size.thigh + ease, size.knee + ease), ahead)
    yield cone(surface, limb.middle, calf, (size.knee + ease, size.calf + ease), ahead, start=0.4)
    yield cone(surface, calf, limb.bottom, (size.calf + ease, size.ankle + ease), ahead, start=0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Where things sit on a head, in head heights from its middle to its left, up and forward."""

    skeleton: Skeleton

    def surface(self, style: str, rgb: RGB, part: Part, **how: Any) -> Surface:
        """A surface with its details placed on the head; `how` as for `Surface`."""
        axes = self.skeleton.head_frame / self.skeleton.size.head
        return Surface(style, rgb, part, origin=self.skeleton.head, axes=axes, **how)

    def at(self, place: Place) -> Vector:
        """The place in the world."""
        return self.skeleton.head + np.array(place) * self.skeleton.size.head @ self.skeleton.head_frame

    def ball(self, surface: Surface, place: Place, radii: Place, *planes: Plane) -> Piece:
        """An ellipsoid at `place`."""
        size = [radius * self.skeleton.size.head for radius in radii]
        return ellipsoid(surface, self.at(place), self.skeleton.head_frame, size, *planes)

    def cone(self, surface: Surface, first: Vector, last: Vector, radii: tuple[float, float], **how: Any) -> Piece:
        """A cone between places in the world with radii in head heights; `how` as for `pieces.cone`."""
        unit = self.skeleton.size.head
        return cone(surface, first, last, (radii[0] * unit, radii[1] * unit), self.skeleton.head_frame[2], **how)


def head_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """Neck, skull, jaw, nose, ears and hair."""
    frame, head, hair = skeleton.head_frame, Head(skeleton), person.hair
    details = tags(beard=person.beard, lips=person.sex == "woman", bald=hair.length == "bald")
    details |= tags(cropped=hair.length == "very short") | {person.glasses or "no glasses"}
    rgb, second = skin_colour(person.skin), hair.colour.rgb
    face = head.surface("face", rgb, Part.SKIN, second=second, details=details, seed=person.seed)
    skin, neck = skin_surface(person), Girth(person).neck
    low = skeleton.neck - skeleton.chest_frame[1] * 0.03
    yield cone(skin, low, head.at((0, -0.22, -0.05)), (neck * 1.1, neck), frame[2])
    yield head.ball(face, (0.0, 0.10, -0.02), (0.330, 0.395, 0.395))
    yield head.ball(face, (0.0, -0.19, 0.07), (0.275 if person.sex == "man" else 0.25, 0.315, 0.295))
    yield head.ball(face, (0.0, -0.06, 0.37), (0.045, 0.075, 0.065))
    for side in (1.0, -1.0):
        yield head.ball(skin, (side * 0.335, -0.03, -0.02), (0.03, 0.095, 0.06))
    if hair.length != "bald":
        thick = {"very short": 0.012, "short": 0.045}.get(hair.length, 0.055)
        thick += 0.085 if hair.style == "curly" and hair.length != "very short" else 0.0
        # The hair is a shell about the head, cut at the hairline: parted to a side, higher or lower.
        slope, limit = (0.09 * (person.seed % 5 - 2), -1.0, 0.95), 0.05 - 0.02 * (person.seed % 4)
        place, radii = (0.0, 0.10 + thick * 0.4, -0.03), (0.335 + thick, 0.395 + thick, 0.40 + thick)
        rest = limit - sum(a * b for a, b in zip(slope, place, strict=True))
        line = Plane((slope[0] * radii[0], slope[1] * radii[1], slope[2] * radii[2]), rest)
        yield head.ball(_hair_surface(person, head), place, radii, line)
    yield from hanging_hair(person, skeleton)


def _hair_surface(person: Person, head: Head) -> Surface:
    details = frozenset({person.hair.style})
    return head.surface("hair", person.hair.colour.rgb, Part.HAIR, details=details, shine=0.35, seed=person.seed)


def hanging_hair(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """Hair beyond the skull: a bun, a ponytail, or loose over the neck and the back."""
    hair, head = person.hair, Head(skeleton)
    if hair.length not in ("medium", "long"):
        return
    surface, unit, chest = _hair_surface(person, head), skeleton.size.head, skeleton.chest_frame
    if hair.style == "bun":
        yield head.ball(surface, (0.0, 0.22, -0.47), (0.17, 0.16, 0.15))
        return
    if hair.style == "ponytail":
        knot = head.at((0.0, 0.12, -0.47))
        middle = knot + (np.array([0.0, -0.30, -0.17]) * unit) @ skeleton.head_frame
        end = middle + (np.array([0.0, -0.62, 0.06]) * unit) @ skeleton.head_frame
        yield head.cone(surface, knot, middle, (0.09, 0.125))
        yield head.cone(surface, middle, end, (0.125, 0.06))
        return
    long = hair.length == "long"
    wide = {"wavy": 0.05, "curly": 0.12}.get(hair.style, 0.0)
    crown = head.at((0.0, -0.02, -0.14))
    drop, depth = (-(0.85 + 0.008 * (person.seed % 100)), -0.10) if long else (-0.42, -0.06)
    tip = crown + (chest[1] * drop + chest[2] * depth) * unit
    yield head.cone(surface, crown, tip, (0.39 + wide, 0.33 + wide), flatten=(1.0, 0.62), start=0.1)
    yield head.ball(surface, (0.0, -0.18, -0.10), (0.40 + wide, 0.36, 0.36), Plane((0.0, 0.0, 1.0), 0.25))
    for side in (1.0, -1.0) if long and person.seed % 2 else ():
        top = head.at((side * 0.33, 0.10, 0.05))
        low = skeleton.neck + (chest[0] * side * 0.42 + chest[1] * -0.30 + chest[2] * 0.42) * unit
        yield head.cone(surface, top, low, (0.12 + wide * 0.5, 0.10), flatten=(1.0, 0.6), start=0.1)
