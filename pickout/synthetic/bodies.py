"""From a person and a view to a body: its joints, the gait cycle, what the arms do, then trunk, limbs, head and hair.

World: x right in the image, y up, z towards the camera, metres; ground y = 0. A body: x to its left, z forward."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pickout.files import packaged_table
from pickout.synthetic.attributes import Person, View, tags
from pickout.synthetic.habits import skin_colour
from pickout.synthetic.solids import Piece, Plane, cone, ellipsoid
from pickout.synthetic.surfaces import RGB, Part, Surface, Vector

BODIES = packaged_table("pickout.synthetic", "bodies.toml")  # outlines, reaches of arms and hats
Place = tuple[float, float, float]


class Proportions:
    """Lengths of a body in metres, breadths from the middle, for height, sex and age: an adult is about seven and a
    half heads tall."""

    def __init__(self, person: Person) -> None:
        h, woman, child = person.height, person.sex == "woman", person.age == "child"
        head, torso = (0.155, 0.275) if child else (0.133, 0.290)
        long = h * (0.980 - torso - 0.020 - head - 0.043)
        self.height, self.head, self.neck, self.torso = h, h * head, h * 0.020, h * torso
        self.thigh, self.shank, self.ankle, self.foot = long * 0.497, long * 0.503, h * 0.043, h * 0.148
        self.shoulder, self.hip = h * (0.091 if woman or child else 0.104), h * (0.053 if woman else 0.049)
        self.upper_arm, self.forearm = h * 0.168, h * 0.142


@dataclass(frozen=True, slots=True, eq=False)
class Limb:
    """An arm (shoulder, elbow, wrist) or a leg (hip, knee, ankle), and the axes of its hand or foot."""

    top: Vector
    middle: Vector
    bottom: Vector
    frame: Vector  # rows side, up and pointing direction of the hand or the foot. Shape: (3, 3)

    def moved(self, turn: Vector, away: Vector) -> "Limb":
        """The limb moved by `away` and turned by the rows of `turn`."""
        top, middle, bottom = ((place + away) @ turn for place in (self.top, self.middle, self.bottom))
        return Limb(top, middle, bottom, self.frame @ turn)


class Skeleton:
    """Joints of `person` in `view`, in the world: the lower foot on the ground, the pelvis above the origin. Frames
    have rows left, up, forward. Legs and arms are left, then right."""

    def __init__(self, person: Person, view: View) -> None:
        size = self.size = Proportions(person)
        legs = [_leg(size, view, side) for side in (1.0, -1.0)]
        stoop = 4.0 if person.age == "older" else 0.0
        swing = np.cos(2 * np.pi * view.phase) * (0.0 if view.pose == "standing" else 1.0)
        chest_frame = _turn_x(view.lean + stoop) @ _turn_y(3.5 * swing)
        # The lower foot stands on the ground, by its toe or its heel.
        ends = [np.array([0.0, -size.ankle, share * size.foot]) for share in (0.62, -0.22)]
        pelvis = np.array([0.0, -min(float((leg.bottom + leg.frame.T @ end)[1]) for leg in legs for end in ends), 0.0])
        neck = pelvis + chest_frame.T @ np.array([0.0, size.torso, -0.004 * size.height])
        nod = 14.0 if view.carried is not None and view.carried.use == "looked at" else 0.0
        throat = chest_frame.T @ np.array([0.0, size.neck, 0.010 * size.height])
        head = neck + throat + np.array([0.0, size.head * 0.50, 0.0])
        turn, nowhere = _turn_y(view.yaw), np.zeros(3)
        left, right = (_arm(size, view, index, pelvis, chest_frame, head).moved(turn, nowhere) for index in (0, 1))
        self.arms, self.legs = (left, right), (legs[0].moved(turn, pelvis), legs[1].moved(turn, pelvis))
        self.pelvis: Vector = pelvis @ turn
        self.neck: Vector = neck @ turn
        self.head: Vector = head @ turn
        self.pelvis_frame: Vector = _turn_y(-2.5 * swing) @ turn
        self.chest_frame: Vector = chest_frame @ turn
        self.head_frame: Vector = _turn_x(view.lean * 0.3 + stoop + nod) @ _turn_y(view.head_turn) @ turn

    def on_trunk(self, left: float, up: float, ahead: float) -> Vector:
        """The place in the world that many metres from the pelvis in the chest's frame."""
        return np.asarray(self.pelvis + self.chest_frame.T @ np.array([left, up, ahead]))

    def on_head(self, place: Place) -> Vector:
        """The place in the world; `place` in head heights from the head's middle to its left, up and forward."""
        return self.head + np.array(place) * self.size.head @ self.head_frame

    def head_surface(self, style: str, rgb: RGB, part: Part, **how: Any) -> Surface:
        """A surface with its details placed on the head; `how` as for `Surface`."""
        return Surface(style, rgb, part, origin=self.head, axes=self.head_frame / self.size.head, **how)

    def head_ball(self, surface: Surface, place: Place, radii: Place, *planes: Plane) -> Piece:
        """An ellipsoid at `place` on the head, all in head heights."""
        size = [radius * self.size.head for radius in radii]
        return ellipsoid(surface, self.on_head(place), self.head_frame, size, *planes)

    def head_cone(self, surface: Surface, first: Vector, last: Vector, radii: tuple[float, float], **how: Any) -> Piece:
        """A cone between places in the world with radii in head heights; `how` as for `cone`."""
        radii = (radii[0] * self.size.head, radii[1] * self.size.head)
        return cone(surface, first, last, radii, self.head_frame[2], **how)


def _turn_x(degrees: float) -> Vector:
    """Rows of a frame leaning forward by `degrees`."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])


def _turn_y(degrees: float) -> Vector:
    """Rows of a frame turned to its left by `degrees`."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])


def _along(degrees: float, outward: float) -> Vector:
    """The direction of a hanging bone lifted forward by `degrees` and to the left by `outward` radians."""
    a = np.radians(degrees)
    return np.array([np.sin(outward), -np.cos(a) * np.cos(outward), np.sin(a) * np.cos(outward)])


def _leg(size: Proportions, view: View, side: float) -> Limb:
    """Hip and knee bend and the foot pitches (toes up) by so many degrees; the heel strikes at phase 0."""
    phase, standing = (view.phase + (0.0 if side > 0 else 0.5)) % 1.0, view.pose == "standing"

    def bump(middle: float, width: float) -> float:
        return float(np.exp(-(((phase - middle) / width) ** 2)))

    if standing:
        relaxed = max(0.0, float(6.0 * np.sin(2 * np.pi * (view.phase + 0.25 * side))))
        hip, knee, pitch = 1.0 + relaxed, 2.0 + 2.0 * relaxed, 0.0
    else:
        fast = 1.0 if view.pose == "walking" else 1.5
        hip = float(4.0 + 18.0 * fast * np.cos(2 * np.pi * phase))
        knee = 5.0 + 48.0 * fast * bump(0.72, 0.115) + 11.0 * bump(0.13, 0.09)
        pitch = 14.0 * (bump(0.98, 0.07) + bump(-0.02, 0.07)) - 42.0 * bump(0.62, 0.10)
    spread = np.radians(2.6 if standing else 0.4) * side
    top = np.array([side * size.hip, 0.0, 0.0])
    middle = top + size.thigh * _along(hip, spread)
    bottom = middle + size.shank * _along(hip - knee, spread)
    swinging = min(0.0, hip - knee + 22.0) * 1.2
    return Limb(top, middle, bottom, _turn_x(-(pitch + swinging)) @ _turn_y(side * (9.0 if standing else 5.0)))


def _arm(size: Proportions, view: View, index: int, pelvis: Vector, chest: Vector, head: Vector) -> Limb:
    side, h, mode = 1.0 - 2.0 * index, size.height, view.arms[index]
    top = pelvis + chest.T @ np.array([side * size.shoulder, size.torso * 0.835, -0.004 * h])
    if mode == "hanging":
        turn = 2 * np.pi * ((view.phase + (0.5 if side > 0 else 0.0)) % 1.0)
        swing = np.cos(turn) * 19.0 * {"standing": 0.0, "walking": 1.0, "running": 1.9}[view.pose]
        elbow = {"standing": 10.0, "walking": 20.0 + 9.0 * np.cos(turn), "running": 88.0}[view.pose]
        out = np.radians(8.5) * side
        middle = top + size.upper_arm * _along(swing - 4.0, out)
        bottom = middle + size.forearm * _along(swing - 4.0 + elbow, out * 0.35)
    else:
        arm = BODIES["arms"][mode]
        outwards, up, ahead = (share * h for share in arm["reach"])
        reach = np.array([side * outwards, size.torso * 0.52 if mode == "folded" else up, ahead])
        if arm["from"] in ("shoulder", "trunk"):
            reach = chest.T @ reach
        way = {"pelvis": pelvis, "trunk": pelvis, "shoulder": top, "head": head}[arm["from"]] + reach - top
        # Two bones that reach as far as they can, the elbow towards `pole`.
        first, second, pole = size.upper_arm, size.forearm, np.array(arm["elbow"]) * (side, 1, 1)
        distance = float(np.clip(np.linalg.norm(way), abs(first - second) + 0.02, (first + second) * 0.995))
        way = way / np.linalg.norm(way)
        along = (first**2 - second**2 + distance**2) / (2 * distance)
        aside = pole - way * float(pole @ way)
        aside = aside / np.linalg.norm(aside)
        middle = top + way * along + aside * np.sqrt(max(first**2 - along**2, 0.0))
        bottom = top + way * distance
    forward = (bottom - middle) / np.linalg.norm(bottom - middle)
    palm = np.array([side, 0.0, 0.0]) - forward * forward[0] * side
    palm = palm / max(float(np.linalg.norm(palm)), 1e-6)
    return Limb(top, middle, bottom, np.stack([palm, np.cross(forward, palm), forward]))


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


def head_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """Neck, skull, jaw, nose, ears and hair."""
    frame, hair = skeleton.head_frame, person.hair
    details = tags(beard=person.beard, lips=person.sex == "woman", bald=hair.length == "bald")
    details |= tags(cropped=hair.length == "very short") | {person.glasses or "no glasses"}
    rgb, second = skin_colour(person.skin), hair.colour.rgb
    face = skeleton.head_surface("face", rgb, Part.SKIN, second=second, details=details, seed=person.seed)
    skin, neck = skin_surface(person), Girth(person).neck
    low = skeleton.neck - skeleton.chest_frame[1] * 0.03
    yield cone(skin, low, skeleton.on_head((0, -0.22, -0.05)), (neck * 1.1, neck), frame[2])
    yield skeleton.head_ball(face, (0.0, 0.10, -0.02), (0.330, 0.395, 0.395))
    yield skeleton.head_ball(face, (0.0, -0.19, 0.07), (0.275 if person.sex == "man" else 0.25, 0.315, 0.295))
    yield skeleton.head_ball(face, (0.0, -0.06, 0.37), (0.045, 0.075, 0.065))
    for side in (1.0, -1.0):
        yield skeleton.head_ball(skin, (side * 0.335, -0.03, -0.02), (0.03, 0.095, 0.06))
    if hair.length != "bald":
        thick = {"very short": 0.012, "short": 0.045}.get(hair.length, 0.055)
        thick += 0.085 if hair.style == "curly" and hair.length != "very short" else 0.0
        # The hair is a shell about the head, cut at the hairline: parted to a side, higher or lower.
        slope, limit = (0.09 * (person.seed % 5 - 2), -1.0, 0.95), 0.05 - 0.02 * (person.seed % 4)
        place, radii = (0.0, 0.10 + thick * 0.4, -0.03), (0.335 + thick, 0.395 + thick, 0.40 + thick)
        rest = limit - sum(a * b for a, b in zip(slope, place, strict=True))
        line = (slope[0] * radii[0], slope[1] * radii[1], slope[2] * radii[2], rest)
        yield skeleton.head_ball(_hair_surface(person, skeleton), place, radii, line)
    yield from hanging_hair(person, skeleton)


def _hair_surface(person: Person, skeleton: Skeleton) -> Surface:
    hair, look = person.hair, {"shine": 0.35, "seed": person.seed}
    return skeleton.head_surface("hair", hair.colour.rgb, Part.HAIR, details=frozenset({hair.style}), **look)


def hanging_hair(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """Hair beyond the skull: a bun, a ponytail, or loose over the neck and the back."""
    hair = person.hair
    if hair.length not in ("medium", "long"):
        return
    surface, unit, chest = _hair_surface(person, skeleton), skeleton.size.head, skeleton.chest_frame
    if hair.style == "bun":
        yield skeleton.head_ball(surface, (0.0, 0.22, -0.47), (0.17, 0.16, 0.15))
        return
    if hair.style == "ponytail":
        knot = skeleton.on_head((0.0, 0.12, -0.47))
        middle = knot + (np.array([0.0, -0.30, -0.17]) * unit) @ skeleton.head_frame
        end = middle + (np.array([0.0, -0.62, 0.06]) * unit) @ skeleton.head_frame
        yield skeleton.head_cone(surface, knot, middle, (0.09, 0.125))
        yield skeleton.head_cone(surface, middle, end, (0.125, 0.06))
        return
    long = hair.length == "long"
    wide = {"wavy": 0.05, "curly": 0.12}.get(hair.style, 0.0)
    crown = skeleton.on_head((0.0, -0.02, -0.14))
    drop, depth = (-(0.85 + 0.008 * (person.seed % 100)), -0.10) if long else (-0.42, -0.06)
    tip = crown + (chest[1] * drop + chest[2] * depth) * unit
    yield skeleton.head_cone(surface, crown, tip, (0.39 + wide, 0.33 + wide), flatten=(1.0, 0.62), start=0.1)
    yield skeleton.head_ball(surface, (0.0, -0.18, -0.10), (0.40 + wide, 0.36, 0.36), (0.0, 0.0, 1.0, 0.25))
    for side in (1.0, -1.0) if long and person.seed % 2 else ():
        top = skeleton.on_head((side * 0.33, 0.10, 0.05))
        low = skeleton.neck + (chest[0] * side * 0.42 + chest[1] * -0.30 + chest[2] * 0.42) * unit
        yield skeleton.head_cone(surface, top, low, (0.12 + wide * 0.5, 0.10), flatten=(1.0, 0.6), start=0.1)
