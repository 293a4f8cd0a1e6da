"""What a drawn person is (`Person`, one per identity) and how one picture shows them (`View`, one per image).

Everything that a caption may name is here as a plain word, everything that a picture needs beside it as a number.
All classes are frozen and made of plain values, so `dataclasses.asdict` gives a JSON record. "Left" and "right" of a
body part or of a hand mean the person's own side; a view's direction says which way the person faces in the image.
"""

from dataclasses import dataclass
from typing import Literal

Sex = Literal["man", "woman"]
Age = Literal["child", "young", "adult", "older"]
Side = Literal["left", "right"]
Sleeve = Literal["none", "short", "three-quarter", "long"]
HairLength = Literal["bald", "very short", "short", "medium", "long"]
HairStyle = Literal["plain", "straight", "wavy", "curly", "ponytail", "bun"]
HeadwearKind = Literal["cap", "beanie", "brimmed hat", "sun hat", "headscarf", "helmet"]
Pattern = Literal["plain", "striped", "checked", "dotted", "floral", "colour block", "camouflage"]
UpperKind = Literal["t-shirt", "shirt", "blouse", "sweater", "hoodie", "polo", "tank top", "dress"]
OuterKind = Literal["jacket", "coat", "cardigan", "vest", "blazer", "puffer jacket", "raincoat"]
LowerKind = Literal["trousers", "jeans", "shorts", "skirt", "leggings"]
Length = Literal["waist", "hip", "thigh", "knee", "calf", "ankle"]
ShoeKind = Literal["trainers", "boots", "sandals", "heels", "leather shoes", "flats"]
BagKind = Literal["backpack", "handbag", "tote", "shoulder bag", "suitcase"]
Worn = Literal["back", "shoulder", "across", "hand"]
CarriedKind = Literal["phone", "open umbrella", "closed umbrella", "bottle", "cup", "shopping bag", "book"]
Use = Literal["carried", "looked at", "at the ear", "overhead"]
Direction = Literal["front", "front-left", "left", "back-left", "back", "back-right", "right", "front-right"]
Pose = Literal["standing", "walking", "running"]
Arm = Literal["hanging", "pocket", "bent", "forward", "raised", "hip", "clasped", "folded"]
OccluderKind = Literal["pole", "railing", "bush", "car", "passer-by", "bin", "box edge"]
Background = Literal["wall", "shop front", "pavement", "road", "crossing", "park", "corridor", "square"]


@dataclass(frozen=True, slots=True)
class Shade:
    """A colour as one person's cloth has it.

    Args:
        name: the colour's word, a key of `pickout.synthetic.colours.COLOURS` (cloth) or `HAIR_COLOURS` (hair).
        rgb: this cloth's own variation of it, sRGB in [0, 1].
    """

    name: str
    rgb: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Hair:
    """Hair: length, style and colour. A bald head keeps `colour` for the beard and the brows."""

    length: HairLength
    style: HairStyle
    colour: Shade


@dataclass(frozen=True, slots=True)
class Headwear:
    """What is on the head."""

    kind: HeadwearKind
    colour: Shade


@dataclass(frozen=True, slots=True)
class Garment:
    """A garment of the upper or the lower body.

    Args:
        kind: an `UpperKind` or a `LowerKind`.
        colour: its main colour.
        pattern: what is printed or woven on it.
        second: the pattern's or the logo's second colour; None for plain cloth without logo.
        sleeve: upper garments only; a lower garment has `none`.
        length: how far down it reaches; for an upper garment `hip`, for a dress `thigh` to `ankle`.
        logo: whether a print or logo is on the chest.
        tucked: whether an upper garment is tucked into the lower one.
        torn: whether jeans are faded and torn at the knees.
        tight: how close it sits, 0 loose to 1 tight.
    """

    kind: UpperKind | LowerKind
    colour: Shade
    pattern: Pattern
    second: Shade | None
    sleeve: Sleeve
    length: Length
    logo: bool = False
    tucked: bool = False
    torn: bool = False
    tight: float = 0.5


@dataclass(frozen=True, slots=True)
class Outer:
    """A garment over the upper garment.

    Args:
        kind: what it is.
        colour: its main colour.
        pattern: plain, or checked and the like for a coat.
        second: the pattern's second colour.
        open: whether it is open in front and shows the garment below.
        sleeve: `none` for a vest, else `long`.
        length: `waist` to `knee`.
        hood: whether a hood hangs at the neck.
    """

    kind: OuterKind
    colour: Shade
    pattern: Pattern
    second: Shade | None
    open: bool
    sleeve: Sleeve
    length: Length
    hood: bool


@dataclass(frozen=True, slots=True)
class Shoes:
    """Shoes: kind, colour, and the sole's colour where it differs from the shoe's."""

    kind: ShoeKind
    colour: Shade
    sole: Shade


@dataclass(frozen=True, slots=True)
class Bag:
    """A bag. `side` is the person's side on which it hangs, stands or (a backpack on one strap) is carried."""

    kind: BagKind
    colour: Shade
    side: Side
    worn: Worn


@dataclass(frozen=True, slots=True)
class Person:
    """One identity with the clothes that it keeps across cameras.

    Args:
        sex: as an onlooker would say.
        age: `child` is up to about twelve, `older` has grey hair or a stoop.
        height: metres.
        build: 0 slim, 0.5 average, 1 heavy.
        skin: 0 lightest to 1 darkest. For the picture alone: captions never name it.
        hair: its length, style and colour.
        beard: whether a man has one.
        headwear: hat or cap, or None.
        glasses: `glasses`, `sunglasses` or None.
        upper: upper garment; `upper.kind == "dress"` is a one-piece.
        outer: what is worn over it, or None.
        lower: lower garment; None is a dress over bare legs.
        socks: colour of visible socks or tights where the legs are bare; None is skin.
        shoes: shoes.
        bag: a bag, or None.
        belt: colour of a belt, or None.
        scarf: colour of a scarf, or None.
        seed: for what has no word: folds, the pattern's scale and place, the face.
    """

    sex: Sex
    age: Age
    height: float
    build: float
    skin: float
    hair: Hair
    beard: bool
    headwear: Headwear | None
    glasses: Literal["glasses", "sunglasses"] | None
    upper: Garment
    outer: Outer | None
    lower: Garment | None
    socks: Shade | None
    shoes: Shoes
    bag: Bag | None
    belt: Shade | None
    scarf: Shade | None
    seed: int

    @property
    def dress(self) -> bool:
        """Whether the upper garment is a one-piece dress."""
        return self.upper.kind == "dress"


@dataclass(frozen=True, slots=True)
class Carried:
    """A thing in one hand, in this view."""

    kind: CarriedKind
    colour: Shade
    hand: Side
    use: Use


@dataclass(frozen=True, slots=True)
class Occluder:
    """Something between camera and person.

    Args:
        kind: what it is.
        place: where across the crop, 0 left edge to 1 right edge.
        reach: how much of the crop it may cover, 0 to 1 (height for low things, width for tall ones).
        seed: its shape and colour.
    """

    kind: OccluderKind
    place: float
    reach: float
    seed: int


@dataclass(frozen=True, slots=True)
class View:
    """How one image shows a person.

    Args:
        camera: the camera's name.
        yaw: which way the person faces, degrees: 0 to the camera, 90 to the image's right, 180 away, 270 to its left.
        pose: standing, walking or running.
        phase: where in the step, 0 to 1.
        arms: what the person's left and right arm do.
        lean: degrees the upper body leans forward.
        head_turn: degrees the head turns to the person's left.
        carried: a thing in a hand, or None. A bag belongs to the person.
        occluder: something in front, or None.
        background: the place.
        zoom: the crop's size relative to a tight box, 1 is tight, below 1 leaves a margin.
        spare: the crop's width over that of a tight box: detectors leave room at the sides.
        shift: the crop's offset (right, down) as part of its size.
        passers: how many other people stand in the background.
        seed: for the background, the sensor's noise and the folds of this step.
    """

    camera: str
    yaw: float
    pose: Pose
    phase: float
    arms: tuple[Arm, Arm]
    lean: float
    head_turn: float
    carried: Carried | None
    occluder: Occluder | None
    background: Background
    zoom: float
    spare: float
    shift: tuple[float, float]
    passers: int
    seed: int

    @property
    def direction(self) -> Direction:
        """The nearest of eight directions: `front` faces the camera, `left` faces the image's left edge."""
        names: tuple[Direction, ...] = (
            "front",
            "front-right",
            "right",
            "back-right",
            "back",
            "back-left",
            "left",
            "front-left",
        )
        return names[round(self.yaw / 45.0) % 8]
