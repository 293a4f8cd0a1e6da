"""What the avatars of VALID wear, from `outfits.toml`, and people who wear it, else sampled as drawn people are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numpy.random import Generator

from pickout.files import packaged_table
from pickout.synthetic.attributes import Garment, Hair, Outer, Person, Sex
from pickout.synthetic.habits import chance, habit, pick, second_shade
from pickout.synthetic.people import sample_lower, sample_outer, sample_person, sample_shoes, sample_upper


@dataclass(frozen=True, slots=True)
class Top:
    """What covers an avatar's trunk."""

    kinds: Sequence[str]  # names that fit it equally well
    sleeve: str
    hem: float = 0.0  # height of its lower edge as part of the body's; 0 where the colours tell
    over: str | None = None  # the garment over it, whose hem `hem` then is
    patterns: Sequence[str] = ("plain", "plain", "plain", "striped", "checked")  # what may be printed on it
    native: str = "plain"  # a pattern that the texture brings along, in shades of one colour


@dataclass(frozen=True, slots=True)
class Bottom:
    """What covers an avatar's legs: kind (None below a dress), how far down."""

    length: str
    kind: str | None = None
    native: str = "plain"


@dataclass(frozen=True, slots=True)
class Outfit:
    """An avatar as an onlooker would describe it; `hair` is its length and style."""

    sex: Sex
    top: Top
    bottom: Bottom
    shoes: str
    hair: tuple[str, str]
    beard: bool


_TABLES = packaged_table("pickout.synthetic", "outfits.toml")
_TOPS, _BOTTOMS, _HAIR = (_TABLES[name] for name in ("tops", "bottoms", "hair"))
OUTFITS = {
    name: Outfit(sex, Top(**_TOPS[top]), Bottom(**_BOTTOMS[bottom]), shoes, tuple(_HAIR[hair]), bool(beard))
    for name, (sex, top, bottom, shoes, hair, *beard) in _TABLES["outfits"].items()
}  # outfits by the name of the avatar's file, without its ending


def sample_wearer(generator: Generator, outfit: Outfit, skin: float) -> Person:
    """Sample somebody with `skin` (as in `Person`) who wears `outfit`, in colours of their own."""
    person = sample_person(generator, sex=outfit.sex)
    # The bodies are adults, and a beard has the texture's dark colour.
    while person.age in ("child", "older") or (outfit.beard and person.hair.colour.name not in ("black", "dark brown")):
        person = sample_person(generator, sex=outfit.sex)
    sex, bottom = outfit.sex, outfit.bottom
    upper, outer = _upper(generator, sex, outfit.top)
    lower, skirt = None, ""
    if sex == "woman" and bottom.kind == "shorts" and bottom.length == "thigh":
        skirt = pick(generator, {"": 40, "skirt": 35, "dress": 25})
    if skirt == "dress":
        length = habit(generator, "length", "skirt over a mesh")
        upper, outer = replace(upper, kind="dress", length=length, logo=False, second=None, pattern="plain"), None
    elif skirt:
        lower = sample_lower(generator, sex, "adult", "mild", kind="skirt")
        lower = replace(lower, length=habit(generator, "length", "skirt over a mesh"))
    elif bottom.kind is not None:
        lower = sample_lower(generator, sex, "adult", "mild", kind=bottom.kind)
        lower = replace(lower, length=bottom.length, torn=False, tight=0.5, pattern="plain", second=None)
        if bottom.native != "plain":
            lower = replace(lower, pattern=bottom.native, colour=upper.colour)
    hair = outfit.hair
    if sex == "woman" and hair[0] in ("very short", "short"):
        # It is painted on the skull, so there may be more of it, tied or loose.
        longer = {("medium", "bun"): 15, ("long", "ponytail"): 20, ("long", "straight"): 12, ("medium", "straight"): 8}
        hair = pick(generator, {hair: 45, **longer})
    return replace(
        person,
        height=max(person.height, 1.5),
        build=round(0.25 + 0.5 * person.build, 3),
        skin=skin,
        hair=Hair(*hair, person.hair.colour),
        beard=outfit.beard,
        headwear=person.headwear if outfit.hair[0] in ("bald", "very short", "short") else None,
        glasses=None,
        upper=upper,
        outer=outer,
        lower=lower,
        socks=None,
        shoes=sample_shoes(generator, sex, "mild", kind=outfit.shoes),
        belt=None,
    )


def _upper(generator: Generator, sex: Sex, top: Top) -> tuple[Garment, Outer | None]:
    """The top in a colour and pattern, and what is over it: its own, or what covers all of it but the sleeves."""
    upper = sample_upper(generator, sex, "mild", kind=pick(generator, dict.fromkeys(top.kinds, 1.0)))
    pattern = top.native if top.native != "plain" else top.patterns[int(generator.integers(len(top.patterns)))]
    logo = upper.logo and pattern == "plain" and not top.over
    printed = logo or (pattern != "plain" and top.native == "plain")
    sleeve = top.sleeve
    if sleeve == "short" and upper.kind == "t-shirt" and not top.hem and chance(generator, 0.3):
        sleeve = pick(generator, {"long": 3, "three-quarter": 1})
    second = second_shade(generator, upper.colour) if printed else None
    dress = upper.kind == "dress"
    upper = Garment(upper.kind, upper.colour, pattern, second, sleeve, "knee" if dress else "hip", logo)
    if top.over is not None:
        outer = sample_outer(generator, sex, "cold", upper, kind=top.over)
        return upper, replace(outer, open=False, length="knee" if top.over == "coat" else "hip", hood=False)
    if dress or top.native == "checked" or not chance(generator, 0.35):
        return upper, None
    outer = sample_outer(generator, sex, "cold", upper, kind=habit(generator, "layer"))
    return upper, replace(outer, length="hip", hood=False)
