"""Sample clothes: kinds, colours, patterns and lengths with the habits of a real street and some variety beyond."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from pickout.synthetic.attributes import (
    Age,
    Garment,
    Length,
    LowerKind,
    Outer,
    OuterKind,
    Pattern,
    Sex,
    Shade,
    ShoeKind,
    Shoes,
    Sleeve,
    UpperKind,
)
from pickout.synthetic.chances import chance, pick
from pickout.synthetic.colours import COLOUR_WEIGHTS, COLOURS, DENIM, sample_shade

Season = Literal["warm", "mild", "cold"]


def second_shade(generator: np.random.Generator, first: Shade) -> Shade:
    """A colour for a pattern or a print on cloth of colour `first`."""
    weights = {name: weight for name, weight in COLOUR_WEIGHTS["second"].items() if name != first.name}
    if first.name in ("white", "cream", "beige", "yellow", "light blue", "pink"):
        weights = {name: weight for name, weight in weights.items() if name not in ("white", "cream", "yellow")}
        weights |= {"blue": 3.0, "red": 3.0, "navy": 3.0, "green": 1.0}
        weights.pop(first.name, None)
    return sample_shade(generator, pick(generator, weights))


def _pattern(
    generator: np.random.Generator, weights: Mapping[Pattern, float], first: Shade, logo: bool
) -> tuple[Pattern, Shade | None]:
    pattern = pick(generator, weights)
    return pattern, second_shade(generator, first) if pattern != "plain" or logo else None


def sample_upper(generator: np.random.Generator, sex: Sex, season: Season, *, kind: UpperKind | None = None) -> Garment:
    """Sample an upper garment; a dress is one. `kind` fixes what it is."""
    woman = sex == "woman"
    warm = {"warm": 1.0, "mild": 0.5, "cold": 0.2}[season]
    kind = kind or pick(
        generator,
        {
            "t-shirt": 34 * (0.4 + warm),
            "shirt": 12 if woman else 26,
            "blouse": 18 if woman else 0,
            "sweater": 16 * (1.15 - warm),
            "hoodie": 14 * (1.15 - warm),
            "polo": 3 if woman else 10,
            "tank top": (12 if woman else 3) * warm,
            "dress": 22 if woman else 0,
        },
    )
    sleeves: Mapping[str, Mapping[Sleeve, float]] = {
        "t-shirt": {"short": 9, "long": 3 * (1.1 - warm)},
        "shirt": {"long": 6 - 3 * warm, "short": 4 * warm, "three-quarter": 1},
        "blouse": {"long": 4, "short": 4 * warm, "three-quarter": 2, "none": 2 * warm},
        "polo": {"short": 9, "long": 1},
        "tank top": {"none": 1},
        "dress": {"none": 5 * warm, "short": 5, "long": 4 * (1.2 - warm), "three-quarter": 1},
    }
    sleeve = pick(generator, sleeves.get(kind, {"long": 1.0}))
    colour = sample_shade(generator, pick(generator, COLOUR_WEIGHTS["upper"]))
    logo = kind in ("t-shirt", "hoodie", "sweater", "tank top") and chance(generator, 0.3)
    patterns: Mapping[str, Mapping[Pattern, float]] = {
        "shirt": {"plain": 48, "checked": 34, "striped": 14, "dotted": 4},
        "blouse": {"plain": 58, "dotted": 14, "floral": 18, "striped": 10},
        "dress": {"plain": 52, "floral": 22, "dotted": 12, "striped": 9, "checked": 5},
        "sweater": {"plain": 74, "striped": 22, "colour block": 4},
        "hoodie": {"plain": 88, "colour block": 9, "camouflage": 3},
    }
    weights = patterns.get(kind, {"plain": 76, "striped": 17, "colour block": 7})
    pattern, second = _pattern(generator, {"plain": 1.0} if logo else weights, colour, logo)
    length: Length = pick(generator, {"thigh": 4, "knee": 7, "calf": 2, "ankle": 2}) if kind == "dress" else "hip"
    tucked = kind in ("shirt", "polo", "blouse", "t-shirt") and chance(generator, 0.28)
    tight = float(generator.uniform(0.35, 0.9) if woman else generator.uniform(0.1, 0.7))
    return Garment(kind, colour, pattern, second, sleeve, length, logo, tucked, False, round(tight, 3))


def wears_outer(generator: np.random.Generator, season: Season) -> bool:
    """Whether something is worn over the upper garment."""
    return chance(generator, {"warm": 0.05, "mild": 0.42, "cold": 0.9}[season])


def sample_outer(
    generator: np.random.Generator, sex: Sex, season: Season, upper: Garment, *, kind: OuterKind | None = None
) -> Outer:
    """Sample what is worn over `upper`; `kind` fixes what it is."""
    woman = sex == "woman"
    cold = season == "cold"
    kind = kind or pick(
        generator,
        {
            "jacket": 38,
            "coat": (26 if woman else 16) if cold else 4,
            "cardigan": (16 if woman else 5) * (0.5 if cold else 1.5),
            "vest": 7,
            "blazer": 12,
            "puffer jacket": 20 if cold else 2,
            "raincoat": 5,
        },
    )
    names = {
        name: weight for name, weight in COLOUR_WEIGHTS["outer"].items() if name != upper.colour.name or weight > 15
    }
    colour = sample_shade(generator, pick(generator, names))
    plain: Mapping[Pattern, float] = {"plain": 1.0}
    patterned: Mapping[Pattern, float] = {"plain": 84, "checked": 11, "colour block": 5}
    pattern, second = _pattern(generator, patterned if kind in ("coat", "jacket") else plain, colour, False)
    length: Length = pick(generator, {"thigh": 5, "knee": 4}) if kind in ("coat", "raincoat") else "hip"
    if kind == "cardigan" and woman:
        length = pick(generator, {"hip": 3, "thigh": 2})
    if kind in ("jacket", "puffer jacket"):
        length = pick(generator, {"waist": 3, "hip": 5})
    return Outer(
        kind=kind,
        colour=colour,
        pattern=pattern,
        second=second,
        open=chance(generator, {"cardigan": 0.8, "blazer": 0.6, "puffer jacket": 0.25}.get(kind, 0.45)),
        sleeve="none" if kind == "vest" else "long",
        length=length,
        hood=kind in ("raincoat", "puffer jacket") and chance(generator, 0.7),
    )


def leggings_below(generator: np.random.Generator, season: Season, dress: Garment) -> Garment | None:
    """Leggings below a dress, or None for bare legs."""
    leggings = season != "warm" and dress.length == "thigh" and chance(generator, 0.5)
    black = sample_shade(generator, pick(generator, {"black": 8, "navy": 1, "dark grey": 1}))
    return Garment("leggings", black, "plain", None, "none", "ankle", tight=1.0) if leggings else None


def sample_lower(
    generator: np.random.Generator, sex: Sex, age: Age, season: Season, *, kind: LowerKind | None = None
) -> Garment:
    """Sample a lower garment; `kind` fixes what it is."""
    woman = sex == "woman"
    warm = season == "warm"
    kind = kind or pick(
        generator,
        {
            "trousers": 30,
            "jeans": 40 if age != "older" else 22,
            "shorts": ((14 if woman else 24) if warm else 1.5),
            "skirt": (20 if season != "cold" else 9) if woman else 0,
            "leggings": 14 if woman else 0.5,
        },
    )
    tables = {
        "jeans": COLOUR_WEIGHTS["jeans"],
        "skirt": COLOUR_WEIGHTS["skirt"],
        "leggings": {"black": 7, "dark grey": 2, "navy": 1, "grey": 1},
    }
    name = pick(generator, tables.get(kind, COLOUR_WEIGHTS["trousers"]))
    colour = sample_shade(generator, name, DENIM if kind == "jeans" else COLOURS)
    patterns: Mapping[str, Mapping[Pattern, float]] = {
        "skirt": {"plain": 66, "floral": 10, "dotted": 7, "checked": 10, "striped": 7},
        "trousers": {"plain": 91, "striped": 5, "checked": 4},
        "shorts": {"plain": 86, "checked": 7, "floral": 4, "camouflage": 3},
    }
    pattern, second = _pattern(generator, patterns.get(kind, {"plain": 1.0}), colour, False)
    length = {"shorts": pick(generator, {"thigh": 5 if woman else 2, "knee": 4})}.get(kind, "ankle")
    if kind == "skirt":
        length = pick(generator, {"thigh": 4, "knee": 5, "calf": 2, "ankle": 1})
    tight = {"leggings": 1.0, "jeans": 0.75 if woman else 0.4}.get(kind, 0.5 if woman else 0.25)
    torn = kind == "jeans" and colour.name in ("blue", "light blue") and chance(generator, 0.2)
    spread = float(generator.uniform(-0.2, 0.2))
    return Garment(
        kind,
        colour,
        pattern,
        second,
        "none",
        length,
        torn=torn,
        tight=round(float(np.clip(tight + spread, 0.0, 1.0)), 3),
    )


def sample_shoes(generator: np.random.Generator, sex: Sex, season: Season, *, kind: ShoeKind | None = None) -> Shoes:
    """Sample shoes; `kind` fixes what they are."""
    woman, warm, cold = sex == "woman", season == "warm", season == "cold"
    kind = kind or pick(
        generator,
        {
            "trainers": 46,
            "boots": 24 if cold else 6,
            "sandals": 16 if warm else 0.5,
            "heels": 9 if woman else 0,
            "leather shoes": 3 if woman else 22,
            "flats": 16 if woman else 1,
        },
    )
    colour = sample_shade(generator, pick(generator, COLOUR_WEIGHTS[kind]))
    contrast = kind == "trainers" and chance(generator, 0.65)
    sole = sample_shade(
        generator, "white" if colour.name != "white" else pick(generator, {"grey": 2, "black": 1, "brown": 1})
    )
    return Shoes(kind, colour, sole if contrast else sample_shade(generator, "black" if kind != "sandals" else "brown"))
