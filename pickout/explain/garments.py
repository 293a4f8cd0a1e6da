"""Which words of a drawn person's sentence name which part of the picture: the street's own attributes tell."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.explain.pair import Array, Grid, Pair
from pickout.synthetic.habits import LEXICON
from pickout.synthetic.surfaces import Part

_WORN = (Part.HEADWEAR, Part.UPPER, Part.OUTER, Part.LOWER, Part.SHOES, Part.BAG)  # or carried, by everybody alike
SMALLEST = 0.01  # parts that cover a smaller share of the picture are not asked about: a patch is larger


def read_attributes(root: Path) -> dict[str, dict[str, Any]]:
    """What was drawn, by image file; empty for a data set that was not drawn."""
    file = root / "attributes.jsonl"
    records = map(json.loads, file.read_text(encoding="utf-8").splitlines() if file.is_file() else ())
    return {str(root / "imgs" / record["file_path"]): record for record in records}


def named_parts(pair: Pair, person: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The words of the sentence that name something the person, of these attributes, wears; each word of "polo shirt"
    counts. A phrase that fits two things at once ("jacket" with a blazer under a coat) names neither.

    Returns:
        Positions in `pair.told`, each with the part's number in the mask."""
    worn: dict[tuple[str, ...], set[Part]] = {}
    for part in _WORN:
        item = person.get(part.name.lower())
        for name in LEXICON["kinds"].get(item["kind"], ()) if isinstance(item, dict) else ():
            # In words as `Tokenizer.words` cuts them; "hooded sweatshirt" is there and "sweatshirt with a hood" is not.
            if not {"with", "a"} & set(name.split()):
                worn.setdefault(tuple(name.replace("-", " ").split()), set()).add(part)
    texts = [pair.words[n].text.lower() for n in pair.told]
    found, place = [], 0
    while place < len(texts):
        fitting = (phrase for n in (4, 3, 2, 1) if (phrase := tuple(texts[place : place + n])) in worn)
        phrase = next(fitting, ())
        parts = worn.get(phrase, set())
        if len(parts) == 1:
            found += [(place + n, int(next(iter(parts)))) for n in range(len(phrase))]
        place += max(1, len(phrase))
    return found


def read_mask(root: Path, record: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The part at each pixel of the picture. Shape: (height, width)."""
    with Image.open(root / record["parts_path"]) as mask:
        return np.asarray(mask.convert("L"))


def part_shares(mask: NDArray[np.uint8], part: int, grid: Grid) -> tuple[Array, float]:
    """The share of each patch (patches,), and of the whole picture, that shows a part of the mask."""
    shows = Image.fromarray((mask == part).astype(np.uint8) * 255)
    small = np.asarray(shows.resize((grid.width, grid.height), Image.Resampling.BOX), np.float32) / 255
    cover = grid.cover().reshape(grid.patches, -1).astype(np.float32)
    shares: Array = cover @ small.ravel() / cover.sum(axis=1)
    return shares, float((mask == part).mean())


def pointing_ratio(heat: Array, shares: Array, area: float) -> float:
    """The share of a map's heat (patches,) that falls on a part, over the part's share of the picture, `area`; 1 is
    chance. `shares` tells how much of each patch the part fills. Only heat above zero counts; a map without gets 1."""
    hot = np.maximum(heat, 0)
    return float(hot @ shares) / float(hot.sum()) / area if hot.any() else 1.0
