"""Clothes of the lower body as solids: trousers, shorts, skirts, leggings, tights and shoes."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pickout.synthetic.attributes import Person
from pickout.synthetic.bodies import bare_leg, girth, skin_surface
from pickout.synthetic.garments import CLOTH, cloth_surface, leg_ease, thigh_reach, trunk_piece
from pickout.synthetic.skeleton import Limb, Skeleton
from pickout.synthetic.solids import Piece, Plane, box, cone, ellipsoid
from pickout.synthetic.surfaces import Part, Surface, Vector


def leg_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """Legs, bare, in tights or in trousers, with the seat of the trousers or the skirt."""
    size, garment, ease, frame = girth(person), person.lower, leg_ease(person), skeleton.pelvis_frame
    skin = skin_surface(person)
    if person.socks is not None:
        skin = Surface("plain", person.socks.rgb, Part.LOWER, seed=person.seed, shine=0.1)
    if garment is None:
        for limb in skeleton.legs:
            yield from bare_leg(skin, limb, size, frame[2], ease)
        return
    cloth, kind = cloth_surface(person, skeleton, garment, Part.LOWER), garment.kind
    if not person.dress:
        cut = {"bottom": -0.14, "flare": 0.0, "clear": 0.0}
        if kind == "skirt":
            flare = 0.012 + 0.07 * ((person.seed >> 4) % 10) / 9
            cut = {"bottom": CLOTH["hem"][garment.length], "flare": flare, "clear": thigh_reach(person) + 0.006}
        over = 0.015 if person.upper.tucked else -0.004
        yield trunk_piece(cloth, person, skeleton, frame, top=0.25, ease=over, **cut)
    for limb in skeleton.legs:
        if kind in ("skirt", "leggings"):
            yield from bare_leg(skin if kind == "skirt" else cloth, limb, size, frame[2], ease)
        elif kind == "shorts":
            part = 0.55 if garment.length == "thigh" else 0.95
            end = limb.top + (limb.middle - limb.top) * part
            radii = (size.thigh + ease * 0.8, size.thigh + (size.knee - size.thigh) * part + ease + 0.014)
            hem = 0.1 + float(np.linalg.norm(end - limb.top))
            yield cone(cloth, limb.top, end, radii, frame[2], caps=(True, False), start=0.1, hem=hem)
            yield from bare_leg(skin, limb, size, frame[2])
        else:
            bones = limb.middle - limb.top, limb.bottom - limb.middle
            thigh, shank = (float(np.linalg.norm(bone)) for bone in bones)
            knee, end = size.knee + ease, limb.bottom + bones[1] / shank * 0.012
            radii, start = (knee, max(size.ankle + 0.006 + ease * 1.3, knee * 0.72)), 0.1 + thigh
            yield cone(cloth, limb.top, limb.middle, (size.thigh + ease * 0.8, knee), frame[2], start=0.1)
            hem = 0.112 + thigh + shank
            yield cone(cloth, limb.middle, end, radii, frame[2], caps=(True, False), start=start, hem=hem)
            yield cone(skin, limb.middle, limb.bottom, (size.knee, size.ankle), frame[2])


def skirt_over(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """The skirt, or the skirt of the dress, of somebody whose body is a mesh in shorts."""
    garment = person.upper if person.dress else person.lower
    if garment is None or garment.kind not in ("dress", "skirt"):
        return
    cloth = cloth_surface(person, skeleton, garment, Part.UPPER if person.dress else Part.LOWER)
    # The mesh is wider at the hips than the drawn body.
    cut = {"ease": 0.022, "flare": 0.02 + 0.07 * ((person.seed >> 4) % 10) / 9, "clear": thigh_reach(person) + 0.03}
    bottom = CLOTH["hem"][garment.length]
    yield trunk_piece(cloth, person, skeleton, skeleton.pelvis_frame, top=0.30, bottom=bottom, **cut)


def shoe_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """Shoes on both feet, pointing forward."""
    shoes, size, ankle = person.shoes, girth(person), skeleton.size.ankle
    skin, tall = skin_surface(person), (person.seed >> 6) % 3
    shine = 0.3 if shoes.kind in ("leather shoes", "heels", "boots") else 0.1
    look: dict[str, Any] = {"second": shoes.sole.rgb, "details": frozenset({shoes.kind})}
    look |= {"shine": shine, "seed": person.seed}
    for limb in skeleton.legs:
        origin = limb.bottom - limb.frame[1] * ankle
        surface = Surface("shoe", shoes.colour.rgb, Part.SHOES, origin=origin, axes=limb.frame, **look)
        yield from _foot(shoes.kind, surface, skin, limb, ankle, skeleton.size.foot)
        if shoes.kind == "boots":
            # The shaft, ankle-high or up the calf.
            top = limb.bottom + (limb.middle - limb.bottom) * (0.18 + 0.2 * tall)
            radii = ((size.calf if tall else size.ankle + 0.008) + 0.007, size.ankle + 0.012)
            yield cone(surface, top, limb.bottom, radii, limb.frame[2], caps=(False, True))


def _foot(kind: str, surface: Surface, skin: Surface, limb: Limb, ankle: float, foot: float) -> Iterator[Piece]:
    """One foot in its shoe; lengths of the ankle's height and of the foot in metres."""
    frame = limb.frame

    def at(up: float, ahead: float) -> Vector:
        return np.asarray(limb.bottom + frame[1] * (up * ankle) + frame[2] * (ahead * foot))

    wide = 0.158 * foot * (1.04 if kind in ("trainers", "boots") else 0.94)
    heel, upper, neck = at(-0.42, -0.075), skin if kind == "sandals" else surface, 0.46 * ankle
    toe = (wide * 1.05, ankle * 0.34, wide * 0.95)
    yield cone(upper, heel, at(-0.66, 0.44), (wide * 0.92, wide * 0.86), frame[1])
    yield ellipsoid(upper, at(-0.80, 0.53), frame, toe, Plane((0.0, -1.0, 0.0), 0.9))
    if kind in ("trainers", "boots", "sandals"):
        yield ellipsoid(surface, at(-0.90, 0.21), frame, (wide * 1.12, ankle * 0.26, foot * 0.54))
    if kind == "trainers":
        yield cone(surface, at(0.1, 0.0), heel, (neck + 0.010, wide * 0.9), frame[2], caps=(False, True))
    elif kind != "boots":
        yield cone(skin, at(0.6, 0.0), heel, (neck, neck * 0.8), frame[2])
    if kind == "heels":
        yield box(surface, at(-0.72, -0.16), frame, (0.014, ankle * 0.30, 0.014))
