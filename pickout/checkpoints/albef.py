"""Files of the ALBEF family under our names: ALBEF's pre-training and retrieval checkpoints, RaSa's, and so AGA's.

The momentum twin's tensors, which end in `_m` there, stand under `momentum.` here.
"""

from collections.abc import Collection, Iterator, Mapping
from math import isqrt

from torch import Tensor

from pickout.checkpoints.bert_vit import (
    LAYER_KEY,
    Parts,
    text_tensors,
    vision_tensors,
    word_head_tensors,
)
from pickout.checkpoints.imported import POSITIONS, Imported, usual_heads
from pickout.errors import CheckpointMismatch
from pickout.nn.text import TextSettings
from pickout.nn.vision import VisionSettings
from pickout.text.tokenizer import TokenizerSettings

MOMENTUM = "momentum."
"""What stands before our names of the momentum twin's tensors."""
CONTEXT = 50
"""Tokens of a caption in RaSa and AGA."""
ALBEF, RETRIEVAL, RASA = "ALBEF", "ALBEF, for retrieval", "RaSa"
"""What a file of the family may be; that for retrieval has no masked-word head."""
SHORTEST = 4
"""Least tokens of a caption."""

_HEADS = {
    "vision_proj": "image_projection",
    "text_proj": "text_projection",
    "itm_head": "matching_head",
    "prd_head": "relation_head",
    "mrtd_head": "replaced_head",
}
_FOLLOWED = ("vision_proj", "text_proj")
_SINGLE = {"temp": "temperature", "image_queue": "image_queue", "text_queue": "text_queue"}
_COUNTERS = {"idx_queue": "identity_queue", "queue_ptr": "queue_pointer"}
_TELLING = {
    "vision.patches.weight": 4,
    POSITIONS: 2,
    "text.embeddings.words.weight": 2,
    "text.embeddings.positions.weight": 2,
    "text.text_layers.0.feed_forward.widen.weight": 2,
    "image_projection.weight": 2,
    "text_projection.weight": 2,
}
"""Tensors that tell a model's sizes, and how many axes they have."""


def is_albef(keys: Collection[str]) -> bool:
    """Whether the keys are those of an ALBEF-like model: an image tower, and BERT layers some of which look at it."""
    looks = {number for number, rest in _layers(keys) if rest.startswith("crossattention.")}
    return any(key.startswith("visual_encoder.blocks.") for key in keys) and bool(looks) and min(looks) > 0


def translate(source: str, tensors: Mapping[str, Tensor]) -> Imported:
    """A file of the ALBEF family under our names, the momentum twin's tensors under `momentum.`.

    Args:
        source: the file, for errors.
        tensors: its state dict.

    Raises:
        CheckpointMismatch: a tensor that tells a size is missing, tied tensors differ, or the images are not square.
    """
    parts = Parts()
    looks = {number for number, rest in _layers(tensors) if rest.startswith("crossattention.")}
    towers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, rest = key.partition(".")
        if name.removesuffix("_m") in ("visual_encoder", "text_encoder"):
            towers.setdefault(name, {})[rest] = tensor
        else:
            _single(key, tensor, parts)
    for name, tower in towers.items():
        twin = MOMENTUM if name.endswith("_m") else ""
        if name.startswith("visual_encoder"):
            _add(parts, f"{name}.", twin, vision_tensors(tower))
        else:
            _add(parts, f"{name}.", twin, text_tensors(tower, text_layers=min(looks)))
            parts.state |= {f"{twin}{key}": tensor for key, tensor in word_head_tensors(source, tower).items()}
    return _imported(source, parts)


def sizes(source: str, state: Mapping[str, Tensor]) -> tuple[VisionSettings, TextSettings, tuple[int, int]]:
    """The sizes of both towers, and the image's in pixels.

    Raises:
        CheckpointMismatch: a tensor that tells a size is missing, or the position table is no square.
    """
    absent = [key for key, axes in _TELLING.items() if key not in state or not _has_axes(state[key], axes)]
    if absent:
        raise CheckpointMismatch(f"{source}: nothing usable for {', '.join(absent)}; it is only a part of a model")
    width, _, _, patch = (int(size) for size in state["vision.patches.weight"].shape)
    side = square_side(source, state[POSITIONS])
    words, embedding = state["text.embeddings.words.weight"], int(state["image_projection.weight"].shape[0])
    vision = VisionSettings(
        kind="vit",
        patch=patch,
        stride=patch,
        width=width,
        layers=_count(state, "vision.transformer.layers."),
        heads=usual_heads(width),
        embedding=embedding,
        activation="gelu",
    )
    text = TextSettings(
        kind="bert",
        width=int(words.shape[1]),
        layers=_count(state, "text.text_layers."),
        fusion_layers=_count(state, "text.fusion."),
        heads=usual_heads(int(words.shape[1])),
        embedding=embedding,
        activation="gelu",
        feed_forward=int(state["text.text_layers.0.feed_forward.widen.weight"].shape[0]),
        positions=int(state["text.embeddings.positions.weight"].shape[0]),
    )
    return vision, text, (side * patch, side * patch)


def square_side(source: str, table: Tensor) -> int:
    """Patches along a side of the square image that a position table belongs to; its first row is the class token's.

    Raises:
        CheckpointMismatch: no square.
    """
    rows = len(table) if table.ndim else 0
    side = isqrt(max(rows - 1, 0))
    if side == 0 or side * side != rows - 1:
        raise CheckpointMismatch(f"{source}: a position table of {rows} rows is no class token and a square")
    return side


def _has_axes(tensor: Tensor, axes: int) -> bool:
    return tensor.ndim == axes and tensor.numel() > 0


def _imported(source: str, parts: Parts) -> Imported:
    vision, text, image = sizes(source, parts.state)
    rasa = any(key.startswith(("relation_head.", "replaced_head.")) for key in parts.state)
    words = any(key.startswith("word_head.") for key in parts.state)
    if text.positions < SHORTEST:
        raise CheckpointMismatch(f"{source}: captions of {text.positions} tokens are too short for any tokenizer")
    return Imported(
        format=RASA if rasa else ALBEF if words else RETRIEVAL,
        method={"name": "fusion"} if rasa or words else {"name": "fusion", "word_weight": 0.0, "replaced_weight": 0.0},
        vision=vision,
        text=text,
        image=image,
        identities=0,
        state=parts.state,
        left_over=tuple(parts.left_over),
        ignored=parts.ignored,
        tokenizer=TokenizerSettings(
            kind="wordpiece", context=min(CONTEXT, text.positions), closing=False, cleaning="albef", words=CONTEXT
        ),
        resample="bicubic",
    )


def _single(key: str, tensor: Tensor, parts: Parts) -> None:
    name, _, kind = key.partition(".")
    twin = name.removesuffix("_m") if name.removesuffix("_m") in _FOLLOWED else ""
    if name in _HEADS:
        parts.state[f"{_HEADS[name]}.{kind}"] = tensor.float()
    elif twin:
        parts.state[f"{MOMENTUM}{_HEADS[twin]}.{kind}"] = tensor.float()
    elif key in _SINGLE:
        parts.state[_SINGLE[key]] = tensor.float()
    elif key in _COUNTERS:
        parts.state[_COUNTERS[key]] = tensor.flatten().long()
    else:
        parts.left_over.append(key)


def _add(parts: Parts, prefix: str, twin: str, tower: Parts) -> None:
    parts.state |= {f"{twin}{key}": tensor for key, tensor in tower.state.items()}
    parts.ignored |= {f"{prefix}{key}": reason for key, reason in tower.ignored.items()}
    parts.left_over += [f"{prefix}{key}" for key in tower.left_over]


def _layers(keys: Collection[str]) -> Iterator[tuple[int, str]]:
    for key in keys:
        if key.startswith("text_encoder."):
            layer = LAYER_KEY.fullmatch(key.removeprefix("text_encoder.").removeprefix("bert."))
            if layer is not None:
                yield int(layer[1]), layer[2]


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})
