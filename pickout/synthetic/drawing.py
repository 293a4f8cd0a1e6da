"""Draw one crop: a person in a place, seen by a camera, perhaps behind something."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Occluder, Person, View
from pickout.synthetic.avatars import Avatar, load_avatar
from pickout.synthetic.belongings import accessory_pieces, bag_pieces, carried_pieces, headwear_pieces, shoe_pieces
from pickout.synthetic.bodies import Skeleton, hanging_hair, head_pieces
from pickout.synthetic.cameras import NEUTRAL_CAMERA, Camera, develop
from pickout.synthetic.garments import arm_pieces, leg_pieces, outer_pieces, skirt_over, upper_pieces
from pickout.synthetic.outfits import sample_wearer
from pickout.synthetic.people import sample_person, sample_view
from pickout.synthetic.posing import Posed, render_avatar
from pickout.synthetic.render import Layer, Light, render
from pickout.synthetic.scenes import draw_scene
from pickout.synthetic.solids import Piece, Rays
from pickout.synthetic.surfaces import Array, Part, mottled

FINE = 2  # rays a pixel along each side


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawn crop."""

    image: NDArray[np.uint8]  # sRGB. Shape: (height, width, 3)
    parts: NDArray[np.uint8]  # a `Part` at each pixel. Shape: (height, width)


class Figure:
    """`person` in the pose of `view`: solids, or the meshes of `avatar` with the solids that it carries."""

    def __init__(self, person: Person, view: View, avatar: Avatar | None = None) -> None:
        body = None if avatar is None else Posed(avatar, person, view)
        skeleton = Skeleton(person, view) if body is None else body.skeleton
        self.person, self.skeleton, self.body = person, skeleton, body
        self.pieces: list[Piece] = []
        drawn = (head_pieces, upper_pieces, outer_pieces, arm_pieces, leg_pieces, shoe_pieces) if body is None else ()
        for make in (*drawn, headwear_pieces, accessory_pieces, bag_pieces):
            self.pieces += make(person, skeleton)
        self.pieces += carried_pieces(person, view, skeleton)
        if avatar is not None and avatar.outfit.bottom.kind is not None:
            self.pieces += skirt_over(person, skeleton)
        if avatar is not None and avatar.outfit.hair[0] != person.hair.length:
            self.pieces += hanging_hair(person, skeleton)

    def render(self, rays: Rays, light: Light) -> Layer:
        """The figure as `rays` see it."""
        if self.body is None:
            return render(self.pieces, rays, light)
        layer = render_avatar(self.body, rays, light)
        if not self.pieces:
            return layer
        other = render(self.pieces, rays, light)
        ahead = other.depth < layer.depth
        colour = np.where(ahead[..., None], other.colour, layer.colour)
        return Layer(colour, np.where(ahead, other.part, layer.part), np.minimum(layer.depth, other.depth))


def draw_crop(
    person: Person,
    view: View,
    camera: Camera,
    size: tuple[int, int] = (192, 64),  # height and width in pixels
    *,
    avatar: Avatar | None = None,  # the person's body, whose outfit they wear; None draws one
    others: Sequence[Path] = (),  # files of avatars for the other people in the picture; empty draws them
) -> Drawing:
    """Draw `person` in `view` as `camera` sees them; equal arguments give equal pixels."""
    who, light = Figure(person, view, avatar), Light(camera)
    fine = _frame(who, view, camera, (size[0] * FINE, size[1] * FINE))
    xs, ys = (values.reshape(-1, FINE).mean(axis=1) for values in (fine.xs, fine.ys))
    coarse = Rays(fine.position, fine.basis, xs, ys)
    picture = draw_scene(view, coarse, light, who.skeleton)
    generator = np.random.default_rng([view.seed, 505])
    for _ in range(view.passers):  # behind the person, at the sides
        side = float(generator.choice([-1.0, 1.0]))
        behind = float(generator.uniform(0.35, 1.0) if generator.random() < 0.4 else generator.uniform(0.8, 5.0))
        away = np.array([side * generator.uniform(0.35, 0.75) * (1.0 + behind * 0.12), 0.0, -behind])
        layer = _other(int(generator.integers(2**31)), others).render(coarse.moved(away), light)
        picture = np.where((layer.part > 0)[..., None], layer.colour, picture)
    layer = who.render(fine, light)
    colour, cover = _blocks(layer.colour), _blocks((layer.part > 0).astype(np.float32))
    picture = colour + (1.0 - cover)[..., None] * picture
    parts = layer.part[FINE // 2 :: FINE, FINE // 2 :: FINE].copy()
    occluder = view.occluder
    if occluder is not None:
        if occluder.kind == "passer-by":
            side = -1.0 if occluder.place < 0.5 else 1.0
            away = np.array([side * (0.52 - 0.45 * occluder.reach), 0.0, 0.7])
            layer = _other(occluder.seed, others).render(coarse.moved(away), light)
            colour, cover = layer.colour, (layer.part > 0).astype(np.float32)
        else:
            tint, cover = _thing(occluder, coarse.shape)
            colour = tint * ((light.sky + light.main * 0.6) * cover[..., None])
        parts[cover > 0.5] = int(Part.OCCLUDER)
        picture = np.asarray(colour + (1.0 - cover)[..., None] * picture)
    return Drawing(develop(picture, camera, view.seed), parts)


def _blocks(fine: Array) -> Array:
    """Means of each `FINE` by `FINE` block."""
    total = sum(fine[row::FINE, column::FINE] for row in range(FINE) for column in range(FINE))
    return np.asarray(total * np.float32(1.0 / FINE**2))


def _other(seed: int, others: Sequence[Path]) -> Figure:
    """Some other person, standing at the origin."""
    generator = np.random.default_rng([seed, 909])
    avatar = load_avatar(others[int(generator.integers(len(others)))]) if others else None
    person = sample_person(generator) if avatar is None else sample_wearer(generator, avatar.outfit, avatar.skin)
    return Figure(person, sample_view(generator, person, NEUTRAL_CAMERA), avatar)


def _frame(who: Figure, view: View, camera: Camera, size: tuple[int, int]) -> Rays:
    """The camera's rays through the crop around the person."""
    position = np.array([0.0, camera.height, camera.distance])
    forward = np.array([0.0, 0.5 * who.person.height, 0.0]) - position
    forward /= np.linalg.norm(forward)
    right = np.array([1.0, 0.0, 0.0])
    basis = np.stack([right, np.cross(right, forward), forward])
    # Balls around everything; what is held counts by half.
    found = [piece.balls for piece in who.pieces]
    held = [piece.surface.part in (Part.CARRIED, Part.BAG) for piece in who.pieces for _ in piece.balls]
    weight = np.where(np.array(held, dtype=bool), 0.5, 1.0)
    if who.body is not None:
        points = np.concatenate(who.body.places)[::7]
        found.append(np.column_stack([points, np.full(len(points), 0.004)]))
        weight = np.concatenate([weight, np.ones(len(points))])
    balls = np.concatenate(found)
    local = (balls[:, :3] - position) @ basis.T
    reach = balls[:, 3] / local[:, 2] * weight
    x, y = local[:, 0] / local[:, 2], local[:, 1] / local[:, 2]
    left, right_, low, high = (x - reach).min(), (x + reach).max(), (y - reach).min(), (y + reach).max()
    tall = (high - low) / view.zoom
    wide = float(np.clip((right_ - left) * view.spare / view.zoom, 0.30 * tall, 0.62 * tall))
    height, width = size
    xs = 0.5 * (left + right_) - view.shift[0] * wide + ((np.arange(width) + 0.5) / width - 0.5) * wide
    ys = 0.5 * (low + high) + view.shift[1] * tall - ((np.arange(height) + 0.5) / height - 0.5) * tall
    return Rays(position, basis, xs.astype(np.float32), ys.astype(np.float32))


def _soft(inside: Array, pixels: float) -> Array:
    """Cover of a soft edge: `inside` grows inward and reaches 1 within about a pixel."""
    return np.asarray(np.clip(inside * np.float32(pixels) + np.float32(0.5), 0.0, 1.0))


def _thing(occluder: Occluder, size: tuple[int, int]) -> tuple[Array, Array]:
    """Linear colour (height, width, 3) and cover (height, width) of a thing with soft edges."""
    height, width = size
    generator = np.random.default_rng([occluder.seed, 7])
    place, reach, seed = occluder.place, occluder.reach, occluder.seed
    y, x = np.meshgrid(*((np.arange(n, dtype=np.float32) + 0.5) / n for n in size), indexing="ij")
    tone = np.power(generator.uniform(0.15, 0.75) * generator.uniform(0.8, 1.2, 3), 2.2).astype(np.float32)
    match occluder.kind:
        case "pole":
            half = 0.03 + 0.10 * reach
            across = (x - place) / half
            round_ = np.sqrt(np.clip(1.0 - across * across, 0.0, 1.0)) * (0.9 + 0.3 * across) + 0.15
            return tone * round_[..., None], _soft(1.0 - np.abs(across), half * width)
        case "railing":
            top, apart = 1.0 - reach, 0.16 + 0.05 * (seed % 4)
            bars = (np.abs(y - bar) for bar in (top, top + 0.09 + 0.1 * (seed % 3)))
            posts = _soft((0.022 - np.abs(np.mod(x + place, apart) - apart / 2)) * width, 1.0) * (y > top)
            cover = np.maximum.reduce([posts, *(_soft((0.011 - bar) * height, 1.0) for bar in bars)])
            return tone * (0.8 + 0.3 * np.sin(x * 9.0 + y))[..., None], cover
        case "bush":
            rough, fine = mottled(x * 0.4, y * 1.2, 110.0, seed % 997), mottled(x * 0.4, y * 1.2, 330.0, seed % 991)
            away = np.hypot((x - place) / 0.75, (y - 1.02) / max(reach, 0.12))
            leaf = np.power(np.array([0.24, 0.36, 0.15]) * generator.uniform(0.7, 1.3), 2.2).astype(np.float32)
            colour = leaf * np.clip(1.0 + 0.9 * fine + 0.4 * rough, 0.1, 2.6)[..., None]
            return colour, np.clip((1.0 - away + 0.28 * rough + 0.18 * fine) * 9.0, 0.0, 1.0)
        case "car":
            paint = np.power(generator.uniform(0.08, 0.9, 3), 2.2).astype(np.float32)
            slope = 0.10 if place < 0.5 else -0.10
            hood = 1.0 - 0.85 * reach + slope * (x - 0.5) + 0.10 * np.square(x - 0.5)
            lower = np.clip((y - hood) / max(reach, 0.1), 0.0, 1.0)
            gloss = np.exp(-np.square((lower - 0.12) / 0.06)) * 0.35
            colour = paint * (1.15 - 0.75 * lower)[..., None] + gloss[..., None]
            glass = (lower > 0.0) & (lower < 0.10)
            return np.where(glass[..., None], np.float32(0.05), colour), _soft((y - hood) * height, 1.0)
        case "bin":
            half, top = 0.16 + 0.25 * reach, 1.0 - 0.7 * reach
            across = (x - place) / half
            lid = np.where(y < top + 0.04, np.float32(0.6), np.float32(1.0))
            round_ = (0.35 + 0.75 * np.sqrt(np.clip(1.0 - across * across, 0.0, 1.0))) * lid
            return tone * round_[..., None], _soft(1.0 - np.abs(across), half * width) * _soft((y - top) * height, 1.0)
    edge = place + (0.22 if place < 0.5 else -0.22) * reach
    side = edge - x if place < 0.5 else x - edge
    return tone * (0.8 + 0.2 * y)[..., None], _soft(side * width, 1.0)
