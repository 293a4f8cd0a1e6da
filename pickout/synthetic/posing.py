"""Pose an avatar as the street's skeleton stands: bones take the skeleton's directions, lengths stay the avatar's."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pickout.synthetic.attributes import Person, View
from pickout.synthetic.avatars import Avatar
from pickout.synthetic.skeleton import Limb, Skeleton, pose_skeleton
from pickout.synthetic.surfaces import Array, Vector

_CHAINS = [("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")]
for _side in ("Left", "Right"):
    _CHAINS.append(("Hips", f"{_side}UpLeg", f"{_side}Leg", f"{_side}Foot"))
    _CHAINS.append(("Spine2", *(f"{_side}{bone}" for bone in ("Shoulder", "Arm", "ForeArm", "Hand"))))
"""Bones that are turned, each after its parent; all others follow the nearest turned bone above them."""


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """An avatar in a view."""

    skeleton: Skeleton  # where its joints are, for what it carries and for its shadow
    places: list[Array]  # of the vertices of each shell, in the world. Shape of each: (n, 3)
    normals: list[Array]  # Shape of each: (n, 3)


def pose_avatar(avatar: Avatar, person: Person, view: View) -> Posed:
    """The avatar as `person`, in the pose of `view`, the lower foot on the ground, the pelvis above the origin."""
    drawn = pose_skeleton(person, view)
    turns = _turns(avatar, drawn)
    spots = {"Hips": np.zeros(3)}
    for chain in _CHAINS:
        for parent, bone in pairwise(chain):
            spots[bone] = spots[parent] + turns[parent] @ (avatar.at(bone) - avatar.at(parent))
    moves = _moves(avatar, turns, spots)
    tall = person.height / avatar.height
    # A heavier build is wider all over; the height stays.
    frame, wide = drawn.pelvis_frame, 0.93 + 0.16 * person.build
    scale = tall * (frame.T @ np.diag([wide, 1.0, wide]) @ frame)
    bent = [shell.bent(moves) for shell in avatar.shells]
    places = [place @ scale.astype(np.float32).T for place, _ in bent]
    lift = np.array([0.0, -min(float(place[:, 1].min()) for place in places), 0.0])
    placed = {bone: np.asarray(scale @ spot + lift, dtype=np.float64) for bone, spot in spots.items()}
    skeleton = _skeleton(avatar, drawn, placed, tall)
    return Posed(skeleton, [place + lift.astype(np.float32) for place in places], [normal for _, normal in bent])


def _turns(avatar: Avatar, drawn: Skeleton) -> dict[str, Array]:
    """How each turned bone is rotated from rest into the world."""
    pelvis, chest, head = drawn.pelvis_frame.T, drawn.chest_frame.T, drawn.head_frame.T
    turns = {"Hips": pelvis, "Spine": _between(pelvis, chest), "Spine1": chest, "Spine2": chest}
    turns |= {"Neck": _between(chest, head), "Head": head}

    def aligned(turn: Array, first: str, last: str, wanted: Array) -> Array:
        """`turn` with the least further rotation that brings the bone between two joints to the direction `wanted`."""
        rest = avatar.at(last) - avatar.at(first)
        a, b = turn @ (rest / np.linalg.norm(rest)), wanted / np.linalg.norm(wanted)
        axis, cosine = np.cross(a, b), float(a @ b)
        cross = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
        return np.asarray((np.eye(3) + cross + cross @ cross / max(1.0 + cosine, 1e-3)) @ turn)

    for s, leg, arm in zip(("Left", "Right"), drawn.legs, drawn.arms, strict=True):
        thigh = aligned(pelvis, f"{s}UpLeg", f"{s}Leg", leg.middle - leg.top)
        shank = aligned(thigh, f"{s}Leg", f"{s}Foot", leg.bottom - leg.middle)
        turns |= {f"{s}UpLeg": thigh, f"{s}Leg": shank, f"{s}Foot": leg.frame.T}
        upper = aligned(chest, f"{s}Arm", f"{s}ForeArm", arm.middle - arm.top)
        fore = aligned(upper, f"{s}ForeArm", f"{s}Hand", arm.bottom - arm.middle)
        # The collar bone gives way a little as the arm comes down.
        drop = _between(chest, aligned(chest, f"{s}Shoulder", f"{s}Arm", arm.middle - arm.top), 0.12)
        turns |= {f"{s}Shoulder": drop, f"{s}Arm": upper, f"{s}ForeArm": fore, f"{s}Hand": fore}
    return turns


def _between(first: Array, second: Array, share: float = 0.5) -> Array:
    """A rotation between two, nearer to `second` as `share` grows."""
    left, _, right = np.linalg.svd((1.0 - share) * first + share * second)
    return np.asarray(left @ right)


def _moves(avatar: Avatar, turns: dict[str, Array], spots: dict[str, Array]) -> Array:
    """From rest to the pose, for each node of the file. Shape: (nodes, 4, 4)."""
    count = max(number for number, _ in avatar.joints.values()) + 1
    moves = np.tile(np.eye(4, dtype=np.float32), (count, 1, 1))
    for bone, (number, _) in avatar.joints.items():
        while bone not in turns and bone in avatar.parents:
            bone = avatar.parents[bone]
        if bone in turns:
            moves[number, :3, :3] = turns[bone]
            moves[number, :3, 3] = spots[bone] - turns[bone] @ avatar.at(bone)
    return moves


def _skeleton(avatar: Avatar, drawn: Skeleton, placed: dict[str, Vector], tall: float) -> Skeleton:
    """The street's skeleton with the avatar's joints."""

    def limbs(bones: tuple[str, str, str], old: tuple[Limb, Limb]) -> tuple[Limb, Limb]:
        left, right = (
            Limb(*(placed[f"{side}{bone}"] for bone in bones), limb.frame)
            for side, limb in zip(("Left", "Right"), old, strict=True)
        )
        return left, right

    legs, arms = limbs(("UpLeg", "Leg", "Foot"), drawn.legs), limbs(("Arm", "ForeArm", "Hand"), drawn.arms)
    pelvis, neck = 0.5 * (legs[0].top + legs[1].top), placed["Neck"]
    size = replace(
        drawn.size,
        torso=float(np.linalg.norm(neck - pelvis)),
        hip=float(np.linalg.norm(legs[0].top - pelvis)),
        head=tall * (avatar.height - float(avatar.at("Head")[1]) + 0.055),
    )
    head = placed["Head"] + drawn.head_frame.T @ np.array([0.0, 0.36 * size.head, 0.02])
    return replace(drawn, size=size, pelvis=pelvis, neck=neck, head=head, arms=arms, legs=legs)
