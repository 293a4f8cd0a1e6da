"""Sample how one image shows a person: direction, pose, what the hands hold, what stands in front and behind."""

from typing import cast

import numpy as np

from pickout.synthetic.attributes import Arm, Carried, Occluder, Person, Side, Use, View
from pickout.synthetic.cameras import Camera
from pickout.synthetic.chances import pick
from pickout.synthetic.colours import sample_shade

_ARMS: dict[Arm, float] = {"hanging": 62, "pocket": 11, "bent": 10, "forward": 7, "hip": 4, "raised": 2}


def sample_view(generator: np.random.Generator, person: Person, camera: Camera) -> View:
    """Sample one view of `person` by `camera`; all chance comes from `generator`."""
    facing = float(pick(generator, {0.0: 26, 180.0: 26, 90.0: 12, 270.0: 12, 45.0: 7, 315.0: 7, 135.0: 5, 225.0: 5}))
    pose = pick(generator, {"walking": 60, "standing": 36, "running": 4})
    carried = _carried(generator, person)
    zoom, shift = _crop(generator)
    return View(
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
        zoom=zoom,
        spare=round(float(generator.uniform(0.95, 1.5)), 4),
        shift=shift,
        passers=pick(generator, {0: 54, 1: 31, 2: 15}),
        seed=int(generator.integers(2**31)),
    )


def _crop(generator: np.random.Generator) -> tuple[float, tuple[float, float]]:
    """Zoom and shift of the crop: mostly the whole person, now and then cut off at the thighs or knees."""
    zoom, aside, down = (
        float(value) for value in (generator.uniform(0.87, 1.02), *generator.normal(0.0, (0.03, 0.008)))
    )
    if float(generator.random()) < 0.14:
        zoom = float(generator.uniform(1.12, 1.6))
        down = 0.5 * (zoom - 1.0) + 0.01
    return round(zoom, 4), (round(aside, 4), round(down, 4))


def _carried(generator: np.random.Generator, person: Person) -> Carried | None:
    kind = pick(
        generator,
        {
            None: 70,
            "phone": 10,
            "bottle": 4,
            "cup": 4,
            "shopping bag": 6,
            "book": 2,
            "open umbrella": 2.5,
            "closed umbrella": 2.5,
        },
    )
    if kind is None:
        return None
    hand: Side = pick(generator, {"left": 1, "right": 1.5})
    if person.bag is not None and person.bag.worn == "hand":
        hand = "right" if person.bag.side == "left" else "left"
    uses: dict[str, dict[str, float]] = {
        "phone": {"looked at": 5, "at the ear": 3, "carried": 2},
        "book": {"carried": 3, "looked at": 1},
        "open umbrella": {"overhead": 1},
    }
    use = pick(generator, uses.get(kind, {"carried": 1.0}))
    names = {
        "phone": {"black": 5, "white": 2, "grey": 1},
        "bottle": {"light blue": 3, "white": 2, "green": 1, "red": 1},
        "cup": {"white": 6, "brown": 3, "green": 1},
        "shopping bag": {"white": 6, "brown": 3, "red": 2, "green": 2, "blue": 2, "pink": 1, "yellow": 1},
        "book": {"blue": 2, "red": 2, "white": 2, "green": 1, "brown": 1},
    }
    umbrella = {"black": 6, "navy": 2, "red": 3, "blue": 2, "purple": 1, "green": 1, "pink": 1, "yellow": 1}
    colour = sample_shade(generator, pick(generator, names.get(kind, umbrella)))
    return Carried(kind, colour, hand, cast(Use, use))


def _arms(generator: np.random.Generator, person: Person, walking: bool, carried: Carried | None) -> tuple[Arm, Arm]:
    weights = dict(_ARMS)
    if walking:
        weights |= {"hanging": 80, "hip": 0, "raised": 1}
    if person.lower is None or person.lower.kind in ("skirt", "leggings"):
        weights["pocket"] = 0
    both = pick(generator, {None: 85, "clasped": 10, "folded": 5 if not walking else 1, "forward": 4})
    arms: dict[Side, Arm] = {"left": both or pick(generator, weights), "right": both or pick(generator, weights)}
    bag = person.bag
    if bag is not None and bag.worn == "hand":
        arms[bag.side] = "hanging"
    elif bag is not None and bag.kind in ("handbag", "tote") and bag.worn == "shoulder":
        arms[bag.side] = pick(generator, {"hanging": 2, "bent": 1})
    if carried is not None:
        held: dict[str, Arm] = {"looked at": "forward", "at the ear": "raised", "overhead": "bent"}
        usual = pick(generator, {"hanging": 2, "bent": 2}) if carried.kind in ("cup", "book") else "hanging"
        arms[carried.hand] = held.get(carried.use, cast(Arm, usual))
    return arms["left"], arms["right"]


def _occluder(generator: np.random.Generator) -> Occluder | None:
    kind = pick(
        generator,
        {None: 80, "pole": 4, "railing": 3, "bush": 3, "car": 3, "passer-by": 5, "bin": 2, "box edge": 2},
    )
    if kind is None:
        return None
    side = pick(generator, {0: 1, 1: 1})
    place = float(generator.uniform(0.02, 0.28))
    reach = float(generator.uniform(0.15, 0.42))
    return Occluder(
        kind, round(place if side == 0 else 1.0 - place, 4), round(reach, 4), int(generator.integers(2**31))
    )
