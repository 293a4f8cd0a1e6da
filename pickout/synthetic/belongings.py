"""What a person wears on head and feet and carries: hats, shoes, scarf, belt, bags, and things in the hand."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from pickout.synthetic.attributes import Bag, Person, View
from pickout.synthetic.bodies import BODIES, Girth, Limb, Skeleton, skin_surface, trunk_outline
from pickout.synthetic.garments import outermost_ease
from pickout.synthetic.solids import Piece, box, cone, ellipsoid, loft
from pickout.synthetic.surfaces import Part, Surface, Vector

_UP = np.array([0.0, 1.0, 0.0])


def headwear_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """The hat, cap or scarf on the head."""
    hat = person.headwear
    if hat is None:
        return
    soft, shine = hat.kind in ("headscarf", "beanie"), 0.45 if hat.kind == "helmet" else 0.05
    look: dict[str, Any] = {"details": frozenset({hat.kind}), "folds": 0.35 if soft else 0.0, "shine": shine}
    surface = skeleton.head_surface("cloth", hat.colour.rgb, Part.HEADWEAR, seed=person.seed + 5, **look)
    if hat.kind in ("brimmed hat", "sun hat"):
        low = skeleton.on_head((0.0, 0.20, -0.02))
        high = low + skeleton.head_frame[1] * 0.30 * skeleton.size.head
        yield skeleton.head_cone(surface, high, low, (0.30, 0.40), caps=(True, False))
    for ball in BODIES["hats"][hat.kind]:
        yield skeleton.head_ball(surface, ball["at"], ball["radii"], *ball.get("cuts", ()))


def shoe_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """Shoes on both feet, pointing forward."""
    shoes, size, ankle = person.shoes, Girth(person), skeleton.size.ankle
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
    yield ellipsoid(upper, at(-0.80, 0.53), frame, toe, (0.0, -1.0, 0.0, 0.9))
    if kind in ("trainers", "boots", "sandals"):
        yield ellipsoid(surface, at(-0.90, 0.21), frame, (wide * 1.12, ankle * 0.26, foot * 0.54))
    if kind == "trainers":
        yield cone(surface, at(0.1, 0.0), heel, (neck + 0.010, wide * 0.9), frame[2], caps=(False, True))
    elif kind != "boots":
        yield cone(skin, at(0.6, 0.0), heel, (neck, neck * 0.8), frame[2])
    if kind == "heels":
        yield box(surface, at(-0.72, -0.16), frame, (0.014, ankle * 0.30, 0.014))


def accessory_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """Scarf and belt."""
    seed, unit, torso, frame = person.seed, skeleton.size.head, skeleton.size.torso, skeleton.chest_frame
    if person.scarf is not None:
        surface = Surface("cloth", person.scarf.rgb, Part.ACCESSORY, folds=0.9, seed=seed + 9)
        middle = skeleton.neck + frame[1] * 0.10 * unit + frame[2] * 0.04 * unit
        yield ellipsoid(surface, middle, frame, (0.40 * unit, 0.20 * unit, 0.40 * unit))
        if seed % 2:
            side = 0.14 * unit * (1 if seed % 4 > 1 else -1)
            top = middle + frame[2] * 0.30 * unit + frame[0] * side
            low = skeleton.on_trunk(side * 1.4, torso * 0.52, 0.068 * person.height + outermost_ease(person))
            yield cone(surface, top, low, (0.13 * unit, 0.15 * unit), frame[2], flatten=(1.2, 0.45))
    if person.belt is not None and person.upper.tucked:
        heights, *outline = trunk_outline(person, torso)
        levels = [0.15 * torso, 0.225 * torso]
        wide, deep, shift = (np.interp(levels, heights, values) for values in outline)
        surface = Surface("plain", person.belt.rgb, Part.ACCESSORY, shine=0.3, seed=seed)
        profile = (wide + 0.026, deep + 0.026, shift)
        yield loft(surface, skeleton.pelvis, skeleton.pelvis_frame, levels, profile, hem=False)


def bag_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """The bag with its straps or handle."""
    bag = person.bag
    if bag is None:
        return
    shine, seed = 0.3 if bag.kind in ("handbag", "suitcase") else 0.1, person.seed + 13
    details = frozenset({bag.kind})
    surface = Surface("cloth", bag.colour.rgb, Part.BAG, details=details, seed=seed, folds=0.15, shine=shine)
    if bag.kind == "backpack":
        yield from _backpack(surface, person, skeleton)
    elif bag.kind == "suitcase":
        frame, (left, right) = skeleton.pelvis_frame, skeleton.arms
        limb, side = (left, 1.0) if bag.side == "left" else (right, -1.0)
        hand, up = limb.bottom + limb.frame[2] * 0.06, np.array([0.0, 0.33, 0.0])
        centre = np.array([hand[0], 0.0, hand[2]]) - frame[2] * 0.20 + frame[0] * side * 0.06 + up
        tilt = np.stack([frame[0], frame[1] * 0.97 + frame[2] * 0.24, frame[2] * 0.97 - frame[1] * 0.24])
        dark, top = Surface("plain", (0.12, 0.12, 0.13), Part.BAG, shine=0.3), centre + tilt[1] * 0.27
        yield box(surface, centre, tilt, (0.19, 0.27, 0.11))
        for aside in (0.07, -0.07):  # poles
            yield cone(dark, top + frame[0] * aside, hand + frame[0] * aside, (0.009, 0.009), frame[2])
        for aside in (0.14, -0.14):  # wheels
            yield ellipsoid(dark, centre - tilt[1] * 0.28 + tilt[0] * aside, np.eye(3), (0.035, 0.04, 0.035))
    else:
        yield from _hanging_bag(surface, bag, person, skeleton)


def _backpack(surface: Surface, person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    h, torso, thick, frame = person.height, skeleton.size.torso, outermost_ease(person), skeleton.chest_frame
    deep = trunk_outline(person, torso)[2]
    size = 0.9 + 0.2 * ((person.seed >> 7) % 10) / 9
    heights, wide, deeper = size * h * np.array(BODIES["backpack"])
    base = skeleton.on_trunk(0.0, torso * 0.97 - heights[-1], -(float(deep[7]) + thick) - 0.022 * h)
    pocket = base + frame.T @ np.array([0.0, heights[2] * 1.2, -0.038 * h * size])
    yield loft(surface, base, frame, heights, (wide, deeper, np.zeros(7)))
    yield ellipsoid(surface, pocket, frame, (0.060 * h * size, 0.042 * h, 0.030 * h))
    for x in (0.058 * h, -0.058 * h):
        strap = (
            (x, torso * 0.955 + thick, -0.02),
            (x * 1.02, torso * 0.925 + thick, float(deep[8]) * 0.70 + thick * 0.6),
            (x * 1.10, torso * 0.76, float(deep[7]) * 0.93 + thick + 0.006),
            (x * 1.32, torso * 0.60, float(deep[6]) * 0.84 + thick),
            (x * 1.75, torso * 0.46, 0.02),
        )
        for first, second in pairwise(skeleton.on_trunk(*place) for place in strap):
            yield cone(surface, first, second, (0.019, 0.019), frame[2])


def _hanging_bag(surface: Surface, bag: Bag, person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    h, torso, thick, chest = person.height, skeleton.size.torso, outermost_ease(person), skeleton.chest_frame
    frame, (left, right) = skeleton.pelvis_frame, skeleton.arms
    _, wide, deep, shift = trunk_outline(person, torso)
    limb, side = (left, 1.0) if bag.side == "left" else (right, -1.0)
    half = np.array(BODIES["bags"][bag.kind]) * (0.9 + 0.25 * ((person.seed >> 8) % 10) / 9) * (h / 1.7)
    if bag.worn == "hand":
        hook = limb.bottom + limb.frame[2] * 0.06
        centre = hook + np.array([0.0, -0.10 - half[1], 0.0])
    else:
        out = float(wide[1]) + thick + half[0] * 1.1 + (0.0 if bag.worn == "across" else 0.012)
        up = (0.02 if bag.kind == "tote" else 0.06) * h
        centre = skeleton.pelvis + frame.T @ np.array([side * out, up, -0.01 * h])
        other = side * (-0.055 if bag.worn == "across" else 0.075)
        hook = skeleton.on_trunk(other * h, torso * 0.965 + thick * 0.5, 0.0)
    if bag.kind == "tote":
        yield box(surface, centre, frame, half)
    else:
        yield box(surface, centre, frame, half * (0.80, 0.92, 0.92))
        yield ellipsoid(surface, centre, frame, half * (1.15, 1.12, 1.12))
    for sign in (1.0, -1.0):
        end = centre + frame[1] * half[1] * 0.9 + frame[2] * half[2] * 0.7 * sign
        if bag.worn == "hand":
            yield cone(surface, hook, end, (0.010, 0.010), frame[2])
            continue
        # A strap from the shoulder over chest or back.
        across = (hook - skeleton.pelvis) @ chest[0] * 0.55 + (end - skeleton.pelvis) @ chest[0] * 0.30
        middle = skeleton.on_trunk(across, torso * 0.70, sign * (float(deep[6]) + thick + 0.006) + float(shift[6]))
        yield cone(surface, hook, middle, (0.012, 0.012), chest[2])
        yield cone(surface, middle, end, (0.012, 0.011), chest[2])


def carried_pieces(person: Person, view: View, skeleton: Skeleton) -> list[Piece]:
    """The thing in a hand."""
    item = view.carried
    if item is None:
        return []
    limb = skeleton.arms[0 if item.hand == "left" else 1]
    surface = Surface("plain", item.colour.rgb, Part.CARRIED, shine=0.25, seed=view.seed)
    grip = limb.bottom + limb.frame[2] * 0.042 * person.height
    upright = np.stack([skeleton.chest_frame[0], _UP, skeleton.chest_frame[2]])
    ahead = upright[2]
    match item.kind:
        case "phone":
            frame = upright if item.use != "carried" else limb.frame[[0, 2, 1]]
            lift = frame[1] * 0.035 + (frame[2] * 0.02 if item.use == "looked at" else 0.0)
            sides = (0.008, 0.068, 0.034) if item.use == "at the ear" else (0.034, 0.068, 0.007)
            return [box(surface, grip + lift, frame, sides)]
        case "bottle":
            low, high = grip - _UP * 0.10, grip + _UP * 0.07
            cap = Surface("plain", (0.9, 0.9, 0.92), Part.CARRIED)
            bottle = cone(surface, low, high, (0.034, 0.028), ahead)
            return [bottle, ellipsoid(cap, high + _UP * 0.04, upright, (0.015, 0.025, 0.015))]
        case "cup":
            return [cone(surface, grip + _UP * 0.07, grip - _UP * 0.05, (0.043, 0.032), ahead)]
        case "book":
            return [box(surface, grip + _UP * 0.04, limb.frame[[2, 1, 0]], (0.12, 0.085, 0.017))]
        case "closed umbrella":
            return [cone(surface, grip + _UP * 0.06, grip - _UP * 0.62, (0.026, 0.012), ahead)]
        case "open umbrella":
            dark = Surface("plain", (0.15, 0.15, 0.15), Part.CARRIED, shine=0.4)
            frame = np.stack([upright[0], _UP, np.cross(upright[0], _UP)])
            head, top = skeleton.head, skeleton.head + _UP * skeleton.size.head * 0.60
            over = np.array([grip[0] * 0.5 + head[0] * 0.5, top[1], grip[2] * 0.5 + head[2] * 0.5])
            look: dict[str, Any] = {"details": frozenset({"umbrella"}), "folds": 0.1, "shine": 0.15}
            canopy = Surface("cloth", item.colour.rgb, Part.CARRIED, origin=over, axes=frame, seed=person.seed, **look)
            dome = ellipsoid(canopy, over, frame, (0.46, 0.25, 0.46), (0.0, -1.0, 0.0, -0.12))
            return [dome, cone(dark, over + _UP * 0.25, grip - _UP * 0.08, (0.008, 0.010), frame[2])]
    centre = grip - np.array([0.0, 0.27, 0.0])
    ends = (centre + _UP * 0.16 + ahead * offset for offset in (0.07, -0.07))
    handles = [cone(surface, grip, end, (0.008, 0.008), ahead) for end in ends]
    return [box(surface, centre, upright, (0.065, 0.17, 0.13)), *handles]
