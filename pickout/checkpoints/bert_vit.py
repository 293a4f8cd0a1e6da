"""Plain BERT and plain vision transformers under our names; ALBEF's towers are made of them.

The separate projections of queries, keys and values become one matrix each for self-attention and for the image side of
cross-attention.
"""

import re
from collections.abc import Collection, Mapping, Sequence
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
_ONES = {"cls_token": 2, "pos_embed": 1}
"""Leading axes of length 1 that our tensors do without."""
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
_WORDS = "embeddings.word_embeddings.weight"
WORD_HEAD = {
    "transform.dense.weight": "dense.weight",
    "transform.dense.bias": "dense.bias",
    "transform.LayerNorm.weight": "norm.weight",
    "transform.LayerNorm.bias": "norm.bias",
    "bias": "bias",
}
"""BERT's names of the masked-word head's tensors, behind `cls.predictions.`, to ours."""
_OLD_NORM = {"gamma": "weight", "beta": "bias"}
_WORD_HEAD_START = "cls.predictions."
_CLASSIFIER = "a classifier of other images"
_UNUSED_VISION = {"head.": _CLASSIFIER, "pre_logits.": _CLASSIFIER, "fc_norm.": _CLASSIFIER}
_UNUSED_TEXT = {
    "embeddings.position_ids": "the numbers 0, 1, 2 ..., no weight",
    "pooler.": "BERT's pooler, which ALBEF does not use",
    "cls.seq_relationship.": "BERT's next-sentence head, which ALBEF does not use",
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
    return _WORDS in ends and not any("crossattention" in key for key in keys)


def is_vit(keys: Collection[str]) -> bool:
    """Whether the keys are those of a plain vision transformer in timm's or DeiT's names."""
    return {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"} <= set(keys)


def in_new_names(tower: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A BERT whose norms have `weight` and `bias`; the oldest files, as of bert-base-uncased, say `gamma` and `beta`.

    Args:
        tower: tensors by name.
    """
    old = re.compile(r"(LayerNorm\.)(gamma|beta)$")
    return {old.sub(lambda name: name[1] + _OLD_NORM[name[2]], key): tensor for key, tensor in tower.items()}


def vision_tensors(tower: Mapping[str, Tensor]) -> Parts:
    """A vision transformer in timm's names as `vision.`."""
    parts = Parts()
    for key, tensor in tower.items():
        block = _BLOCK_KEY.fullmatch(key)
        if key in _VISION:
            ones = _ONES.get(key, 0)
            plain = tensor.reshape(tensor.shape[ones:]) if tensor.shape[:ones] == (1,) * ones else tensor
            parts.state[f"vision.{_VISION[key]}"] = plain.float()
        elif block is not None and block[2] in _BLOCK:
            parts.state[f"vision.transformer.layers.{block[1]}.{_BLOCK[block[2]]}.{block[3]}"] = tensor.float()
        else:
            _excuse(key, key, _UNUSED_VISION, parts)
    return parts


def text_tensors(tower: Mapping[str, Tensor], *, text_layers: int) -> Parts:
    """A BERT, its name before the layers left out or `bert.`, as `text.`.

    Args:
        tower: tensors by name.
        text_layers: layers from this number on become fusion layers.
    """
    parts = Parts()
    waiting: dict[tuple[str, str], dict[str, str]] = {}
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
                waiting.setdefault((f"{ours}.{_FUSED[group][0]}.{kind}", group), {})[which] = key
            else:
                parts.left_over.append(key)
        elif short.removeprefix(_WORD_HEAD_START) not in (*WORD_HEAD, "decoder.weight", "decoder.bias"):
            _excuse(key, short, _UNUSED_TEXT, parts)
    for (ours, group), found in waiting.items():
        _join(ours, [(found[which], tower[found[which]]) for which in _FUSED[group][1] if which in found], group, parts)
    return parts


def _join(ours: str, found: Sequence[tuple[str, Tensor]], group: str, parts: Parts) -> None:
    """Separate projections as one matrix; where one is missing or of another shape, all are left over."""
    if len(found) == len(_FUSED[group][1]) and len({tensor.shape for _, tensor in found}) == 1 and found[0][1].ndim:
        parts.state[ours] = torch.cat([tensor.float() for _, tensor in found])
    else:
        parts.left_over += [key for key, _ in found]


def word_head_tensors(source: str, tower: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A BERT's masked-word head as `word_head.`; empty where it has none.

    Raises:
        CheckpointMismatch: its decoder is not the word embeddings, or has another bias.
    """
    head = {
        key.removeprefix("bert.").removeprefix(_WORD_HEAD_START): tensor
        for key, tensor in tower.items()
        if key.removeprefix("bert.").startswith(_WORD_HEAD_START)
    }
    words = next((tower[key] for key in (f"bert.{_WORDS}", _WORDS) if key in tower), None)
    for tied, other in (("decoder.weight", words), ("decoder.bias", head.get("bias"))):
        if tied in head and (other is None or not torch.equal(head[tied], other)):
            raise CheckpointMismatch(f"{source}: {_WORD_HEAD_START}{tied} is not the tensor that it should share")
    return {f"word_head.{ours}": head[theirs].float() for theirs, ours in WORD_HEAD.items() if theirs in head}


def _excuse(key: str, short: str, unused: Mapping[str, str], parts: Parts) -> None:
    """Note a key without a name of ours as ignored, where there is a reason, else as left over."""
    reason = next((reason for start, reason in unused.items() if short.startswith(start)), None)
    if reason is None:
        parts.left_over.append(key)
    else:
        parts.ignored[key] = reason
