"""Pose an avatar as the street's skeleton stands: bones take the skeleton's directions, lengths stay the avatar's."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Person, View
from pickout.synthetic.avatars import Avatar
from pickout.synthetic.skeleton import Limb, Proportions, Skeleton, pose_skeleton

Array = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]
_SIDES = ("Left", "Right")
_PARENTS = {"Spine": "Hips", "Spine1": "Spine", "Spine2": "Spine1", "Neck": "Spine2", "Head": "Neck"}
for _side in _SIDES:
    _PARENTS |= {f"{_side}UpLeg": "Hips", f"{_side}Leg": f"{_side}UpLeg", f"{_side}Foot": f"{_side}Leg"}
    _PARENTS |= {f"{_side}Shoulder": "Spine2", f"{_side}Arm": f"{_side}Shoulder", f"{_side}ForeArm": f"{_side}Arm"}
    _PARENTS |= {f"{_side}Hand": f"{_side}ForeArm"}
"""Bones that are turned, each after its parent; all others follow the nearest turned bone above them."""


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """An avatar in a view.

    Args:
        skeleton: where its joints are, for what it carries and for its shadow.
        places: of the vertices of each shell, in the world. Shape of each: (n, 3).
        normals: Shape of each: (n, 3).
    """

    skeleton: Skeleton
    places: tuple[Array, ...]
    normals: tuple[Array, ...]


def pose_avatar(avatar: Avatar, person: Person, view: View) -> Posed:
    """The avatar as `person`, in the pose of `view`, the lower foot on the ground, the pelvis above the origin."""
    drawn = pose_skeleton(person, view)
    turns = _turns(avatar, drawn)
    spots = {"Hips": avatar.at("Hips") * 0.0}
    for bone, parent in _PARENTS.items():
        spots[bone] = spots[parent] + turns[parent] @ (avatar.at(bone) - avatar.at(parent))
    moves = _moves(avatar, turns, spots)
    tall = person.height / avatar.height
    # A heavier build is wider all over; the height stays.
    frame = drawn.pelvis_frame
    wide = 0.93 + 0.16 * person.build
    scale = tall * (frame.T @ np.diag([wide, 1.0, wide]) @ frame)
    bent = []
    for shell in avatar.shells:
        blend = np.einsum("nk,nkij->nij", shell.weight, moves[shell.joint])
        place = np.einsum("nij,nj->ni", blend[:, :3, :3], shell.place) + blend[:, :3, 3]
        normal = np.einsum("nij,nj->ni", blend[:, :3, :3], shell.normal)
        bent.append((place @ scale.astype(np.float32).T, normal))
    lift = np.array([0.0, -min(float(place[:, 1].min()) for place, _ in bent), 0.0])
    placed = {bone: np.asarray(scale @ spot + lift, dtype=np.float64) for bone, spot in spots.items()}
    return Posed(
        _skeleton(avatar, drawn, placed, tall),
        tuple((place + lift.astype(np.float32)) for place, _ in bent),
        tuple(normal for _, normal in bent),
    )


def _turns(avatar: Avatar, drawn: Skeleton) -> dict[str, Array]:
    """How each turned bone is rotated from rest into the world."""
    pelvis, chest, head = drawn.pelvis_frame.T, drawn.chest_frame.T, drawn.head_frame.T
    turns = {"Hips": pelvis, "Spine": _between(pelvis, chest), "Spine1": chest, "Spine2": chest}
    turns |= {"Neck": _between(chest, head), "Head": head}
    for index, side in enumerate(_SIDES):
        leg, arm = drawn.legs[index], drawn.arms[index]
        thigh = _aligned(pelvis, avatar.at(f"{side}Leg") - avatar.at(f"{side}UpLeg"), leg.middle - leg.top)
        shank = _aligned(thigh, avatar.at(f"{side}Foot") - avatar.at(f"{side}Leg"), leg.bottom - leg.middle)
        turns |= {f"{side}UpLeg": thigh, f"{side}Leg": shank, f"{side}Foot": leg.frame.T}
        upper = _aligned(chest, avatar.at(f"{side}ForeArm") - avatar.at(f"{side}Arm"), arm.middle - arm.top)
        fore = _aligned(upper, avatar.at(f"{side}Hand") - avatar.at(f"{side}ForeArm"), arm.bottom - arm.middle)
        # The collar bone gives way a little as the arm comes down.
        drop = _aligned(chest, avatar.at(f"{side}Arm") - avatar.at(f"{side}Shoulder"), arm.middle - arm.top)
        turns |= {f"{side}Shoulder": _between(chest, drop, 0.12), f"{side}Arm": upper}
        turns |= {f"{side}ForeArm": fore, f"{side}Hand": fore}
    return turns


def _aligned(turn: Array, rest: Array, wanted: Array) -> Array:
    """`turn` with the least further rotation that brings the direction `rest` to `wanted`."""
    a, b = turn @ (rest / np.linalg.norm(rest)), wanted / np.linalg.norm(wanted)
    axis, cosine = np.cross(a, b), float(a @ b)
    cross = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    return np.asarray((np.eye(3) + cross + cross @ cross / max(1.0 + cosine, 1e-3)) @ turn)


def _between(first: Array, second: Array, share: float = 0.5) -> Array:
    """A rotation between two, nearer to `second` as `share` grows."""
    left, _, right = np.linalg.svd((1.0 - share) * first + share * second)
    return np.asarray(left @ right)


def _moves(avatar: Avatar, turns: dict[str, Array], spots: dict[str, Array]) -> Array:
    """From rest to the pose, for each node of the file. Shape: (nodes, 4, 4)."""
    count = max(number for number, _ in avatar.joints.values()) + 1
    moves = np.tile(np.eye(4, dtype=np.float32), (count, 1, 1))
    for name, (number, _) in avatar.joints.items():
        bone = name
        while bone not in turns and bone in avatar.parents:
            bone = avatar.parents[bone]
        if bone not in turns:
            continue
        moves[number, :3, :3] = turns[bone]
        moves[number, :3, 3] = spots[bone] - turns[bone] @ avatar.at(bone)
    return moves


def _skeleton(avatar: Avatar, drawn: Skeleton, placed: dict[str, Vector], tall: float) -> Skeleton:
    """The street's skeleton with the avatar's joints."""

    def limb(names: tuple[str, str, str], frame: Vector) -> Limb:
        top, middle, bottom = (placed[name] for name in names)
        return Limb(top, middle, bottom, frame)

    legs = [
        limb((f"{side}UpLeg", f"{side}Leg", f"{side}Foot"), old.frame)
        for side, old in zip(_SIDES, drawn.legs, strict=True)
    ]
    arms = [
        limb((f"{side}Arm", f"{side}ForeArm", f"{side}Hand"), old.frame)
        for side, old in zip(_SIDES, drawn.arms, strict=True)
    ]
    pelvis = 0.5 * (legs[0].top + legs[1].top)
    neck = placed["Neck"]
    size: Proportions = replace(
        drawn.size,
        torso=float(np.linalg.norm(neck - pelvis)),
        hip=float(np.linalg.norm(legs[0].top - pelvis)),
        head=tall * (avatar.height - float(avatar.at("Head")[1]) + 0.055),
    )
    head = placed["Head"] + drawn.head_frame.T @ np.array([0.0, 0.36 * size.head, 0.02])
    return replace(
        drawn, size=size, pelvis=pelvis, neck=neck, head=head, arms=(arms[0], arms[1]), legs=(legs[0], legs[1])
    )
