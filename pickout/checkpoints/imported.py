"""A foreign checkpoint in our names, and what its tensors say about the model's sizes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from torch import Tensor

from pickout.errors import CheckpointMismatch
from pickout.nn.positions import patch_grid, resize_positions
from pickout.nn.text import TextSettings
from pickout.nn.transformer import Activation
from pickout.nn.vision import VisionSettings
from pickout.text.tokenizer import TokenizerSettings

HEAD_WIDTH = 64
"""Channels of a head in every model of OpenAI, ALBEF and BERT; files without a config tell the heads by it."""


def usual_heads(width: int) -> int:
    """Heads of a tower of this width, where a file does not tell: `HEAD_WIDTH` channels each."""
    return max(1, width // HEAD_WIDTH)


POSITIONS = "vision.positions"
"""Our name of the image tower's position table."""

LINEAGE_SIZES = ((384, 128), (256, 128), (224, 224), (288, 144))
"""Image sizes tried in turn for a file with overlapping patches that does not say its own."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A checkpoint translated to our names.

    Args:
        format: what it was taken for.
        method: the `method` table of the model's settings.
        vision: sizes of the image tower.
        text: sizes of the text tower.
        image: height and width in pixels that the position table belongs to.
        identities: outputs of its classification heads, as training identities; 0 without heads.
        state: float32 tensors under our names.
        left_over: keys without a name of ours.
        ignored: keys left out on purpose, each with the reason.
        resized: changed tensors, each with what was done.
        tokenizer: the kind of tokenizer that its captions go through.
        resample: how its images are resized.
    """

    format: str
    method: Mapping[str, Any]
    vision: VisionSettings
    text: TextSettings
    image: tuple[int, int]
    identities: int
    state: Mapping[str, Tensor]
    left_over: tuple[str, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)
    resized: Mapping[str, str] = field(default_factory=dict)
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    resample: Literal["bilinear", "bicubic"] = "bilinear"

    @property
    def context(self) -> int:
        """Tokens of a caption: rows of CLIP's position table, or what is usual for the family."""
        if self.tokenizer.kind == "clip":
            return int(self.state["text.positions"].shape[0])
        return self.tokenizer.context


class Translated(NamedTuple):
    """Both towers under our names.

    Args:
        state: float32 tensors.
        ignored: keys left out on purpose, each with the reason.
        left_over: keys without a name of ours.
    """

    state: dict[str, Tensor]
    ignored: dict[str, str]
    left_over: list[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a config tells beyond the tensors.

    Args:
        image: height and width that the position table was made for; None: told by its length.
        stride: distance of the patches; None: no overlap unless the table's length asks for it.
        vision_heads: heads of the image tower; None: its width / 64, as in all of OpenAI's models.
        text_heads: the same for text.
        activation: of the feed-forward parts.
    """

    image: tuple[int, int] | None = None
    stride: int | None = None
    vision_heads: int | None = None
    text_heads: int | None = None
    activation: Activation = "quick_gelu"


class Sizes(NamedTuple):
    """What tensors and facts say about the settings of both towers, and the image size in pixels."""

    vision: VisionSettings
    text: TextSettings
    image: tuple[int, int]


def tower_sizes(source: str, state: Mapping[str, Tensor], facts: Facts = Facts()) -> Sizes:
    """Read the sizes of both towers.

    Args:
        source: the file, for errors.
        state: at least the tensors of both towers, under our names.
        facts: what is known from elsewhere.

    Raises:
        CheckpointMismatch: a tensor that tells a size is missing, or no image size fits the position table.
    """
    needed = {
        "vision.patches.weight": 4,
        POSITIONS: 2,
        "vision.projection.weight": 2,
        "text.tokens.weight": 2,
        "text.positions": 2,
        "text.projection.weight": 2,
    }
    absent = [key for key, axes in needed.items() if key not in state or state[key].ndim != axes]
    if absent:
        raise CheckpointMismatch(f"{source}: nothing usable for {', '.join(absent)}; it is only a part of a model")
    width, _, _, patch = (int(size) for size in state["vision.patches.weight"].shape)
    words = int(state["text.tokens.weight"].shape[1])
    image, stride = _image_size(source, int(state[POSITIONS].shape[0]) - 1, patch, facts)
    return Sizes(
        VisionSettings(
            patch=patch,
            stride=stride,
            width=width,
            layers=_layers(state, "vision."),
            heads=facts.vision_heads or usual_heads(width),
            embedding=int(state["vision.projection.weight"].shape[0]),
            activation=facts.activation,
        ),
        TextSettings(
            width=words,
            layers=_layers(state, "text."),
            heads=facts.text_heads or usual_heads(words),
            embedding=int(state["text.projection.weight"].shape[0]),
            activation=facts.activation,
        ),
        image,
    )


def at_size(imported: Imported, image: tuple[int, int] | None) -> Imported:
    """The same model for images of another size: the position table is interpolated and the report says so.

    Args:
        imported: at its own size.
        image: height and width in pixels; None for its own.

    Raises:
        CheckpointMismatch: the image is smaller than one patch.
    """
    if image is None or image == imported.image:
        return imported
    vision = imported.vision
    old = patch_grid(*imported.image, vision.patch, vision.stride)
    try:
        new = patch_grid(*image, vision.patch, vision.stride)
    except ValueError as error:
        raise CheckpointMismatch(str(error)) from None
    tables, notes = fit_position_tables(imported, old, new)
    return replace(imported, image=image, state={**imported.state, **tables}, resized=notes)


def fit_position_tables(
    imported: Imported, old: tuple[int, int], new: tuple[int, int]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The image tower's position table for another grid, and its momentum twin's, with a note of what was done.

    Args:
        imported: holds the tables.
        old: their grid.
        new: the wanted grid.
    """
    mode: Literal["bilinear", "bicubic"] = "bicubic" if imported.vision.kind == "vit" else "bilinear"
    tables, notes = {}, {}
    for key in (POSITIONS, f"momentum.{POSITIONS}"):
        if key in imported.state:
            tables[key], note = fit_positions(imported.state[key], old, new, mode)
            if note:
                notes[key] = note
    return tables, notes


def fit_positions(
    table: Tensor, old: tuple[int, int], new: tuple[int, int], mode: Literal["bilinear", "bicubic"] = "bilinear"
) -> tuple[Tensor, str | None]:
    """The position table for another grid, and a note of what was done (None: nothing).

    A table that is not of the grid `old` comes back as it is, for the key report to name.

    Args:
        table: class position first, then the grid. Shape: (tokens, width).
        old: the table's grid.
        new: the wanted grid.
        mode: how it is interpolated: CLIP's lineage bilinear, ALBEF's bicubic.
    """
    if old == new or table.ndim != 2 or len(table) != 1 + old[0] * old[1]:
        return table, None
    note = f"resized from {old[0]}x{old[1]} to {new[0]}x{new[1]} patches ({mode})"
    return resize_positions(table, old, new, mode=mode), note


def _layers(state: Mapping[str, Tensor], tower: str) -> int:
    prefix = f"{tower}transformer.layers."
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def _image_size(source: str, patches: int, patch: int, facts: Facts) -> tuple[tuple[int, int], int]:
    """Height, width and stride whose grid has `patches` patches.

    Without overlap the number alone tells apart 3:1 (384x128), 2:1 (256x128) and square, since no number is a square
    and three times or twice a square.
    """
    if facts.image is None and facts.stride in (None, patch):
        for ratio in (3, 2, 1):
            side = math.isqrt(patches // ratio)
            if side > 0 and side * side * ratio == patches:
                return (side * ratio * patch, side * patch), patch
    for image in (facts.image,) if facts.image else LINEAGE_SIZES:
        for stride in (facts.stride,) if facts.stride else range(patch, 0, -1):
            rows, columns = patch_grid(*image, patch, stride)
            if rows * columns == patches:
                return image, stride
    wanted = f"of {facts.image[0]}x{facts.image[1]} pixels" if facts.image else "of the usual image sizes"
    raise CheckpointMismatch(
        f"{source}: its position table has {patches} patches of {patch}x{patch}, which is no grid {wanted}"
    )
