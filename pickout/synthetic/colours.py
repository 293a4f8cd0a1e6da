"""Colour words and the colours they stand for."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.synthetic.attributes import Shade


@dataclass(frozen=True, slots=True)
class Tone:
    """The centre of a colour word.

    Args:
        rgb: sRGB in [0, 1].
        light: how far the lightness of a cloth of this name may lie from it, as part of it.
        tint: how far each channel may, in sRGB units.
    """

    rgb: tuple[float, float, float]
    light: float = 0.10
    tint: float = 0.02


COLOURS: Mapping[str, Tone] = {
    "black": Tone((0.075, 0.075, 0.085), 0.35, 0.008),
    "white": Tone((0.92, 0.92, 0.91), 0.04, 0.010),
    "grey": Tone((0.50, 0.50, 0.51), 0.14, 0.010),
    "dark grey": Tone((0.27, 0.27, 0.29), 0.10, 0.008),
    "navy": Tone((0.10, 0.13, 0.30), 0.12, 0.015),
    "blue": Tone((0.13, 0.32, 0.70), 0.10, 0.025),
    "light blue": Tone((0.56, 0.74, 0.91), 0.06, 0.02),
    "red": Tone((0.78, 0.10, 0.13), 0.10, 0.02),
    "maroon": Tone((0.40, 0.08, 0.14), 0.10, 0.015),
    "pink": Tone((0.93, 0.56, 0.68), 0.05, 0.03),
    "purple": Tone((0.43, 0.20, 0.56), 0.10, 0.025),
    "green": Tone((0.12, 0.50, 0.22), 0.12, 0.025),
    "olive": Tone((0.38, 0.39, 0.18), 0.10, 0.015),
    "teal": Tone((0.05, 0.49, 0.50), 0.10, 0.02),
    "yellow": Tone((0.95, 0.81, 0.16), 0.05, 0.025),
    "orange": Tone((0.93, 0.47, 0.10), 0.06, 0.025),
    "brown": Tone((0.36, 0.24, 0.16), 0.12, 0.015),
    "rust": Tone((0.63, 0.29, 0.13), 0.07, 0.015),
    "mustard": Tone((0.70, 0.54, 0.10), 0.06, 0.015),
    "khaki": Tone((0.58, 0.53, 0.38), 0.07, 0.012),
    "turquoise": Tone((0.19, 0.74, 0.74), 0.06, 0.02),
    "lavender": Tone((0.69, 0.60, 0.85), 0.06, 0.02),
    "beige": Tone((0.80, 0.70, 0.54), 0.06, 0.015),
    "cream": Tone((0.94, 0.90, 0.77), 0.03, 0.012),
}
"""Cloth colours by name."""

DENIM: Mapping[str, Tone] = {
    "blue": Tone((0.24, 0.38, 0.61), 0.12, 0.02),
    "navy": Tone((0.11, 0.15, 0.28), 0.14, 0.012),
    "light blue": Tone((0.50, 0.63, 0.79), 0.08, 0.02),
    "black": Tone((0.10, 0.10, 0.11), 0.25, 0.008),
    "grey": Tone((0.42, 0.43, 0.46), 0.14, 0.01),
}
"""Colours of jeans by name."""

HAIR_COLOURS: Mapping[str, Tone] = {
    "black": Tone((0.08, 0.07, 0.07), 0.25, 0.008),
    "dark brown": Tone((0.18, 0.12, 0.09), 0.15, 0.01),
    "brown": Tone((0.34, 0.22, 0.14), 0.12, 0.015),
    "blond": Tone((0.76, 0.60, 0.37), 0.10, 0.02),
    "red": Tone((0.55, 0.24, 0.11), 0.12, 0.02),
    "grey": Tone((0.58, 0.57, 0.56), 0.12, 0.008),
    "white": Tone((0.84, 0.83, 0.81), 0.05, 0.008),
}
"""Hair colours by name."""

COLOUR_WEIGHTS: Mapping[str, Mapping[str, float]] = tomllib.loads(
    resources.files("pickout.synthetic").joinpath("colour_weights.toml").read_text(encoding="utf-8")
)
"""How often each thing (upper, outer, jeans, boots, bag ...) has which colour."""

_SKIN = np.array(
    [
        (0.94, 0.79, 0.70),
        (0.89, 0.70, 0.58),
        (0.78, 0.57, 0.44),
        (0.62, 0.42, 0.30),
        (0.43, 0.28, 0.20),
        (0.27, 0.17, 0.13),
    ]
)


def sample_shade(generator: np.random.Generator, name: str, table: Mapping[str, Tone] = COLOURS) -> Shade:
    """A variation of the colour `name` of `table`.

    Raises:
        KeyError: `table` has no such name.
    """
    tone = table[name]
    light = 1.0 + tone.light * float(generator.uniform(-1.0, 1.0))
    tint = generator.uniform(-tone.tint, tone.tint, 3)
    rgb = np.array(tone.rgb) * light + tint
    rgb += (rgb.mean() - rgb) * float(generator.uniform(0.0, 0.22))
    rgb = np.clip(rgb, 0.015, 0.98)
    return Shade(name, (round(float(rgb[0]), 4), round(float(rgb[1]), 4), round(float(rgb[2]), 4)))


def skin_colour(skin: float) -> tuple[float, float, float]:
    """The sRGB colour of `Person.skin` (0 lightest to 1 darkest)."""
    place = float(np.clip(skin, 0.0, 1.0)) * (len(_SKIN) - 1)
    low = min(int(place), len(_SKIN) - 2)
    rgb = _SKIN[low] + (place - low) * (_SKIN[low + 1] - _SKIN[low])
    return float(rgb[0]), float(rgb[1]), float(rgb[2])


def skin_place(rgb: NDArray[np.floating[Any]]) -> float:
    """The `Person.skin` whose lightness is nearest to that of an sRGB colour."""
    scale = np.linspace(0.0, 1.0, 51)
    light = to_lab(np.array([skin_colour(float(place)) for place in scale]))[:, 0]
    return float(scale[np.abs(light - to_lab(np.asarray(rgb, dtype=np.float64))[0]).argmin()])


def to_lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB in [0, 1] to CIE L*a*b* under D65.

    Args:
        rgb: Shape: (..., 3).
    """
    values = np.asarray(rgb, dtype=np.float64)
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    matrix = np.array([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)])
    white = matrix.sum(axis=1)
    xyz = linear @ matrix.T / white
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def nearest_colour(rgb: tuple[float, float, float], table: Mapping[str, Tone] = COLOURS) -> list[str]:
    """The names of `table`, nearest to `rgb` first, by distance in L*a*b* with lightness at half weight."""
    weight = np.array([0.5, 1.0, 1.0])
    lab = to_lab(np.array(rgb)) * weight
    names = list(table)
    centres = to_lab(np.array([table[name].rgb for name in names])) * weight
    order = np.argsort(np.linalg.norm(centres - lab, axis=1), kind="stable")
    return [names[i] for i in order]
