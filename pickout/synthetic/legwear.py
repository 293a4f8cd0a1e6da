"""Clothes of the lower body as solids: trousers, shorts, skirts, leggings, tights and shoes."""

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Garment, Person
from pickout.synthetic.bodies import Girth, bare_leg, girth, skin_surface
from pickout.synthetic.pieces import Piece, box, cone, ellipsoid
from pickout.synthetic.raycast import Plane
from pickout.synthetic.skeleton import Limb, Skeleton
from pickout.synthetic.surfaces import Part, Surface
from pickout.synthetic.trunk import REACH, Hang, cloth_surface, leg_ease, thigh_reach, trunk_piece

Vector = NDArray[np.float64]


def leg_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """Legs, bare, in tights or in trousers, with the seat of the trousers or the skirt."""
    size, garment, ease = girth(person), person.lower, leg_ease(person)
    skin = skin_surface(person)
    if person.socks is not None:
        skin = Surface("plain", person.socks.rgb, Part.LOWER, seed=person.seed, shine=0.1)
    ahead = skeleton.pelvis_frame[2]
    if garment is None:
        return [piece for limb in skeleton.legs for piece in bare_leg(skin, limb, size, ahead, ease)]
    cloth = cloth_surface(person, skeleton, garment, Part.LOWER)
    pieces = []
    if not person.dress:
        skirt = garment.kind == "skirt"
        flare = 0.012 + 0.07 * ((person.seed >> 4) % 10) / 9 if skirt else 0.0
        over = 0.015 if person.upper.tucked else -0.004
        clear = thigh_reach(person) + 0.006 if skirt else 0.0
        hang = Hang(REACH[garment.length] if skirt else -0.14, 0.25, over, flare, clear)
        pieces.append(trunk_piece(cloth, person, skeleton, hang, skeleton.pelvis_frame))
    for limb in skeleton.legs:
        if garment.kind == "skirt":
            pieces += bare_leg(skin, limb, size, ahead, ease)
        elif garment.kind == "leggings":
            pieces += bare_leg(cloth, limb, size, ahead, ease)
        elif garment.kind == "shorts":
            pieces += _shorts_leg(cloth, limb, size, garment, ease, ahead) + bare_leg(skin, limb, size, ahead)
        else:
            pieces += _trouser_leg(cloth, limb, size, ease, ahead)
            pieces.append(cone(skin, limb.middle, limb.bottom, (size.knee, size.ankle), ahead))
    return pieces


def skirt_over(person: Person, skeleton: Skeleton) -> list[Piece]:
    """The skirt, or the skirt of the dress, of somebody whose body is a mesh in shorts."""
    garment = person.upper if person.dress else person.lower
    if garment is None or garment.kind not in ("dress", "skirt"):
        return []
    cloth = cloth_surface(person, skeleton, garment, Part.UPPER if person.dress else Part.LOWER)
    flare = 0.02 + 0.07 * ((person.seed >> 4) % 10) / 9
    # The mesh is wider at the hips than the drawn body.
    hang = Hang(REACH[garment.length], 0.30, 0.022, flare, thigh_reach(person) + 0.03)
    return [trunk_piece(cloth, person, skeleton, hang, skeleton.pelvis_frame)]


def _shorts_leg(cloth: Surface, limb: Limb, size: Girth, garment: Garment, ease: float, ahead: Vector) -> list[Piece]:
    part = 0.55 if garment.length == "thigh" else 0.95
    end = limb.top + (limb.middle - limb.top) * part
    radius = size.thigh + (size.knee - size.thigh) * part + ease + 0.014
    hem = 0.1 + float(np.linalg.norm(end - limb.top))
    return [
        cone(cloth, limb.top, end, (size.thigh + ease * 0.8, radius), ahead, caps=(True, False), start=0.1, hem=hem)
    ]


def _trouser_leg(cloth: Surface, limb: Limb, size: Girth, ease: float, ahead: Vector) -> list[Piece]:
    thigh, shank = float(np.linalg.norm(limb.middle - limb.top)), float(np.linalg.norm(limb.bottom - limb.middle))
    knee, ankle = size.knee + ease, size.ankle + 0.006 + ease * 1.3
    end = limb.bottom + (limb.bottom - limb.middle) / shank * 0.012
    radii = (knee, max(ankle, knee * 0.72))
    start, hem = 0.1 + thigh, 0.112 + thigh + shank
    return [
        cone(cloth, limb.top, limb.middle, (size.thigh + ease * 0.8, knee), ahead, start=0.1),
        cone(cloth, limb.middle, end, radii, ahead, caps=(True, False), start=start, hem=hem),
    ]


def shoe_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """Shoes on both feet, pointing forward."""
    shoes, size, ankle = person.shoes, girth(person), skeleton.size.ankle
    skin = skin_surface(person)
    pieces: list[Piece] = []
    for limb in skeleton.legs:
        surface = Surface(
            "shoe",
            shoes.colour.rgb,
            Part.SHOES,
            shoes.sole.rgb,
            details=frozenset({shoes.kind}),
            origin=limb.bottom - limb.frame[1] * ankle,
            axes=limb.frame,
            shine=0.3 if shoes.kind in ("leather shoes", "heels", "boots") else 0.1,
            seed=person.seed,
        )
        pieces += _foot(shoes.kind, surface, skin, limb, ankle, skeleton.size.foot)
        if shoes.kind == "boots":
            pieces.append(_shaft(person, surface, limb, size))
    return pieces


def _foot(kind: str, surface: Surface, skin: Surface, limb: Limb, ankle: float, foot: float) -> list[Piece]:
    """One foot in its shoe; lengths of the ankle's height and of the foot in metres."""
    frame = limb.frame

    def at(up: float, ahead: float) -> Vector:
        return np.asarray(limb.bottom + frame[1] * (up * ankle) + frame[2] * (ahead * foot))

    wide = 0.158 * foot * (1.04 if kind in ("trainers", "boots") else 0.94)
    heel, ball, toe = at(-0.42, -0.075), at(-0.66, 0.44), at(-0.80, 0.53)
    upper = skin if kind == "sandals" else surface
    pieces = [
        cone(upper, heel, ball, (wide * 0.92, wide * 0.86), frame[1]),
        ellipsoid(upper, toe, frame, (wide * 1.05, ankle * 0.34, wide * 0.95), Plane((0.0, -1.0, 0.0), 0.9)),
    ]
    if kind in ("trainers", "boots", "sandals"):
        pieces.append(ellipsoid(surface, at(-0.90, 0.21), frame, (wide * 1.12, ankle * 0.26, foot * 0.54)))
    neck = (0.46 * ankle, 0.46 * ankle)
    if kind == "trainers":
        pieces.append(cone(surface, at(0.1, 0.0), heel, (neck[0] + 0.010, wide * 0.9), frame[2], caps=(False, True)))
    elif kind != "boots":
        pieces.append(cone(skin, at(0.6, 0.0), heel, (neck[0], neck[0] * 0.8), frame[2]))
    if kind == "heels":
        pieces.append(box(surface, at(-0.72, -0.16), frame, (0.014, ankle * 0.30, 0.014)))
    return pieces


def _shaft(person: Person, surface: Surface, limb: Limb, size: Girth) -> Piece:
    """The shaft of a boot, ankle-high or up the calf."""
    tall = (person.seed >> 6) % 3
    top = limb.bottom + (limb.middle - limb.bottom) * (0.18 + 0.2 * tall)
    radius = (size.calf if tall else size.ankle + 0.008) + 0.007
    return cone(surface, top, limb.bottom, (radius, size.ankle + 0.012), limb.frame[2], caps=(False, True))
