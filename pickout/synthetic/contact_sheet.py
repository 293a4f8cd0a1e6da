"""A contact sheet of a drawn street: people under two cameras each, with their sentences beneath."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pickout.errors import DataMissing

_SCALE = 1.5
_CELL = 228
_MARGIN = 14
_FONT_SIZE = 13
_INK, _PALE, _PAPER = (25, 25, 25), (95, 95, 95), (250, 250, 248)


def contact_sheet(root: Path, count: int = 10, seed: int = 0, *, columns: int = 5) -> Image.Image:
    """A picture of `count` people of the street in `root`, in an order drawn from `seed`.

    Each person is shown by the first two images; beneath stands one sentence about each of the two.

    Args:
        root: a folder that `draw_street` completed.
        count: how many people to show, at most; a smaller street shows all.
        seed: chooses the people.
        columns: people in a row.

    Raises:
        DataMissing: `root` holds no complete street.
    """
    people = _people(root)
    order = np.random.default_rng(seed).permutation(len(people))[: max(1, count)]
    cells = [_cell(root, people[position]) for position in order]
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


def _people(root: Path) -> list[list[dict[str, Any]]]:
    file = root / "reid_raw.json"
    if not file.is_file():
        raise DataMissing(f"{file}: not there; draw the street first with `pickout data draw {root}`")
    people: dict[int, list[dict[str, Any]]] = {}
    for record in json.loads(file.read_text(encoding="utf-8")):
        people.setdefault(record["id"], []).append(record)
    return list(people.values())


def _cell(root: Path, records: list[dict[str, Any]]) -> Image.Image:
    font = ImageFont.load_default(size=_FONT_SIZE)
    shown = records[:2]
    crops = [_crop(root / "imgs" / record["file_path"]) for record in shown]
    blocks = [_wrapped(record["captions"][0], font) for record in shown if record["captions"]]
    line = _FONT_SIZE + 4
    top = max(crop.height for crop in crops) + 8
    cell = Image.new("RGB", (_CELL, top + sum(len(block) * line + 8 for block in blocks)), _PAPER)
    for position, crop in enumerate(crops):
        cell.paste(crop, (position * (_CELL // 2), 0))
    pen = ImageDraw.Draw(cell)
    for position, block in enumerate(blocks):
        for text in block:
            pen.text((0, top), text, font=font, fill=_PALE if position else _INK)
            top += line
        top += 8
    return cell


def _crop(path: Path) -> Image.Image:
    with Image.open(path) as image:
        scale = min(_SCALE * 192 / image.height, (_CELL // 2 - 6) / image.width)
        return image.convert("RGB").resize(
            (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
        )


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > _CELL:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
