"""Clothes of the upper body as solids: shirts, dresses, jackets, collars, hoods and sleeves."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Person
from pickout.synthetic.bodies import Girth, bare_arm, girth, hand, skin_surface
from pickout.synthetic.pieces import Piece, cone, ellipsoid
from pickout.synthetic.skeleton import Limb, Skeleton
from pickout.synthetic.surfaces import Part, Surface
from pickout.synthetic.trunk import REACH, Hang, cloth_surface, outer_ease, thigh_reach, trunk_piece, upper_ease

Vector = NDArray[np.float64]


def upper_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """The upper garment's trunk and collar; a dress with its skirt."""
    garment = person.upper
    surface = cloth_surface(person, skeleton, garment, Part.UPPER)
    bottom = 0.14 if garment.tucked else REACH[garment.length] + 0.05 * ((person.seed % 7) / 6 - 0.5)
    flare = 0.010
    if garment.kind == "dress":
        flare = 0.030 + 0.060 * ((person.seed >> 3) % 10) / 9
    hang = Hang(bottom, 1.0, upper_ease(person), flare, thigh_reach(person) + 0.006)
    pieces = [trunk_piece(surface, person, skeleton, hang, skeleton.chest_frame)]
    if person.outer is None or person.outer.sleeve == "none":
        pieces += _yoke(surface, person, skeleton, upper_ease(person), garment.sleeve != "none")
    if garment.kind in ("shirt", "polo"):
        pieces.append(_collar(surface, person, skeleton, 0.018))
    if garment.kind == "hoodie" and person.outer is None:
        pieces.append(_hood(surface, skeleton))
    return pieces


def outer_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """The outer garment's trunk, collar and hood."""
    outer = person.outer
    if outer is None:
        return []
    surface = cloth_surface(person, skeleton, outer, Part.OUTER)
    gap = 0.10 + 0.07 * ((person.seed >> 5) % 8) / 7 if outer.open else None
    flare = {"coat": 0.035, "raincoat": 0.045, "cardigan": 0.02}.get(outer.kind, 0.008)
    bottom = REACH[outer.length] + (0.02 if outer.kind == "vest" else 0.0)
    if person.dress and outer.open:
        gap = max(gap or 0.0, 0.12)
    hang = Hang(bottom, 1.0, outer_ease(person), flare, thigh_reach(person) + 0.012, gap)
    pieces = [trunk_piece(surface, person, skeleton, hang, skeleton.chest_frame)]
    pieces += _yoke(surface, person, skeleton, outer_ease(person), outer.sleeve != "none")
    if outer.kind in ("jacket", "coat", "raincoat", "puffer jacket", "vest") and not outer.open:
        pieces.append(_collar(surface, person, skeleton, 0.034))
    if outer.hood:
        pieces.append(_hood(surface, skeleton))
    return pieces


def _yoke(surface: Surface, person: Person, skeleton: Skeleton, ease: float, sleeved: bool) -> list[Piece]:
    """Cloth from the neck over each shoulder: closes the gap between the trunk and the arms."""
    frame, size, h = skeleton.chest_frame, girth(person), person.height
    pieces = []
    for limb, side in zip(skeleton.arms, (1.0, -1.0), strict=True):
        neck = skeleton.neck + frame.T @ np.array([side * 0.030 * h, -0.026 * h, 0.0])
        joint = limb.top + frame[1] * (0.004 * h)
        if not sleeved:
            joint = neck + (joint - neck) * 0.55
        thick = size.upper_arm * (1.0 if sleeved else 0.72) + ease * 0.8
        pieces.append(cone(surface, neck, joint, (0.016 * h + ease * 0.5, thick * 0.97), frame[2], start=0.03))
        if sleeved:
            chest = skeleton.pelvis + frame.T @ np.array([side * 0.060 * h, skeleton.size.torso * 0.64, 0.0])
            pieces.append(cone(surface, limb.top, chest, (thick * 0.95, 0.036 * h), frame[2], start=0.08))
    return pieces


def _collar(surface: Surface, person: Person, skeleton: Skeleton, height: float) -> Piece:
    size, up = girth(person).neck, skeleton.chest_frame[1]
    low = skeleton.neck - up * 0.022
    high = low + up * (0.022 + height) + skeleton.head_frame[2] * 0.006
    return cone(
        surface, low, high, (size + 0.020, size + 0.010), skeleton.chest_frame[2], caps=(False, False), start=0.02
    )


def _hood(surface: Surface, skeleton: Skeleton) -> Piece:
    frame = skeleton.chest_frame
    centre = skeleton.neck + (frame[1] * -0.10 - frame[2] * 0.34) * skeleton.size.head
    return ellipsoid(surface, centre, frame, [skeleton.size.head * r for r in (0.56, 0.34, 0.26)])


def arm_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """Arms with sleeves and hands."""
    size, skin, upper = girth(person), skin_surface(person), person.upper
    outer = person.outer if person.outer is not None and person.outer.sleeve == "long" else None
    cloth = cloth_surface(person, skeleton, outer or upper, Part.OUTER if outer else Part.UPPER)
    if upper.pattern == "colour block" and not outer and upper.second and person.seed % 2:
        swapped = replace(upper, colour=upper.second, pattern="plain", second=None)
        cloth = cloth_surface(person, skeleton, swapped, Part.UPPER)
    sleeve = outer.sleeve if outer else upper.sleeve
    loose = 0.012 * (1.15 - upper.tight) + (0.004 if upper.kind in ("sweater", "hoodie") else 0.0)
    ease = 0.004 + (outer_ease(person) * 0.5 + 0.002 if outer else loose)
    pieces: list[Piece] = []
    for limb in skeleton.arms:
        pieces += _sleeved(limb, size, sleeve, ease, (cloth, skin), skeleton.chest_frame[2])
        pieces += hand(skin, limb, person.height)
    return pieces


def _sleeved(
    limb: Limb, size: Girth, sleeve: str, ease: float, surfaces: tuple[Surface, Surface], ahead: Vector
) -> list[Piece]:
    cloth, skin = surfaces
    upper, lower = float(np.linalg.norm(limb.middle - limb.top)), float(np.linalg.norm(limb.bottom - limb.middle))
    if sleeve == "long":
        total = upper + lower
        elbow, wrist = size.elbow + ease, size.wrist + ease * 0.7 + 0.003
        return [
            cone(cloth, limb.top, limb.middle, (size.upper_arm + ease, elbow), ahead, hem=total),
            cone(cloth, limb.middle, limb.bottom, (elbow, wrist), ahead, caps=(True, False), start=upper, hem=total),
        ]
    pieces = bare_arm(skin, limb, size, ahead)
    if sleeve == "none":
        return [*pieces, ellipsoid(skin, limb.top, np.eye(3), [size.upper_arm * 1.04] * 3)]
    part = {"short": 0.62, "three-quarter": 1.0}[sleeve]
    end = limb.top + (limb.middle - limb.top) * part
    radius = size.upper_arm + (size.elbow - size.upper_arm) * part
    radii = (size.upper_arm + ease + 0.002, radius + ease + 0.006)
    pieces.append(cone(cloth, limb.top, end, radii, ahead, caps=(True, sleeve == "three-quarter"), hem=upper * part))
    if sleeve == "three-quarter":
        stop = limb.middle + (limb.bottom - limb.middle) * 0.45
        radii = (radius + ease + 0.002, size.elbow + ease)
        hem = upper + lower * 0.45
        pieces.append(cone(cloth, limb.middle, stop, radii, ahead, caps=(False, False), start=upper, hem=hem))
    return pieces
