"""Backgrounds in true perspective, the shadow on the ground, and clutter.

Grounds and fronts are surfaces in their own metres: a colour (linear light, shape (..., 3)) at every place (u, v)."""

from typing import Any

import numpy as np

from pickout.synthetic.attributes import View
from pickout.synthetic.bodies import Skeleton
from pickout.synthetic.habits import HABITS, chance, habit
from pickout.synthetic.render import Light
from pickout.synthetic.solids import Rays
from pickout.synthetic.surfaces import Array, Mask, mottled

_F = np.float32
_RNG = np.random.Generator


def draw_scene(view: View, rays: Rays, light: Light, skeleton: Skeleton) -> Array:
    """What stands behind the person, with the person's shadow. Linear light. Shape: (height, width, 3)."""
    generator = np.random.default_rng([view.seed, 101])
    turn = float(generator.uniform(-0.55, 0.55)) * (1.0 if chance(generator, 0.7) else 0.2)
    behind = float(generator.uniform(*HABITS["behind"][view.background]))
    basis, eye, side = rays.basis, rays.position, rays.xs[None, :]
    down, ahead = ((basis[2][n] + rays.ys * basis[1][n])[:, None].astype(_F) for n in (1, 2))
    # The front is a plane whose normal is turned by `turn` about the up axis.
    c, s = _F(np.cos(turn)), _F(np.sin(turn))
    reach = (_F(-behind) - _F(eye[2]) * c) / np.minimum(s * side + c * ahead, _F(-1e-3))
    ground = np.where(down < -1e-4, _F(eye[1]) / np.maximum(-down, _F(1e-4)), _F(1e6))
    t = np.minimum(reach, np.minimum(ground, _F(80.0)))
    x, y, z = t * side, _F(eye[1]) + t * down, _F(eye[2]) + t * ahead
    u, v = c * x - s * z, s * x + c * z
    shift = generator.uniform(-20.0, 20.0, 2).astype(_F)
    floor = _ground(habit(generator, "ground", view.background), generator, u + shift[0], v + shift[1])
    front = _front(habit(generator, "front", view.background), generator, u, y)
    for _ in range(int(generator.integers(0, 4))):  # posts, boxes, bins and parked things before it
        middle = float(generator.uniform(-2.2, 2.2))
        wide, tall = float(generator.uniform(0.05, 0.8)), float(generator.uniform(0.3, 2.2))
        low = 0.0 if chance(generator, 0.8) else float(generator.uniform(0.5, 2.0))
        rgb = _light(generator.uniform(0.05, 0.75) * generator.uniform(0.6, 1.3, 3))
        inside = (np.abs(u - middle) < wide) & (y > low) & (y < low + tall)
        round_ = np.sqrt(np.clip(1.0 - np.square((u - middle) / wide), 0.0, 1.0)) * 0.7 + 0.35
        front = _where(inside, rgb * round_[..., None], front)
    sun = light.main * _F(0.55)
    floor = floor * ((light.sky + sun) * _shadow(x, z, light, skeleton)[..., None])
    front = front * (light.sky * _F(0.8) + sun * _F(max(0.25, float(light.direction[2]))))
    foot = np.exp(-np.abs(v + _F(behind)) * _F(2.5)) * _F(0.35)
    return _where(ground < reach, floor * (1.0 - foot)[..., None], front).astype(_F)


def _shadow(x: Array, z: Array, light: Light, skeleton: Skeleton) -> Array:
    """How much light reaches the ground: a contact shadow under the feet and a cast shadow along the light."""
    kept = np.ones(np.broadcast_shapes(x.shape, z.shape), dtype=_F)
    for leg in skeleton.legs:
        foot = leg.bottom + leg.frame[2] * 0.05
        lift = max(0.0, float(foot[1]) - skeleton.size.ankle)
        width = _F(0.11 + lift)
        apart = np.square((x - foot[0]) / (width * 1.1)) + np.square((z - foot[2]) / (width * 1.3))
        kept *= 1.0 - _F(0.62 / (1.0 + 6.0 * lift)) * np.exp(-apart)
    middle = 0.5 * (skeleton.legs[0].bottom + skeleton.legs[1].bottom)
    kept *= 1.0 - 0.28 * np.exp(-(np.square((x - middle[0]) / 0.45) + np.square((z - middle[2]) / 0.45)))
    strong = float(np.clip((light.main.mean() / (light.main.mean() + light.sky.mean()) - 0.22) * 1.6, 0.0, 0.6))
    if strong <= 0.02:
        return kept
    slope = -light.direction[[0, 2]] / max(float(light.direction[1]), 0.2)
    bones = [(skeleton.neck, skeleton.head, 0.12), (skeleton.pelvis, skeleton.neck, 0.19)]
    bones += [(limb.top, limb.bottom, 0.085) for limb in skeleton.legs]
    bones += [(limb.top, limb.bottom, 0.05) for limb in skeleton.arms]
    shade = np.zeros_like(kept)
    for top, bottom, radius in bones:
        first, second = (end[[0, 2]] + slope * end[1] for end in (top, bottom))
        way = (second - first).astype(_F)
        px, pz = x - _F(first[0]), z - _F(first[1])
        along = np.clip((px * way[0] + pz * way[1]) / _F(max(float(way @ way), 1e-4)), 0.0, 1.0)
        apart = np.hypot(px - along * way[0], pz - along * way[1])
        shade = np.maximum(shade, np.clip((radius + 0.05 - apart) / 0.08, 0.0, 1.0))
    return np.asarray(kept * (1.0 - _F(strong) * shade))


def _light(rgb: Any) -> Array:
    """Linear light of sRGB."""
    return np.asarray(np.power(np.asarray(rgb), 2.2).astype(_F))


def _where(mask: Mask, yes: Any, no: Any) -> Array:
    """Colours (..., 3) by a mask (...)."""
    return np.asarray(np.where(mask[..., None], yes, no))


def _tone(generator: _RNG, low: float, high: float, tint: float = 0.035) -> Array:
    """A dull colour, linear. Shape: (3,)."""
    return _light(np.clip(float(generator.uniform(low, high)) * (1.0 + generator.normal(0.0, tint, 3)), 0.02, 0.97))


def _vivid(generator: _RNG) -> Array:
    """A paint colour, linear. Shape: (3,)."""
    return _light(0.5 * generator.uniform(0.1, 0.85) + 0.5 * generator.uniform(0.08, 0.85, 3))


def _grain(generator: _RNG, base: Array, u: Array, v: Array, scale: float, depth: float) -> Array:
    rough, broad = (mottled(u, v, size, int(generator.integers(1000))) for size in (scale, 18.0))
    return np.asarray(base * (1.0 + _F(depth) * (0.6 * rough + 0.7 * broad))[..., None])


def _joints(u: Array, v: Array, wide: float, high: float, joint: float, stagger: float) -> Mask:
    across = np.mod(u + np.floor(v / _F(high)) * _F(stagger * wide), wide)
    return np.asarray((across < joint) | (np.mod(v, high) < joint))


def _posters(generator: _RNG, wall: Array, u: Array, v: Array) -> Array:
    for _ in range(int(generator.integers(1, 4))):
        middle, low = generator.uniform(-2.0, 2.0), generator.uniform(0.6, 1.6)
        half, tall = generator.uniform(0.15, 0.5), generator.uniform(0.3, 1.0)
        sheet = (np.abs(u - middle) < half) & (v > low) & (v < low + tall)
        ink = _vivid(generator) * (1.0 + 0.3 * np.sign(np.sin(v * generator.uniform(8, 30))))[..., None]
        wall = _where(sheet, ink, wall)
    return wall


def _ground(kind: str, generator: _RNG, u: Array, v: Array) -> Array:
    """The colour of the ground at its places."""
    match kind:
        case "tiles":
            size = float(generator.uniform(0.3, 0.9))
            ground = _grain(generator, _tone(generator, 0.42, 0.75), u, v, 60.0, 0.10)
            cell = np.floor(u / size) * 13.0 + np.floor(v / size) * 7.0
            ground = ground * (1.0 + 0.05 * np.sin(cell * 12.9))[..., None]
            joint = _joints(u, v, size, size, 0.025, float(generator.choice([0.0, 0.5])))
            return _where(joint, ground * _F(0.66), ground)
        case "asphalt":
            ground = _grain(generator, _tone(generator, 0.26, 0.50, 0.03), u, v, 90.0, 0.16)
            line = np.abs(u - generator.uniform(-1.5, 1.5)) < 0.06
            if generator.random() < 0.5:
                line &= np.mod(v, 4.0) < 2.4
            return _where(line, _F(0.60), ground)
        case "zebra":
            ground = _grain(generator, _tone(generator, 0.25, 0.42, 0.03), u, v, 90.0, 0.14)
            stripe = np.mod((u if generator.random() < 0.5 else v) + generator.uniform(0.0, 1.0), 1.0) < 0.5
            return _where(stripe, (0.62 + 0.10 * mottled(u, v, 60.0, 3))[..., None], ground)
        case "grass":
            green = _light(np.array([0.30, 0.42, 0.18]) * generator.uniform(0.8, 1.25))
            grass = _grain(generator, green, u, v, 200.0, 0.45)
            edge = generator.uniform(-1.2, 1.2) + 0.12 * mottled(v, u, 20.0, 4)
            path = _grain(generator, _tone(generator, 0.50, 0.70, 0.05), u, v, 80.0, 0.12)
            return _where(u > edge if generator.random() < 0.5 else u < edge, path, grass)
        case "planks":
            wood = np.array([0.60, 0.33 + 0.07 * generator.random(), 0.16 + 0.1 * generator.random()])
            floor = _grain(generator, _light(wood * generator.uniform(0.6, 1.3)), u * 6.0, v * 0.5, 40.0, 0.18)
            floor = floor * (1.0 + 0.14 * np.sin(np.floor(u / 0.12) * 91.7))[..., None]
            return _where(_joints(u, v, 0.12, 1.4, 0.008, 0.37), floor * _F(0.5), floor)
    floor = _grain(generator, _tone(generator, 0.45, 0.85, 0.03), u, v, 30.0, 0.05)
    glare = np.exp(-np.square((u - generator.uniform(-1.0, 1.0)) / 0.5)) * 0.10
    return np.asarray(floor + glare[..., None])


def _front(kind: str, generator: _RNG, u: Array, v: Array) -> Array:
    """The colour of what stands behind, `v` metres above the ground."""
    match kind:
        case "plaster":
            wall = _grain(generator, _tone(generator, 0.40, 0.92, 0.045), u, v, 40.0, 0.06)
            if generator.random() < 0.4:
                wall = _where(v < generator.uniform(0.1, 1.3), wall * _tone(generator, 0.5, 0.9), wall)
            return _posters(generator, wall, u, v) if generator.random() < 0.4 else wall
        case "bricks":
            base = np.array([0.50, 0.33, 0.27]) * generator.uniform(0.7, 1.3) * generator.uniform(0.9, 1.1, 3)
            wall = _grain(generator, _light(base), u, v, 70.0, 0.16)
            brick = np.floor(u / 0.24 + np.floor(v / 0.09) * 0.5) * 3.7 + np.floor(v / 0.09) * 11.3
            wall = wall * (1.0 + 0.13 * np.sin(brick * 45.2))[..., None]
            return _where(_joints(u, v, 0.24, 0.09, 0.014, 0.5), wall * 0.5 + 0.16, wall)
        case "facade":
            wall = _grain(generator, _tone(generator, 0.40, 0.85, 0.08), u, v, 30.0, 0.08)
            wide, tall = generator.uniform(1.2, 2.6), generator.uniform(1.6, 3.0)
            x, y = np.mod(u + generator.uniform(0, 3), wide) / wide, np.mod(v - 0.8, tall) / tall
            pane = (x > 0.28) & (x < 0.78) & (y > 0.18) & (y < 0.72) & (v > 0.8)
            rim = (x > 0.25) & (x < 0.81) & (y > 0.15) & (y < 0.75) & (v > 0.8)
            cross = (np.abs(x - 0.53) < 0.012) | (np.abs(y - 0.5) < 0.012)
            glass = _tone(generator, 0.12, 0.45)
            glass = glass * (1.0 + 0.6 * mottled(u, v, 25.0, int(generator.integers(99))))[..., None]
            return _where(pane & ~cross, glass, _where(rim, _tone(generator, 0.2, 0.95), wall))
        case "shop":
            frame, sign = _tone(generator, 0.10, 0.7, 0.15), _vivid(generator)
            wide = generator.uniform(1.0, 2.4)
            x = np.mod(u + generator.uniform(0, 3), wide)
            pane = (x > 0.06) & (v > generator.uniform(0.15, 0.6)) & (v < 2.4)
            dark = generator.uniform(0.05, 0.35)
            goods = np.clip(mottled(u, v * 0.8, 45.0, int(generator.integers(99))), 0.0, 1.0)
            rows = 0.6 + 0.4 * np.sign(np.sin(v * 9.0))
            glass = dark * dark + goods[..., None] * _vivid(generator) * 0.8 * rows[..., None]
            glass = glass + 0.10 * np.clip(mottled(u - v, u + v, 12.0, 5), 0.0, 1.0)[..., None]
            letters = (v > 2.55) & (v < 2.95) & (mottled(u, v * 0.2, 200.0, 9) > 0.1)
            return _where(letters, _F(0.8), _where(v > 2.4, sign, _where(pane, glass, frame)))
        case "trees":
            sky = _light(np.array([0.72, 0.80, 0.90]) * generator.uniform(0.75, 1.1))
            leaf = _light(np.array([0.26, 0.38, 0.17]) * generator.uniform(0.6, 1.25))
            rough, fine = (mottled(u, v, scale, int(generator.integers(99))) for scale in (45.0, 150.0))
            leaves = leaf * np.clip(1.0 + 0.7 * fine + 0.4 * rough, 0.15, 2.5)[..., None]
            crown = (v + 0.9 * rough > generator.uniform(1.6, 3.4)) | (v - 0.4 * rough < generator.uniform(0.2, 1.3))
            apart = generator.uniform(1.2, 3.0)
            trunk = np.abs(np.mod(u + generator.uniform(0, 3), apart) - apart / 2) < generator.uniform(0.07, 0.2)
            bark = _tone(generator, 0.18, 0.34) * (1.0 + 0.4 * fine)[..., None]
            return _where(trunk, bark, _where(crown, leaves, sky * 0.8 + leaves * 0.2))
        case "doors":
            wall = _grain(generator, _tone(generator, 0.55, 0.93, 0.04), u, v, 20.0, 0.03)
            apart = generator.uniform(1.6, 3.2)
            x = np.mod(u + generator.uniform(0, 3), apart)
            wall = _where((x < 0.97) & (v < 2.17), _tone(generator, 0.2, 0.8), wall)
            wall = _where((x < 0.9) & (v < 2.1), _tone(generator, 0.25, 0.75, 0.12), wall)
            wall = _where((x > 0.3) & (x < 0.6) & (v > 1.3) & (v < 1.9), _F(0.5), wall)
            return _where(v < 0.12, _F(0.06), wall)
        case "shutter":
            wall = _grain(generator, _tone(generator, 0.35, 0.8, 0.08), u, v, 30.0, 0.08)
            wall = wall * (0.82 + 0.25 * np.abs(np.sin(v * _F(np.pi / 0.09))))[..., None]
            return _posters(generator, wall, u, v) if generator.random() < 0.3 else wall
    return _shelves(generator, u, v)


def _shelves(generator: _RNG, u: Array, v: Array) -> Array:
    tall, wide = generator.uniform(0.25, 0.5), generator.uniform(0.06, 0.22)
    row = np.floor(v / tall)
    things = np.floor((u + row * 0.37) / wide) + 57.0 * row
    hue = np.stack([np.abs(np.sin(things * factor)) for factor in (12.99, 78.23, 37.72)], axis=-1)
    rich = generator.uniform(0.2, 0.7)
    goods = rich * hue + (1.0 - rich) * hue[..., :1]
    x = np.mod(u + row * 0.37, wide) / wide
    filled = (np.mod(v, tall) / tall < 0.45 + 0.4 * hue[..., 1]) & (x > 0.06)
    light = (0.5 + 0.5 * np.sin(x * np.pi)) * generator.uniform(0.5, 1.0)
    shelf = _where(filled, np.square(goods) * light[..., None], _F(0.02))
    return _where(np.mod(v, tall) < 0.03, _tone(generator, 0.4, 0.9), shelf)
