"""Sample people: who they are, their hair, and what they wear and carry from camera to camera."""

from typing import cast

import numpy as np

from pickout.synthetic.attributes import Age, Bag, Hair, HairStyle, Headwear, Person, Sex, Shade, Worn
from pickout.synthetic.chances import chance, pick
from pickout.synthetic.colours import COLOUR_WEIGHTS, HAIR_COLOURS, sample_shade
from pickout.synthetic.wardrobe import (
    Season,
    leggings_below,
    sample_lower,
    sample_outer,
    sample_shoes,
    sample_upper,
    wears_outer,
)


def sample_person(generator: np.random.Generator, *, sex: Sex | None = None, season: Season | None = None) -> Person:
    """Sample one identity.

    Args:
        generator: all chance comes from it.
        sex: fix it; None draws it.
        season: fix how warmly the person is dressed; None draws it.
    """
    sex = sex or pick(generator, {"man": 50, "woman": 50})
    season = season or pick(generator, {"warm": 42, "mild": 34, "cold": 24})
    age = pick(generator, {"child": 4, "young": 34, "adult": 48, "older": 14})
    woman = sex == "woman"
    middle = 1.63 if woman else 1.76
    height = float(generator.normal(middle, 0.065)) if age != "child" else float(generator.uniform(1.15, 1.45))
    build = float(np.clip(generator.normal(0.45 if age != "older" else 0.58, 0.22), 0.0, 1.0))
    skin = float(generator.beta(1.25, 1.45))
    hair = _hair(generator, sex, age, skin)
    upper = sample_upper(generator, sex, season)
    outer = sample_outer(generator, sex, season, upper) if wears_outer(generator, season) else None
    dress = upper.kind == "dress"
    lower = leggings_below(generator, season, upper) if dress else sample_lower(generator, sex, age, season)
    bare = lower is None or lower.length in ("thigh", "knee")
    tights = bare and woman and season != "warm" and chance(generator, 0.7)
    socks = sample_shade(generator, pick(generator, {"black": 7, "dark grey": 2, "beige": 1})) if tights else None
    belt = (
        lower is not None
        and (upper.tucked or chance(generator, 0.15))
        and lower.kind in ("trousers", "jeans", "shorts")
    )
    return Person(
        sex=sex,
        age=age,
        height=round(float(np.clip(height, 1.1, 1.98)), 3),
        build=round(build, 3),
        skin=round(skin, 3),
        hair=hair,
        beard=not woman and age != "child" and chance(generator, 0.28),
        headwear=_headwear(generator, sex, season),
        glasses=pick(generator, {None: 76, "glasses": 15, "sunglasses": 9 if season == "warm" else 2}),
        upper=upper,
        outer=outer,
        lower=lower,
        socks=socks,
        shoes=sample_shoes(generator, sex, season),
        bag=_bag(generator, sex, age),
        belt=sample_shade(generator, pick(generator, {"black": 5, "brown": 4, "beige": 1})) if belt else None,
        scarf=_scarf(generator, season),
        seed=int(generator.integers(2**31)),
    )


def _hair(generator: np.random.Generator, sex: Sex, age: Age, skin: float) -> Hair:
    if sex == "woman":
        length = pick(generator, {"short": 14, "medium": 34, "long": 52})
    else:
        length = pick(
            generator,
            {"bald": 8 if age in ("adult", "older") else 1, "very short": 34, "short": 50, "medium": 7, "long": 2},
        )
    styles = {
        "bald": {"plain": 1.0},
        "very short": {"plain": 1.0},
        "short": {"plain": 7.0, "curly": 2.0, "wavy": 1.0},
        "medium": {"straight": 5.0, "wavy": 3.0, "curly": 2.0, "bun": 1.5, "ponytail": 1.5},
        "long": {"straight": 5.0, "wavy": 3.0, "curly": 1.0, "bun": 1.5, "ponytail": 3.5},
    }
    style = pick(generator, styles[length])
    if age == "older" and chance(generator, 0.75):
        name = pick(generator, {"grey": 6, "white": 4})
    elif skin > 0.55:
        name = pick(generator, {"black": 78, "dark brown": 16, "brown": 4, "blond": 2})
    else:
        name = pick(generator, {"black": 34, "dark brown": 24, "brown": 19, "blond": 17, "red": 4, "grey": 2})
    return Hair(length, cast(HairStyle, style), sample_shade(generator, name, HAIR_COLOURS))


def _bag(generator: np.random.Generator, sex: Sex, age: Age) -> Bag | None:
    woman = sex == "woman"
    kind = pick(
        generator,
        {
            None: 46,
            "backpack": 26 if age != "older" else 12,
            "handbag": 15 if woman and age != "child" else 0.3,
            "tote": 8 if woman else 2.5,
            "shoulder bag": 12 if woman else 9,
            "suitcase": 5 if age != "child" else 0,
        },
    )
    if kind is None:
        return None
    worn = {"backpack": "back", "suitcase": "hand", "tote": pick(generator, {"shoulder": 3, "hand": 1})}.get(
        kind, "shoulder"
    )
    if kind == "handbag":
        worn = pick(generator, {"hand": 1, "shoulder": 1})
    if kind == "shoulder bag":
        worn = pick(generator, {"across": 3, "shoulder": 1})
    colour = sample_shade(generator, pick(generator, COLOUR_WEIGHTS["bag"]))
    return Bag(kind, colour, pick(generator, {"left": 1, "right": 1}), cast(Worn, worn))


def _headwear(generator: np.random.Generator, sex: Sex, season: Season) -> Headwear | None:
    woman, warm, cold = sex == "woman", season == "warm", season == "cold"
    kind = pick(
        generator,
        {
            None: 68,
            "cap": 7 if woman else 16,
            "beanie": 14 if cold else 1,
            "brimmed hat": 3,
            "sun hat": 5 if woman and warm else 0.5,
            "headscarf": 3 if woman else 0,
            "helmet": 1.5,
        },
    )
    if kind is None:
        return None
    return Headwear(kind, sample_shade(generator, pick(generator, COLOUR_WEIGHTS["headwear"])))


def _scarf(generator: np.random.Generator, season: Season) -> Shade | None:
    if not chance(generator, {"warm": 0.01, "mild": 0.07, "cold": 0.22}[season]):
        return None
    return sample_shade(generator, pick(generator, COLOUR_WEIGHTS["headwear"]))
