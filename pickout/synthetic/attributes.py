"""What a drawn person is (`Person`, one per identity), how one picture shows them (`View`, one per image), and what of
it a caption may name (`Item`).

What a caption may name is a plain word, what a picture needs beside it a number. "Left" is the person's own left."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Sex = Literal["man", "woman"]
Side = Literal["left", "right"]
Shares = Mapping[str, float] | None  # by slot of `Item`, its part of the crop by the mask; None goes by the view alone
GARMENTS = ("outer", "upper", "lower")  # the slots that a caption is mainly about
_LENGTHS = ("waist", "hip", "thigh", "knee", "calf", "ankle")
_SIDEWAYS = (55.0, 125.0)  # degrees away from the camera between which a person is said to be seen from the side
_FACE = 108.0  # degrees away from the camera below which glasses and a beard can be made out
_LEAST_SHARE = 0.0015  # the share of the crop below which a part counts as hidden: 18 pixels of 192 x 64


def tags(**facts: bool) -> frozenset[str]:
    """The names of the facts that hold."""
    return frozenset(name for name, holds in facts.items() if holds)


@dataclass(frozen=True, slots=True)
class Shade:
    """A colour as one person's cloth or hair has it."""

    name: str  # the colour's word, a key of `COLOURS` (cloth) or `HAIR_COLOURS`
    rgb: tuple[float, float, float]  # this cloth's own variation of it, sRGB in [0, 1]


@dataclass(frozen=True, slots=True)
class Hair:
    """Hair. A bald head keeps `colour` for the beard and the brows."""

    length: str  # bald, very short, short, medium, long
    style: str  # plain, straight, wavy, curly, ponytail, bun
    colour: Shade


@dataclass(frozen=True, slots=True)
class Headwear:
    """What is on the head: cap, beanie, brimmed hat, sun hat, headscarf or helmet."""

    kind: str
    colour: Shade


@dataclass(frozen=True, slots=True)
class Garment:
    """A garment of the upper or the lower body, of a kind in the tables `upper` and `lower` of `habits.toml`."""

    kind: str
    colour: Shade
    pattern: str  # plain, striped, checked, dotted, floral, colour block, camouflage
    second: Shade | None  # of the pattern or the logo
    sleeve: str  # none, short, three-quarter, long; a lower garment has none
    length: str  # how far down it reaches, waist to ankle
    logo: bool = False
    tucked: bool = False
    torn: bool = False
    tight: float = 0.5  # how close it sits, 0 loose to 1 tight


@dataclass(frozen=True, slots=True)
class Outer:
    """A garment over the upper garment, of a kind in the table `outer` of `habits.toml`."""

    kind: str
    colour: Shade
    pattern: str
    second: Shade | None
    open: bool
    sleeve: str
    length: str
    hood: bool


@dataclass(frozen=True, slots=True)
class Shoes:
    """Shoes: trainers, boots, sandals, heels, leather shoes or flats."""

    kind: str
    colour: Shade
    sole: Shade


@dataclass(frozen=True, slots=True)
class Bag:
    """A backpack, handbag, tote, shoulder bag or suitcase; `side` is the person's side on which it hangs or stands."""

    kind: str
    colour: Shade
    side: Side
    worn: str  # back, shoulder, across, hand


@dataclass(frozen=True, slots=True)
class Person:
    """One identity with the clothes that it keeps across cameras; what may be None is not worn or not there."""

    sex: Sex  # as an onlooker would say
    age: str  # child (up to about twelve), young, adult, older (grey hair or a stoop)
    height: float  # metres
    build: float  # 0 slim, 0.5 average, 1 heavy
    skin: float  # 0 lightest to 1 darkest, for the picture alone: captions never name it
    hair: Hair
    beard: bool
    headwear: Headwear | None
    glasses: str | None  # glasses, sunglasses
    upper: Garment
    outer: Outer | None
    lower: Garment | None  # None is a dress over bare legs
    socks: Shade | None  # socks or tights where the legs are bare; None is skin
    shoes: Shoes
    bag: Bag | None
    belt: Shade | None
    scarf: Shade | None
    seed: int  # for what has no word: folds, the pattern's scale and place, the face

    @property
    def dress(self) -> bool:
        """Whether the upper garment is a one-piece dress."""
        return self.upper.kind == "dress"


@dataclass(frozen=True, slots=True)
class Carried:
    """A phone, umbrella, bottle, cup, shopping bag or book in one hand, in this view."""

    kind: str
    colour: Shade
    hand: Side
    use: str  # carried, looked at, at the ear, overhead


@dataclass(frozen=True, slots=True)
class Occluder:
    """Something between camera and person: pole, railing, bush, car, passer-by, bin or box edge."""

    kind: str
    place: float  # where across the crop, 0 left edge to 1 right edge
    reach: float  # how much of the crop it may cover, 0 to 1 (height for low things, width for tall ones)
    seed: int


@dataclass(frozen=True, slots=True)
class View:
    """How one image shows a person."""

    camera: str
    yaw: float  # which way the person faces, degrees: 0 to the camera, 90 to the image's right, 180 away
    pose: str  # standing, walking, running
    phase: float  # where in the step, 0 to 1
    arms: tuple[str, str]  # left and right: hanging, pocket, bent, forward, raised, hip, clasped, folded
    lean: float  # degrees the upper body leans forward
    head_turn: float  # degrees the head turns to the person's left
    carried: Carried | None  # a bag belongs to the person
    occluder: Occluder | None
    background: str  # a place of `habits.toml`
    zoom: float  # the crop's size relative to a tight box, 1 is tight, below 1 leaves a margin
    spare: float  # the crop's width over that of a tight box: detectors leave room at the sides
    shift: tuple[float, float]  # the crop's offset (right, down) as part of its size
    passers: int  # other people in the background
    seed: int  # for the background, the sensor's noise and the folds of this step


@dataclass(frozen=True, slots=True)
class Item:
    """One thing about a person that a caption may name; "" is what it has not."""

    slot: str  # where it belongs: hair, beard, glasses, ..., outer, upper, lower, shoes, bag, carried
    kind: str  # as in the classes above
    colour: Shade | None = None
    second: Shade | None = None  # of its pattern, logo or sole
    pattern: str = "plain"
    sleeve: str = ""
    length: str = ""  # how far down it reaches, for garments and hair
    style: str = ""  # the hair's
    side: str = ""  # the person's side on which it is
    worn: str = ""  # how a bag is worn or a carried thing used
    tags: frozenset[str] = frozenset()  # logo, open, hood, tucked, torn, tight, loose, sole
    vague: bool = False  # whether the writer does not look closely at it


def facing(view: View) -> str:
    """Whether an onlooker would say that the picture shows the person's `front`, `side` or `back`."""
    turned = _turned(view)
    return "front" if turned <= _SIDEWAYS[0] else "side" if turned < _SIDEWAYS[1] else "back"


def _turned(view: View) -> float:
    """Degrees that the person is turned away from the camera, 0 to 180."""
    return abs((view.yaw + 180.0) % 360.0 - 180.0)


def near_side(view: View) -> str:
    """The person's side that is turned to the camera: `left` or `right`; nothing for a view from front or back."""
    # Who faces the image's right shows the camera the right side.
    return "" if facing(view) != "side" else "right" if view.yaw < 180.0 else "left"


def visible_items(person: Person, view: View, shares: Shares = None) -> list[Item]:
    """The things that this picture shows, most telling first; one garment always stays: a caption cannot do without."""
    # A slot that `shares` lacks is not checked, so parts that no mask tells apart stay.
    items = [*_clothes(person, view), *_head(person, view), *_things(person, view, masked=shares is not None)]
    if shares is None:
        # Low things in front of the person hide the feet.
        low = view.occluder is not None and view.occluder.kind not in ("pole", "passer-by")
        return [item for item in items if not (low and item.slot in ("shoes", "socks"))]
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
    outer, upper, lower, shoes = person.outer, person.upper, person.lower, person.shoes
    front, cover = facing(view) == "front", _LENGTHS.index(upper.length)
    shown = outer is None or (outer.open and front)
    if outer is not None:
        look = (outer.kind, outer.colour, outer.second, outer.pattern, outer.sleeve, outer.length)
        yield Item("outer", *look, tags=tags(open=outer.open and front, hood=outer.hood))
        reach = _LENGTHS.index(outer.length)
        shown = shown or (person.dress and cover > reach)
        cover = max(cover, reach)
    if shown:
        yield _garment("upper", upper, front=front, covered=outer is not None)
    if lower is not None and _LENGTHS.index(lower.length) > cover:
        cover = _LENGTHS.index(lower.length)
        yield _garment("lower", lower, front=front, covered=False)
    yield Item("shoes", shoes.kind, shoes.colour, shoes.sole, tags=tags(sole=shoes.sole.name != shoes.colour.name))
    if person.socks is not None and _LENGTHS[cover] != "ankle" and shoes.kind != "boots":
        yield Item("socks", "socks", person.socks)
    if person.belt is not None and front and upper.tucked and (outer is None or outer.open):
        yield Item("belt", "belt", person.belt)


def _garment(slot: str, garment: Garment, *, front: bool, covered: bool) -> Item:
    logo, tight = garment.logo and front and not covered, garment.tight
    tucked, torn = garment.tucked and front, garment.torn and front
    second = garment.second if garment.pattern != "plain" or logo else None
    look = (garment.kind, garment.colour, second, garment.pattern, "" if covered else garment.sleeve, garment.length)
    told = tags(logo=logo, tucked=tucked, torn=torn, tight=tight > 0.75, loose=tight < 0.2)
    return Item(slot, *look, tags=told)


def _head(person: Person, view: View) -> Iterator[Item]:
    hat, hair = person.headwear, person.hair
    falls = hair.length in ("medium", "long")
    if hat is not None:
        yield Item("headwear", hat.kind, hat.colour)
    if hat is None or (hat.kind not in ("headscarf", "helmet") and falls):
        hidden = facing(view) == "front" or hat is not None
        style = "tied" if hair.style in ("ponytail", "bun") and hidden else hair.style
        yield Item("hair", "hair", hair.colour, length=hair.length, style=style)
    if _turned(view) < _FACE:
        if person.glasses is not None:
            yield Item("glasses", person.glasses)
        if person.beard:
            yield Item("beard", "beard", hair.colour)
    if person.scarf is not None and (facing(view) != "back" or not falls):
        yield Item("scarf", "scarf", person.scarf)


def _things(person: Person, view: View, *, masked: bool) -> Iterator[Item]:
    """Bag and carried thing. Where a mask will tell, only what it cannot is asked: whether straps are all one sees."""
    bag, held, seen = person.bag, view.carried, facing(view)
    near = ("left", "right") if seen != "side" else (near_side(view),)
    if bag is not None:
        strapped = bag.kind == "backpack" and bag.worn != "hand"
        if seen != "front" if strapped else masked or bag.side in near:
            yield Item("bag", bag.kind, bag.colour, side=bag.side, worn=bag.worn)
    if held is not None:
        hidden = seen == "back" and held.kind in ("phone", "cup", "bottle", "book")
        if masked or held.use == "overhead" or (held.hand in near and not hidden):
            yield Item("carried", held.kind, held.colour, side=held.hand, worn=held.use)
