"""What a drawn person is (`Person`, one per identity) and how one picture shows them (`View`, one per image).

What a caption may name is a plain word, what a picture needs beside it a number. "Left" is the person's own left."""

from dataclasses import dataclass
from typing import Literal

Sex = Literal["man", "woman"]
Side = Literal["left", "right"]


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
