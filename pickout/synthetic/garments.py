"""Clothes as solids: how they stand off the body, how far down they reach, collars, sleeves and legs."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pickout.files import packaged_table
from pickout.synthetic.attributes import Garment, Outer, Person, tags
from pickout.synthetic.bodies import Girth, Limb, Skeleton, bare_leg, skin_surface, trunk_outline
from pickout.synthetic.habits import skin_colour
from pickout.synthetic.solids import Piece, cone, ellipsoid, loft
from pickout.synthetic.surfaces import Part, Surface, Vector

CLOTH = packaged_table("pickout.synthetic", "cloth.toml")  # details, gloss and cut by the garment's kind


def cloth_surface(person: Person, skeleton: Skeleton, garment: Garment | Outer, part: Part) -> Surface:
    """The surface of a garment, with the details of its kind."""
    details, kind, seed = set(CLOTH["details"].get(garment.kind, ())), garment.kind, person.seed
    pleats, knit = kind in ("skirt", "dress") and seed % 3 == 0, kind in ("sweater", "cardigan") and seed % 2 == 1
    details |= tags(pleats=pleats, knit=knit)
    if isinstance(garment, Garment):
        details |= tags(logo=garment.logo, torn=garment.torn)
    else:
        details |= tags(open=garment.open)
    if kind == "hoodie" and seed % 2:
        details.discard("zip")
    return Surface(
        style="cloth",
        rgb=garment.colour.rgb,
        part=part,
        second=None if garment.second is None else garment.second.rgb,
        under=person.upper.colour.rgb if part == Part.OUTER else skin_colour(person.skin),
        pattern=garment.pattern,
        details=frozenset(details),
        origin=skeleton.pelvis,
        axes=(skeleton.pelvis_frame if part == Part.LOWER else skeleton.chest_frame) / skeleton.size.torso,
        folds=0.8 * (1.2 - garment.tight) if isinstance(garment, Garment) else 0.7,
        shine=CLOTH["shine"].get(kind, 0.05),
        seed=seed + int(part) * 977,
    )


def upper_ease(person: Person) -> float:
    """Metres between the body and the upper garment."""
    garment = person.upper
    if garment.tucked:
        return 0.008
    ease = 0.009 + 0.016 * (1.0 - garment.tight) * (person.height / 1.7)
    return ease + (0.007 if garment.kind in ("sweater", "hoodie") else 0.0)


def outermost_ease(person: Person) -> float:
    """Metres between the body and what lies over all of it."""
    if person.outer is None:
        return upper_ease(person)
    return max(float(CLOTH["ease"].get(person.outer.kind, 0.020)), upper_ease(person)) + 0.007


def leg_ease(person: Person) -> float:
    """Metres between the thighs and what covers them; bare legs under a skirt are a little slimmer."""
    garment = person.lower
    if garment is None or garment.kind == "skirt":
        return -0.006
    return 0.003 if garment.kind == "leggings" else 0.004 + 0.016 * (1.0 - garment.tight)


def thigh_reach(person: Person) -> float:
    """Radius of a covered thigh at the hip, metres."""
    return Girth(person).thigh + leg_ease(person) * 0.8


def trunk_piece(
    surface: Surface,
    person: Person,
    skeleton: Skeleton,
    frame: Vector,  # the pelvis' or the chest's, along which it hangs
    *,
    bottom: float,  # its lower end above the hip joints, torso lengths
    ease: float,  # how far it stands off the body, metres
    flare: float,  # how much wider its hem is, metres
    clear: float,  # radius of the thighs that must stay inside it, metres
    top: float = 1.0,  # its upper end, torso lengths
    gap: float | None = None,  # half-width of its opening in front, torso lengths; None when closed
) -> Piece:
    """A trunk garment: the body's outline, eased, flaring below the hips, wide enough for the thighs."""
    torso, thigh = skeleton.size.torso, skeleton.size.thigh
    heights, wide, deep, shift = trunk_outline(person, torso)
    extra = np.array([height for height in (-0.55, -0.30) if height > bottom + 0.1]) * torso
    within = (heights > bottom * torso + 0.012) & (heights < top * torso - 0.012)
    levels = np.concatenate([[bottom * torso], extra, heights[within], [top * torso]])
    share = levels / torso
    below = np.clip(-0.02 - share, 0.0, None)
    stand = ease * np.interp(share, [0.80, 0.95], [1.0, 0.45]) + flare * np.minimum(below / 0.35, 1.0) ** 0.8
    w, d = np.interp(levels, heights, wide) + stand, np.interp(levels, heights, deep) + stand
    s = np.interp(levels, heights, shift)
    # A loose garment bridges the waist.
    drape = np.clip((ease - 0.008) / 0.03, 0.0, 0.9) * ((share > 0.0) & (share < 0.62))
    w = w + drape * np.clip(w.max() * 0.94 - w, 0.0, None)
    d = d + drape * np.clip(d.max() * 0.90 - d, 0.0, None)
    # Striding thighs stay inside.
    swings = [float((leg.middle - leg.top) @ frame[2]) for leg in skeleton.legs]
    lead, trail = max(0.0, *swings), max(0.0, *(-swing for swing in swings))
    along = np.minimum(below * torso / thigh, 1.0)
    stride = along * 0.5 * (lead + trail)
    s = np.where(below > 0.0, 0.3 * s, s) + along * 0.5 * (lead - trail)
    spare = 0.0 if clear <= 0.0 else 0.022 if bottom > -0.3 else 0.032
    low = np.clip((0.16 - share) / 0.14, 0.0, 1.0)
    slim = clear * np.interp(below * torso / thigh, [0.0, 1.0], [1.0, 0.72])
    w = w + low * np.clip(1.09 * (skeleton.size.hip + slim) - w, 0.0, None)
    d = d + low * np.clip(1.20 * (slim + stride) + np.abs(s) + spare - d, 0.0, None)
    opening = None if gap is None else gap * torso * np.interp(share, [-0.8, 0.3, 0.98], [1.5, 1.0, 0.55])
    return loft(surface, skeleton.pelvis, frame, levels, (w, d, s), gap=opening, start=(1.03 - top) * torso)


def upper_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """The upper garment's trunk and collar; a dress with its skirt."""
    garment, ease = person.upper, upper_ease(person)
    surface = cloth_surface(person, skeleton, garment, Part.UPPER)
    bottom = 0.14 if garment.tucked else CLOTH["hem"][garment.length] + 0.05 * ((person.seed % 7) / 6 - 0.5)
    flare = 0.030 + 0.060 * ((person.seed >> 3) % 10) / 9 if person.dress else 0.010
    frame, clear = skeleton.chest_frame, thigh_reach(person) + 0.006
    yield trunk_piece(surface, person, skeleton, frame, bottom=bottom, ease=ease, flare=flare, clear=clear)
    if person.outer is None or person.outer.sleeve == "none":
        yield from _yoke(surface, person, skeleton, ease, garment.sleeve != "none")
    if garment.kind in ("shirt", "polo"):
        yield _collar(surface, person, skeleton, 0.018)
    if garment.kind == "hoodie" and person.outer is None:
        yield _hood(surface, skeleton)


def outer_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """The outer garment's trunk, collar and hood."""
    outer, ease = person.outer, outermost_ease(person)
    if outer is None:
        return
    surface = cloth_surface(person, skeleton, outer, Part.OUTER)
    gap = max(0.10 + 0.07 * ((person.seed >> 5) % 8) / 7, 0.12 * person.dress) if outer.open else None
    cut = {
        "bottom": CLOTH["hem"][outer.length] + (0.02 if outer.kind == "vest" else 0.0),
        "flare": CLOTH["flare"].get(outer.kind, 0.008),
        "clear": thigh_reach(person) + 0.012,
    }
    yield trunk_piece(surface, person, skeleton, skeleton.chest_frame, ease=ease, gap=gap, **cut)
    yield from _yoke(surface, person, skeleton, ease, outer.sleeve != "none")
    if outer.kind in ("jacket", "coat", "raincoat", "puffer jacket", "vest") and not outer.open:
        yield _collar(surface, person, skeleton, 0.034)
    if outer.hood:
        yield _hood(surface, skeleton)


def _yoke(surface: Surface, person: Person, skeleton: Skeleton, ease: float, sleeved: bool) -> Iterator[Piece]:
    """Cloth from the neck over each shoulder: closes the gap between the trunk and the arms."""
    frame, h = skeleton.chest_frame, person.height
    thick = Girth(person).upper_arm * (1.0 if sleeved else 0.72) + ease * 0.8
    for limb, side in zip(skeleton.arms, (1.0, -1.0), strict=True):
        neck = skeleton.neck + frame.T @ np.array([side * 0.030 * h, -0.026 * h, 0.0])
        joint = limb.top + frame[1] * (0.004 * h)
        if not sleeved:
            joint = neck + (joint - neck) * 0.55
        yield cone(surface, neck, joint, (0.016 * h + ease * 0.5, thick * 0.97), frame[2], start=0.03)
        if sleeved:
            chest = skeleton.on_trunk(side * 0.060 * h, skeleton.size.torso * 0.64, 0.0)
            yield cone(surface, limb.top, chest, (thick * 0.95, 0.036 * h), frame[2], start=0.08)


def _collar(surface: Surface, person: Person, skeleton: Skeleton, height: float) -> Piece:
    neck, frame = Girth(person).neck, skeleton.chest_frame
    low = skeleton.neck - frame[1] * 0.022
    high = low + frame[1] * (0.022 + height) + skeleton.head_frame[2] * 0.006
    return cone(surface, low, high, (neck + 0.020, neck + 0.010), frame[2], caps=(False, False), start=0.02)


def _hood(surface: Surface, skeleton: Skeleton) -> Piece:
    frame = skeleton.chest_frame
    centre = skeleton.neck + (frame[1] * -0.10 - frame[2] * 0.34) * skeleton.size.head
    return ellipsoid(surface, centre, frame, [skeleton.size.head * r for r in (0.56, 0.34, 0.26)])


def arm_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """Arms with sleeves and hands."""
    size, skin, upper = Girth(person), skin_surface(person), person.upper
    outer = person.outer if person.outer is not None and person.outer.sleeve == "long" else None
    worn: Garment | Outer = outer or upper
    if upper.pattern == "colour block" and not outer and upper.second and person.seed % 2:
        worn = replace(upper, colour=upper.second, pattern="plain", second=None)
    cloth = cloth_surface(person, skeleton, worn, Part.OUTER if outer else Part.UPPER)
    loose = 0.012 * (1.15 - upper.tight) + (0.004 if upper.kind in ("sweater", "hoodie") else 0.0)
    ease = 0.004 + (outermost_ease(person) * 0.5 + 0.002 if outer else loose)
    ahead = skeleton.chest_frame[2]
    for limb in skeleton.arms:
        if worn.sleeve != "long":
            yield cone(skin, limb.top, limb.middle, (size.upper_arm, size.elbow), ahead)
            yield cone(skin, limb.middle, limb.bottom, (size.elbow, size.wrist), ahead)
        if worn.sleeve == "none":
            yield ellipsoid(skin, limb.top, np.eye(3), [size.upper_arm * 1.04] * 3)
        else:
            yield from _sleeve(cloth, limb, size, worn.sleeve, ease, ahead)
        # A loosely closed hand with its thumb.
        h, frame = person.height, limb.frame
        thumb = limb.bottom + frame[2] * 0.028 * h + frame[1] * 0.014 * h
        yield ellipsoid(skin, limb.bottom + frame[2] * 0.036 * h, frame, (0.0125 * h, 0.0215 * h, 0.042 * h))
        yield ellipsoid(skin, thumb, frame, (0.008 * h, 0.009 * h, 0.020 * h))


def _sleeve(cloth: Surface, limb: Limb, size: Girth, sleeve: str, ease: float, ahead: Vector) -> Iterator[Piece]:
    upper, lower = float(np.linalg.norm(limb.middle - limb.top)), float(np.linalg.norm(limb.bottom - limb.middle))
    if sleeve == "long":
        total, elbow = upper + lower, size.elbow + ease
        wrist = (elbow, size.wrist + ease * 0.7 + 0.003)
        yield cone(cloth, limb.top, limb.middle, (size.upper_arm + ease, elbow), ahead, hem=total)
        yield cone(cloth, limb.middle, limb.bottom, wrist, ahead, caps=(True, False), start=upper, hem=total)
        return
    whole = sleeve == "three-quarter"
    part = 1.0 if whole else 0.62
    end = limb.top + (limb.middle - limb.top) * part
    radius = size.upper_arm + (size.elbow - size.upper_arm) * part + ease
    radii = (size.upper_arm + ease + 0.002, radius + 0.006)
    yield cone(cloth, limb.top, end, radii, ahead, caps=(True, whole), hem=upper * part)
    if whole:
        stop = limb.middle + (limb.bottom - limb.middle) * 0.45
        radii, hem = (radius + 0.002, size.elbow + ease), upper + lower * 0.45
        yield cone(cloth, limb.middle, stop, radii, ahead, caps=(False, False), start=upper, hem=hem)


def leg_pieces(person: Person, skeleton: Skeleton) -> Iterator[Piece]:
    """Legs, bare, in tights or in trousers, with the seat of the trousers or the skirt."""
    size, garment, ease, frame = Girth(person), person.lower, leg_ease(person), skeleton.pelvis_frame
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
