"""Sample how one image shows a person: direction, pose, what the hands hold, what stands in front and behind."""

import numpy as np
from numpy.random import Generator

from pickout.synthetic.attributes import Carried, Occluder, Person, View
from pickout.synthetic.cameras import Camera
from pickout.synthetic.colours import sample_shade
from pickout.synthetic.habits import HABITS, habit, pick


def sample_view(generator: Generator, person: Person, camera: Camera) -> View:
    """Sample one view of `person` by `camera`; all chance comes from `generator`."""
    facing = float(habit(generator, "yaw"))
    pose = habit(generator, "pose")
    carried = _carried(generator, person)
    zoom, aside, down = (float(x) for x in (generator.uniform(0.87, 1.02), *generator.normal(0.0, (0.03, 0.008))))
    # Now and then the crop is cut off at the thighs or knees.
    if float(generator.random()) < 0.14:
        zoom = float(generator.uniform(1.12, 1.6))
        down = 0.5 * (zoom - 1.0) + 0.01
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
        zoom=round(zoom, 4),
        spare=round(float(generator.uniform(0.95, 1.5)), 4),
        shift=(round(aside, 4), round(down, 4)),
        passers=pick(generator, {0: 54, 1: 31, 2: 15}),
        seed=int(generator.integers(2**31)),
    )


def _carried(generator: Generator, person: Person) -> Carried | None:
    kind = habit(generator, "carried")
    if kind is None:
        return None
    hand = habit(generator, "hand")
    if person.bag is not None and person.bag.worn == "hand":
        hand = "right" if person.bag.side == "left" else "left"
    use = habit(generator, "use", kind)
    return Carried(kind, sample_shade(generator, habit(generator, "carried_colour", kind)), hand, use)


def _arms(generator: Generator, person: Person, walking: bool, carried: Carried | None) -> tuple[str, str]:
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


def _occluder(generator: Generator) -> Occluder | None:
    kind = habit(generator, "occluder")
    if kind is None:
        return None
    right = pick(generator, {0: 1, 1: 1})
    place, reach = float(generator.uniform(0.02, 0.28)), float(generator.uniform(0.15, 0.42))
    return Occluder(kind, round(1.0 - place if right else place, 4), round(reach, 4), int(generator.integers(2**31)))
