"""What one picture shows of a person: the things that a caption may name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pickout.synthetic.attributes import Carried, Garment, Person, Shade, View

Facing = Literal["front", "side", "back"]
Slot = Literal[
    "hair",
    "beard",
    "glasses",
    "headwear",
    "scarf",
    "outer",
    "upper",
    "lower",
    "belt",
    "socks",
    "shoes",
    "bag",
    "carried",
]

GARMENTS = ("outer", "upper", "lower")
"""The slots that a caption is mainly about."""

_LENGTHS = ("waist", "hip", "thigh", "knee", "calf", "ankle")
_SIDEWAYS = (55.0, 125.0)
"""Degrees away from the camera between which a person is said to be seen from the side."""

_FACE = 108.0
"""Degrees away from the camera below which glasses and a beard can be made out."""

_LEAST_SHARE = 0.0015
"""The share of the crop below which a part counts as hidden: 18 pixels of 192 x 64."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing about a person that a caption may name.

    Args:
        slot: where it belongs.
        kind: what it is, a kind of `pickout.synthetic.attributes`.
        colour: its main colour, where it has one.
        second: the colour of its pattern, logo or sole.
        pattern: the pattern's name; `plain` for none.
        sleeve: the sleeve's name, for upper and outer garments.
        length: how far down it reaches, for garments and hair.
        style: the hair's style.
        side: the person's side on which it is.
        worn: how a bag is worn or a carried thing used.
        tags: `logo`, `open`, `hood`, `tucked`, `torn`, `tight`, `loose`, `sole`.
        vague: whether the writer does not look closely at it (see `mistakes`).
    """

    slot: Slot
    kind: str
    colour: Shade | None = None
    second: Shade | None = None
    pattern: str = "plain"
    sleeve: str = ""
    length: str = ""
    style: str = ""
    side: str = ""
    worn: str = ""
    tags: frozenset[str] = frozenset()
    vague: bool = False


def facing(view: View) -> Facing:
    """Whether an onlooker would say that the picture shows the person's front, side or back."""
    turned = _turned(view)
    return "front" if turned <= _SIDEWAYS[0] else "side" if turned < _SIDEWAYS[1] else "back"


def _turned(view: View) -> float:
    """Degrees that the person is turned away from the camera, 0 to 180."""
    return abs((view.yaw + 180.0) % 360.0 - 180.0)


def near_side(view: View) -> str:
    """The person's side that is turned to the camera: `left` or `right`; nothing for a view from front or back.

    Who faces the image's right shows the camera the right side.
    """
    if facing(view) != "side":
        return ""
    return "right" if view.yaw < 180.0 else "left"


def visible_items(person: Person, view: View, shares: Mapping[str, float] | None = None) -> list[Item]:
    """The things that this picture shows, most telling first.

    Args:
        person: who it is.
        view: how the picture shows the person.
        shares: the share of the crop that each slot covers, from the part mask; None goes by the view's direction
            alone. A slot that is missing is not checked, so parts that no mask tells apart stay. One garment always
            stays: a caption cannot do without.
    """
    items = [*_clothes(person, view), *_head(person, view), *_things(person, view, masked=shares is not None)]
    if shares is None:
        return [item for item in items if not _occluded(item, view)]
    shown = [item for item in items if shares.get(item.slot, 1.0) >= _LEAST_SHARE]
    return shown if any(item.slot in GARMENTS for item in shown) else [items[0], *shown]


def absent(person: Person, view: View) -> list[str]:
    """What the person does not have, as names of `lacks` in the lexicon."""
    front = facing(view) == "front"
    has = {
        "headwear": person.headwear,
        "bag": person.bag or (view.carried is not None and "bag" in view.carried.kind),
        "carried": view.carried or person.bag,
        "backpack": person.bag,
        "glasses": person.glasses or not front,
        "beard": person.beard or person.sex == "woman" or not front,
        "outer": person.outer,
        "scarf": person.scarf,
    }
    return [name for name, thing in has.items() if not thing]


def _clothes(person: Person, view: View) -> Iterator[Item]:
    outer, upper, lower = person.outer, person.upper, person.lower
    front = facing(view) == "front"
    if outer is not None:
        tags = {name for name, holds in (("open", outer.open and front), ("hood", outer.hood)) if holds}
        yield Item(
            "outer",
            outer.kind,
            outer.colour,
            outer.second,
            pattern=outer.pattern,
            sleeve=outer.sleeve,
            length=outer.length,
            tags=frozenset(tags),
        )
    below = person.dress and outer is not None and _reaches_below(upper.length, outer.length)
    if outer is None or (outer.open and front) or below:
        yield _garment("upper", upper, front=front, covered=outer is not None)
    cover = max((g.length for g in (outer, upper) if g is not None), key=_LENGTHS.index)
    if lower is not None and _reaches_below(lower.length, cover):
        yield _garment("lower", lower, front=front, covered=False)
    yield Item(
        "shoes",
        person.shoes.kind,
        person.shoes.colour,
        person.shoes.sole,
        tags=frozenset({"sole"} if person.shoes.sole.name != person.shoes.colour.name else ()),
    )
    legs = cover if lower is None or not _reaches_below(lower.length, cover) else lower.length
    if person.socks is not None and legs != "ankle" and person.shoes.kind != "boots":
        yield Item("socks", "socks", person.socks)
    if person.belt is not None and front and upper.tucked and (outer is None or outer.open):
        yield Item("belt", "belt", person.belt)


def _garment(slot: Slot, garment: Garment, *, front: bool, covered: bool) -> Item:
    facts = {
        "logo": garment.logo and front and not covered,
        "tucked": garment.tucked and front,
        "torn": garment.torn and front,
        "tight": garment.tight > 0.75,
        "loose": garment.tight < 0.2,
    }
    seen_second = garment.pattern != "plain" or facts["logo"]
    return Item(
        slot,
        garment.kind,
        garment.colour,
        garment.second if seen_second else None,
        pattern=garment.pattern,
        sleeve="" if covered else garment.sleeve,
        length=garment.length,
        tags=frozenset(name for name, holds in facts.items() if holds),
    )


def _head(person: Person, view: View) -> Iterator[Item]:
    hat = person.headwear
    if hat is not None:
        yield Item("headwear", hat.kind, hat.colour)
    hair = person.hair
    under_hat = hat is not None and (hat.kind in ("headscarf", "helmet") or hair.length not in ("medium", "long"))
    if not under_hat:
        behind = facing(view) != "front"
        style = "tied" if hair.style in ("ponytail", "bun") and (not behind or hat is not None) else hair.style
        yield Item("hair", "hair", hair.colour, length=hair.length, style=style)
    if _turned(view) < _FACE:
        if person.glasses is not None:
            yield Item("glasses", person.glasses)
        if person.beard:
            yield Item("beard", "beard", hair.colour)
    if person.scarf is not None and (facing(view) != "back" or hair.length not in ("medium", "long")):
        yield Item("scarf", "scarf", person.scarf)


def _things(person: Person, view: View, *, masked: bool) -> Iterator[Item]:
    """Bag and carried thing. Where a mask will tell, only what it cannot is asked: whether straps are all one sees."""
    bag, carried = person.bag, view.carried
    if bag is not None:
        strapped = bag.kind == "backpack" and bag.worn != "hand"
        if facing(view) != "front" if strapped else masked or _side_shows(bag.side, view):
            yield Item("bag", bag.kind, bag.colour, side=bag.side, worn=bag.worn)
    if carried is not None and (masked or _carried_shows(carried, view)):
        yield Item("carried", carried.kind, carried.colour, side=carried.hand, worn=carried.use)


def _carried_shows(carried: Carried, view: View) -> bool:
    if carried.use == "overhead":
        return True
    small = carried.kind in ("phone", "cup", "bottle", "book")
    return _side_shows(carried.hand, view) and not (small and facing(view) == "back")


def _side_shows(side: str, view: View) -> bool:
    return facing(view) != "side" or near_side(view) == side


def _reaches_below(length: str, cover: str) -> bool:
    return _LENGTHS.index(length) > _LENGTHS.index(cover)


def _occluded(item: Item, view: View) -> bool:
    """Without a mask: low things in front of the person hide the feet."""
    low = view.occluder is not None and view.occluder.kind not in ("pole", "passer-by")
    return low and item.slot in ("shoes", "socks")
