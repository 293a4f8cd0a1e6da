"""What a person wears on the head and carries: hats, scarf, belt, bags, and things in the hand."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Bag, Carried, Person, View
from pickout.synthetic.bodies import trunk_outline
from pickout.synthetic.pieces import Piece, box, cone, ellipsoid, loft
from pickout.synthetic.raycast import Plane
from pickout.synthetic.skeleton import Skeleton
from pickout.synthetic.surfaces import Part, Surface
from pickout.synthetic.trunk import outermost_ease

Vector = NDArray[np.float64]


def headwear_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """The hat, cap or scarf on the head."""
    hat = person.headwear
    if hat is None:
        return []
    unit, frame = skeleton.size.head, skeleton.head_frame
    surface = Surface(
        "cloth",
        hat.colour.rgb,
        Part.HEADWEAR,
        details=frozenset({hat.kind}),
        origin=skeleton.head,
        axes=frame / unit,
        folds=0.35 if hat.kind in ("headscarf", "beanie") else 0.0,
        shine=0.45 if hat.kind == "helmet" else 0.05,
        seed=person.seed + 5,
    )

    def ball(place: tuple[float, float, float], radii: tuple[float, float, float], *planes: Plane) -> Piece:
        centre = skeleton.head + np.array(place) * unit @ frame
        return ellipsoid(surface, centre, frame, [radius * unit for radius in radii], *planes)

    def above(limit: float, tilt: float = 0.0) -> Plane:
        return Plane((0.0, -1.0, tilt), -limit)

    if hat.kind == "cap":
        crown = ball((0.0, 0.20, -0.02), (0.385, 0.36, 0.45), above(-0.10, 0.12))
        return [crown, ball((0.0, 0.21, 0.46), (0.30, 0.035, 0.30), Plane((0.0, 0.0, -1.0), 0.6))]
    if hat.kind == "beanie":
        return [ball((0.0, 0.20, -0.03), (0.395, 0.44, 0.455), above(-0.28, 0.15))]
    if hat.kind == "helmet":
        return [ball((0.0, 0.20, -0.02), (0.43, 0.40, 0.53), above(-0.25, 0.1))]
    if hat.kind == "headscarf":
        face = Plane((0.0, 0.25, 1.0), 0.52)
        wrap = ball((0.0, 0.03, -0.05), (0.42, 0.54, 0.47), face)
        return [wrap, ball((0.0, -0.50, 0.0), (0.36, 0.26, 0.36))]
    brim = 0.60 if hat.kind == "brimmed hat" else 0.84
    low = skeleton.head + np.array([0.0, 0.20, -0.02]) * unit @ frame
    high = low + frame[1] * 0.30 * unit
    crown = cone(surface, high, low, (0.30 * unit, 0.40 * unit), frame[2], caps=(True, False))
    return [crown, ball((0.0, 0.20, -0.02), (brim * 0.94, 0.045, brim))]


def accessory_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """Scarf and belt."""
    pieces = []
    frame, unit = skeleton.chest_frame, skeleton.size.head
    if person.scarf is not None:
        surface = Surface("cloth", person.scarf.rgb, Part.ACCESSORY, folds=0.9, seed=person.seed + 9)
        middle = skeleton.neck + frame[1] * 0.10 * unit + frame[2] * 0.04 * unit
        pieces.append(ellipsoid(surface, middle, frame, (0.40 * unit, 0.20 * unit, 0.40 * unit)))
        if person.seed % 2:
            side = 0.14 * unit * (1 if person.seed % 4 > 1 else -1)
            top = middle + frame[2] * 0.30 * unit + frame[0] * side
            low = skeleton.pelvis + frame.T @ np.array(
                [side * 1.4, skeleton.size.torso * 0.52, 0.068 * person.height + outermost_ease(person)]
            )
            pieces.append(cone(surface, top, low, (0.13 * unit, 0.15 * unit), frame[2], flatten=(1.2, 0.45)))
    if person.belt is not None and (person.upper.tucked or person.outer is None) and person.upper.tucked:
        torso = skeleton.size.torso
        heights, wide, deep, shift = trunk_outline(person, torso)
        levels = [0.15 * torso, 0.225 * torso]
        profile = [
            list(np.interp(levels, heights, values) + extra)
            for values, extra in ((wide, 0.026), (deep, 0.026), (shift, 0.0))
        ]
        surface = Surface("plain", person.belt.rgb, Part.ACCESSORY, shine=0.3, seed=person.seed)
        pieces.append(
            loft(
                surface, skeleton.pelvis, skeleton.pelvis_frame, levels, (profile[0], profile[1], profile[2]), hem=False
            )
        )
    return pieces


def bag_pieces(person: Person, skeleton: Skeleton) -> list[Piece]:
    """The bag with its straps or handle."""
    bag = person.bag
    if bag is None:
        return []
    surface = Surface(
        "cloth",
        bag.colour.rgb,
        Part.BAG,
        details=frozenset({bag.kind}),
        seed=person.seed + 13,
        folds=0.15,
        shine=0.3 if bag.kind in ("handbag", "suitcase") else 0.1,
    )
    if bag.kind == "backpack":
        return _backpack(surface, person, skeleton)
    if bag.kind == "suitcase":
        return _suitcase(surface, bag, skeleton)
    return _hanging_bag(surface, bag, person, skeleton)


def _backpack(surface: Surface, person: Person, skeleton: Skeleton) -> list[Piece]:
    frame, h = skeleton.chest_frame, person.height
    thick = outermost_ease(person)
    _, _, deep, _ = trunk_outline(person, skeleton.size.torso)
    back = float(deep[7]) + thick
    size = 0.9 + 0.2 * ((person.seed >> 7) % 10) / 9
    heights = [size * h * value for value in (0.0, 0.012, 0.05, 0.13, 0.21, 0.25, 0.268)]
    wide = [size * h * value for value in (0.030, 0.070, 0.084, 0.086, 0.080, 0.062, 0.020)]
    deeper = [size * h * value for value in (0.020, 0.046, 0.056, 0.052, 0.042, 0.032, 0.010)]
    base = skeleton.pelvis + frame.T @ np.array([0.0, skeleton.size.torso * 0.97 - heights[-1], -back - 0.022 * h])
    pieces = [loft(surface, base, frame, heights, (wide, deeper, [0.0] * 7))]
    pocket = base + frame.T @ np.array([0.0, heights[2] * 1.2, -0.038 * h * size])
    pieces.append(ellipsoid(surface, pocket, frame, (0.060 * h * size, 0.042 * h, 0.030 * h)))
    torso = skeleton.size.torso
    for side in (1.0, -1.0):
        x = side * 0.058 * h
        places = (
            (x, torso * 0.955 + thick, -0.02),
            (x * 1.02, torso * 0.925 + thick, float(deep[8]) * 0.70 + thick * 0.6),
            (x * 1.10, torso * 0.76, float(deep[7]) * 0.93 + thick + 0.006),
            (x * 1.32, torso * 0.60, float(deep[6]) * 0.84 + thick),
            (x * 1.75, torso * 0.46, 0.02),
        )
        points = [skeleton.pelvis + frame.T @ np.array(place) for place in places]
        for first, second in pairwise(points):
            pieces.append(cone(surface, first, second, (0.019, 0.019), frame[2]))
    return pieces


def _suitcase(surface: Surface, bag: Bag, skeleton: Skeleton) -> list[Piece]:
    frame = skeleton.pelvis_frame
    limb = skeleton.arms[0 if bag.side == "left" else 1]
    side = 1.0 if bag.side == "left" else -1.0
    hand = limb.bottom + limb.frame[2] * 0.06
    centre = np.array([hand[0], 0.0, hand[2]]) - frame[2] * 0.20 + frame[0] * side * 0.06 + np.array([0.0, 0.33, 0.0])
    tilt = np.stack([frame[0], frame[1] * 0.97 + frame[2] * 0.24, frame[2] * 0.97 - frame[1] * 0.24])
    dark = Surface("plain", (0.12, 0.12, 0.13), Part.BAG, shine=0.3)
    pieces = [box(surface, centre, tilt, (0.19, 0.27, 0.11))]
    top = centre + tilt[1] * 0.27
    for offset in (0.07, -0.07):
        pieces.append(cone(dark, top + frame[0] * offset, hand + frame[0] * offset, (0.009, 0.009), frame[2]))
    for offset in (0.14, -0.14):
        pieces.append(ellipsoid(dark, centre - tilt[1] * 0.28 + tilt[0] * offset, np.eye(3), (0.035, 0.04, 0.035)))
    return pieces


def _hanging_bag(surface: Surface, bag: Bag, person: Person, skeleton: Skeleton) -> list[Piece]:
    h, side = person.height, 1.0 if bag.side == "left" else -1.0
    frame = skeleton.pelvis_frame
    sizes = {"handbag": (0.046, 0.105, 0.145), "tote": (0.036, 0.155, 0.145), "shoulder bag": (0.042, 0.095, 0.125)}
    half = np.array(sizes[bag.kind]) * (0.9 + 0.25 * ((person.seed >> 8) % 10) / 9) * (h / 1.7)
    _, wide, _, _ = trunk_outline(person, skeleton.size.torso)
    thick = outermost_ease(person)
    if bag.worn == "hand":
        limb = skeleton.arms[0 if bag.side == "left" else 1]
        grip = limb.bottom + limb.frame[2] * 0.06
        centre = grip + np.array([0.0, -0.10 - half[1], 0.0])
        hooks = [grip, grip]
    else:
        lift = 0.02 if bag.kind == "tote" else 0.06
        out = float(wide[1]) + thick + half[0] * 1.1 + (0.0 if bag.worn == "across" else 0.012)
        centre = skeleton.pelvis + frame.T @ np.array([side * out, lift * h, -0.01 * h])
        other = side * -0.055 if bag.worn == "across" else side * 0.075
        top = np.array([other * h, skeleton.size.torso * 0.965 + thick * 0.5, 0.0])
        hooks = [skeleton.pelvis + skeleton.chest_frame.T @ top] * 2
    round_ = bag.kind != "tote"
    pieces = [box(surface, centre, frame, (half * (0.80, 0.92, 0.92) if round_ else half).tolist())]
    if round_:
        pieces.append(ellipsoid(surface, centre, frame, (half * (1.15, 1.12, 1.12)).tolist()))
    top = centre + frame[1] * half[1] * 0.9
    for index, sign in enumerate((1.0, -1.0)):
        end = top + frame[2] * half[2] * 0.7 * sign
        if bag.worn == "hand":
            pieces.append(cone(surface, hooks[index], end, (0.010, 0.010), frame[2]))
        else:
            pieces += _strap(surface, person, skeleton, hooks[index], end, sign)
    return pieces


def _strap(surface: Surface, person: Person, skeleton: Skeleton, hook: Vector, end: Vector, sign: float) -> list[Piece]:
    """A strap from the shoulder over chest (`sign` 1) or back (-1) to the bag."""
    frame, torso = skeleton.chest_frame, skeleton.size.torso
    _, _, deep, shift = trunk_outline(person, torso)
    away = float(deep[6]) + outermost_ease(person) + 0.006
    across = (hook - skeleton.pelvis) @ frame[0] * 0.55 + (end - skeleton.pelvis) @ frame[0] * 0.30
    middle = skeleton.pelvis + frame.T @ np.array([across, torso * 0.70, sign * away + float(shift[6])])
    return [cone(surface, hook, middle, (0.012, 0.012), frame[2]), cone(surface, middle, end, (0.012, 0.011), frame[2])]


def carried_pieces(person: Person, view: View, skeleton: Skeleton) -> list[Piece]:
    """The thing in a hand."""
    item = view.carried
    if item is None:
        return []
    limb = skeleton.arms[0 if item.hand == "left" else 1]
    surface = Surface("plain", item.colour.rgb, Part.CARRIED, shine=0.25, seed=view.seed)
    grip = limb.bottom + limb.frame[2] * 0.042 * person.height
    upright = np.stack([skeleton.chest_frame[0], np.array([0.0, 1.0, 0.0]), skeleton.chest_frame[2]])
    if item.kind in ("open umbrella", "closed umbrella"):
        return _umbrella(surface, item, person, skeleton, grip)
    if item.kind == "phone":
        ahead = upright if item.use != "carried" else limb.frame[[0, 2, 1]]
        raise_ = ahead[1] * 0.035 + (ahead[2] * 0.02 if item.use == "looked at" else 0.0)
        sides = (0.008, 0.068, 0.034) if item.use == "at the ear" else (0.034, 0.068, 0.007)
        return [box(surface, grip + raise_, ahead, sides)]
    if item.kind == "bottle":
        low, high = grip - upright[1] * 0.10, grip + upright[1] * 0.07
        cap = Surface("plain", (0.9, 0.9, 0.92), Part.CARRIED)
        return [
            cone(surface, low, high, (0.034, 0.028), upright[2]),
            ellipsoid(cap, high + upright[1] * 0.04, upright, (0.015, 0.025, 0.015)),
        ]
    if item.kind == "cup":
        return [cone(surface, grip + upright[1] * 0.07, grip - upright[1] * 0.05, (0.043, 0.032), upright[2])]
    if item.kind == "book":
        return [box(surface, grip + upright[1] * 0.04, limb.frame[[2, 1, 0]], (0.12, 0.085, 0.017))]
    centre = grip - np.array([0.0, 0.27, 0.0])
    handles = [
        cone(surface, grip, centre + upright[1] * 0.16 + upright[2] * dz, (0.008, 0.008), upright[2])
        for dz in (0.07, -0.07)
    ]
    return [box(surface, centre, upright, (0.065, 0.17, 0.13)), *handles]


def _umbrella(surface: Surface, item: Carried, person: Person, skeleton: Skeleton, grip: Vector) -> list[Piece]:
    up = np.array([0.0, 1.0, 0.0])
    dark = Surface("plain", (0.15, 0.15, 0.15), Part.CARRIED, shine=0.4)
    frame = np.stack([skeleton.chest_frame[0], up, np.cross(skeleton.chest_frame[0], up)])
    if item.kind == "closed umbrella":
        return [cone(surface, grip + up * 0.06, grip - up * 0.62, (0.026, 0.012), skeleton.chest_frame[2])]
    top = skeleton.head + up * skeleton.size.head * 0.60
    toward = np.array([grip[0] * 0.5 + skeleton.head[0] * 0.5, top[1], grip[2] * 0.5 + skeleton.head[2] * 0.5])
    canopy = Surface(
        "cloth",
        item.colour.rgb,
        Part.CARRIED,
        details=frozenset({"umbrella"}),
        origin=toward,
        axes=frame,
        folds=0.1,
        shine=0.15,
        seed=person.seed,
    )
    dome = ellipsoid(canopy, toward, frame, (0.46, 0.25, 0.46), Plane((0.0, -1.0, 0.0), -0.12))
    return [dome, cone(dark, toward + up * 0.25, grip - up * 0.08, (0.008, 0.010), frame[2])]
