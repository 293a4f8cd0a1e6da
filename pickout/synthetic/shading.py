"""Light: a main light, light from the sky and the ground, gloss, rim light and the shade of near things."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.cameras import Camera

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """The light of a place.

    Args:
        direction: to the main light, length 1. Shape: (3,).
        main: colour and strength of the main light. Shape: (3,).
        sky: of the light from above. Shape: (3,).
        ground: of the light from below. Shape: (3,).
    """

    direction: Array
    main: Array
    sky: Array
    ground: Array


def light_of(camera: Camera) -> Light:
    """The camera's light, exposed so that a surface facing the camera comes out at about its own colour."""
    tint = np.array([1.0 + camera.warmth, 1.0, 1.0 - camera.warmth], dtype=np.float32)
    facing = 0.5 + 0.5 * max(-0.6, camera.light[2])
    key = camera.ambient * 0.80 + (1.0 - camera.ambient) * 1.5 * max(0.0, (facing * 1.5 - 0.25) / 1.25)
    gain = np.float32((1.02 / key) ** 0.85)
    return Light(
        direction=np.array(camera.light, dtype=np.float32),
        main=gain * np.float32((1.0 - camera.ambient) * 1.5) * tint,
        sky=gain * np.float32(camera.ambient) * (2.0 - tint),
        ground=gain * np.float32(camera.ambient * 0.58) * tint,
    )


def shade(
    albedo: Array, tone: Array, gloss: Array, normal: Array, world: Array, eye: NDArray[np.float64], light: Light
) -> Array:
    """Linear light leaving each point towards the camera.

    Args:
        albedo: linear colour. Shape: (3, n).
        tone: factor of folds and occlusion. Shape: (n,).
        gloss: 0 matt to 1 glossy. Shape: (n,).
        normal: unit normals. Shape: (3, n).
        world: places. Shape: (3, n).
        eye: the camera's place. Shape: (3,).
    """
    toward = eye.astype(np.float32)[:, None] - world
    toward /= np.sqrt(_dot(toward, toward))
    facing = np.clip(_dot(normal, toward), 0.0, 1.0)
    wrapped = np.clip((light.direction @ normal + np.float32(0.25)) * np.float32(0.8), 0.0, None)
    up = np.float32(0.5) + np.float32(0.5) * normal[1]
    ambient = light.ground[:, None] + (light.sky - light.ground)[:, None] * up
    lit = albedo * ((ambient + light.main[:, None] * wrapped) * tone)
    half = toward + light.direction[:, None]
    half /= np.sqrt(np.maximum(_dot(half, half), 1e-12))
    spark = np.clip(_dot(normal, half), 0.0, 1.0)
    spark = np.square(np.square(np.square(np.square(spark))))
    rim = np.square(np.square(1.0 - facing))
    lit += light.main[:, None] * (gloss * spark * np.float32(0.30))
    lit += light.sky[:, None] * (rim * np.float32(0.030) * (0.3 + up))
    return np.asarray(lit * (np.float32(0.72) + np.float32(0.28) * np.sqrt(facing)))


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def occlusion(depth: Array) -> Array:
    """Darkening of points that lie behind near neighbours in the picture: arms on a trunk, a hem over a thigh.

    Args:
        depth: infinite where nothing is. Shape: (height, width).

    Returns:
        Factor in about 0.5 to 1. Shape: (height, width).
    """
    height, width = depth.shape
    reach = max(2, height // 64)
    solid = np.isfinite(depth)
    far = np.float32(depth[solid].max()) if solid.any() else np.float32(0.0)
    filled = np.where(solid, depth, far)
    hidden = np.zeros_like(filled)
    padded = np.pad(filled, reach, mode="edge")
    # Light comes from above, so neighbours above and beside shade more than those below.
    for dy, dx, weight in ((-1, 0, 1.0), (-1, -1, 0.7), (-1, 1, 0.7), (0, -1, 0.7), (0, 1, 0.7), (1, 0, 0.3)):
        top, left = reach + dy * reach, reach + dx * reach
        near = filled - padded[top : top + height, left : left + width]
        hidden += np.float32(weight) * np.clip((near - np.float32(0.012)) * np.float32(12.0), 0.0, 1.0)
    return np.float32(1.0) - np.float32(0.42) * np.clip(hidden * np.float32(0.5), 0.0, 1.0)
