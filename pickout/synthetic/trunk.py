"""Cloth over the trunk: how garments are coloured, how far they stand off the body, and how far down they reach."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Garment, Outer, Person
from pickout.synthetic.bodies import girth, trunk_outline
from pickout.synthetic.colours import skin_colour
from pickout.synthetic.pieces import Piece, loft
from pickout.synthetic.skeleton import Skeleton
from pickout.synthetic.surfaces import Part, Surface

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
SHINE = {"puffer jacket": 0.35, "raincoat": 0.4, "vest": 0.25, "leggings": 0.12}
OUTER_EASE = {"puffer jacket": 0.036, "coat": 0.026, "raincoat": 0.028, "cardigan": 0.016}


@dataclass(frozen=True, slots=True)
class Hang:
    """How a trunk garment hangs.

    Args:
        bottom: its lower end above the hip joints, torso lengths.
        top: its upper end, torso lengths.
        ease: how far it stands off the body, metres.
        flare: how much wider its hem is, metres.
        clear: radius of the thighs that must stay inside it, metres.
        gap: half-width of its opening in front, torso lengths; None when closed.
    """

    bottom: float
    top: float
    ease: float
    flare: float
    clear: float
    gap: float | None = None


def cloth_surface(person: Person, skeleton: Skeleton, garment: Garment | Outer, part: Part) -> Surface:
    """The surface of a garment, with the details of its kind."""
    details = set(DETAILS.get(garment.kind, set()))
    if isinstance(garment, Garment):
        details |= {name for name, on in (("logo", garment.logo), ("torn", garment.torn)) if on}
        if garment.kind == "hoodie" and person.seed % 2:
            details.discard("zip")
        if garment.kind in ("skirt", "dress") and person.seed % 3 == 0:
            details.add("pleats")
        folds = 0.8 * (1.2 - garment.tight)
    else:
        details |= {"open"} if garment.open else set()
        folds = 0.7
    if garment.kind in ("sweater", "cardigan") and person.seed % 2:
        details.add("knit")
    frame = skeleton.pelvis_frame if part == Part.LOWER else skeleton.chest_frame
    return Surface(
        style="cloth",
        rgb=garment.colour.rgb,
        part=part,
        second=None if garment.second is None else garment.second.rgb,
        under=person.upper.colour.rgb if part == Part.OUTER else skin_colour(person.skin),
        pattern=garment.pattern,
        details=frozenset(details),
        origin=skeleton.pelvis,
        axes=frame / skeleton.size.torso,
        folds=folds,
        shine=SHINE.get(garment.kind, 0.05),
        seed=person.seed + int(part) * 977,
    )


def upper_ease(person: Person) -> float:
    """Metres between the body and the upper garment."""
    garment = person.upper
    if garment.tucked:
        return 0.008
    ease = 0.009 + 0.016 * (1.0 - garment.tight) * (person.height / 1.7)
    return ease + (0.007 if garment.kind in ("sweater", "hoodie") else 0.0)


def outer_ease(person: Person) -> float:
    """Metres between the body and the outer garment; 0 without one."""
    if person.outer is None:
        return 0.0
    return max(OUTER_EASE.get(person.outer.kind, 0.020), upper_ease(person)) + 0.007


def outermost_ease(person: Person) -> float:
    """Metres between the body and what lies over all of it."""
    return max(upper_ease(person), outer_ease(person))


def leg_ease(person: Person) -> float:
    """Metres between the thighs and what covers them; bare legs under a skirt are a little slimmer."""
    garment = person.lower
    if garment is None or garment.kind == "skirt":
        return -0.006
    return 0.003 if garment.kind == "leggings" else 0.004 + 0.016 * (1.0 - garment.tight)


def thigh_reach(person: Person) -> float:
    """Radius of a covered thigh at the hip, metres."""
    return girth(person).thigh + leg_ease(person) * 0.8


def trunk_piece(surface: Surface, person: Person, skeleton: Skeleton, hang: Hang, frame: Vector) -> Piece:
    """A trunk garment: the body's outline, eased, flaring below the hips, wide enough for the thighs."""
    torso = skeleton.size.torso
    heights, wide, deep, shift = trunk_outline(person, torso)
    bottom, top = hang.bottom * torso, hang.top * torso
    extra = np.array([height for height in (-0.30, -0.55) if height > hang.bottom + 0.1]) * torso
    inner = np.concatenate([extra[::-1], heights[(heights > bottom + 0.012) & (heights < top - 0.012)]])
    levels = np.concatenate([[bottom], inner, [top]])
    share = levels / torso
    below = np.clip(-0.02 - share, 0.0, None)
    ease = hang.ease * np.interp(share, [0.80, 0.95], [1.0, 0.45]) + hang.flare * np.minimum(below / 0.35, 1.0) ** 0.8
    w, d = np.interp(levels, heights, wide) + ease, np.interp(levels, heights, deep) + ease
    s = np.interp(levels, heights, shift)
    # A loose garment bridges the waist.
    drape = np.clip((hang.ease - 0.008) / 0.03, 0.0, 0.9) * ((share > 0.0) & (share < 0.62))
    w = w + drape * np.clip(w.max() * 0.94 - w, 0.0, None)
    d = d + drape * np.clip(d.max() * 0.90 - d, 0.0, None)
    # Striding thighs stay inside.
    swings = [float((leg.middle - leg.top) @ frame[2]) for leg in skeleton.legs]
    lead, trail = max(0.0, *swings), max(0.0, *(-swing for swing in swings))
    along = np.minimum(below * torso / skeleton.size.thigh, 1.0)
    stride = along * 0.5 * (lead + trail)
    s = np.where(below > 0.0, 0.3 * s, s) + along * 0.5 * (lead - trail)
    spare = 0.0 if hang.clear <= 0.0 else 0.022 if hang.bottom > -0.3 else 0.032
    low = np.clip((0.16 - share) / 0.14, 0.0, 1.0)
    slim = np.interp(below * torso / skeleton.size.thigh, [0.0, 1.0], [1.0, 0.72])
    w = w + low * np.clip(1.09 * (skeleton.size.hip + hang.clear * slim) - w, 0.0, None)
    d = d + low * np.clip(1.20 * (hang.clear * slim + stride) + np.abs(s) + spare - d, 0.0, None)
    opening = None
    if hang.gap is not None:
        opening = [float(hang.gap * torso * g) for g in np.interp(share, [-0.8, 0.3, 0.98], [1.5, 1.0, 0.55])]
    profile = (w.tolist(), d.tolist(), s.tolist())
    start = (1.03 - hang.top) * torso
    return loft(surface, skeleton.pelvis, frame, levels.tolist(), profile, gap=opening, start=start)
