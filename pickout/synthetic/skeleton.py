"""From a person and a view to joints: proportions of the body, the gait cycle, and what the arms do.

World: x right in the image, y up, z towards the camera, metres; ground y = 0. A body: x to its left, z forward."""

from dataclasses import dataclass

import numpy as np

from pickout.files import packaged_table
from pickout.synthetic.attributes import Person, View
from pickout.synthetic.surfaces import Vector

BODIES = packaged_table("pickout.synthetic", "bodies.toml")  # outlines, reaches of arms and hats


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
