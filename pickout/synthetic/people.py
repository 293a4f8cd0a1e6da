"""Sample people, their clothes, and how one image shows them, with the habits of a real street."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from pickout.synthetic import attributes
from pickout.synthetic.attributes import Bag, Garment, Hair, Headwear, Outer, Person, Sex, Shade, Shoes
from pickout.synthetic.cameras import Camera
from pickout.synthetic.habits import HABITS, HAIR_COLOURS, chance, habit, pick, sample_shade, second_shade, usual_shade

_SCARVES = {"warm": 0.01, "mild": 0.07, "cold": 0.22}
_BELTED = ("trousers", "jeans", "shorts")


def sample_person(generator: Generator, *, sex: Sex | None = None) -> Person:
    """Sample one identity; all chance comes from `generator`. `sex` fixes it, None draws it."""
    sex = sex or habit(generator, "sex")
    season, age = habit(generator, "season"), habit(generator, "age")
    woman, child = sex == "woman", age == "child"
    height = float(generator.uniform(1.15, 1.45) if child else generator.normal(1.63 if woman else 1.76, 0.065))
    build = float(np.clip(generator.normal(0.45 if age != "older" else 0.58, 0.22), 0.0, 1.0))
    skin = float(generator.beta(1.25, 1.45))
    hair = _hair(generator, sex, age, skin)
    upper = sample_upper(generator, sex, season)
    layered = chance(generator, {"warm": 0.05, "mild": 0.42, "cold": 0.9}[season])
    outer = sample_outer(generator, sex, season, upper) if layered else None
    if upper.kind == "dress":  # over leggings or bare legs
        leggings = season != "warm" and upper.length == "thigh" and chance(generator, 0.5)
        colour = sample_shade(generator, habit(generator, "below_dress"))
        lower = Garment("leggings", colour, "plain", None, "none", "ankle", tight=1.0) if leggings else None
    else:
        lower = sample_lower(generator, sex, age, season)
    bare = lower is None or lower.length in ("thigh", "knee")
    tights = bare and woman and season != "warm" and chance(generator, 0.7)
    socks = sample_shade(generator, habit(generator, "tights")) if tights else None
    belted = lower is not None and (upper.tucked or chance(generator, 0.15)) and lower.kind in _BELTED
    beard = not woman and not child and chance(generator, 0.28)
    hat = habit(generator, "headwear", sex, season)
    return Person(
        sex=sex,
        age=age,
        height=round(float(np.clip(height, 1.1, 1.98)), 3),
        build=round(build, 3),
        skin=round(skin, 3),
        hair=hair,
        beard=beard,
        headwear=Headwear(hat, usual_shade(generator, "headwear")) if hat else None,
        glasses=habit(generator, "glasses", season),
        upper=upper,
        outer=outer,
        lower=lower,
        socks=socks,
        shoes=sample_shoes(generator, sex, season),
        bag=_bag(generator, sex, age),
        belt=sample_shade(generator, habit(generator, "belt")) if belted else None,
        scarf=usual_shade(generator, "headwear") if chance(generator, _SCARVES[season]) else None,
        seed=int(generator.integers(2**31)),
    )


def twin_of(person: Person, generator: Generator) -> tuple[Person, str]:
    """`person` but for one garment in sight, of another colour's name, and that garment's slot: outer, upper, lower."""
    hidden = person.outer is not None and not person.outer.open
    while True:
        other = sample_person(generator, sex=person.sex)
        slot = str(pick(generator, {"outer": 1, "lower": 1} if hidden else {"outer": 1, "upper": 1, "lower": 1}))
        own, new = getattr(person, slot), getattr(other, slot)
        if person.dress == other.dress and own is not None and new is not None and own.colour.name != new.colour.name:
            belt = person.belt if slot != "lower" or new.kind in _BELTED else None
            return replace(person, **{slot: new, "belt": belt}), slot


def _hair(generator: Generator, sex: Sex, age: str, skin: float) -> Hair:
    length = habit(generator, "hair_length", f"grown {sex}" if sex == "man" and age in ("adult", "older") else sex)
    style = habit(generator, "hair_style", length)
    tone = "dark skin" if skin > 0.55 else "light skin"
    if age == "older" and chance(generator, 0.75):
        tone = "grown grey"
    return Hair(length, style, sample_shade(generator, habit(generator, "hair_colour", tone), HAIR_COLOURS))


def _bag(generator: Generator, sex: Sex, age: str) -> Bag | None:
    kind = habit(generator, "bag", sex, age)
    if kind is None:
        return None
    worn = {"backpack": "back", "suitcase": "hand", "tote": pick(generator, {"shoulder": 3, "hand": 1})}.get(kind)
    if kind == "handbag":
        worn = pick(generator, {"hand": 1, "shoulder": 1})
    if kind == "shoulder bag":
        worn = pick(generator, {"across": 3, "shoulder": 1})
    return Bag(kind, usual_shade(generator, "bag"), pick(generator, {"left": 1, "right": 1}), str(worn))


def _pattern(generator: Generator, kind: str, first: Shade, logo: bool) -> tuple[str, Shade | None]:
    """A pattern for a garment of `kind`, none beside a logo, and the second colour of either."""
    pattern = pick(generator, {"plain": 1.0} if logo else HABITS["pattern"].get(kind, {"plain": 1.0}))
    return pattern, second_shade(generator, first) if pattern != "plain" or logo else None


def sample_upper(generator: Generator, sex: Sex, season: str, *, kind: str | None = None) -> Garment:
    """Sample an upper garment; a dress is one. `kind` fixes what it is."""
    kind = kind or str(habit(generator, "upper", sex, season))
    sleeve = habit(generator, "sleeve", season, kind)
    colour = usual_shade(generator, "upper")
    logo = kind in ("t-shirt", "hoodie", "sweater", "tank top") and chance(generator, 0.3)
    pattern, second = _pattern(generator, kind, colour, logo)
    length = habit(generator, "length", kind) if kind == "dress" else "hip"
    tucked = kind in ("shirt", "polo", "blouse", "t-shirt") and chance(generator, 0.28)
    tight = float(generator.uniform(0.35, 0.9) if sex == "woman" else generator.uniform(0.1, 0.7))
    return Garment(kind, colour, pattern, second, sleeve, length, logo, tucked, False, round(tight, 3))


def sample_outer(generator: Generator, sex: Sex, season: str, upper: Garment, *, kind: str | None = None) -> Outer:
    """Sample what is worn over `upper`; `kind` fixes what it is."""
    kind = kind or str(habit(generator, "outer", sex, season))
    # Only black, which is the most common, is worn over the same colour.
    colour = usual_shade(generator, "outer", but="" if upper.colour.name == "black" else upper.colour.name)
    pattern, second = _pattern(generator, kind, colour, False)
    lengths = HABITS["length"].get(f"woman's {kind}" if sex == "woman" and kind == "cardigan" else kind)
    length = pick(generator, lengths) if lengths else "hip"
    is_open = chance(generator, {"cardigan": 0.8, "blazer": 0.6, "puffer jacket": 0.25}.get(kind, 0.45))
    sleeve = "none" if kind == "vest" else "long"
    hood = kind in ("raincoat", "puffer jacket") and chance(generator, 0.7)
    return Outer(kind, colour, pattern, second, is_open, sleeve, length, hood)


def sample_lower(generator: Generator, sex: Sex, age: str, season: str, *, kind: str | None = None) -> Garment:
    """Sample a lower garment; `kind` fixes what it is."""
    kind = kind or str(pick(generator, HABITS["lower"][sex][season] | ({"jeans": 22} if age == "older" else {})))
    thing = kind if kind in ("jeans", "skirt", "leggings") else "trousers"
    colour = usual_shade(generator, thing)
    pattern, second = _pattern(generator, kind, colour, False)
    shorts = habit(generator, "length", f"{sex}'s shorts")
    length = habit(generator, "length", kind) if kind == "skirt" else shorts if kind == "shorts" else "ankle"
    woman = sex == "woman"
    tight = {"leggings": 1.0, "jeans": 0.75 if woman else 0.4}.get(kind, 0.5 if woman else 0.25)
    torn = kind == "jeans" and colour.name in ("blue", "light blue") and chance(generator, 0.2)
    tight = float(np.clip(tight + float(generator.uniform(-0.2, 0.2)), 0.0, 1.0))
    return Garment(kind, colour, pattern, second, "none", length, torn=torn, tight=round(tight, 3))


def sample_shoes(generator: Generator, sex: Sex, season: str, *, kind: str | None = None) -> Shoes:
    """Sample shoes; `kind` fixes what they are."""
    kind = kind or str(habit(generator, "shoes", sex, season))
    colour = usual_shade(generator, kind)
    contrast = kind == "trainers" and chance(generator, 0.65)
    sole = sample_shade(generator, "white" if colour.name != "white" else habit(generator, "white_soles"))
    return Shoes(kind, colour, sole if contrast else sample_shade(generator, "black" if kind != "sandals" else "brown"))


def sample_view(generator: Generator, person: Person, camera: Camera) -> attributes.View:
    """Sample one view of `person` by `camera`; all chance comes from `generator`."""
    facing = float(habit(generator, "yaw"))
    pose = habit(generator, "pose")
    carried = _carried(generator, person)
    zoom, aside, down = (float(x) for x in (generator.uniform(0.87, 1.02), *generator.normal(0.0, (0.03, 0.008))))
    # Now and then the crop is cut off at the thighs or knees.
    if float(generator.random()) < 0.14:
        zoom = float(generator.uniform(1.12, 1.6))
        down = 0.5 * (zoom - 1.0) + 0.01
    return attributes.View(
        camera=camera.name,
        yaw=round((facing + float(generator.normal(0.0, 8.0))) % 360.0, 2),
        pose=pose,
        phase=round(float(generator.random()), 4),
        arms=_arms(generator, person, pose == "walking", carried),
        lean=round(float(generator.normal({"standing": 1.0, "walking": 3.0, "running": 9.0}[pose], 2.0)), 2),
        head_turn=round(float(np.clip(generator.normal(0.0, 16.0), -50.0, 50.0)), 2),
        carried=carried,
        occluder=_occluder(generator),
        background=pick(generator, dict.fromkeys(camera.backgrounds, 1.0)),
        zoom=round(zoom, 4),
        spare=round(float(generator.uniform(0.95, 1.5)), 4),
        shift=(round(aside, 4), round(down, 4)),
        passers=pick(generator, {0: 54, 1: 31, 2: 15}),
        seed=int(generator.integers(2**31)),
    )


def _carried(generator: Generator, person: Person) -> attributes.Carried | None:
    kind = habit(generator, "carried")
    if kind is None:
        return None
    hand = habit(generator, "hand")
    if person.bag is not None and person.bag.worn == "hand":
        hand = "right" if person.bag.side == "left" else "left"
    use = habit(generator, "use", kind)
    return attributes.Carried(kind, sample_shade(generator, habit(generator, "carried_colour", kind)), hand, use)


def _arms(generator: Generator, person: Person, walking: bool, carried: attributes.Carried | None) -> tuple[str, str]:
    weights = dict(HABITS["arms"])
    if walking:
        weights |= {"hanging": 80, "hip": 0, "raised": 1}
    if person.lower is None or person.lower.kind in ("skirt", "leggings"):
        weights["pocket"] = 0
    both = pick(generator, {"nothing": 85, "clasped": 10, "folded": 5 if not walking else 1, "forward": 4})
    arms = {side: both or pick(generator, weights) for side in ("left", "right")}
    bag = person.bag
    if bag is not None and bag.worn == "hand":
        arms[bag.side] = "hanging"
    elif bag is not None and bag.kind in ("handbag", "tote") and bag.worn == "shoulder":
        arms[bag.side] = pick(generator, {"hanging": 2, "bent": 1})
    if carried is not None:
        held = {"looked at": "forward", "at the ear": "raised", "overhead": "bent"}
        usual = pick(generator, {"hanging": 2, "bent": 2}) if carried.kind in ("cup", "book") else "hanging"
        arms[carried.hand] = held.get(carried.use, usual)
    return arms["left"], arms["right"]


def _occluder(generator: Generator) -> attributes.Occluder | None:
    kind = habit(generator, "occluder")
    if kind is None:
        return None
    right = pick(generator, {0: 1, 1: 1})
    place, reach = float(generator.uniform(0.02, 0.28)), float(generator.uniform(0.15, 0.42))
    place, seed = 1.0 - place if right else place, int(generator.integers(2**31))
    return attributes.Occluder(kind, round(place, 4), round(reach, 4), seed)
