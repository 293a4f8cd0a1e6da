"""Heat as a picture: a see-through layer, laid over the crop, and a sheet of them. Pillow and numpy alone."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pickout.explain.attention import Look
from pickout.explain.explanation import ExplainedWord, Explanation
from pickout.explain.pair import Array, Grid, Pair

_COLD, _HOT = np.array([255.0, 196.0, 40.0]), np.array([222.0, 12.0, 92.0])
_DENSEST = 0.82  # opacity of the hottest place
_PALE = 0.25
_WORDS, _ACROSS, _HEIGHT = 8, 6, 288
"""Most words on a sheet, most panels in a row of it, and the height of a panel in pixels."""
_MARGIN, _LINE = 10, 22


def heat_layer(heat: Array, grid: Grid, size: tuple[int, int], *, top: float | None = None) -> Image.Image:
    """Heat (rows, columns) above zero as a see-through picture of this width and height, from amber to crimson; what
    speaks against is left blank. `top` is the heat that gets the full colour; by default the map's own highest."""
    values = np.maximum(np.nan_to_num(heat), 0)
    peak = float(values.max()) if top is None else top
    share = values / peak if peak > 0 else np.zeros_like(values)
    covered = [(n - 1) * grid.stride + grid.patch for n in (grid.columns, grid.rows)]
    sides = zip(size, covered, (grid.width, grid.height), strict=True)
    inner = [max(1, round(length * part / full)) for length, part, full in sides]
    smooth = Image.fromarray(share.astype(np.float32)).resize((inner[0], inner[1]), Image.Resampling.BICUBIC)
    level = np.zeros((size[1], size[0]), np.float32)
    level[: inner[1], : inner[0]] = np.clip(np.asarray(smooth), 0, 1)[: size[1], : size[0]]
    colour = _COLD + (_HOT - _COLD) * level[..., None]
    opacity = 255 * _DENSEST * level
    return Image.fromarray(np.dstack([colour, opacity]).round().astype(np.uint8), "RGBA")


def overlay(picture: Image.Image, heat: Array, grid: Grid, *, top: float | None = None) -> Image.Image:
    """The crop with heat over it; arguments as in `heat_layer`."""
    # A dimmed, paler crop lets the heat stand out and still shows what lies below it.
    pale = Image.blend(picture.convert("RGB"), picture.convert("L").convert("RGB"), 0.7)
    return Image.alpha_composite(pale.convert("RGBA"), heat_layer(heat, grid, picture.size, top=top)).convert("RGB")


def top_of(explanation: Explanation, word: ExplainedWord) -> float:
    """The heat at which a word's map has its full colour: its own highest, but at least a quarter of the highest of all
    words, so that a word on which little rests stays pale."""
    highest = [float(other.patches.max()) for other in explanation.words if other.patches is not None]
    own = 0.0 if word.patches is None else float(word.patches.max())
    return max(own, _PALE * max(highest, default=0.0))


def leading_words(explanation: Explanation, count: int) -> list[ExplainedWord]:
    """At most `count` words, those with the greatest weight that have a map, in the order of the sentence."""
    mapped = [word for word in explanation.words if word.patches is not None]
    leading = sorted(mapped, key=lambda word: -(word.weight or 0))[:count]
    return sorted(leading, key=lambda word: word.start)


def explanation_sheet(explanation: Explanation) -> Image.Image:
    """The crop, its heat, and the heat of the weightiest words, side by side with captions."""
    picture, grid = _enlarged(explanation.picture), explanation.grid
    panels = [(f"score {explanation.score:.3f}", picture)]
    if explanation.patches is not None:
        panels.append(("all words", overlay(picture, explanation.patches, grid)))
    for word in leading_words(explanation, _WORDS):
        if word.patches is not None:
            panels.append((word.text, overlay(picture, word.patches, grid, top=top_of(explanation, word))))
    return tile(panels)


def look_sheet(pair: Pair, word: str, look: Look) -> Image.Image:
    """The crop, and where one word, looked for alone, looked in each fusion layer and on average."""
    picture, shape = _enlarged(pair.picture), (pair.grid.rows, pair.grid.columns)
    maps = {"all layers": look.mean} | {f"layer {layer}": map_ for layer, map_ in look.layers.items()}
    return tile(
        [(word, picture), *((name, overlay(picture, map_[0].reshape(shape), pair.grid)) for name, map_ in maps.items())]
    )


def _enlarged(picture: Image.Image) -> Image.Image:
    width = max(24, round(picture.width * _HEIGHT / picture.height))
    return picture.resize((width, _HEIGHT), Image.Resampling.LANCZOS)


def tile(panels: Sequence[tuple[str, Image.Image]], *, across: int = _ACROSS) -> Image.Image:
    """Pictures of one size in rows of at most `across`, each with a line of text below."""
    font = ImageFont.load_default(size=14)
    wide = max(max(image.width, math.ceil(font.getlength(text))) for text, image in panels) + _MARGIN
    high = max(image.height for _, image in panels) + _LINE + _MARGIN
    columns = min(across, len(panels))
    sheet = Image.new("RGB", (wide * columns + _MARGIN, high * math.ceil(len(panels) / columns) + _MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (text, image) in enumerate(panels):
        row, column = divmod(number, columns)
        left, top = _MARGIN + column * wide, _MARGIN + row * high
        sheet.paste(image, (left, top))
        pen.text((left, top + image.height + 2), text, fill="black", font=font)
    return sheet
