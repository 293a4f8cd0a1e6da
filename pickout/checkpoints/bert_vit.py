"""Plain BERT and plain vision transformers under our names; ALBEF's towers are made of them.

The separate projections of queries, keys and values become one matrix each for self-attention and for the image side of
cross-attention.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pickout.errors import CheckpointMismatch

_BLOCK = {
    "norm1": "norm_attention",
    "attn.qkv": "attention.project_in",
    "attn.proj": "attention.project_out",
    "norm2": "norm_feed_forward",
    "mlp.fc1": "feed_forward.widen",
    "mlp.fc2": "feed_forward.narrow",
}
_VISION = {
    "cls_token": "class_token",
    "pos_embed": "positions",
    "patch_embed.proj.weight": "patches.weight",
    "patch_embed.proj.bias": "patches.bias",
    "norm.weight": "norm_out.weight",
    "norm.bias": "norm_out.bias",
}
_LAYER = {
    "attention.output.dense": "attention.project_out",
    "attention.output.LayerNorm": "attention.norm",
    "crossattention.self.query": "cross.project_query",
    "crossattention.output.dense": "cross.project_out",
    "crossattention.output.LayerNorm": "cross.norm",
    "intermediate.dense": "feed_forward.widen",
    "output.dense": "feed_forward.narrow",
    "output.LayerNorm": "feed_forward.norm",
}
_FUSED = {
    "attention.self": ("attention.project_in", ("query", "key", "value")),
    "crossattention.self": ("cross.project_memory", ("key", "value")),
}
_EMBEDDINGS = {
    "word_embeddings.weight": "words.weight",
    "position_embeddings.weight": "positions.weight",
    "token_type_embeddings.weight": "types.weight",
    "LayerNorm.weight": "norm.weight",
    "LayerNorm.bias": "norm.bias",
}
WORD_HEAD = {
    "transform.dense.weight": "dense.weight",
    "transform.dense.bias": "dense.bias",
    "transform.LayerNorm.weight": "norm.weight",
    "transform.LayerNorm.bias": "norm.bias",
    "bias": "bias",
}
"""BERT's names of the masked-word head's tensors, behind `cls.predictions.`, to ours."""
_IGNORED = {
    "position_ids": "the numbers 0, 1, 2 ..., no weight",
    "pooler.": "BERT's pooler, which ALBEF does not use",
    "cls.seq_relationship.": "BERT's next-sentence head, which ALBEF does not use",
    "head.": "a classifier of other images",
    "pre_logits.": "a classifier of other images",
    "fc_norm.": "a classifier of other images",
}
LAYER_KEY = re.compile(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")
"""A tensor of a BERT layer: number, part, kind."""
_BLOCK_KEY = re.compile(r"blocks\.(\d+)\.(.+)\.(weight|bias)")


@dataclass(slots=True)
class Parts:
    """What translating has found so far.

    Args:
        state: float32 tensors under our names.
        ignored: keys left out on purpose, each with the reason.
        left_over: keys without a name of ours.
    """

    state: dict[str, Tensor] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    left_over: list[str] = field(default_factory=list)


def is_bert(keys: Collection[str]) -> bool:
    """Whether the keys are those of a plain BERT, with or without its heads."""
    ends = {key.removeprefix("bert.") for key in keys}
    return "embeddings.word_embeddings.weight" in ends and not any("crossattention" in key for key in keys)


def is_vit(keys: Collection[str]) -> bool:
    """Whether the keys are those of a plain vision transformer in timm's or DeiT's names."""
    return {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"} <= set(keys)


def vision_tensors(tower: Mapping[str, Tensor]) -> Parts:
    """A vision transformer in timm's names as `vision.`."""
    parts = Parts()
    for key, tensor in tower.items():
        block = _BLOCK_KEY.fullmatch(key)
        if key in _VISION:
            flat = tensor.flatten() if key == "cls_token" else tensor[0] if key == "pos_embed" else tensor
            parts.state[f"vision.{_VISION[key]}"] = flat.float().contiguous()
        elif block is not None and block[2] in _BLOCK:
            parts.state[f"vision.transformer.layers.{block[1]}.{_BLOCK[block[2]]}.{block[3]}"] = tensor.float()
        else:
            excuse(key, parts)
    return parts


def text_tensors(tower: Mapping[str, Tensor], *, text_layers: int) -> Parts:
    """A BERT, its name before the layers left out or `bert.`, as `text.`.

    Args:
        tower: tensors by name.
        text_layers: layers from this number on become fusion layers.
    """
    parts = Parts()
    waiting: dict[tuple[str, str], dict[str, Tensor]] = {}
    for key, tensor in tower.items():
        short = key.removeprefix("bert.")
        layer = LAYER_KEY.fullmatch(short)
        if short.startswith("embeddings.") and short.removeprefix("embeddings.") in _EMBEDDINGS:
            parts.state[f"text.embeddings.{_EMBEDDINGS[short.removeprefix('embeddings.')]}"] = tensor.float()
        elif layer is not None:
            number, part, kind = int(layer[1]), layer[2], layer[3]
            ours = f"text.text_layers.{number}" if number < text_layers else f"text.fusion.{number - text_layers}"
            group, _, which = part.rpartition(".")
            if part in _LAYER:
                parts.state[f"{ours}.{_LAYER[part]}.{kind}"] = tensor.float()
            elif group in _FUSED and which in _FUSED[group][1]:
                waiting.setdefault((f"{ours}.{_FUSED[group][0]}.{kind}", group), {})[which] = tensor.float()
            else:
                parts.left_over.append(key)
        elif not short.startswith("cls.predictions."):
            excuse(key, parts)
    for (ours, group), found in waiting.items():
        if found.keys() >= set(_FUSED[group][1]):
            parts.state[ours] = torch.cat([found[which] for which in _FUSED[group][1]])
    return parts


def word_head_tensors(source: str, tower: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A BERT's masked-word head as `word_head.`; empty where it has none.

    Raises:
        CheckpointMismatch: its decoder is not the word embeddings, or has another bias.
    """
    prefix = "cls.predictions."
    head = {key.removeprefix(prefix): tensor for key, tensor in tower.items() if key.startswith(prefix)}
    words = tower.get("bert.embeddings.word_embeddings.weight")
    for tied, other in (("decoder.weight", words), ("decoder.bias", head.get("bias"))):
        if tied in head and (other is None or not torch.equal(head[tied], other)):
            raise CheckpointMismatch(f"{source}: {prefix}{tied} is not the tensor that it should share")
    return {f"word_head.{ours}": head[theirs].float() for theirs, ours in WORD_HEAD.items() if theirs in head}


def excuse(key: str, parts: Parts) -> None:
    """Note a key without a name of ours as ignored, where there is a reason, else as left over."""
    short = key.removeprefix("bert.").removeprefix("embeddings.")
    for start, reason in _IGNORED.items():
        if short.startswith(start):
            parts.ignored[key] = reason
            return
    parts.left_over.append(key)
