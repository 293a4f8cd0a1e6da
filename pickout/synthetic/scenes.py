"""Backgrounds in true perspective, the shadow on the ground, and clutter."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import View
from pickout.synthetic.habits import HABITS, chance, habit
from pickout.synthetic.places import FRONTS, GROUNDS
from pickout.synthetic.raycast import Rays
from pickout.synthetic.shading import Light
from pickout.synthetic.skeleton import Skeleton

Array = NDArray[np.floating[Any]]


def draw_scene(view: View, rays: Rays, light: Light, skeleton: Skeleton) -> Array:
    """What stands behind the person, with the person's shadow. Linear light. Shape: (height, width, 3)."""
    generator = np.random.default_rng([view.seed, 101])
    near, far = HABITS["behind"][view.background]
    turn = float(generator.uniform(-0.55, 0.55)) * (1.0 if chance(generator, 0.7) else 0.2)
    behind = float(generator.uniform(near, far))
    basis, eye = rays.basis, rays.position
    down = (basis[2][1] + rays.ys * basis[1][1])[:, None].astype(np.float32)
    ahead = (basis[2][2] + rays.ys * basis[1][2])[:, None].astype(np.float32)
    side = rays.xs[None, :]
    # The front is a plane whose normal is turned by `turn` about the up axis.
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    speed = s * side + c * ahead
    reach = (np.float32(-behind) - np.float32(eye[2]) * c) / np.minimum(speed, np.float32(-1e-3))
    ground = np.where(down < -1e-4, np.float32(eye[1]) / np.maximum(-down, np.float32(1e-4)), np.float32(1e6))
    on_ground = ground < reach
    t = np.minimum(reach, np.minimum(ground, np.float32(80.0)))
    x, z = t * side, np.float32(eye[2]) + t * ahead
    u, v = c * x - s * z, s * x + c * z
    y = np.float32(eye[1]) + t * down
    shift = generator.uniform(-20.0, 20.0, 2).astype(np.float32)
    floor = GROUNDS[habit(generator, "ground", view.background)](generator, u + shift[0], v + shift[1])
    front = FRONTS[habit(generator, "front", view.background)](generator, u, y)
    front = _clutter(generator, front, u, y)
    sun = light.main * np.float32(0.55)
    floor = floor * ((light.sky + sun) * _shadow(x, z, light, skeleton)[..., None])
    front = front * (light.sky * np.float32(0.8) + sun * np.float32(max(0.25, float(light.direction[2]))))
    foot = np.exp(-np.abs(v + np.float32(behind)) * np.float32(2.5)) * np.float32(0.35)
    return np.where(on_ground[..., None], floor * (1.0 - foot)[..., None], front).astype(np.float32)


def _shadow(x: Array, z: Array, light: Light, skeleton: Skeleton) -> Array:
    """How much light reaches the ground: a contact shadow under the feet and a cast shadow along the light."""
    kept = np.ones(np.broadcast_shapes(x.shape, z.shape), dtype=np.float32)
    for leg in skeleton.legs:
        foot = leg.bottom + leg.frame[2] * 0.05
        lift = max(0.0, float(foot[1]) - skeleton.size.ankle)
        width = np.float32(0.11 + lift)
        apart = np.square((x - foot[0]) / (width * 1.1)) + np.square((z - foot[2]) / (width * 1.3))
        kept *= 1.0 - np.float32(0.62 / (1.0 + 6.0 * lift)) * np.exp(-apart)
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
        first = top[[0, 2]] + slope * top[1]
        second = bottom[[0, 2]] + slope * bottom[1]
        way = (second - first).astype(np.float32)
        px, pz = x - np.float32(first[0]), z - np.float32(first[1])
        along = np.clip((px * way[0] + pz * way[1]) / np.float32(max(float(way @ way), 1e-4)), 0.0, 1.0)
        apart = np.hypot(px - along * way[0], pz - along * way[1])
        shade = np.maximum(shade, np.clip((radius + 0.05 - apart) / 0.08, 0.0, 1.0))
    return np.asarray(kept * (1.0 - np.float32(strong) * shade))


def _clutter(generator: np.random.Generator, front: Array, u: Array, y: Array) -> Array:
    """Posts, boxes, bins and parked things before the front."""
    for _ in range(int(generator.integers(0, 4))):
        middle = float(generator.uniform(-2.2, 2.2))
        wide, tall = float(generator.uniform(0.05, 0.8)), float(generator.uniform(0.3, 2.2))
        low = 0.0 if chance(generator, 0.8) else float(generator.uniform(0.5, 2.0))
        rgb = np.power(generator.uniform(0.05, 0.75) * generator.uniform(0.6, 1.3, 3), 2.2).astype(np.float32)
        inside = (np.abs(u - middle) < wide) & (y > low) & (y < low + tall)
        round_ = np.sqrt(np.clip(1.0 - np.square((u - middle) / wide), 0.0, 1.0)) * 0.7 + 0.35
        front = np.where(inside[..., None], rgb * round_[..., None], front)
    return front
