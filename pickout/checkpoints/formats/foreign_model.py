"""A checkpoint of others in our names, by one table for each format (in `names.toml`) that is read both ways; and what
its tensors say about the model's sizes."""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor

from pickout.config import Settings
from pickout.data.transforms import ImageSettings
from pickout.errors import CheckpointMismatch
from pickout.files import packaged_table
from pickout.methods.model import ModelSettings
from pickout.nn.towers import TextSettings, VisionSettings, patch_grid, resize_positions
from pickout.nn.transformer import Activation
from pickout.text.tokenizer import TokenizerSettings

TABLES = packaged_table("pickout.checkpoints.formats", "names.toml")
UNUSED: dict[str, dict[str, str]] = TABLES["unused"]  # keys that are left out, each with the reason, by format
_KINDS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_DUAL = {"name": "dual"}
HEAD_WIDTH = 64
"""Channels of a head in every model of OpenAI, ALBEF and BERT; files without a config tell the heads by it."""
S = TypeVar("S", bound=Settings)
_NUMBER = re.compile(r"(?<=\.)(?:0|[1-9][0-9]{0,3})(?=\.)")


def prefixed(table: Mapping[str, str], theirs: str, ours: str = "") -> dict[str, str]:
    """The table with a prefix before each key and, where given, before each of our names."""
    return {theirs + key: ours + name for key, name in table.items()}


@dataclass(frozen=True, slots=True)
class Translation:
    """Tensors of a file under our names, and what they say about the model's sizes."""

    source: str  # the file, for errors
    names: "Names"  # the table that was used, to spell our names as the file does
    state: dict[str, Tensor] = field(default_factory=dict)  # tensors under our names, floating ones in float32
    ignored: dict[str, str] = field(default_factory=dict)  # keys left out on purpose, each with the reason
    left_over: list[str] = field(default_factory=list)  # keys without a name of ours
    found: frozenset[str] = frozenset()  # the file's keys

    def spelled(self, name: str) -> str:
        """Our name as the file spells it: the parts that it lacks, where several make one tensor of ours."""
        theirs = self.names.theirs(name)
        return " + ".join([key for key in theirs if key not in self.found] or theirs) or name

    def shapes(self, telling: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """The shapes of the `telling` tensors, of so many axes each, which tell a model's sizes."""
        state = self.state
        there = {key for key, axes in telling.items() if key in state and state[key].ndim == axes and len(state[key])}
        absent = ", ".join(self.spelled(key) for key in telling if key not in there)
        if absent:
            raise CheckpointMismatch(f"{self.source}: nothing usable for {absent}; it is only a part of a model")
        return {key: tuple(state[key].shape) for key in telling}

    def checked(self, schema: type[S], **values: Any) -> S:
        """Settings from sizes of tensors, which may be anything."""
        try:
            return schema(**values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            why = f"{self.source}: its tensors give {first['loc'][0]} = {first['input']}, which no model has"
            raise CheckpointMismatch(why) from None

    def layers(self, prefix: str) -> int:
        """How many layers there are below a prefix of our names."""
        return len({key.removeprefix(prefix).split(".")[0] for key in self.state if key.startswith(prefix)})

    def tower(self, schema: type[S], layers: str, width: int, heads: int | None = None, **values: Any) -> S:
        """The settings of a tower whose layers are below the prefix `layers`; without `heads` it has the usual ones."""
        heads = heads or max(1, width // HEAD_WIDTH)
        return self.checked(schema, width=width, layers=self.layers(layers), heads=heads, **values)


@dataclass(frozen=True)
class Names:
    """Which of their keys is which of our tensors."""

    # their key to our name. `#` stands for the number of a layer, `*` for what a tensor is of its part (weight, bias
    # ...). Parts of one tensor of ours end in `|0`, `|1` ... and are joined along the first axis
    table: Mapping[str, str]
    # their key, spelled as in the table, to the reason why it is left out
    ignored: Mapping[str, str] = field(default_factory=dict)
    transposed: frozenset[str] = frozenset()  # their keys that are stored the other way round
    # layers `text.layer.#` from this number on are called `text.fusion.#`, those before it `text.text_layers.#`
    split: int = 0
    telling: Sequence[str] = ()  # their keys that only such a file has together

    def told_by(self, keys: Collection[str]) -> bool:
        """Whether these are the keys of such a file."""
        return set(self.telling) <= set(keys)

    @cached_property
    def _back(self) -> dict[str, list[str]]:
        back: dict[str, list[str]] = {}
        for key, name in self.table.items():
            back.setdefault(name.partition("|")[0], []).append(key)
        return back

    def ours(self, key: str) -> str | None:
        """Our name of their key, with its part behind `|`; None where we have none."""
        for form, number, kind in _forms(key):
            if form in self.table:
                name = self.table[form].replace("#", number).replace("*", kind)
                before, layered, layer = name.partition("text.layer.")
                if layered:
                    fused = int(number) - self.split
                    rest = layer.partition(".")[2]
                    return f"{before}text.{f'text_layers.{number}' if fused < 0 else f'fusion.{fused}'}.{rest}"
                return name
        return None

    def theirs(self, name: str) -> list[str]:
        """Their keys of our tensor, in the order of its parts; empty where it has none."""
        layer = re.fullmatch(r"(.*)text\.(text_layers|fusion)\.(\d+)\.(.+)", name)
        if layer:
            name = f"{layer[1]}text.layer.{int(layer[3]) + (self.split if layer[2] == 'fusion' else 0)}.{layer[4]}"
        for form, number, kind in _forms(name):
            if form in self._back:
                return [key.replace("#", number).replace("*", kind) for key in self._back[form]]
        return []

    def translate(self, source: str, tensors: Mapping[str, Tensor]) -> Translation:
        """A state dict under our names; what is not whole, or comes twice, is left over."""
        done = Translation(source, self, found=frozenset(tensors))
        parts: dict[str, dict[str, str]] = {}
        for key in tensors:
            name = self.ours(key)
            reason = next((self.ignored[form] for form, _, _ in _forms(key) if form in self.ignored), None)
            if name is not None:
                whole, _, part = name.partition("|")
                if part in parts.setdefault(whole, {}):
                    done.left_over.append(key)
                parts[whole].setdefault(part, key)
            elif reason is not None:
                done.ignored[key] = reason
            else:
                done.left_over.append(key)
        for whole, keys in parts.items():
            some = []
            for _, key in sorted(keys.items()):
                tensor = tensors[key].T if key in self.transposed and tensors[key].ndim == 2 else tensors[key]
                # Whole numbers stay what they are, so that they are told from weights and refused in their place.
                some.append(tensor.float().contiguous() if tensor.is_floating_point() else tensor)
            if len(some) == 1 and "" in keys:
                done.state[whole] = some[0]
            elif len(some) == len(self.theirs(whole)) and len({(t.shape, t.dtype) for t in some}) == 1 and some[0].ndim:
                done.state[whole] = torch.cat(some)
            else:
                done.left_over.extend(keys.values())
        return done


def _forms(key: str) -> Iterator[tuple[str, str, str]]:
    """Every way in which a table may spell a key, with the number and the kind that its marks stand for."""
    head, _, kind = key.rpartition(".")
    for spelled in (key, f"{head}.*") if kind in _KINDS else (key,):
        yield spelled, "", kind
        number = _NUMBER.search(spelled)
        if number:
            yield f"{spelled[: number.start()]}#{spelled[number.end() :]}", number[0], kind


POSITIONS = "vision.positions"  # our name of the image tower's position table
MOMENTUM = "momentum."  # what stands before our names of a momentum twin's tensors
SHORTEST = 4  # least tokens of a caption
LINEAGE_SIZES = ((384, 128), (256, 128), (224, 224), (288, 144))
"""Image sizes tried in turn for a file with overlapping patches that does not say its own."""


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """A checkpoint translated to our names."""

    format: str  # what it was taken for
    settings: ModelSettings  # its image size is that of the position table
    identities: int  # outputs of its classification heads, as training identities; 0 without heads
    weights: Translation
    resized: Mapping[str, str] = field(default_factory=dict)  # changed tensors, each with what was done

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of its image position table."""
        image, vision = self.settings.image, self.settings.vision
        return patch_grid(image.height, image.width, vision.patch, vision.stride)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a config tells beyond the tensors."""

    # height and width that the position table was made for, and the distance of the patches; None: told by its length
    sizes: tuple[tuple[int, int], int] | None = None
    vision_heads: int | None = None  # heads of the image tower; None: its width / 64, as in all of OpenAI's models
    text_heads: int | None = None  # the same for text
    activation: Activation = "quick_gelu"  # of the feed-forward parts
    stated: tuple[int, int] | None = None  # height and width that are believed where the position table can be of them


def clip_model(
    weights: Translation, facts: Facts, format: str, method: Mapping[str, Any] = _DUAL, identities: int = 0
) -> ForeignModel:
    """A model on CLIP's towers, its sizes read off its tensors."""
    shapes = weights.shapes(TABLES["sizes"]["clip"])
    width, patch = shapes["vision.patches.weight"][0], shapes["vision.patches.weight"][3]
    context, words = shapes["text.positions"][0], shapes["text.tokens.weight"][1]
    if context < SHORTEST:
        raise CheckpointMismatch(f"{weights.source}: captions of {context} tokens are too short for any tokenizer")
    image, stride = _image_size(weights.source, shapes[POSITIONS][0] - 1, patch, facts)
    own: dict[str, Any] = {"embedding": shapes["vision.projection.weight"][0], "activation": facts.activation}
    looks = {**own, "patch": patch, "stride": stride}
    own["embedding"] = shapes["text.projection.weight"][0]
    settings = ModelSettings(
        method=dict(method),
        vision=weights.tower(VisionSettings, "vision.transformer.layers.", width, facts.vision_heads, **looks),
        text=weights.tower(TextSettings, "text.transformer.layers.", words, facts.text_heads, **own),
        image=weights.checked(ImageSettings, height=image[0], width=image[1]),
        tokenizer=weights.checked(TokenizerSettings, context=context),
    )
    return ForeignModel(format, settings, identities, weights)


def at_size(model: ForeignModel, image: tuple[int, int] | None) -> ForeignModel:
    """The same model for images of another size; None for its own. The position table is interpolated."""
    if image is None or image == (model.settings.image.height, model.settings.image.width):
        return model
    vision, state = model.settings.vision, dict(model.weights.state)
    try:
        grid = patch_grid(*image, vision.patch, vision.stride)
    except ValueError as error:
        raise CheckpointMismatch(str(error)) from None
    notes = fit_positions(state, model.grid, grid, bicubic=vision.kind == "vit")
    sized = model.settings.image.model_copy(update={"height": image[0], "width": image[1]})
    settings = model.settings.model_copy(update={"image": sized})
    return replace(model, settings=settings, weights=replace(model.weights, state=state), resized=notes)


def fit_positions(
    state: dict[str, Tensor], old: tuple[int, int], new: tuple[int, int], *, bicubic: bool
) -> dict[str, str]:
    """Bring the image tower's position table, and its momentum twin's, to another grid, in place; what was done."""
    mode: Literal["bilinear", "bicubic"] = "bicubic" if bicubic else "bilinear"
    notes = {}
    for key in (POSITIONS, MOMENTUM + POSITIONS):
        table = state.get(key)
        if table is not None and old != new and table.ndim == 2 and len(table) == 1 + old[0] * old[1]:
            state[key] = resize_positions(table, old, new, mode=mode)
            notes[key] = f"resized from {old[0]}x{old[1]} to {new[0]}x{new[1]} patches ({mode})"
    return notes


def _image_size(source: str, patches: int, patch: int, facts: Facts) -> tuple[tuple[int, int], int]:
    """Height, width and stride whose grid has `patches` patches."""
    # Without overlap the number alone tells a square: no square is three times or twice another. Three to one (384x128)
    # and two to one (256x128) are guesses; 192 patches may also be 256x192, so a stated size is believed first.
    side = math.isqrt(max(patches, 0))
    if facts.sizes:
        tries = [facts.sizes]
    elif side and side * side == patches:
        return (side * patch, side * patch), patch
    else:
        sides = ((ratio, math.isqrt(max(patches, 0) // ratio) * patch) for ratio in (3, 2))
        guesses = [(side * ratio, side) for ratio, side in sides]
        given = [facts.stated] if facts.stated else []
        tries = [(image, patch) for image in given + guesses]
        tries += [(image, stride) for image in (*given, *LINEAGE_SIZES) for stride in range(patch - 1, 0, -1)]
    for image, stride in tries:
        if min(image) >= patch and math.prod(patch_grid(*image, patch, stride)) == patches:
            return image, stride
    wanted = "{}x{} pixels".format(*facts.sizes[0]) if facts.sizes else "the usual image sizes"
    why = f"{source}: its position table has {patches} patches of {patch}x{patch}, which is no grid of {wanted}"
    raise CheckpointMismatch(why)
