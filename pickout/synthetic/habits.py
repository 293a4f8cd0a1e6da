"""The tables of the street, read from the TOML files beside the code: weighted draws from them, colours, and words."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pickout.files import packaged_table
from pickout.synthetic.attributes import Shade
from pickout.synthetic.surfaces import RGB

HABITS = packaged_table("pickout.synthetic", "habits.toml")  # how often people are what, wear what and carry what


def pick(generator: Generator, weights: Mapping[Any, float]) -> Any:
    """One key of `weights`, drawn with probability in proportion to its value; None for the key `nothing`."""
    keys = list(weights)
    total = np.cumsum(np.fromiter(weights.values(), dtype=np.float64, count=len(keys)))
    place = float(generator.random()) * total[-1]
    key = keys[min(int(np.searchsorted(total, place, side="right")), len(keys) - 1)]
    return None if key == "nothing" else key


def habit(generator: Generator, *path: str) -> Any:
    """One key of the table at `path` in `HABITS`, drawn like `pick`."""
    table: Any = HABITS
    for name in path:
        table = table[name]
    return pick(generator, table)


def chance(generator: Generator, probability: float) -> bool:
    """True with `probability`."""
    return float(generator.random()) < probability


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


def usual_shade(generator: Generator, thing: str, *, but: str = "") -> Shade:
    """A colour that `thing` (upper, jeans, boots, bag ...) usually has, never that of the name `but`."""
    weights = {name: weight for name, weight in _TABLES["weights"][thing].items() if name != but}
    return sample_shade(generator, pick(generator, weights), DENIM if thing == "jeans" else COLOURS)


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


T = TypeVar("T")
LEXICON: dict[str, dict[str, tuple[str, ...]]] = {
    table: {name: tuple(option.strip() for option in line.split("|")) for name, line in rows.items()}
    for table, rows in packaged_table("pickout.synthetic", "lexicon.toml").items()
}  # by table and name, the synonyms of a name, the plainest first
_PLAINEST = 3  # synonyms of a name that a writer of plain words knows


class Pen:
    """A writer's words, British, American or either; a share `plain` of writers only knows the plainest."""

    def __init__(self, generator: Generator, plain: float = 0.0) -> None:
        self._generator = generator
        self._known = _PLAINEST if plain and self.chance(plain) else None
        foreign = self.pick(("american", "british", ""))
        self._foreign = frozenset(LEXICON["writers"][foreign] if foreign else ())

    def pick(self, options: Sequence[T]) -> T:
        """One of `options`, each as likely."""
        return options[int(self._generator.integers(len(options)))]

    def say(self, table: str, name: str) -> str:
        """One of the synonyms of a name; half of the time one of the first few, which are the usual ones."""
        options = self._own(table, name)
        return self.pick(options[:5] if self.chance(0.5) else options)

    def word(self, table: str, name: str) -> str:
        """The plainest synonym half of the time, else one of all: people mostly use the plain word."""
        options = self._own(table, name)
        return options[0] if self.chance(0.5) else self.pick(options)

    def chance(self, probability: float) -> bool:
        """True with `probability`."""
        return chance(self._generator, probability)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in an order as likely as any other."""
        return [items[position] for position in self._generator.permutation(len(items))]

    def listed(self, things: Sequence[str], between: Sequence[str], last: Sequence[str]) -> str:
        """The things in a row: one of `between` joins two, one of `last` the last to several, commas the others."""
        if len(things) < 2:
            return "".join(things)
        return ", ".join(things[:-1]) + self.pick(between if len(things) == 2 else last) + things[-1]

    def _own(self, table: str, name: str) -> tuple[str, ...]:
        """The synonyms without those that this writer would not use; all where none is left."""
        options = LEXICON[table][name]
        own = tuple(option for option in options if self._foreign.isdisjoint(option.split())) or options
        return own[: self._known]
