"""A contact sheet of a drawn street: people under two cameras each, with their sentences beneath."""

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from pickout.errors import DataMissing

_CELL, _CROP, _MARGIN, _LETTERS = 228, 288, 14, 36
"""Width of a cell, height of a crop and width of a margin in pixels; letters that a line holds."""
_INK, _PALE, _PAPER = (25, 25, 25), (95, 95, 95), (250, 250, 248)


def contact_sheet(root: Path, count: int = 10, seed: int = 0, *, columns: int = 5) -> Image.Image:
    """A picture of at most `count` people of the street in `root`, in an order drawn from `seed`.

    Each is shown by the first two images, with a sentence about either. A DataMissing where no complete street is.
    """
    file = root / "reid_raw.json"
    if not file.is_file():
        raise DataMissing(f"{file}: not there; draw the street first with `pickout data draw {root}`")
    people: dict[int, list[dict[str, Any]]] = {}
    for record in json.loads(file.read_text(encoding="utf-8")):
        people.setdefault(record["id"], []).append(record)
    order = np.random.default_rng(seed).permutation(list(people))[: max(1, count)]
    cells = [_cell(root, people[identity][:2]) for identity in order]
    columns = min(columns, len(cells))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    sheet = Image.new("RGB", (columns * (_CELL + _MARGIN) + _MARGIN, sum(heights) + _MARGIN * (len(rows) + 1)), _PAPER)
    top = _MARGIN
    for row, height in zip(rows, heights, strict=True):
        for position, cell in enumerate(row):
            sheet.paste(cell, (_MARGIN + position * (_CELL + _MARGIN), top))
        top += height + _MARGIN
    return sheet


def _cell(root: Path, shown: list[dict[str, Any]]) -> Image.Image:
    cell = Image.new("RGB", (_CELL, 2 * _CROP), _PAPER)
    pen, font, top = ImageDraw.Draw(cell), ImageFont.load_default(size=13), 0
    for position, record in enumerate(shown):
        with Image.open(root / "imgs" / record["file_path"]) as image:
            crop = ImageOps.contain(image.convert("RGB"), (_CELL // 2 - 6, _CROP), Image.Resampling.BICUBIC)
        cell.paste(crop, (position * (_CELL // 2), 0))
        top = max(top, crop.height + 8)
    for record, ink in zip(shown, (_INK, _PALE), strict=False):
        text = textwrap.fill(record["captions"][0], _LETTERS)
        pen.multiline_text((0, top), text, font=font, fill=ink)
        top = round(pen.multiline_textbbox((0, top), text, font=font)[3]) + 10
    return cell.crop((0, 0, _CELL, top))
