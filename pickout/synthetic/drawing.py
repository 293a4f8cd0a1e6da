"""Draw one crop: a person in a place, seen by a camera."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Occluder, Person, View
from pickout.synthetic.avatars import Avatar, load_avatar
from pickout.synthetic.belongings import accessory_pieces, bag_pieces, carried_pieces, headwear_pieces
from pickout.synthetic.bodies import hanging_hair, head_pieces
from pickout.synthetic.cameras import NEUTRAL_CAMERA, Camera, develop
from pickout.synthetic.garments import arm_pieces, outer_pieces, upper_pieces
from pickout.synthetic.legwear import leg_pieces, shoe_pieces, skirt_over
from pickout.synthetic.occluders import draw_occluder
from pickout.synthetic.outfits import sample_wearer
from pickout.synthetic.people import sample_person
from pickout.synthetic.pieces import Piece
from pickout.synthetic.posing import Posed, pose_avatar
from pickout.synthetic.raycast import Rays
from pickout.synthetic.render import Layer, nearest, render
from pickout.synthetic.scenes import draw_scene
from pickout.synthetic.shading import Light, light_of
from pickout.synthetic.skeleton import Skeleton, pose_skeleton
from pickout.synthetic.surfaces import Part
from pickout.synthetic.texturing import render_avatar
from pickout.synthetic.views import sample_view

Array = NDArray[np.floating[Any]]
FINE = 2
"""Rays a pixel along each side."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawn crop.

    Args:
        image: sRGB. Shape: (height, width, 3).
        parts: a `Part` at each pixel. Shape: (height, width).
    """

    image: NDArray[np.uint8]
    parts: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """Somebody in a pose: solids, and for an avatar its meshes with the solids that it carries."""

    person: Person
    skeleton: Skeleton
    pieces: list[Piece]
    body: tuple[Avatar, Posed] | None

    def render(self, rays: Rays, light: Light) -> Layer:
        """The figure as `rays` see it."""
        if self.body is None:
            return render(self.pieces, rays, light)
        layer = render_avatar(*self.body, self.person, rays, light)
        return nearest(layer, render(self.pieces, rays, light)) if self.pieces else layer

    def balls(self) -> tuple[Array, Array]:
        """Balls around everything, centre and radius, (n, 4), and how much of each counts for the crop."""
        found = [piece.balls for piece in self.pieces]
        held = [piece.surface.part in (Part.CARRIED, Part.BAG) for piece in self.pieces for _ in piece.balls]
        weight = np.where(np.array(held, dtype=bool), 0.5, 1.0)
        if self.body is not None:
            points = np.concatenate(self.body[1].places)[::7]
            found.append(np.column_stack([points, np.full(len(points), 0.004)]))
            weight = np.concatenate([weight, np.ones(len(points))])
        return np.concatenate(found), weight


def figure(person: Person, view: View, avatar: Avatar | None = None) -> Figure:
    """`person` in the pose of `view`, drawn, or with the body of `avatar`."""
    if avatar is not None:
        posed = pose_avatar(avatar, person, view)
        pieces = _things(person, view, posed.skeleton)
        if avatar.outfit.bottom.kind is not None:
            pieces += skirt_over(person, posed.skeleton)
        if avatar.outfit.hair[0] != person.hair.length:
            pieces += hanging_hair(person, posed.skeleton)
        return Figure(person, posed.skeleton, pieces, (avatar, posed))
    skeleton = pose_skeleton(person, view)
    pieces = [
        *head_pieces(person, skeleton),
        *upper_pieces(person, skeleton),
        *outer_pieces(person, skeleton),
        *arm_pieces(person, skeleton),
        *leg_pieces(person, skeleton),
        *shoe_pieces(person, skeleton),
    ]
    return Figure(person, skeleton, [*pieces, *_things(person, view, skeleton)], None)


def _things(person: Person, view: View, skeleton: Skeleton) -> list[Piece]:
    return [
        *headwear_pieces(person, skeleton),
        *accessory_pieces(person, skeleton),
        *bag_pieces(person, skeleton),
        *carried_pieces(person, view, skeleton),
    ]


def draw_crop(
    person: Person,
    view: View,
    camera: Camera,
    size: tuple[int, int] = (192, 64),
    *,
    avatar: Avatar | None = None,
    others: Sequence[Path] = (),
) -> Drawing:
    """Draw `person` in `view` as `camera` sees them; equal arguments give equal pixels.

    Args:
        size: height and width in pixels.
        avatar: the person's body, whose outfit `person` wears; None draws one.
        others: files of avatars for the other people in the picture; empty draws them.
    """
    height, width = size
    who = figure(person, view, avatar)
    light = light_of(camera)
    fine = _frame(who, view, camera, (height * FINE, width * FINE))
    coarse = Rays(fine.position, fine.basis, _pairs(fine.xs), _pairs(fine.ys))
    picture = draw_scene(view, coarse, light, who.skeleton)
    picture = _passers(picture, view, coarse, light, others)
    layer = who.render(fine, light)
    colour, cover = _shrink(layer)
    picture = colour + (1.0 - cover)[..., None] * picture
    parts = layer.part[FINE // 2 :: FINE, FINE // 2 :: FINE].copy()
    if view.occluder is not None:
        picture = _occlude(picture, parts, view.occluder, coarse, light, others)
    return Drawing(develop(picture, camera, view.seed), parts)


def _pairs(values: Array) -> Array:
    """Means of each `FINE` neighbours."""
    return np.asarray(values.reshape(-1, FINE).mean(axis=1))


def _shrink(layer: Layer) -> tuple[Array, Array]:
    """Mean colour (zero where nothing is) and cover of each `FINE` by `FINE` block."""
    return _blocks(layer.colour), _blocks((layer.part > 0).astype(np.float32))


def _blocks(fine: Array) -> Array:
    total = fine[::FINE, ::FINE].copy()
    for row in range(FINE):
        for column in range(FINE):
            if row or column:
                total += fine[row::FINE, column::FINE]
    return np.asarray(total * np.float32(1.0 / FINE**2))


def _other(seed: int, camera: str, others: Sequence[Path]) -> Figure:
    """Some other person, standing at the origin."""
    generator = np.random.default_rng([seed, 909])
    avatar = load_avatar(others[int(generator.integers(len(others)))]) if others else None
    person = sample_person(generator) if avatar is None else sample_wearer(generator, avatar.outfit, avatar.skin)
    return figure(person, sample_view(generator, person, replace(NEUTRAL_CAMERA, name=camera)), avatar)


def _passers(picture: Array, view: View, rays: Rays, light: Light, others: Sequence[Path]) -> Array:
    """Other people behind the person, at the sides."""
    generator = np.random.default_rng([view.seed, 505])
    for _ in range(view.passers):
        side = float(generator.choice([-1.0, 1.0]))
        behind = float(generator.uniform(0.35, 1.0) if generator.random() < 0.4 else generator.uniform(0.8, 5.0))
        away = np.array([side * generator.uniform(0.35, 0.75) * (1.0 + behind * 0.12), 0.0, -behind])
        other = _other(int(generator.integers(2**31)), view.camera, others)
        layer = other.render(Rays(rays.position - away, rays.basis, rays.xs, rays.ys), light)
        picture = np.where((layer.part > 0)[..., None], layer.colour, picture)
    return picture


def _occlude(
    picture: Array, parts: NDArray[np.uint8], occluder: Occluder, rays: Rays, light: Light, others: Sequence[Path]
) -> Array:
    """Lay an occluder over the picture and mark it in `parts`."""
    if occluder.kind == "passer-by":
        other = _other(occluder.seed, "any", others)
        side = -1.0 if occluder.place < 0.5 else 1.0
        away = np.array([side * (0.52 - 0.45 * occluder.reach), 0.0, 0.7])
        layer = other.render(Rays(rays.position - away, rays.basis, rays.xs, rays.ys), light)
        colour, cover = layer.colour, (layer.part > 0).astype(np.float32)
    else:
        tint, cover = draw_occluder(occluder, rays.shape)
        colour = tint * ((light.sky + light.main * 0.6) * cover[..., None])
    parts[cover > 0.5] = int(Part.OCCLUDER)
    return np.asarray(colour + (1.0 - cover)[..., None] * picture)


def _frame(who: Figure, view: View, camera: Camera, size: tuple[int, int]) -> Rays:
    """The camera's rays through the crop around the person."""
    position = np.array([0.0, camera.height, camera.distance])
    forward = np.array([0.0, 0.5 * who.person.height, 0.0]) - position
    forward /= np.linalg.norm(forward)
    right = np.array([1.0, 0.0, 0.0])
    basis = np.stack([right, np.cross(right, forward), forward])
    balls, weight = who.balls()
    local = (balls[:, :3] - position) @ basis.T
    reach = balls[:, 3] / local[:, 2] * weight
    x, y = local[:, 0] / local[:, 2], local[:, 1] / local[:, 2]
    left, right_, low, high = (x - reach).min(), (x + reach).max(), (y - reach).min(), (y + reach).max()
    high_size = (high - low) / view.zoom
    wide_size = float(np.clip((right_ - left) * view.spare / view.zoom, 0.30 * high_size, 0.62 * high_size))
    middle_x = 0.5 * (left + right_) - view.shift[0] * wide_size
    middle_y = 0.5 * (low + high) + view.shift[1] * high_size
    height, width = size
    xs = middle_x + ((np.arange(width) + 0.5) / width - 0.5) * wide_size
    ys = middle_y - ((np.arange(height) + 0.5) / height - 0.5) * high_size
    return Rays(position, basis, xs.astype(np.float32), ys.astype(np.float32))
