"""Which words of a drawn person's sentence name which part of the picture: the street's own attributes tell."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.explain.pair import Array, Grid, Pair
from pickout.synthetic.habits import LEXICON
from pickout.synthetic.surfaces import Part

_SLOTS = {part.name.lower(): part for part in (Part.HEADWEAR, Part.UPPER, Part.OUTER, Part.LOWER, Part.SHOES, Part.BAG)}
"""What is worn or carried by everybody alike, and where the mask shows it."""
SMALLEST = 0.01  # parts that cover a smaller share of the picture are not asked about: a patch is larger


def read_attributes(root: Path) -> dict[str, dict[str, Any]]:
    """What was drawn, by image file; empty for a data set that was not drawn."""
    file = root / "attributes.jsonl"
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return {str(root / "imgs" / record["file_path"]): record for record in records}


def named_parts(pair: Pair, person: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The words of the sentence that name something the person, of these attributes, wears; each word of "polo shirt"
    counts. A phrase that fits two things at once ("jacket" with a blazer under a coat) names neither.

    Returns:
        Positions in `pair.told`, each with the part's number in the mask.
    """
    worn: dict[tuple[str, ...], set[Part]] = {}
    for slot, part in _SLOTS.items():
        item = person.get(slot)
        for phrase in _phrases(item["kind"]) if isinstance(item, dict) else ():
            worn.setdefault(phrase, set()).add(part)
    texts = [pair.words[n].text.lower() for n in pair.told]
    found, place = [], 0
    while place < len(texts):
        fitting = (phrase for n in (4, 3, 2, 1) if (phrase := tuple(texts[place : place + n])) in worn)
        phrase = next(fitting, ())
        length, parts = len(phrase), worn.get(phrase, set())
        if len(parts) == 1:
            found += [(place + n, int(next(iter(parts)))) for n in range(length)]
        place += max(1, length)
    return found


@lru_cache(maxsize=128)
def _phrases(kind: str) -> tuple[tuple[str, ...], ...]:
    """Names of the thing in words as `Tokenizer.words` cuts them, hyphens apart; the function words of long names stay
    out, so "hooded sweatshirt" is there and "sweatshirt with a hood" is not."""
    names = LEXICON["kinds"].get(kind, ())
    return tuple(tuple(name.replace("-", " ").split()) for name in names if not {"with", "a"} & set(name.split()))


def read_mask(root: Path, record: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The part at each pixel of the picture. Shape: (height, width)."""
    with Image.open(root / record["parts_path"]) as mask:
        return np.asarray(mask.convert("L"))


def part_shares(mask: NDArray[np.uint8], part: int, grid: Grid) -> tuple[Array, float]:
    """The share of each patch (patches,), and of the whole picture, that shows a part; `mask` tells the part at each
    pixel."""
    shows = Image.fromarray((mask == part).astype(np.uint8) * 255)
    small = np.asarray(shows.resize((grid.width, grid.height), Image.Resampling.BOX), np.float32) / 255
    cover = grid.cover().reshape(grid.patches, -1).astype(np.float32)
    shares: Array = cover @ small.ravel() / cover.sum(axis=1)
    return shares, float((mask == part).mean())


def pointing_ratio(heat: Array, shares: Array, area: float) -> float:
    """The share of a map's heat (patches,) that falls on a part, over the part's share of the picture, `area`; 1 is
    chance. `shares` tells how much of each patch the part fills.

    Only heat above zero counts. A map without any says nothing of the part and gets 1."""
    hot = np.maximum(heat, 0)
    return float(hot @ shares) / float(hot.sum()) / area if hot.any() else 1.0
