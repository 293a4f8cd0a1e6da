"""Pose and render an avatar: bones take the street's skeleton's directions, lengths stay the avatar's.

Skin keeps the avatar's texture; clothes keep its relief under the colours and patterns that the person wears."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Garment, Outer, Person, View, tags
from pickout.synthetic.avatars import LINEAR, Avatar, Shell
from pickout.synthetic.bodies import Limb, Skeleton
from pickout.synthetic.cloth import paint
from pickout.synthetic.garments import CLOTH, cloth_surface
from pickout.synthetic.gltf import unit
from pickout.synthetic.render import Hits, Layer, Light, rasterise, seen_places, shaded
from pickout.synthetic.solids import Rays
from pickout.synthetic.surfaces import Array, Part, Pixels, Surface, Vector, linear

_CHAINS: list[tuple[str, ...]] = [("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")]
for _side in ("Left", "Right"):
    _CHAINS.append(("Hips", f"{_side}UpLeg", f"{_side}Leg", f"{_side}Foot"))
    _CHAINS.append(("Spine2", *(f"{_side}{bone}" for bone in ("Shoulder", "Arm", "ForeArm", "Hand"))))
"""Bones that are turned, each after its parent; all others follow the nearest turned bone above them."""
_COVERED = {"three-quarter": 0.55, "long": 1.1}  # how much of the forearm a sleeve painted on a bare arm covers


class Posed:
    """The avatar as `person` in the pose of `view`, the lower foot on the ground, the pelvis above the origin: places
    and normals of each shell's vertices in the world, (n, 3), and the joints, for what it carries and its shadow."""

    def __init__(self, avatar: Avatar, person: Person, view: View) -> None:
        drawn = Skeleton(person, view)
        turns = _turns(avatar, drawn)
        spots: dict[str, Array] = {"Hips": np.zeros(3)}
        for chain in _CHAINS:
            for parent, bone in pairwise(chain):
                spots[bone] = spots[parent] + turns[parent] @ (avatar.at(bone) - avatar.at(parent))
        # From rest to the pose, for each node of the file.
        moves = np.tile(np.eye(4, dtype=np.float32), (max(joint.number for joint in avatar.joints.values()) + 1, 1, 1))
        for name, (number, *_) in avatar.joints.items():
            turned: str | None = name
            while turned is not None and turned not in turns:
                turned = avatar.joints[turned].parent
            if turned is not None:
                moves[number, :3, :3] = turns[turned]
                moves[number, :3, 3] = spots[turned] - turns[turned] @ avatar.at(turned)
        tall = person.height / avatar.height
        # A heavier build is wider all over; the height stays.
        frame, wide = drawn.pelvis_frame, 0.93 + 0.16 * person.build
        scale = tall * (frame.T @ np.diag([wide, 1.0, wide]) @ frame)
        bent = [shell.skin.bent(moves) for shell in avatar.shells]
        places = [place @ scale.astype(np.float32).T for place, _ in bent]
        lift = np.array([0.0, -min(float(place[:, 1].min()) for place in places), 0.0])
        placed = {bone: np.asarray(scale @ spot + lift, dtype=np.float64) for bone, spot in spots.items()}
        _fit(drawn, avatar, placed, tall)
        self.avatar, self.person, self.skeleton = avatar, person, drawn
        self.places = [place + lift.astype(np.float32) for place in places]
        self.normals = [normal for _, normal in bent]


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


def _fit(skeleton: Skeleton, avatar: Avatar, placed: dict[str, Vector], tall: float) -> None:
    """Give the street's skeleton the avatar's joints and lengths."""

    def limbs(old: tuple[Limb, Limb], top: str, middle: str, bottom: str) -> tuple[Limb, Limb]:
        sides = zip(("Left", "Right"), old, strict=True)
        left, right = (Limb(placed[s + top], placed[s + middle], placed[s + bottom], limb.frame) for s, limb in sides)
        return left, right

    size, legs = skeleton.size, limbs(skeleton.legs, "UpLeg", "Leg", "Foot")
    pelvis, neck = 0.5 * (legs[0].top + legs[1].top), placed["Neck"]
    size.torso, size.hip = float(np.linalg.norm(neck - pelvis)), float(np.linalg.norm(legs[0].top - pelvis))
    size.head = tall * (avatar.height - float(avatar.at("Head")[1]) + 0.055)
    skeleton.pelvis, skeleton.neck = pelvis, neck
    skeleton.head = placed["Head"] + skeleton.head_frame.T @ np.array([0.0, 0.36 * size.head, 0.02])
    skeleton.legs, skeleton.arms = legs, limbs(skeleton.arms, "Arm", "ForeArm", "Hand")


def render_avatar(posed: Posed, rays: Rays, light: Light) -> Layer:
    """The avatar in its pose, dressed as its person, as `rays` see it in `light`."""
    height, width = rays.shape
    colour, normals = np.zeros((2, height * width, 3), dtype=np.float32)
    part = np.zeros(height * width, dtype=np.uint8)
    depth = np.full(height * width, np.inf, dtype=np.float32)
    tone = np.ones(height * width, dtype=np.float32)
    for shell, places, bent in zip(posed.avatar.shells, posed.places, posed.normals, strict=True):
        hits = rasterise(places, shell.skin.triangles, rays)
        closer = hits.depth < depth[hits.pixel]
        hits = Hits(hits.pixel[closer], hits.triangle[closer], hits.share[:, closer], hits.depth[closer])
        depth[hits.pixel], normals[hits.pixel] = hits.depth, unit(hits.spread(bent, shell.skin.triangles))
        colour[hits.pixel], tone[hits.pixel], part[hits.pixel] = _painted(posed, shell, hits)
    seen = np.flatnonzero(part)
    look = colour[seen].T, tone[seen], np.where(part[seen] == Part.HAIR, np.float32(0.25), np.float32(0.06))
    world, grid = seen_places(rays, seen, depth[seen]), (depth.reshape(height, width), seen)
    return shaded(look, part[seen], normals[seen].T, world, grid, rays.position, light)


def _painted(posed: Posed, shell: Shell, hits: Hits) -> tuple[Array, Array, NDArray[np.uint8]]:
    """Linear colour, shade of folds and part of each hit."""
    person, size, skin = posed.person, len(shell.part), shell.skin
    column, row = ((hits.spread(skin.uv, skin.triangles) * size).astype(np.intp) % size).T
    colour, part, relief = LINEAR[shell.colour[row, column]], shell.part[row, column], shell.relief[row, column]
    rest = hits.spread(skin.place, skin.triangles)
    tone = np.ones(len(part), dtype=np.float32)
    colour[part == Part.SKIN] *= np.float32(0.86 + 0.28 * (person.seed % 101) / 100)
    _layered(posed.avatar, person, rest, part)
    for kind, garment in ((Part.UPPER, person.upper), (Part.OUTER, person.outer), (Part.LOWER, person.lower)):
        inside = part == kind
        if garment is not None and inside.any():
            done = paint(_surface(posed, garment, kind), _cloth_pixels(posed.avatar, rest[inside]))
            colour[inside] = done.colour.T * relief[inside, None]
            tone[inside] = done.shade
    for kind, plain in ((Part.SHOES, person.shoes.colour), (Part.HAIR, person.hair.colour)):
        inside = part == kind
        colour[inside] = linear(plain.rgb)[:, 0] * relief[inside, None]
    return colour, tone, part


def _layered(avatar: Avatar, person: Person, rest: Array, part: NDArray[np.uint8]) -> None:
    """Cloth that the texture lacks: sleeves on bare arms, a garment over the top, a dress for top and shorts."""
    shoulder, elbow, wrist = (float(avatar.at(f"Left{name}")[0]) for name in ("Arm", "ForeArm", "Hand"))
    aside = np.abs(rest[:, 0])
    arm = (aside > shoulder * 0.98) & (rest[:, 1] > 0.7 * avatar.height)
    outer = None if avatar.outfit.top.over else person.outer
    sleeve = "long" if outer is not None and outer.sleeve == "long" else person.upper.sleeve
    if avatar.outfit.top.sleeve == "short" and sleeve in _COVERED:
        end = elbow + _COVERED[sleeve] * (wrist - elbow)
        part[arm & (aside < end) & (part == Part.SKIN)] = int(Part.UPPER)
    if person.lower is None:
        part[part == Part.LOWER] = int(Part.UPPER)
    if outer is None:
        return
    over = part == Part.UPPER
    if outer.sleeve == "none":
        over &= ~arm
    if outer.open:
        pelvis, neck = float(avatar.at("Hips")[1]), float(avatar.at("Neck")[1])
        gap = 0.050 + 0.03 * ((person.seed >> 5) % 8) / 7 + 0.03 * (neck - rest[:, 1]) / (neck - pelvis)
        over &= (rest[:, 2] < 0.0) | (aside > gap)
    part[over] = int(Part.OUTER)


def _surface(posed: Posed, garment: Garment | Outer, part: Part) -> Surface:
    """The garment's cloth, placed on the body at rest; seams and buttons of its own kind are the texture's."""
    avatar, details = posed.avatar, tags(logo=isinstance(garment, Garment) and garment.logo)
    if isinstance(garment, Outer) and not avatar.outfit.top.over:
        own = {"zip", "pockets", "quilted", "buttons"}.intersection(CLOTH["details"][garment.kind])
        details = tags(open=garment.open) | own
    pelvis = 0.5 * (avatar.at("LeftUpLeg") + avatar.at("RightUpLeg"))
    axes = np.eye(3) / float(avatar.at("Neck")[1] - pelvis[1])
    drawn = cloth_surface(posed.person, posed.skeleton, garment, part)
    return replace(drawn, details=details, origin=pelvis, axes=axes, under=None, folds=0.35)


def _cloth_pixels(avatar: Avatar, rest: Array) -> Pixels:
    """Cloth coordinates of places on the body at rest: around and along the trunk, an arm or a leg."""
    x, y, z = rest.T
    aside = np.abs(x)
    shoulder, hips = avatar.at("LeftArm").astype(np.float32), avatar.at("LeftUpLeg").astype(np.float32)
    arm = (aside > shoulder[0]) & (y > 0.7 * avatar.height)
    leg = (y < hips[1] - 0.06) & (avatar.outfit.bottom.kind is not None)
    u = np.arctan2(x, z - np.float32(0.02)) * np.float32(0.13)
    u = np.where(arm, np.arctan2(y - shoulder[1], z - shoulder[2]) * np.float32(0.05), u)
    u = np.where(leg, np.arctan2(aside - hips[0], z - hips[2]) * np.float32(0.075), u)
    v = np.where(arm, aside - shoulder[0], shoulder[1] - y)
    # Cloth is lit by the pose's normals, so its painter needs none here.
    return Pixels(rest.T, np.zeros_like(rest.T), u, v, np.full(len(u), np.inf, dtype=np.float32))
