"""Files of the ALBEF family under our names (ALBEF's pre-training and retrieval checkpoints, RaSa's, and so AGA's), and
the plain BERT and vision transformers that its towers are made of.

The momentum twin's tensors, which end in `_m` there, stand under `momentum.` here.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from pickout.checkpoints.formats.foreign_model import (
    MOMENTUM,
    POSITIONS,
    SHORTEST,
    ForeignModel,
    checked,
    layers_of,
    shapes_of,
    tower,
)
from pickout.checkpoints.formats.names import Names, Translation, prefixed
from pickout.data.transforms import ImageSettings
from pickout.errors import CheckpointMismatch
from pickout.methods.model import ModelSettings
from pickout.nn.text import TextSettings
from pickout.nn.vision import VisionSettings
from pickout.text.tokenizer import TokenizerSettings

CONTEXT = 50
"""Tokens of a caption in RaSa and AGA."""
ALBEF, RETRIEVAL, RASA = "ALBEF", "ALBEF, for retrieval", "RaSa"
"""What a file of the family may be; that for retrieval has no masked-word head."""

_VIT = {
    "cls_token": "vision.class_token",
    "pos_embed": POSITIONS,
    "patch_embed.proj.*": "vision.patches.*",
    "norm.*": "vision.norm_out.*",
    "blocks.#.norm1.*": "vision.transformer.layers.#.norm_attention.*",
    "blocks.#.attn.qkv.*": "vision.transformer.layers.#.attention.project_in.*",
    "blocks.#.attn.proj.*": "vision.transformer.layers.#.attention.project_out.*",
    "blocks.#.norm2.*": "vision.transformer.layers.#.norm_feed_forward.*",
    "blocks.#.mlp.fc1.*": "vision.transformer.layers.#.feed_forward.widen.*",
    "blocks.#.mlp.fc2.*": "vision.transformer.layers.#.feed_forward.narrow.*",
}
_ONES = {"cls_token": 2, "pos_embed": 1}
"""Leading axes of length 1 that our tensors do without."""
_VIT_UNUSED = dict.fromkeys(("head.*", "pre_logits.fc.*", "fc_norm.*"), "a classifier of other images")
_BERT = {
    "embeddings.word_embeddings.weight": "text.embeddings.words.weight",
    "embeddings.position_embeddings.weight": "text.embeddings.positions.weight",
    "embeddings.token_type_embeddings.weight": "text.embeddings.types.weight",
    "embeddings.LayerNorm.*": "text.embeddings.norm.*",
} | {
    f"encoder.layer.#.{key}.*": f"text.layer.#.{name}"
    for key, name in {
        "attention.self.query": "attention.project_in.*|0",
        "attention.self.key": "attention.project_in.*|1",
        "attention.self.value": "attention.project_in.*|2",
        "attention.output.dense": "attention.project_out.*",
        "attention.output.LayerNorm": "attention.norm.*",
        "crossattention.self.query": "cross.project_query.*",
        "crossattention.self.key": "cross.project_memory.*|0",
        "crossattention.self.value": "cross.project_memory.*|1",
        "crossattention.output.dense": "cross.project_out.*",
        "crossattention.output.LayerNorm": "cross.norm.*",
        "intermediate.dense": "feed_forward.widen.*",
        "output.dense": "feed_forward.narrow.*",
        "output.LayerNorm": "feed_forward.norm.*",
    }.items()
}
_BERT_UNUSED = {
    "embeddings.position_ids": "the numbers 0, 1, 2 ..., no weight",
    "pooler.dense.*": "BERT's pooler, which ALBEF does not use",
}
_PREDICTIONS = "cls.predictions."
_WORD_HEAD = {
    f"{_PREDICTIONS}transform.dense.*": "word_head.dense.*",
    f"{_PREDICTIONS}transform.LayerNorm.*": "word_head.norm.*",
    f"{_PREDICTIONS}bias": "word_head.bias",
}
_TIED = {
    f"{_PREDICTIONS}decoder.weight": "text.embeddings.words.weight",
    f"{_PREDICTIONS}decoder.bias": "word_head.bias",
}
"""Keys of the word head that must be the same as another tensor, which is kept alone."""
_HEADS_UNUSED = {"cls.seq_relationship.*": "BERT's next-sentence head, which ALBEF does not use"} | dict.fromkeys(
    _TIED, "shared with another tensor"
)
_PROJECTIONS = {"vision_proj": "image_projection", "text_proj": "text_projection"}
_SINGLE = (
    {f"{key}.*": f"{name}.*" for key, name in _PROJECTIONS.items()}
    | {f"{key}_m.*": f"{MOMENTUM}{name}.*" for key, name in _PROJECTIONS.items()}
    | {"itm_head.*": "matching_head.*", "prd_head.*": "relation_head.*", "mrtd_head.*": "replaced_head.*"}
    | {"temp": "temperature", "image_queue": "image_queue", "text_queue": "text_queue"}
    | {"idx_queue": "identity_queue", "queue_ptr": "queue_pointer"}
)
_COUNTERS = ("identity_queue", "queue_pointer")
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
VIT = Names(_VIT, _VIT_UNUSED)
"""A vision transformer in timm's or DeiT's names."""
MINILM = Names({key: name.replace("text.layer.", "text.trunk.") for key, name in _BERT.items() if "cross" not in key})
"""MiniLM, as the frozen part of a sentence tower."""
VIT_TELLING = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight")
_CROSS = re.compile(r"text_encoder\.(?:bert\.)?encoder\.layer\.([0-9]{1,4})\.crossattention\..+\.(?:weight|bias)")


def family_names(keys: Collection[str]) -> Names:
    """The names of a file of the family; how many of its layers are text alone is told by where cross-attention is."""
    looks = [int(match[1]) for match in map(_CROSS.fullmatch, keys) if match]
    table, unused = dict(_SINGLE), dict[str, str]()
    for twin, ours in (("", ""), ("_m", MOMENTUM)):
        image, text = f"visual_encoder{twin}.", f"text_encoder{twin}."
        inner = f"{text}bert." if any(key.startswith(f"{text}bert.") for key in keys) else text
        table |= prefixed(_VIT, image, ours) | prefixed(_BERT, inner, ours) | prefixed(_WORD_HEAD, text, ours)
        unused |= prefixed(_VIT_UNUSED, image) | prefixed(_BERT_UNUSED, inner) | prefixed(_HEADS_UNUSED, text)
    return Names(table, unused, split=min(looks, default=0))


def is_albef(keys: Collection[str]) -> bool:
    """Whether the keys are those of an ALBEF-like model: an image tower, and BERT layers some of which look at it."""
    return any(key.startswith("visual_encoder.blocks.") for key in keys) and family_names(keys).split > 0


def is_bert(keys: Collection[str]) -> bool:
    """Whether the keys are those of a plain BERT, with or without its heads."""
    ends = {key.removeprefix("bert.") for key in keys}
    return "embeddings.word_embeddings.weight" in ends and not any("crossattention" in key for key in keys)


def is_vit(keys: Collection[str]) -> bool:
    """Whether the keys are those of a plain vision transformer in timm's or DeiT's names."""
    return set(VIT_TELLING) <= set(keys)


def translate(source: str, tensors: Mapping[str, Tensor]) -> ForeignModel:
    """A file of the ALBEF family under our names, the momentum twin's tensors under `momentum.`."""
    weights = _tied(source, family_names(tensors).translate(without_ones(tensors)), tensors)
    state = weights.state
    for key in [key for key in state if key.startswith(MOMENTUM)]:
        # The twin of nothing: a key that only looks as if a training needed it.
        if weights.found.isdisjoint(weights.names.theirs(key.removeprefix(MOMENTUM))):
            weights.left_over.append(weights.spelled(key))
            del state[key]
    state.update({key: state[key].flatten() for key in _COUNTERS if key in state})
    shapes = shapes_of(source, weights, _TELLING)
    width, patch = shapes["vision.patches.weight"][0], shapes["vision.patches.weight"][3]
    words, positions = shapes["text.embeddings.words.weight"][1], shapes["text.embeddings.positions.weight"][0]
    side = square_side(source, state[POSITIONS])
    if positions < SHORTEST:
        raise CheckpointMismatch(f"{source}: captions of {positions} tokens are too short for any tokenizer")
    shared: dict[str, Any] = {"embedding": shapes["image_projection.weight"][0], "activation": "gelu"}
    layers, strides = "vision.transformer.layers.", {"patch": patch, "stride": patch}
    vision = tower(source, VisionSettings, weights, layers, width, kind="vit", **strides, **shared)
    sizes = {
        "fusion_layers": layers_of(weights, "text.fusion."),
        "feed_forward": shapes["text.text_layers.0.feed_forward.widen.weight"][0],
        "positions": positions,
    }
    text = tower(source, TextSettings, weights, "text.text_layers.", words, kind="bert", **sizes, **shared)
    rasa = any(key.startswith(("relation_head.", "replaced_head.")) for key in state)
    head = any(key.startswith("word_head.") for key in state)
    bare = {} if rasa or head else {"word_weight": 0.0, "replaced_weight": 0.0}
    context = min(CONTEXT, positions)
    settings = ModelSettings(
        method={"name": "fusion", **bare},
        image=checked(source, ImageSettings, height=side * patch, width=side * patch, resample="bicubic"),
        vision=vision,
        text=text,
        tokenizer=TokenizerSettings(kind="wordpiece", context=context, closing=False, cleaning="albef", words=CONTEXT),
    )
    return ForeignModel(RASA if rasa else ALBEF if head else RETRIEVAL, settings, 0, weights)


def bert_tensors(source: str, tensors: Mapping[str, Tensor], *, text_layers: int) -> Translation:
    """A BERT and its masked-word head under our names."""
    # Norms may be called gamma and beta, as in bert-base-uncased.
    spelled = {key: key.replace("Norm.gamma", "Norm.weight").replace("Norm.beta", "Norm.bias") for key in tensors}
    tensors = {spelled[key]: tensor for key, tensor in tensors.items()}
    inner = "bert." if any(key.startswith("bert.") for key in tensors) else ""
    names = Names(prefixed(_BERT, inner) | _WORD_HEAD, prefixed(_BERT_UNUSED, inner) | _HEADS_UNUSED, split=text_layers)
    return _tied(source, names.translate(tensors), tensors)


def without_ones(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of vision transformers without the leading axes of length 1 that ours do without."""
    plain = {}
    for key, tensor in tensors.items():
        ones = _ONES.get(key.rpartition(".")[2], 0)
        plain[key] = tensor.reshape(tensor.shape[ones:]) if ones and tensor.shape[:ones] == (1,) * ones else tensor
    return plain


def square_side(source: str, table: Tensor) -> int:
    """Patches along a side of the square image that a position table belongs to; its first row is the class token's."""
    rows = len(table) if table.ndim else 0
    side = isqrt(max(rows - 1, 0))
    if side == 0 or side * side != rows - 1:
        raise CheckpointMismatch(f"{source}: a position table of {rows} rows is no class token and a square")
    return side


def _tied(source: str, weights: Translation, tensors: Mapping[str, Tensor]) -> Translation:
    """Hold the tied tensors of a word head against those that they share; they are then no news."""
    for key in [key for key in weights.ignored if _PREDICTIONS in key]:
        head, _, tied = key.rpartition(_PREDICTIONS)
        twin = MOMENTUM if head.startswith("text_encoder_m.") else ""
        shared = weights.state.get(twin + _TIED[_PREDICTIONS + tied])
        if shared is None or not torch.equal(tensors[key].to(shared.dtype), shared):
            raise CheckpointMismatch(f"{source}: {_PREDICTIONS}{tied} is not the tensor that it should share")
    return replace(weights, ignored={key: why for key, why in weights.ignored.items() if _PREDICTIONS not in key})
