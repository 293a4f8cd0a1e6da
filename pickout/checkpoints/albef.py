"""Files of the ALBEF family under our names: ALBEF's pre-training and retrieval checkpoints, RaSa's, and so AGA's.

The momentum twin's tensors, which end in `_m` there, stand under `momentum.` here.
"""

from collections.abc import Collection, Iterator, Mapping
from math import isqrt

from torch import Tensor

from pickout.checkpoints.bert_vit import (
    LAYER_KEY,
    WORD_HEAD,
    Parts,
    excuse,
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

_HEADS = {
    "vision_proj": "image_projection",
    "text_proj": "text_projection",
    "itm_head": "matching_head",
    "prd_head": "relation_head",
    "mrtd_head": "replaced_head",
}
_SINGLE = {"temp": "temperature", "image_queue": "image_queue", "text_queue": "text_queue"}
_COUNTERS = {"idx_queue": "identity_queue", "queue_ptr": "queue_pointer"}
_TELLING = (
    "vision.patches.weight",
    POSITIONS,
    "text.embeddings.words.weight",
    "text.embeddings.positions.weight",
    "text.text_layers.0.feed_forward.widen.weight",
    "image_projection.weight",
    "text_projection.weight",
)
"""Tensors that tell a model's sizes."""


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
            _word_head(source, f"{name}.", twin, tower, parts)
    return _imported(source, parts)


def sizes(source: str, state: Mapping[str, Tensor]) -> tuple[VisionSettings, TextSettings, tuple[int, int]]:
    """The sizes of both towers, and the image's in pixels.

    Raises:
        CheckpointMismatch: a tensor that tells a size is missing, or the position table is no square.
    """
    absent = [key for key in _TELLING if key not in state]
    if absent:
        raise CheckpointMismatch(f"{source}: nothing usable for {', '.join(absent)}; it is only a part of a model")
    width, _, _, patch = (int(size) for size in state["vision.patches.weight"].shape)
    side = isqrt(int(state[POSITIONS].shape[0]) - 1)
    if side * side != state[POSITIONS].shape[0] - 1:
        raise CheckpointMismatch(f"{source}: a position table of {state[POSITIONS].shape[0]} rows is no square")
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


def _imported(source: str, parts: Parts) -> Imported:
    vision, text, image = sizes(source, parts.state)
    rasa = "replaced_head.weight" in parts.state
    return Imported(
        format="RaSa" if rasa else "ALBEF" if "word_head.bias" in parts.state else "ALBEF, for retrieval",
        method={"name": "fusion"},
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
    head = _HEADS.get(name.removesuffix("_m"))
    if head is not None:
        twin = MOMENTUM if name.endswith("_m") else ""
        parts.state[f"{twin}{head}.{kind}"] = tensor.float()
    elif key in _SINGLE:
        parts.state[_SINGLE[key]] = tensor.float()
    elif key in _COUNTERS:
        parts.state[_COUNTERS[key]] = tensor.flatten().long()
    else:
        excuse(key, parts)


def _word_head(source: str, prefix: str, twin: str, tower: Mapping[str, Tensor], parts: Parts) -> None:
    parts.state |= {f"{twin}{key}": tensor for key, tensor in word_head_tensors(source, tower).items()}
    known = {f"cls.predictions.{key}" for key in (*WORD_HEAD, "decoder.weight", "decoder.bias")}
    heads = [key for key in tower if key.startswith("cls.predictions.") and key not in known]
    parts.left_over += [f"{prefix}{key}" for key in heads]


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
