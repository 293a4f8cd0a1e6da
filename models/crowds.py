"""Whole frames with several people and things, and which pixels show whom: they teach a detector.

All stand on one ground before one camera, so sizes, light and who hides whom agree; some are cut by the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.avatars import load_avatar
from pickout.synthetic.cameras import NEUTRAL_CAMERA, Camera, develop, sample_cameras
from pickout.synthetic.drawing import Figure
from pickout.synthetic.outfits import sample_wearer
from pickout.synthetic.people import sample_person, sample_view
from pickout.synthetic.render import Layer, Light, render
from pickout.synthetic.scenes import draw_scene
from pickout.synthetic.solids import Piece, Rays, box, cone, ellipsoid
from pickout.synthetic.surfaces import Part, Surface

Array = NDArray[np.floating[Any]]
SEEN = 0.3  # share of a person in the frame that must be unhidden for its box to count
NOBODY = 0.15  # share of frames without anybody
_PEOPLE, _THINGS = 6, 7
_SHARES = (0.12, 1.6)  # heights of people, as shares of the frame's
_BODIES = 0.7  # share of people who have an avatar's body, where there are avatars
_LEAST = 0.03
"""Part of the square of a person's height that must lie in the frame; a whole person covers about a quarter of it."""
_PATTERNS = ("plain", "plain", "striped", "checked", "floral")


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """A frame.

    Args:
        image: sRGB. Shape: (height, width, 3).
        owner: from 1, the person that each pixel shows; 0 for none, or one of whom too little is seen.
            Shape: (height, width).
    """

    image: NDArray[np.uint8]
    owner: NDArray[np.uint8]


def draw_crowd(generator: np.random.Generator, size: tuple[int, int], avatars: Sequence[Path] = ()) -> Crowd:
    """One frame of (height, width); equal arguments give equal frames.

    Args:
        generator: all chance comes from it.
        avatars: files of bodies; empty draws everybody.
    """
    camera = sample_cameras(generator, 1)[0]
    people = 0 if generator.random() < NOBODY else int(generator.integers(1, _PEOPLE))
    stage = _Stage.sampled(generator, size, Light(camera))
    first = stage.place(generator)
    canvas = _Canvas(_scenery(generator, camera, stage.rays_at(first), avatars), stage)
    for number in range(people):
        place = stage.place(generator) if number else first
        canvas.put(_somebody(generator, avatars).render(stage.rays_at(place), stage.light), place, person=True)
    for _ in range(int(generator.integers(_THINGS))):
        place = stage.place(generator)
        canvas.put(render(_things(generator), stage.rays_at(place), stage.light), place, person=False)
    return Crowd(develop(canvas.picture, camera, int(generator.integers(2**31))), canvas.owner())


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """A camera above a ground.

    Args:
        rays: the camera stands above the origin and looks along -z.
        focal: pixels at depth 1.
        away: metres to the people, about.
        light: of the place.
    """

    rays: Rays
    focal: float
    away: float
    light: Light

    @classmethod
    def sampled(cls, generator: np.random.Generator, size: tuple[int, int], light: Light) -> Self:
        height, width = size
        half = float(generator.uniform(0.35, 0.95))
        focal = 0.5 * width / half
        away = focal * 1.7 / (height * float(np.exp(generator.uniform(*np.log(_SHARES)))))
        up = float(generator.uniform(0.9, min(6.0, 0.9 + 0.8 * away)))
        # The camera is turned so that somebody's middle at that distance stands somewhere in the frame.
        down = np.arcsin((up - 0.9) / away) + np.arctan(generator.uniform(-0.4, 0.4) * height / focal)
        forward = np.array([0.0, -np.sin(down), -np.cos(down)])
        right = np.array([1.0, 0.0, 0.0])
        xs = (np.arange(width) + 0.5 - 0.5 * width) / focal
        ys = (0.5 * height - np.arange(height) - 0.5) / focal
        basis = np.stack([right, np.cross(right, forward), forward])
        rays = Rays(np.array([0.0, up, 0.0]), basis, xs.astype(np.float32), ys.astype(np.float32))
        return cls(rays, focal, away, light)

    def place(self, generator: np.random.Generator) -> Array:
        """A place on the ground, mostly in view."""
        reach = self.away * float(np.exp(generator.normal(0, 0.35)))
        flat = np.sqrt(max(reach**2 - (self.rays.position[1] - 0.9) ** 2, 0.3 * reach**2))
        angle = generator.uniform(-1.1, 1.1) * np.arctan(self.rays.xs[-1])
        return np.array([flat * np.sin(angle), 0.0, -flat * np.cos(angle)])

    def rays_at(self, place: Array) -> Rays:
        """The rays for a figure that stands at the origin in place of `place`."""
        return Rays(self.rays.position - place, self.rays.basis, self.rays.xs, self.rays.ys)


class _Canvas:
    """A picture that remembers how near each pixel is, and who it shows."""

    def __init__(self, picture: Array, stage: _Stage) -> None:
        self.picture, self._stage = picture, stage
        self._depth = np.full(picture.shape[:2], np.inf, dtype=np.float32)
        self._owner = np.zeros(picture.shape[:2], dtype=np.int16)
        self._whole: list[int] = []

    def put(self, layer: Layer, place: Array, *, person: bool) -> None:
        """Lay a figure on the picture; somebody of whom next to nothing is in the frame is left out."""
        if person:
            body = (layer.part > 0) & (layer.part != Part.BAG) & (layer.part != Part.CARRIED)
            away = float(np.linalg.norm(self._stage.rays.position - place))
            if body.sum() < _LEAST * (self._stage.focal * 1.7 / away) ** 2:
                return
            self._whole.append(int(body.sum()))
        self._darken_ground(place)
        covers = (layer.part > 0) & (layer.depth < self._depth)
        self.picture = np.where(covers[..., None], layer.colour, self.picture)
        self._depth = np.where(covers, layer.depth, self._depth)
        self._owner[covers] = 0
        if person:
            self._owner[covers & body] = len(self._whole)

    def owner(self) -> NDArray[np.uint8]:
        """Who is seen at each pixel, without those who are mostly hidden. Shape: (height, width)."""
        seen = np.bincount(self._owner.ravel(), minlength=len(self._whole) + 1)
        hidden = [number for number, whole in enumerate(self._whole, start=1) if seen[number] < SEEN * whole]
        return np.where(np.isin(self._owner, hidden), 0, self._owner).astype(np.uint8)

    def _darken_ground(self, place: Array) -> None:
        rays = self._stage.rays
        across, up, away = (place - rays.position) @ rays.basis.T
        if away < 0.3:
            return
        across, up = across / away, up / away
        wide, flat = 0.35 / away, 0.35 / away * max(0.15, float(-rays.basis[2][1]))
        spot = np.exp(-np.square((rays.xs - across) / wide)) * np.exp(-np.square((rays.ys - up) / flat))[:, None]
        free = np.isinf(self._depth)[..., None]
        self.picture = self.picture * (1 - np.float32(0.45) * spot[..., None] * free).astype(np.float32)


def _somebody(generator: np.random.Generator, avatars: Sequence[Path]) -> Figure:
    avatar = None
    if avatars and generator.random() < _BODIES:
        avatar = load_avatar(avatars[int(generator.integers(len(avatars)))])
    person = sample_person(generator) if avatar is None else sample_wearer(generator, avatar.outfit, avatar.skin)
    return Figure(person, sample_view(generator, person, NEUTRAL_CAMERA), avatar)


def _scenery(generator: np.random.Generator, camera: Camera, rays: Rays, avatars: Sequence[Path]) -> Array:
    """One of the street's places, with somebody's shadow but nobody in it."""
    somebody = _somebody(generator, avatars)
    view = replace(sample_view(generator, somebody.person, camera), passers=0)
    return draw_scene(view, rays, Light(camera), somebody.skeleton)


def _things(generator: np.random.Generator) -> list[Piece]:
    """A post, a table, a box, a bin, or several solids on each other, as tall as a child or a door."""
    upright, ahead = np.eye(3), np.array([0.0, 0.0, 1.0])
    turn = generator.uniform(0, np.pi)
    turned = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    tall = float(np.exp(generator.uniform(np.log(0.35), np.log(2.3))))
    wide = float(tall * np.exp(generator.uniform(np.log(0.12), np.log(0.7))))
    foot, top = np.zeros(3), np.array([0.0, tall, 0.0])
    match int(generator.integers(5)):
        case 0:
            return [cone(_paint(generator), foot, top * 1.5, (0.08 * tall, 0.06 * tall), ahead)]
        case 1:
            leg, board = _paint(generator), _paint(generator)
            plate = ellipsoid(board, top * 0.7, upright, (wide, 0.02, wide))
            return [cone(leg, foot, top * 0.7, (0.04, 0.04), ahead), plate]
        case 2:
            return [box(_paint(generator), top * 0.5, turned, (wide * 0.5, tall * 0.5, 0.4 * wide))]
        case 3:
            flat = (True, False)
            return [cone(_paint(generator), foot, top * 0.7, (0.4 * wide, 0.5 * wide), ahead, caps=flat)]
        case _:
            pieces, low = [], 0.0
            for _ in range(int(generator.integers(2, 5))):
                high = low + tall * float(generator.uniform(0.15, 0.5))
                size = (wide * generator.uniform(0.2, 0.7), 0.5 * (high - low), wide * generator.uniform(0.2, 0.6))
                make = box if generator.random() < 0.5 else ellipsoid
                centre = np.array([generator.normal(0, 0.1 * wide), 0.5 * (low + high), 0.0])
                pieces.append(make(_paint(generator), centre, turned, size))
                low = high
            return pieces


def _paint(generator: np.random.Generator) -> Surface:
    """A colour, mostly a dull one, sometimes patterned like cloth: coats on hooks are nobody."""
    grey = generator.uniform(0.05, 0.95)
    share = generator.uniform(0, 0.3) if generator.random() < 0.6 else generator.uniform(0.3, 1)
    first, second = (tuple((grey + share * (generator.uniform(0.02, 0.98, 3) - grey)).tolist()) for _ in range(2))
    pattern = _PATTERNS[int(generator.integers(len(_PATTERNS)))]
    return Surface("cloth", first, Part.OCCLUDER, second=second, pattern=pattern, shine=float(generator.random()) * 0.6)
