"""Colour words and the colours they stand for."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pickout.files import packaged_table
from pickout.synthetic.attributes import Shade
from pickout.synthetic.habits import pick
from pickout.synthetic.surfaces import RGB


class Tone(NamedTuple):
    """The centre of a colour word."""

    rgb: RGB  # sRGB in [0, 1]
    light: float  # how far the lightness of a cloth of this name may lie from it, as part of it
    tint: float  # how far each channel may, in sRGB units


_TABLES = packaged_table("pickout.synthetic", "colours.toml")
COLOURS, DENIM, HAIR_COLOURS = (
    {name: Tone((r, g, b), light, tint) for name, (r, g, b, light, tint) in _TABLES[table].items()}
    for table in ("cloth", "denim", "hair")
)  # colours of cloth, of jeans and of hair by name
_PALE = ("white", "cream", "beige", "yellow", "light blue", "pink")
_SKIN = np.array(_TABLES["skin"]["tones"])


def sample_shade(generator: Generator, name: str, table: Mapping[str, Tone] = COLOURS) -> Shade:
    """A variation of the colour `name` of `table`."""
    tone = table[name]
    light = 1.0 + tone.light * float(generator.uniform(-1.0, 1.0))
    rgb = np.array(tone.rgb) * light + generator.uniform(-tone.tint, tone.tint, 3)
    rgb += (rgb.mean() - rgb) * float(generator.uniform(0.0, 0.22))
    red, green, blue = (round(float(value), 4) for value in np.clip(rgb, 0.015, 0.98))
    return Shade(name, (red, green, blue))


def usual_shade(generator: Generator, thing: str, *, but: str = "", table: Mapping[str, Tone] = COLOURS) -> Shade:
    """A colour that `thing` (upper, jeans, boots, bag ...) usually has, never that of the name `but`."""
    weights = {name: weight for name, weight in _TABLES["weights"][thing].items() if name != but}
    return sample_shade(generator, pick(generator, weights), table)


def second_shade(generator: Generator, first: Shade) -> Shade:
    """A colour for a pattern or a print on cloth of colour `first`."""
    return usual_shade(generator, "second_on_pale" if first.name in _PALE else "second", but=first.name)


def skin_colour(skin: float) -> RGB:
    """The sRGB colour of `Person.skin` (0 lightest to 1 darkest)."""
    red, green, blue = (float(np.interp(skin * 5, range(6), channel)) for channel in _SKIN.T)
    return red, green, blue


def skin_place(rgb: NDArray[np.floating[Any]]) -> float:
    """The `Person.skin` whose lightness is nearest to that of an sRGB colour."""
    scale = np.linspace(0.0, 1.0, 51)
    light = to_lab(np.array([skin_colour(float(place)) for place in scale]))[:, 0]
    return float(scale[np.abs(light - to_lab(rgb)[0]).argmin()])


def to_lab(rgb: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """sRGB in [0, 1] to CIE L*a*b* under D65. Shape: (..., 3) to (..., 3)."""
    values = np.asarray(rgb, dtype=np.float64)
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    matrix = np.array([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)])
    xyz = linear @ matrix.T / matrix.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def nearest_colour(rgb: RGB, table: Mapping[str, Tone] = COLOURS) -> list[str]:
    """The names of `table`, nearest to `rgb` first, by distance in L*a*b* with lightness at half weight."""
    lab = to_lab(np.array([rgb, *(tone.rgb for tone in table.values())])) * (0.5, 1.0, 1.0)
    names = list(table)
    return [names[i] for i in np.argsort(np.linalg.norm(lab[1:] - lab[0], axis=1), kind="stable")]
