"""Clothes as solids over the body: shirts, jackets, trousers, skirts and shoes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Garment, Outer, Person, Shade
from pickout.synthetic.bodies import Girth, bare_arm, bare_leg, girth, hand, skin_surface, trunk_outline
from pickout.synthetic.colours import skin_colour
from pickout.synthetic.pieces import Piece, box, cone, ellipsoid, loft
from pickout.synthetic.raycast import Plane
from pickout.synthetic.skeleton import Limb, Skeleton
from pickout.synthetic.surfaces import Part, Surface

__all__ = ["arm_pieces", "leg_pieces", "outer_pieces", "outermost_ease", "shoe_pieces", "upper_pieces"]

Vector = NDArray[np.float64]

REACH = {"waist": 0.02, "hip": -0.20, "thigh": -0.42, "knee": -0.80, "calf": -1.22, "ankle": -1.58}
"""Height of a hem above the hip joints, in torso lengths."""

DETAILS = {
    "t-shirt": {"round neck"},
    "shirt": {"buttons", "collar"},
    "blouse": {"v neck"},
    "sweater": {"round neck", "ribs"},
    "hoodie": {"zip", "pouch", "ribs"},
    "polo": {"collar", "placket"},
    "tank top": {"low neck"},
    "dress": {"v neck", "waist"},
    "jacket": {"zip", "collar", "pockets"},
    "coat": {"buttons", "lapels", "pockets"},
    "cardigan": {"buttons", "ribs"},
    "vest": {"zip", "quilted"},
    "blazer": {"lapels", "buttons"},
    "puffer jacket": {"zip", "quilted"},
    "raincoat": {"zip", "pockets"},
    "jeans": {"seams", "fade", "pockets"},
    "trousers": {"crease", "pockets"},
    "shorts": {"pockets"},
}


def _second(shade: Shade | None) -> tuple[float, float, float] | None:
    return None if shade is None else shade.rgb


def _cloth(person: Person, skeleton: Skeleton, garment: Garment | Outer, part: Part) -> Surface:
    details = set(DETAILS.get(garment.kind, set()))
    if isinstance(garment, Garment):
        details |= {name for name, on in (("logo", garment.logo), ("torn", garment.torn)) if on}
        if garment.kind == "hoodie" and person.seed % 2:
            details.discard("zip")
        folds = 0.75 * (1.15 - garment.tight)
    else:
        details |= {"open"} if garment.open else set()
        folds = 0.6
    shine = {"puffer jacket": 0.35, "raincoat": 0.4, "vest": 0.25, "leggings": 0.12}.get(garment.kind, 0.05)
    lower = part == Part.LOWER
    return Surface(
        style="cloth",
        rgb=garment.colour.rgb,
        part=part,
        second=_second(garment.second),
        under=person.upper.colour.rgb if part == Part.OUTER else skin_colour(person.skin),
        pattern=garment.pattern,
        details=frozenset(details),
        origin=skeleton.pelvis,
        axes=(skeleton.pelvis_frame if lower else skeleton.chest_frame) / skeleton.size.torso,
        folds=folds,
        shine=shine,
        seed=person.seed + int(part) * 977,
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a trunk garment hangs: lower and upper end (torso lengths), ease (metres), flare of the hem (metres)."""

    bottom: float
    top: float
    ease: float
    flare: float


def _trunk(
    surface: Surface, person: Person, skeleton: Skeleton, shape: _Shape, frame: Vector, gap: float | None = None
) -> Piece:
    """A trunk garment: the body's outline, eased, flaring below the hips."""
    torso = skeleton.size.torso
    heights, wide, deep, shift = trunk_outline(person, torso)
    bottom, top = shape.bottom * torso, shape.top * torso
    inner = heights[(heights > bottom + 0.012) & (heights < top - 0.012)]
    levels = np.concatenate([[bottom], inner, [top]])
    below = np.clip(-0.02 * torso - levels, 0.0, None) / torso
    stride = abs(float((skeleton.legs[0].middle - skeleton.legs[1].middle) @ frame[2])) * 0.42
    hips = shape.flare * np.minimum(below / 0.35, 1.0) ** 0.8 + shape.ease
    long = np.clip((below - 0.15) / 0.6, 0.0, 1.0)
    w = np.interp(levels, heights, wide) + hips + (0.010 if shape.bottom < -0.3 else 0.0) * (below > 0)
    d = np.interp(levels, heights, deep) + hips + long * stride
    # Shoulders lie close; a loose garment bridges the waist.
    close = np.interp(levels / torso, [0.80, 0.95], [1.0, 0.45])
    w = (w - shape.ease) + shape.ease * close
    s = np.interp(levels, heights, shift)
    drape = np.clip((shape.ease - 0.008) / 0.03, 0.0, 0.9) * (levels / torso > 0.0) * (levels / torso < 0.62)
    w = w + drape * np.clip(w.max() * 0.94 - w, 0.0, None)
    d = d + drape * np.clip(d.max() * 0.90 - d, 0.0, None)
    opening = (
        None
        if gap is None
        else [float(gap * torso * g) for g in np.interp(levels / torso, [-0.8, 0.3, 0.98], [1.5, 1.0, 0.55])]
    )
    return loft(
        surface,
        skeleton.pelvis,
        frame,
        list(levels),
        (list(w), list(d), list(s)),
        gap=opening,
        start=(1.03 - shape.top) * torso,
    )


def upper_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """The upper garment's trunk and collar; a dress with its skirt."""
    garment = person.upper
    surface = _cloth(person, skeleton, garment, Part.UPPER)
    ease = upper_ease(person)
    bottom = 0.14 if garment.tucked else REACH[garment.length] + 0.05 * ((person.seed % 7) / 6 - 0.5)
    flare = 0.012
    if garment.kind == "dress":
        flare = 0.030 + 0.060 * ((person.seed >> 3) % 10) / 9
    shape = _Shape(bottom, 1.0, ease, flare)
    pieces = [_trunk(surface, person, skeleton, shape, skeleton.chest_frame)]
    if garment.kind in ("shirt", "polo"):
        pieces.append(_collar(surface, person, skeleton, 0.018))
    if garment.kind == "hoodie" and person.outer is None:
        pieces.append(_hood(surface, skeleton))
    return pieces


def upper_ease(person: Person) -> float:
    """Metres between the body and the upper garment."""
    garment = person.upper
    if garment.tucked:
        return 0.008
    ease = 0.010 + 0.018 * (1.0 - garment.tight) * (person.height / 1.7)
    return ease + (0.008 if garment.kind in ("sweater", "hoodie") else 0.0)


def outermost_ease(person: Person) -> float:
    """Metres between the body and what lies over all of it."""
    return max(upper_ease(person), _outer_ease(person.outer)) + (0.008 if person.outer else 0.0)


def outer_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """The outer garment's trunk, collar and hood."""
    outer = person.outer
    if outer is None:
        return []
    surface = _cloth(person, skeleton, outer, Part.OUTER)
    ease = max(_outer_ease(outer), upper_ease(person)) + 0.008
    gap = None
    if outer.open:
        gap = 0.10 + 0.07 * ((person.seed >> 5) % 8) / 7
    flare = {"coat": 0.035, "raincoat": 0.045, "cardigan": 0.02}.get(outer.kind, 0.004)
    shape = _Shape(REACH[outer.length] + (0.02 if outer.kind == "vest" else 0.0), 1.0, ease, flare)
    pieces = [_trunk(surface, person, skeleton, shape, skeleton.chest_frame, gap)]
    if outer.kind in ("jacket", "coat", "raincoat", "puffer jacket", "vest") and not outer.open:
        pieces.append(_collar(surface, person, skeleton, 0.034))
    if outer.hood:
        pieces.append(_hood(surface, skeleton))
    return pieces


def _outer_ease(outer: Outer | None) -> float:
    if outer is None:
        return 0.0
    return {"puffer jacket": 0.036, "coat": 0.026, "raincoat": 0.028, "cardigan": 0.016}.get(outer.kind, 0.020)


def _collar(surface: Surface, person: Person, skeleton: Skeleton, height: float) -> Piece:
    size = girth(person).neck
    low = skeleton.neck - skeleton.chest_frame[1] * 0.022
    high = low + skeleton.chest_frame[1] * (0.022 + height) + skeleton.head_frame[2] * 0.006
    return cone(
        surface, low, high, (size + 0.020, size + 0.010), skeleton.chest_frame[2], caps=(False, False), start=0.02
    )


def _hood(surface: Surface, skeleton: Skeleton) -> Piece:
    frame = skeleton.chest_frame
    centre = skeleton.neck + (frame[1] * -0.10 - frame[2] * 0.34) * skeleton.size.head
    return ellipsoid(surface, centre, frame, [skeleton.size.head * r for r in (0.56, 0.34, 0.26)])


def arm_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """Arms with sleeves and hands."""
    size, skin = girth(person), skin_surface(person)
    outer = person.outer if person.outer is not None and person.outer.sleeve == "long" else None
    cloth = _cloth(person, skeleton, outer or person.upper, Part.OUTER if outer else Part.UPPER)
    if person.upper.pattern == "colour block" and not outer and person.upper.second and person.seed % 2:
        cloth = _cloth(person, skeleton, _swapped(person.upper), Part.UPPER)
    sleeve = outer.sleeve if outer else person.upper.sleeve
    loose = 0.012 * (1.15 - person.upper.tight) + (0.004 if person.upper.kind in ("sweater", "hoodie") else 0.0)
    ease = 0.004 + (_outer_ease(outer) * 0.55 + 0.004 if outer else loose)
    pieces: list[Piece] = []
    for limb in skeleton.arms:
        pieces += _sleeved(limb, size, sleeve, ease, (cloth, skin), skeleton.chest_frame[2])
        pieces += hand(skin, limb, person.height)
    return pieces


def _swapped(garment: Garment) -> Garment:
    """The garment whose sleeves have its second colour."""
    assert garment.second is not None
    return Garment(garment.kind, garment.second, "plain", None, garment.sleeve, garment.length, tight=garment.tight)


def _sleeved(
    limb: Limb, size: Girth, sleeve: str, ease: float, surfaces: tuple[Surface, Surface], ahead: Vector
) -> list[Piece]:
    cloth, skin = surfaces
    upper, lower = float(np.linalg.norm(limb.middle - limb.top)), float(np.linalg.norm(limb.bottom - limb.middle))
    if sleeve == "long":
        total = upper + lower
        return [
            cone(cloth, limb.top, limb.middle, (size.upper_arm + ease, size.elbow + ease), ahead, hem=total),
            cone(
                cloth,
                limb.middle,
                limb.bottom,
                (size.elbow + ease, size.wrist + ease * 0.7 + 0.003),
                ahead,
                caps=(True, False),
                start=upper,
                hem=total,
            ),
        ]
    pieces = bare_arm(skin, limb, size, ahead)
    if sleeve == "none":
        return [*pieces, ellipsoid(skin, limb.top, np.eye(3), [size.upper_arm * 1.08] * 3)]
    part = {"short": 0.62, "three-quarter": 1.0}[sleeve]
    end = limb.top + (limb.middle - limb.top) * part
    radius = size.upper_arm + (size.elbow - size.upper_arm) * part
    caps = (True, sleeve == "three-quarter")
    pieces.append(
        cone(
            cloth,
            limb.top,
            end,
            (size.upper_arm + ease + 0.002, radius + ease + 0.007),
            ahead,
            caps=caps,
            hem=upper * part,
        )
    )
    if sleeve == "three-quarter":
        stop = limb.middle + (limb.bottom - limb.middle) * 0.45
        pieces.append(
            cone(
                cloth,
                limb.middle,
                stop,
                (radius + ease + 0.002, size.elbow + ease),
                ahead,
                caps=(False, False),
                start=upper,
                hem=upper + lower * 0.45,
            )
        )
    return pieces


def leg_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """Legs, bare, in tights or in trousers, with the seat of the trousers or the skirt."""
    size, garment = girth(person), person.lower
    skin = skin_surface(person)
    if person.socks is not None:
        skin = Surface("plain", person.socks.rgb, Part.LOWER, seed=person.seed, shine=0.1)
    ahead = skeleton.pelvis_frame[2]
    if garment is None:
        return [piece for limb in skeleton.legs for piece in bare_leg(skin, limb, size, ahead)]
    cloth = _cloth(person, skeleton, garment, Part.LOWER)
    bottom = REACH[garment.length] if garment.kind == "skirt" else -0.14
    flare = 0.012 + 0.07 * ((person.seed >> 4) % 10) / 9 if garment.kind == "skirt" else 0.0
    pieces = []
    if person.upper.kind != "dress":
        pieces.append(
            _trunk(
                cloth,
                person,
                skeleton,
                _Shape(bottom, 0.26, 0.014 if person.upper.tucked or garment.kind == "skirt" else 0.004, flare),
                skeleton.pelvis_frame,
            )
        )
    for limb in skeleton.legs:
        if garment.kind == "skirt":
            pieces += bare_leg(skin, limb, size, ahead, -0.006)
        elif garment.kind == "leggings":
            pieces += bare_leg(cloth, limb, size, ahead, 0.003)
        else:
            pieces += _trouser_leg(cloth, skin, limb, size, garment, ahead)
    return pieces


def _trouser_leg(
    cloth: Surface, skin: Surface, limb: Limb, size: Girth, garment: Garment, ahead: Vector
) -> list[Piece]:
    ease = 0.005 + 0.020 * (1.0 - garment.tight)
    thigh, shank = float(np.linalg.norm(limb.middle - limb.top)), float(np.linalg.norm(limb.bottom - limb.middle))
    if garment.kind == "shorts":
        part = 0.55 if garment.length == "thigh" else 0.95
        end = limb.top + (limb.middle - limb.top) * part
        radius = size.thigh + (size.knee - size.thigh) * part + ease + 0.016
        upper = cone(
            cloth,
            limb.top,
            end,
            (size.thigh + ease * 0.6, radius),
            ahead,
            caps=(True, False),
            start=0.1,
            hem=0.1 + thigh * part,
        )
        return [*bare_leg(skin, limb, size, ahead), upper]
    knee = size.knee + ease
    ankle = size.ankle + 0.006 + ease * 1.1
    end = limb.bottom + (limb.bottom - limb.middle) / shank * 0.012
    return [
        cone(cloth, limb.top, limb.middle, (size.thigh + ease * 0.6, knee), ahead, start=0.1),
        cone(
            cloth,
            limb.middle,
            end,
            (knee, max(ankle, knee * 0.72)),
            ahead,
            caps=(True, False),
            start=0.1 + thigh,
            hem=0.11 + thigh + shank,
        ),
        cone(skin, limb.middle, limb.bottom, (size.knee, size.ankle), ahead),
    ]


def shoe_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """Shoes on both feet, pointing forward."""
    shoes, size, foot = person.shoes, girth(person), skeleton.size.foot
    skin = skin_surface(person)
    scale = 1.0 if shoes.kind not in ("trainers", "boots") else 1.10
    pieces: list[Piece] = []
    for limb in skeleton.legs:
        frame, ankle = limb.frame, skeleton.size.ankle
        surface = Surface(
            "shoe",
            shoes.colour.rgb,
            Part.SHOES,
            shoes.sole.rgb,
            details=frozenset({shoes.kind}),
            origin=limb.bottom - frame[1] * ankle,
            axes=frame,
            shine=0.3 if shoes.kind in ("leather shoes", "heels", "boots") else 0.1,
            seed=person.seed,
        )
        heel = limb.bottom + frame.T @ np.array([0.0, -ankle * 0.42, -0.075 * foot])
        ball = limb.bottom + frame.T @ np.array([0.0, -ankle * 0.66, 0.44 * foot])
        wide = 0.165 * foot * scale
        sides = (1.0, 1.0)
        upper = skin if shoes.kind == "sandals" else surface
        pieces.append(cone(upper, heel, ball, (wide * 0.92, wide * 0.86), frame[1], flatten=sides))
        toe = limb.bottom + frame.T @ np.array([0.0, -ankle * 0.80, 0.53 * foot])
        pieces.append(
            ellipsoid(upper, toe, frame, (wide * 1.05, ankle * 0.34, wide * 0.95), Plane((0.0, -1.0, 0.0), 0.9))
        )
        sole = limb.bottom + frame.T @ np.array([0.0, -ankle * 0.90, 0.21 * foot])
        if shoes.kind in ("trainers", "boots", "sandals"):
            pieces.append(ellipsoid(surface, sole, frame, (wide * 1.12, ankle * 0.26, foot * 0.54)))
        if shoes.kind == "boots":
            top = limb.bottom + (limb.middle - limb.bottom) * (0.22 + 0.4 * ((person.seed >> 6) % 3) / 2)
            wider = size.calf if (person.seed >> 6) % 3 else size.ankle + 0.008
            pieces.append(
                cone(surface, top, limb.bottom, (wider + 0.007, size.ankle + 0.012), frame[2], caps=(False, True))
            )
        elif shoes.kind == "trainers":
            pieces.append(
                cone(
                    surface,
                    limb.bottom + frame[1] * 0.015,
                    heel,
                    (size.ankle + 0.008, wide * 0.9),
                    frame[2],
                    caps=(False, True),
                )
            )
        if shoes.kind == "heels":
            block = limb.bottom + frame.T @ np.array([0.0, -ankle * 0.72, -0.16 * foot])
            pieces.append(box(surface, block, frame, (0.014, ankle * 0.30, 0.014)))
        if shoes.kind in ("sandals", "flats", "heels", "leather shoes"):
            pieces.append(cone(skin, limb.bottom + frame[1] * 0.03, heel, (size.ankle, size.ankle * 0.80), frame[2]))
    return pieces
