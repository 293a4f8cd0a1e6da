"""From a person and a view to joints: proportions of the body, the gait cycle, and what the arms do.

World: x right in the image, y up, z towards the camera, metres; the ground is y = 0. Body frame: x to the person's
left, y up, z forward.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Person, View

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Proportions:
    """Lengths of a body in metres; breadths are from the middle."""

    height: float
    thigh: float
    shank: float
    ankle: float
    hip: float
    torso: float
    shoulder: float
    upper_arm: float
    forearm: float
    neck: float
    head: float
    foot: float


@dataclass(frozen=True, slots=True, eq=False)
class Limb:
    """An arm (shoulder, elbow, wrist) or a leg (hip, knee, ankle), and the axes of its hand or foot.

    Args:
        frame: rows: side, up and pointing direction of the hand or the foot. Shape: (3, 3).
    """

    top: Vector
    middle: Vector
    bottom: Vector
    frame: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """Joints in the world; frames have rows left, up, forward. Legs and arms are left, then right."""

    size: Proportions
    pelvis: Vector
    pelvis_frame: Vector
    chest_frame: Vector
    neck: Vector
    head: Vector
    head_frame: Vector
    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]


def proportions(person: Person) -> Proportions:
    """Lengths for the height, sex and age of `person`: an adult is about seven and a half heads tall."""
    h, woman, child = person.height, person.sex == "woman", person.age == "child"
    head = 0.155 if child else 0.133
    torso = 0.290 if not child else 0.275
    leg = 0.980 - torso - 0.020 - head
    return Proportions(
        height=h,
        thigh=h * (leg - 0.043) * 0.497,
        shank=h * (leg - 0.043) * 0.503,
        ankle=h * 0.043,
        hip=h * (0.053 if woman else 0.049),
        torso=h * torso,
        shoulder=h * (0.091 if woman or child else 0.104),
        upper_arm=h * 0.168,
        forearm=h * 0.142,
        neck=h * 0.020,
        head=h * head,
        foot=h * 0.148,
    )


def pose_skeleton(person: Person, view: View) -> Skeleton:
    """Joints of `person` in `view`, the lower foot on the ground, the pelvis above the origin."""
    size = proportions(person)
    legs = tuple(_leg(size, view, side) for side in (1.0, -1.0))
    lift = -min(float(_sole(size, leg)) for leg in legs)
    stoop = 4.0 if person.age == "older" else 0.0
    swing = np.cos(2 * np.pi * view.phase) * (0.0 if view.pose == "standing" else 1.0)
    pelvis_frame = _turn_y(-2.5 * swing)
    chest_frame = _turn_x(view.lean + stoop) @ _turn_y(3.5 * swing)
    pelvis = np.array([0.0, lift, 0.0])
    neck = pelvis + chest_frame.T @ np.array([0.0, size.torso, -0.004 * size.height])
    head_frame = _turn_x(view.lean * 0.3 + stoop + (14.0 if _looks_down(view) else 0.0)) @ _turn_y(view.head_turn)
    head = (
        neck + chest_frame.T @ np.array([0.0, size.neck, 0.010 * size.height]) + np.array([0.0, size.head * 0.50, 0.0])
    )
    arms = tuple(_arm(size, view, index, pelvis, chest_frame, head) for index in (0, 1))
    legs = tuple(Limb(leg.top + pelvis, leg.middle + pelvis, leg.bottom + pelvis, leg.frame) for leg in legs)
    turn = _turn_y(view.yaw)
    left_arm, right_arm, left_leg, right_leg = (
        Limb(limb.top @ turn, limb.middle @ turn, limb.bottom @ turn, limb.frame @ turn) for limb in (*arms, *legs)
    )
    return Skeleton(
        size=size,
        pelvis=pelvis @ turn,
        pelvis_frame=pelvis_frame @ turn,
        chest_frame=chest_frame @ turn,
        neck=neck @ turn,
        head=head @ turn,
        head_frame=head_frame @ turn,
        arms=(left_arm, right_arm),
        legs=(left_leg, right_leg),
    )


def _looks_down(view: View) -> bool:
    return view.carried is not None and view.carried.use == "looked at"


def _turn_x(degrees: float) -> Vector:
    """Rows of a frame leaning forward by `degrees`."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])


def _turn_y(degrees: float) -> Vector:
    """Rows of a frame turned to its left by `degrees`."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])


def _gait(view: View, side: float) -> tuple[float, float, float]:
    """Hip flexion, knee flexion and the foot's pitch (toes up) in degrees; heel strike at phase 0."""
    phase = (view.phase + (0.0 if side > 0 else 0.5)) % 1.0
    if view.pose == "standing":
        ease = 6.0 * np.sin(2 * np.pi * (view.phase + 0.25 * side))
        relaxed = max(0.0, float(ease))
        return 1.0 + relaxed, 2.0 + 2.0 * relaxed, 0.0
    fast = 1.0 if view.pose == "walking" else 1.5
    hip = 4.0 + 18.0 * fast * np.cos(2 * np.pi * phase)
    swing = np.exp(-(((phase - 0.72) / 0.115) ** 2))
    stance = np.exp(-(((phase - 0.13) / 0.09) ** 2))
    knee = 5.0 + 48.0 * fast * swing + 11.0 * stance
    heel_up = np.exp(-(((phase - 0.62) / 0.10) ** 2))
    toe_up = np.exp(-(((phase - 0.98) / 0.07) ** 2)) + np.exp(-(((phase + 0.02) / 0.07) ** 2))
    return float(hip), float(knee), float(14.0 * toe_up - 42.0 * heel_up)


def _leg(size: Proportions, view: View, side: float) -> Limb:
    hip_angle, knee_angle, pitch = _gait(view, side)
    spread = np.radians(2.6 if view.pose == "standing" else 0.4) * side
    top = np.array([side * size.hip, 0.0, 0.0])

    def along(degrees: float) -> Vector:
        a = np.radians(degrees)
        return np.array([np.sin(spread), -np.cos(a) * np.cos(spread), np.sin(a) * np.cos(spread)])

    middle = top + size.thigh * along(hip_angle)
    bottom = middle + size.shank * along(hip_angle - knee_angle)
    shank = hip_angle - knee_angle
    swinging = min(0.0, shank + 22.0) * 1.2
    frame = _turn_x(-(pitch + swinging)) @ _turn_y(side * (9.0 if view.pose == "standing" else 5.0))
    return Limb(top, middle, bottom, frame)


def _sole(size: Proportions, leg: Limb) -> float:
    """Height of the lowest point of a foot."""
    toe = leg.bottom + leg.frame.T @ np.array([0.0, -size.ankle, 0.62 * size.foot])
    heel = leg.bottom + leg.frame.T @ np.array([0.0, -size.ankle, -0.22 * size.foot])
    return float(min(toe[1], heel[1]))


def _arm(size: Proportions, view: View, index: int, pelvis: Vector, chest: Vector, head: Vector) -> Limb:
    side = 1.0 if index == 0 else -1.0
    h = size.height
    top = pelvis + chest.T @ np.array([side * size.shoulder, size.torso * 0.835, -0.004 * h])
    mode = view.arms[index]
    if mode == "hanging":
        return _hanging(size, view, side, top)
    targets: dict[str, Vector] = {
        "pocket": pelvis + np.array([side * 0.098 * h, 0.035 * h, 0.035 * h]),
        "bent": top + chest.T @ np.array([side * -0.025 * h, -0.175 * h, 0.105 * h]),
        "forward": top + chest.T @ np.array([side * -0.070 * h, -0.095 * h, 0.165 * h]),
        "raised": head + np.array([side * 0.062 * h, -0.035 * h, 0.012 * h]),
        "hip": pelvis + np.array([side * 0.105 * h, 0.085 * h, 0.0]),
        "clasped": pelvis + chest.T @ np.array([side * 0.022 * h, 0.055 * h, 0.105 * h]),
        "folded": pelvis + chest.T @ np.array([side * -0.055 * h, size.torso * 0.52, 0.105 * h]),
    }
    poles: dict[str, Vector] = {
        "pocket": np.array([side * 0.5, -0.1, -1.0]),
        "bent": np.array([side * 0.25, -1.0, -0.6]),
        "forward": np.array([side * 0.6, -1.0, -0.1]),
        "raised": np.array([side * 1.0, -0.5, 0.5]),
        "hip": np.array([side * 1.0, 0.0, -0.5]),
        "clasped": np.array([side * 1.0, -0.3, -0.6]),
        "folded": np.array([side * 0.7, -1.0, 0.0]),
    }
    middle, bottom = _reach(top, targets[mode], size.upper_arm, size.forearm, poles[mode])
    return Limb(top, middle, bottom, _hand_frame(middle, bottom, side))


def _hanging(size: Proportions, view: View, side: float, top: Vector) -> Limb:
    phase = (view.phase + (0.5 if side > 0 else 0.0)) % 1.0
    fast = {"standing": 0.0, "walking": 1.0, "running": 1.9}[view.pose]
    swing = np.cos(2 * np.pi * phase) * 19.0 * fast
    elbow = {"standing": 10.0, "walking": 20.0 + 9.0 * np.cos(2 * np.pi * phase), "running": 88.0}[view.pose]
    out = np.radians(8.5)

    def along(degrees: float, outward: float) -> Vector:
        a = np.radians(degrees)
        return np.array([side * np.sin(outward), -np.cos(a) * np.cos(outward), np.sin(a) * np.cos(outward)])

    middle = top + size.upper_arm * along(swing - 4.0, out)
    bottom = middle + size.forearm * along(swing - 4.0 + elbow, out * 0.35)
    return Limb(top, middle, bottom, _hand_frame(middle, bottom, side))


def _reach(top: Vector, target: Vector, first: float, second: float, pole: Vector) -> tuple[Vector, Vector]:
    """Joint and end of a two-bone limb that reaches for `target` with the joint towards `pole`."""
    way = target - top
    distance = float(np.clip(np.linalg.norm(way), abs(first - second) + 0.02, (first + second) * 0.995))
    way = way / np.linalg.norm(way)
    along = (first**2 - second**2 + distance**2) / (2 * distance)
    aside = np.sqrt(max(first**2 - along**2, 0.0))
    side = pole - way * float(pole @ way)
    side = side / np.linalg.norm(side)
    return top + way * along + side * aside, top + way * distance


def _hand_frame(elbow: Vector, wrist: Vector, side: float) -> Vector:
    forward = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    palm = np.array([side, 0.0, 0.0]) - forward * forward[0] * side
    palm = palm / max(float(np.linalg.norm(palm)), 1e-6)
    return np.stack([palm, np.cross(forward, palm), forward])
