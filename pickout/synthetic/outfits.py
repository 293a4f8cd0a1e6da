"""What the avatars of VALID wear, written down by looking at each, and people who wear it in other colours.

An outfit says what the picture will show: the kinds of garments, how long, how the hair falls. Colours, patterns and
things carried are sampled as for a drawn person, so that captions of the one are captions of the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from pickout.synthetic.attributes import (
    Garment,
    Hair,
    HairLength,
    HairStyle,
    Length,
    LowerKind,
    Outer,
    OuterKind,
    Pattern,
    Person,
    Sex,
    ShoeKind,
    Sleeve,
    UpperKind,
)
from pickout.synthetic.chances import chance, pick
from pickout.synthetic.people import sample_person
from pickout.synthetic.wardrobe import sample_lower, sample_outer, sample_shoes, sample_upper, second_shade


@dataclass(frozen=True, slots=True)
class Top:
    """What covers an avatar's trunk.

    Args:
        kinds: what an onlooker may call it; one is drawn.
        sleeve: how far it covers the arms.
        hem: the height of its lower edge as part of the body's; 0 where the colours tell.
        over: the garment over it, if any, whose hem `hem` then is.
        patterns: what may be printed on it.
        native: a pattern that the texture brings along, in shades of one colour.
    """

    kinds: tuple[UpperKind, ...]
    sleeve: Sleeve
    hem: float = 0.0
    over: OuterKind | None = None
    patterns: tuple[Pattern, ...] = ("plain", "plain", "plain", "striped", "checked")
    native: Pattern = "plain"


@dataclass(frozen=True, slots=True)
class Bottom:
    """What covers an avatar's legs: kind (None below a dress), how far down."""

    kind: LowerKind | None
    length: Length
    native: Pattern = "plain"


@dataclass(frozen=True, slots=True)
class Outfit:
    """An avatar as an onlooker would describe it."""

    sex: Sex
    top: Top
    bottom: Bottom
    shoes: ShoeKind
    hair: tuple[HairLength, HairStyle]
    beard: bool = False


_TEE = Top(("t-shirt",), "short", patterns=("plain", "plain", "plain", "striped", "colour block", "dotted"))
_POLO = Top(("polo",), "short", patterns=("plain", "plain", "striped"))
_SHIRT = Top(("shirt", "blouse"), "long")
_SUMMER_SHIRT = Top(("shirt", "blouse"), "short")
_SWEATER = Top(("sweater",), "long", patterns=("plain", "plain", "striped"))
_HOODIE = Top(("hoodie",), "long", patterns=("plain", "plain", "plain", "colour block"))
_DRESS = Top(("dress",), "short", 0.335, patterns=("plain", "plain", "floral", "dotted", "striped", "checked"))
_SUIT = Top(("shirt",), "long", 0.465, "blazer", ("plain",))
_COSTUME = Top(("blouse", "t-shirt"), "long", 0.485, "blazer", ("plain",))
_COAT = Top(("t-shirt",), "long", 0.325, "coat", ("plain",))
_SCRUBS = Top(("t-shirt",), "short", 0.487, patterns=("plain",))
_COVERALL = Top(("shirt",), "long", 0.605, patterns=("plain",))
_UNIFORM = Top(("shirt",), "long", 0.487, native="camouflage")
_JEANS, _TROUSERS = Bottom("jeans", "ankle"), Bottom("trousers", "ankle")
_CROPPED, _SHORTS = Bottom("jeans", "calf"), Bottom("shorts", "thigh")
_BERMUDAS, _BARE = Bottom("shorts", "knee"), Bottom(None, "ankle")
_FATIGUES = Bottom("trousers", "ankle", "camouflage")
_BALD: tuple[HairLength, HairStyle] = ("bald", "plain")
_CROP: tuple[HairLength, HairStyle] = ("very short", "plain")
_SHORT: tuple[HairLength, HairStyle] = ("short", "plain")
_BOB: tuple[HairLength, HairStyle] = ("medium", "straight")
_CURLS: tuple[HairLength, HairStyle] = ("medium", "wavy")
_LONG: tuple[HairLength, HairStyle] = ("long", "straight")

_DARK = ("black", "dark brown")

OUTFITS: Mapping[str, Outfit] = {
    "AIAN_F_1_Busi": Outfit("woman", _COSTUME, _TROUSERS, "flats", _LONG),
    "AIAN_F_1_Casual": Outfit("woman", _SHIRT, _CROPPED, "trainers", _LONG),
    "AIAN_F_1_Medi": Outfit("woman", _SCRUBS, _TROUSERS, "trainers", _LONG),
    "AIAN_F_1_Milit": Outfit("woman", _UNIFORM, _FATIGUES, "boots", _LONG),
    "AIAN_F_1_Util": Outfit("woman", _COVERALL, _TROUSERS, "boots", _LONG),
    "AIAN_F_2_Casual": Outfit("woman", _TEE, _SHORTS, "trainers", _BOB),
    "AIAN_M_1_Casual": Outfit("man", _TEE, _JEANS, "leather shoes", _LONG),
    "AIAN_M_2_Busi": Outfit("man", _SUIT, _TROUSERS, "leather shoes", _BOB),
    "Asian_F_1_Casual": Outfit("woman", _SUMMER_SHIRT, _SHORTS, "flats", _CROP),
    "Asian_F_2_Casual": Outfit("woman", _SWEATER, _CROPPED, "trainers", _LONG),
    "Asian_M_1_Busi": Outfit("man", _SUIT, _TROUSERS, "leather shoes", _SHORT),
    "Asian_M_1_Casual": Outfit("man", _POLO, _BERMUDAS, "trainers", _SHORT),
    "Asian_M_2_Casual": Outfit("man", _TEE, _JEANS, "trainers", _SHORT),
    "Asian_M_2_Medi": Outfit("man", _COAT, _TROUSERS, "trainers", _SHORT),
    "Asian_M_2_Util": Outfit("man", _COVERALL, _TROUSERS, "boots", _SHORT),
    "Asian_M_3_Casual": Outfit("man", _POLO, _TROUSERS, "trainers", _SHORT),
    "Black_F_1_Busi": Outfit("woman", _COSTUME, _TROUSERS, "flats", _SHORT),
    "Black_F_2_Casual": Outfit("woman", _TEE, _CROPPED, "trainers", _CURLS),
    "Black_F_3_Casual": Outfit("woman", _DRESS, _BARE, "flats", _CROP),
    "Black_M_2_Busi": Outfit("man", _SUIT, _TROUSERS, "leather shoes", _BALD),
    "Black_M_2_Casual": Outfit("man", _TEE, _BERMUDAS, "trainers", _BALD),
    "Black_M_3_Casual": Outfit("man", _POLO, _JEANS, "leather shoes", _SHORT),
    "Hispanic_F_1_Casual": Outfit("woman", _SHIRT, _JEANS, "flats", _SHORT),
    "Hispanic_F_1_Medi": Outfit("woman", _SCRUBS, _TROUSERS, "trainers", _SHORT),
    "Hispanic_F_1_Util": Outfit("woman", _COVERALL, _TROUSERS, "boots", _SHORT),
    "Hispanic_F_2_Busi": Outfit("woman", _COSTUME, _TROUSERS, "flats", _CROP),
    "Hispanic_F_3_Casual": Outfit("woman", _TEE, _CROPPED, "trainers", _BOB),
    "Hispanic_M_1_Casual": Outfit("man", _POLO, _JEANS, "trainers", _SHORT),
    "Hispanic_M_3_Busi": Outfit("man", _SUIT, _TROUSERS, "leather shoes", _SHORT),
    "Hispanic_M_3_Casual": Outfit("man", _TEE, _JEANS, "trainers", _SHORT),
    "Hispanic_M_3_Milit": Outfit("man", _UNIFORM, _FATIGUES, "boots", _SHORT),
    "MENA_F_1_Casual": Outfit("woman", _SHIRT, _JEANS, "trainers", _CROP),
    "MENA_F_2_Casual": Outfit("woman", _TEE, _JEANS, "trainers", _BOB),
    "MENA_M_1_Busi": Outfit("man", _SUIT, _TROUSERS, "leather shoes", _SHORT),
    "MENA_M_2_Casual": Outfit("man", Top(("shirt",), "short", native="checked"), _BERMUDAS, "trainers", _SHORT, True),
    "MENA_M_2_Medi": Outfit("man", _SCRUBS, _TROUSERS, "trainers", _SHORT, True),
    "MENA_M_2_Util": Outfit("man", _COVERALL, _TROUSERS, "boots", _SHORT, True),
    "MENA_M_3_Casual": Outfit("man", _TEE, _JEANS, "leather shoes", _SHORT, True),
    "NHPI_M_2_Busi": Outfit("man", _SUIT, _TROUSERS, "leather shoes", _SHORT),
    "NHPI_M_2_Casual": Outfit("man", _POLO, _JEANS, "trainers", _SHORT),
    "White_F_1_Casual": Outfit("woman", _TEE, _BERMUDAS, "trainers", _LONG),
    "White_F_2_Casual": Outfit("woman", _SUMMER_SHIRT, _JEANS, "sandals", _CROP),
    "White_F_3_Busi": Outfit("woman", _COSTUME, _TROUSERS, "flats", _BOB),
    "White_M_1_Casual": Outfit("man", _POLO, _JEANS, "trainers", _SHORT),
    "White_M_2_Casual": Outfit("man", _TEE, _BERMUDAS, "trainers", _SHORT),
    "White_M_2_Medi": Outfit("man", _COAT, _TROUSERS, "trainers", _SHORT),
    "White_M_2_Util": Outfit("man", _COVERALL, _TROUSERS, "boots", _SHORT),
    "X_AIAN_F_1_Busi": Outfit("woman", _COSTUME, _TROUSERS, "flats", _CROP),
    "X_AIAN_F_1_Casual": Outfit("woman", _SUMMER_SHIRT, _JEANS, "trainers", _CROP),
    "X_AIAN_M_1_Casual": Outfit("man", _HOODIE, _BERMUDAS, "trainers", _SHORT),
    "X_MENA_F_1_Casual": Outfit("woman", _HOODIE, _SHORTS, "trainers", _SHORT),
    "X_NHPI_F_1_Busi": Outfit("woman", _COSTUME, _TROUSERS, "flats", _CROP),
    "X_NHPI_F_2_Casual": Outfit("woman", _SHIRT, _JEANS, "trainers", _SHORT),
    "X_NHPI_F_3_Casual": Outfit("woman", _TEE, _SHORTS, "trainers", _LONG),
}
"""Outfits by the name of the avatar's file, without its ending."""


def sample_wearer(generator: np.random.Generator, outfit: Outfit, skin: float) -> Person:
    """Sample somebody with `skin` (as in `Person`) who wears `outfit`, in colours of their own."""
    person = sample_person(generator, sex=outfit.sex)
    # The bodies are adults, and a beard has the texture's dark colour.
    while person.age in ("child", "older") or (outfit.beard and person.hair.colour.name not in _DARK):
        person = sample_person(generator, sex=outfit.sex)
    bare = outfit.hair[0] in ("bald", "very short", "short")
    top, bottom, sex = outfit.top, outfit.bottom, outfit.sex
    upper = sample_upper(generator, sex, "mild", kind=pick(generator, dict.fromkeys(top.kinds, 1.0)))
    pattern = top.native if top.native != "plain" else top.patterns[int(generator.integers(len(top.patterns)))]
    logo = upper.logo and pattern == "plain" and not top.over
    printed = logo or (pattern != "plain" and top.native == "plain")
    sleeve = top.sleeve
    if sleeve == "short" and upper.kind == "t-shirt" and not top.hem and chance(generator, 0.3):
        sleeve = pick(generator, {"long": 3, "three-quarter": 1})
    upper = replace(
        upper,
        pattern=pattern,
        second=second_shade(generator, upper.colour) if printed else None,
        sleeve=sleeve,
        length="knee" if upper.kind == "dress" else "hip",
        logo=logo,
        tucked=False,
        tight=0.5,
    )
    outer = _layer(generator, sex, top, upper)
    if top.over is not None:
        outer = sample_outer(generator, sex, "cold", upper, kind=top.over)
        outer = replace(outer, open=False, length="knee" if top.over == "coat" else "hip", hood=False)
    lower, skirt = None, ""
    if sex == "woman" and bottom.kind == "shorts" and bottom.length == "thigh":
        skirt = pick(generator, {"": 40, "skirt": 35, "dress": 25})
    if skirt == "dress":
        upper, outer = replace(upper, kind="dress", length=_skirt_length(generator), logo=False, second=None), None
        upper = replace(upper, pattern="plain")
    elif skirt:
        lower = replace(sample_lower(generator, sex, "adult", "mild", kind="skirt"), length=_skirt_length(generator))
    elif bottom.kind is not None:
        lower = sample_lower(generator, sex, "adult", "mild", kind=bottom.kind)
        lower = replace(lower, length=bottom.length, torn=False, tight=0.5, pattern="plain", second=None)
        if bottom.native != "plain":
            lower = replace(lower, pattern=bottom.native, colour=upper.colour)
    return replace(
        person,
        height=max(person.height, 1.5),
        build=round(0.25 + 0.5 * person.build, 3),
        skin=skin,
        hair=Hair(*_hair(generator, outfit), person.hair.colour),
        beard=outfit.beard,
        headwear=person.headwear if bare else None,
        glasses=None,
        upper=upper,
        outer=outer,
        lower=lower,
        socks=None,
        shoes=sample_shoes(generator, sex, "mild", kind=outfit.shoes),
        belt=None,
    )


def _hair(generator: np.random.Generator, outfit: Outfit) -> tuple[HairLength, HairStyle]:
    """The texture's hair; women whose hair is painted on the skull may have more of it, tied or loose."""
    if outfit.sex == "man" or outfit.hair[0] not in ("very short", "short"):
        return outfit.hair
    longer: dict[tuple[HairLength, HairStyle], float] = {
        outfit.hair: 45,
        ("medium", "bun"): 15,
        ("long", "ponytail"): 20,
        ("long", "straight"): 12,
        ("medium", "straight"): 8,
    }
    return cast(tuple[HairLength, HairStyle], pick(generator, longer))


def _layer(generator: np.random.Generator, sex: Sex, top: Top, upper: Garment) -> Outer | None:
    """A garment that covers the top, or all of it but the sleeves."""
    if top.over is not None or upper.kind == "dress" or top.native == "checked" or not chance(generator, 0.35):
        return None
    kind = pick(generator, {"vest": 3, "jacket": 5, "cardigan": 2, "puffer jacket": 2, "blazer": 1})
    return replace(sample_outer(generator, sex, "cold", upper, kind=kind), length="hip", hood=False)


def _skirt_length(generator: np.random.Generator) -> Length:
    return cast(Length, pick(generator, {"thigh": 4, "knee": 5, "calf": 3}))
