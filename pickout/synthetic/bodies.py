"""The body without its clothes' details: outline of the trunk, limbs, hands, head, face and hair, as pieces."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Person
from pickout.synthetic.colours import skin_colour
from pickout.synthetic.pieces import Piece, cone, ellipsoid
from pickout.synthetic.raycast import Plane
from pickout.synthetic.skeleton import Limb, Skeleton
from pickout.synthetic.surfaces import Part, Surface

Vector = NDArray[np.float64]


def hairline(seed: int) -> Plane:
    """Where hair grows on this head, in head heights from its middle: parted to a side, higher or lower."""
    return Plane((0.09 * (seed % 5 - 2), -1.0, 0.95), 0.05 - 0.02 * (seed % 4))


@dataclass(frozen=True, slots=True)
class Girth:
    """Radii in metres."""

    upper_arm: float
    elbow: float
    wrist: float
    thigh: float
    knee: float
    calf: float
    ankle: float
    neck: float


def girth(person: Person) -> Girth:
    """Radii of the limbs for sex, build and height."""
    h = person.height
    thick = h * (0.87 + 0.36 * person.build)
    arm = 0.90 if person.sex == "woman" else 1.0
    leg = 1.03 if person.sex == "woman" else 1.0
    return Girth(
        upper_arm=thick * 0.0290 * arm,
        elbow=thick * 0.0225 * arm,
        wrist=h * 0.0155 * arm,
        thigh=thick * 0.0475 * leg,
        knee=thick * 0.0325,
        calf=thick * 0.0325,
        ankle=h * 0.0205,
        neck=thick * (0.0262 if person.sex == "woman" else 0.0310),
    )


def trunk_outline(person: Person, torso: float) -> tuple[Vector, Vector, Vector, Vector]:
    """Heights above the hip joints, half-widths, half-depths and forward shifts of the trunk, metres."""
    h, woman, child = person.height, person.sex == "woman", person.age == "child"
    wide = 0.90 + 0.26 * person.build
    deep = 0.86 + 0.34 * person.build
    belly = 0.024 * max(0.0, person.build - 0.45) / 0.55
    heights = np.array([-0.16, -0.06, 0.08, 0.24, 0.36, 0.52, 0.68, 0.79, 0.86, 0.92, 0.97, 1.05]) * torso
    if woman and not child:
        widths = np.array([0.088, 0.099, 0.101, 0.090, 0.080, 0.083, 0.089, 0.093, 0.092, 0.077, 0.055, 0.033])
        depths = np.array([0.058, 0.068, 0.070, 0.058, 0.053, 0.058, 0.073, 0.066, 0.053, 0.043, 0.036, 0.030])
        shifts = np.array([-0.010, -0.012, -0.008, 0.000, 0.003, 0.006, 0.013, 0.006, -0.003, -0.006, -0.004, 0.0])
    else:
        widths = np.array([0.086, 0.094, 0.096, 0.091, 0.089, 0.095, 0.104, 0.109, 0.107, 0.090, 0.065, 0.038])
        depths = np.array([0.056, 0.064, 0.065, 0.058, 0.056, 0.061, 0.068, 0.067, 0.058, 0.048, 0.041, 0.035])
        shifts = np.array([-0.006, -0.008, -0.006, 0.0, 0.002, 0.004, 0.005, 0.003, -0.003, -0.006, -0.004, 0.0])
    if child:
        widths[5:9] *= 0.92
    bulge = np.exp(-(((heights / torso - 0.33) / 0.22) ** 2)) * belly * h
    return heights, h * widths * wide, h * depths * deep + bulge * 0.7, h * shifts + bulge * 0.6


def skin_surface(person: Person) -> Surface:
    """Bare skin."""
    return Surface("skin", skin_colour(person.skin), Part.SKIN, seed=person.seed)


def bare_arm(surface: Surface, limb: Limb, size: Girth, ahead: Vector, ease: float = 0.0) -> list[Piece]:
    """Upper arm and forearm, `ease` metres thicker than the body."""
    return [
        cone(surface, limb.top, limb.middle, (size.upper_arm + ease, size.elbow + ease), ahead),
        cone(surface, limb.middle, limb.bottom, (size.elbow + ease, size.wrist + ease * 0.6), ahead),
    ]


def hand(surface: Surface, limb: Limb, height: float) -> list[Piece]:
    """A loosely closed hand with its thumb."""
    forward = limb.frame[2]
    centre = limb.bottom + forward * 0.036 * height
    thumb = limb.bottom + forward * 0.028 * height + limb.frame[1] * 0.014 * height
    return [
        ellipsoid(surface, centre, limb.frame, (0.0125 * height, 0.0215 * height, 0.042 * height)),
        ellipsoid(surface, thumb, limb.frame, (0.008 * height, 0.009 * height, 0.020 * height)),
    ]


def bare_leg(surface: Surface, limb: Limb, size: Girth, ahead: Vector, ease: float = 0.0) -> list[Piece]:
    """Thigh, calf and ankle, close to the body."""
    calf = limb.middle + (limb.bottom - limb.middle) * 0.30 - ahead * size.calf * 0.22
    return [
        cone(surface, limb.top, limb.middle, (size.thigh + ease, size.knee + ease), ahead),
        cone(surface, limb.middle, calf, (size.knee + ease, size.calf + ease), ahead, start=0.4),
        cone(surface, calf, limb.bottom, (size.calf + ease, size.ankle + ease), ahead, start=0.5),
    ]


def head_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """Neck, skull, jaw, nose, ears and hair."""
    unit, frame, centre = skeleton.size.head, skeleton.head_frame, skeleton.head
    details = {"beard"} if person.beard else set()
    if person.glasses:
        details.add(person.glasses)
    if person.sex == "woman":
        details.add("lips")
    if person.hair.length == "bald":
        details.add("bald")
    elif person.hair.length == "very short":
        details.add("cropped")
    rgb = skin_colour(person.skin)
    face = Surface(
        "face",
        rgb,
        Part.SKIN,
        person.hair.colour.rgb,
        details=frozenset(details),
        origin=centre,
        axes=frame / unit,
        seed=person.seed,
    )
    skin = skin_surface(person)

    def at(x: float, y: float, z: float) -> Vector:
        return centre + np.array([x, y, z]) * unit @ frame

    def ball(surface: Surface, place: tuple[float, float, float], radii: tuple[float, float, float]) -> Piece:
        return ellipsoid(surface, at(*place), frame, [radius * unit for radius in radii])

    jaw = 0.275 if person.sex == "man" else 0.25
    neck = girth(person).neck
    pieces = [
        cone(skin, skeleton.neck - skeleton.chest_frame[1] * 0.03, at(0, -0.22, -0.05), (neck * 1.1, neck), frame[2]),
        ball(face, (0.0, 0.10, -0.02), (0.330, 0.395, 0.395)),
        ball(face, (0.0, -0.19, 0.07), (jaw, 0.315, 0.295)),
        ball(face, (0.0, -0.06, 0.37), (0.045, 0.075, 0.065)),
        ball(skin, (0.335, -0.03, -0.02), (0.03, 0.095, 0.06)),
        ball(skin, (-0.335, -0.03, -0.02), (0.03, 0.095, 0.06)),
    ]
    return [*pieces, *_skull_hair(person, skeleton), *hanging_hair(person, skeleton)]


def _shell(
    surface: Surface, skeleton: Skeleton, place: tuple[float, float, float], radii: tuple[float, float, float]
) -> Piece:
    """A hair shell: an ellipsoid about the head cut at the hairline."""
    unit, frame = skeleton.size.head, skeleton.head_frame
    line = hairline(surface.seed)
    n, limit = line.normal, line.limit
    scaled = (n[0] * radii[0], n[1] * radii[1], n[2] * radii[2])
    rest = limit - sum(a * b for a, b in zip(n, place, strict=True))
    centre = skeleton.head + np.array(place) * unit @ frame
    return ellipsoid(surface, centre, frame, [radius * unit for radius in radii], Plane(scaled, rest))


def _hair_surface(person: Person, skeleton: Skeleton) -> Surface:
    return Surface(
        "hair",
        person.hair.colour.rgb,
        Part.HAIR,
        details=frozenset({person.hair.style}),
        origin=skeleton.head,
        axes=skeleton.head_frame / skeleton.size.head,
        folds=0.5,
        shine=0.35,
        seed=person.seed,
    )


def _skull_hair(person: Person, skeleton: Skeleton) -> list[Piece]:
    hair = person.hair
    if hair.length == "bald":
        return []
    thick = {"very short": 0.012, "short": 0.045, "medium": 0.055, "long": 0.055}[hair.length]
    thick += 0.085 if hair.style == "curly" and hair.length != "very short" else 0.0
    surface = _hair_surface(person, skeleton)
    return [_shell(surface, skeleton, (0.0, 0.10 + thick * 0.4, -0.03), (0.335 + thick, 0.395 + thick, 0.40 + thick))]


def hanging_hair(person: Person, skeleton: Skeleton) -> list[Piece]:
    """Hair beyond the skull: a bun, a ponytail, or loose over the neck and the back."""
    if person.hair.length not in ("medium", "long"):
        return []
    surface = _hair_surface(person, skeleton)
    if person.hair.style in ("bun", "ponytail"):
        return _tied(surface, skeleton, person.hair.style)
    return _loose(surface, person, skeleton)


def _tied(surface: Surface, skeleton: Skeleton, style: str) -> list[Piece]:
    unit, frame, centre = skeleton.size.head, skeleton.head_frame, skeleton.head
    knot = centre + np.array([0.0, 0.22 if style == "bun" else 0.12, -0.47]) * unit @ frame
    if style == "bun":
        return [ellipsoid(surface, knot, frame, (0.17 * unit, 0.16 * unit, 0.15 * unit))]
    middle = knot + (np.array([0.0, -0.30, -0.17]) * unit) @ frame
    end = middle + (np.array([0.0, -0.62, 0.06]) * unit) @ frame
    return [
        cone(surface, knot, middle, (0.09 * unit, 0.125 * unit), frame[2]),
        cone(surface, middle, end, (0.125 * unit, 0.06 * unit), frame[2]),
    ]


def _loose(surface: Surface, person: Person, skeleton: Skeleton) -> list[Piece]:
    """Hair that falls over neck, shoulders or back."""
    unit, frame, centre, chest = skeleton.size.head, skeleton.head_frame, skeleton.head, skeleton.chest_frame
    long = person.hair.length == "long"
    wide = {"straight": 0.0, "plain": 0.0, "wavy": 0.05, "curly": 0.12}.get(person.hair.style, 0.0)
    crown = centre + np.array([0.0, -0.02, -0.14]) * unit @ frame
    drop = -(0.85 + 0.008 * (person.seed % 100)) if long else -0.42
    depth = -0.10 if long else -0.06
    tip = crown + (chest[1] * drop + chest[2] * depth) * unit
    pieces = [
        cone(
            surface,
            crown,
            tip,
            ((0.39 + wide) * unit, (0.33 + wide) * unit),
            frame[2],
            flatten=(1.0, 0.62),
            caps=(True, True),
            start=0.1,
        )
    ]
    back = Plane((0.0, 0.0, 1.0), 0.25)
    pieces.append(
        ellipsoid(
            surface,
            centre + np.array([0.0, -0.18, -0.10]) * unit @ frame,
            frame,
            ((0.40 + wide) * unit, 0.36 * unit, 0.36 * unit),
            back,
        )
    )
    if long and person.seed % 2:
        for side in (1.0, -1.0):
            top = centre + np.array([side * 0.33, 0.10, 0.05]) * unit @ frame
            low = skeleton.neck + (chest[0] * side * 0.42 + chest[1] * -0.30 + chest[2] * 0.42) * unit
            pieces.append(
                cone(
                    surface,
                    top,
                    low,
                    ((0.12 + wide * 0.5) * unit, 0.10 * unit),
                    frame[2],
                    flatten=(1.0, 0.6),
                    start=0.1,
                )
            )
    return pieces
