"""CLIP in Hugging Face's key names, with the sizes of its `config.json`."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from pickout.checkpoints.imported import Facts, Translated
from pickout.errors import CheckpointError, CheckpointUnknown
from pickout.nn.transformer import Activation

_LAYER = {
    "self_attn.out_proj.": "attention.project_out.",
    "layer_norm1.": "norm_attention.",
    "layer_norm2.": "norm_feed_forward.",
    "mlp.fc1.": "feed_forward.widen.",
    "mlp.fc2.": "feed_forward.narrow.",
}
_SINGLE = {
    "vision_model.embeddings.patch_embedding.weight": "vision.patches.weight",
    "vision_model.embeddings.class_embedding": "vision.class_token",
    "vision_model.embeddings.position_embedding.weight": "vision.positions",
    "vision_model.pre_layrnorm.weight": "vision.norm_in.weight",
    "vision_model.pre_layrnorm.bias": "vision.norm_in.bias",
    "vision_model.post_layernorm.weight": "vision.norm_out.weight",
    "vision_model.post_layernorm.bias": "vision.norm_out.bias",
    "visual_projection.weight": "vision.projection.weight",
    "text_model.embeddings.token_embedding.weight": "text.tokens.weight",
    "text_model.embeddings.position_embedding.weight": "text.positions",
    "text_model.final_layer_norm.weight": "text.norm_out.weight",
    "text_model.final_layer_norm.bias": "text.norm_out.bias",
    "text_projection.weight": "text.projection.weight",
}
_IGNORED = {
    "logit_scale": "CLIP's temperature; scores here are plain cosines",
    "vision_model.embeddings.position_ids": "a count from 0, not a weight",
    "text_model.embeddings.position_ids": "a count from 0, not a weight",
}
_BLOCK = re.compile(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(.+?)(weight|bias)")
_PART = re.compile(r"self_attn\.([qkv])_proj\.")
_ACTIVATIONS: dict[str, Activation] = {"quick_gelu": "quick_gelu", "gelu": "gelu"}


def is_hf_clip(keys: Collection[str]) -> bool:
    """Whether the keys are those of a whole CLIP in Hugging Face's names."""
    telling = {"visual_projection.weight", "text_projection.weight", "vision_model.embeddings.class_embedding"}
    return telling <= set(keys)


def read_config(path: Path) -> Facts:
    """The sizes in a `config.json` of a CLIP: image size, heads and activation.

    Raises:
        CheckpointUnknown: the config is of another kind of model.
        CheckpointError: the config is missing, damaged or asks for something that the towers cannot do.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config.get("model_type")
        if kind != "clip":
            raise CheckpointUnknown(f"{path}: the folder looks like a Hugging Face '{kind}' model; CLIP is supported")
        vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
        activations = {part.get("hidden_act", "quick_gelu") for part in (vision, text)}
        norms = {part.get("layer_norm_eps", 1e-5) for part in (vision, text)}
        side = int(vision.get("image_size", 224))
        heads = int(vision.get("num_attention_heads", 12)), int(text.get("num_attention_heads", 8))
        stride = int(vision.get("patch_size", 32))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; a Hugging Face checkpoint needs it beside the weights") from None
    except (OSError, UnicodeDecodeError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a readable config ({error}); fetch it again") from None
    if len(activations) != 1 or not activations <= set(_ACTIVATIONS) or norms != {1e-5}:
        raise CheckpointError(
            f"{path}: hidden_act {sorted(activations)} with layer_norm_eps {sorted(norms)} cannot be computed; "
            f"one of {sorted(_ACTIVATIONS)} in both towers and 1e-5 can"
        )
    return Facts((side, side), stride, heads[0], heads[1], _ACTIVATIONS[activations.pop()])


def translate(tensors: Mapping[str, Tensor]) -> Translated:
    """Both towers under our names, in float32; queries, keys and values are joined."""
    state: dict[str, Tensor] = {}
    ignored: dict[str, str] = {}
    left_over: list[str] = []
    parts: dict[str, dict[str, tuple[str, Tensor]]] = {}
    for key, tensor in tensors.items():
        block = _BLOCK.fullmatch(key)
        part = _PART.fullmatch(block[3]) if block else None
        if key in _SINGLE:
            state[_SINGLE[key]] = tensor.float()
        elif key in _IGNORED:
            ignored[key] = _IGNORED[key]
        elif block and part:
            name = f"{block[1]}.transformer.layers.{block[2]}.attention.project_in.{block[4]}"
            parts.setdefault(name, {})[part[1]] = (key, tensor.float())
        elif block and block[3] in _LAYER:
            state[f"{block[1]}.transformer.layers.{block[2]}.{_LAYER[block[3]]}{block[4]}"] = tensor.float()
        else:
            left_over.append(key)
    for name, found in parts.items():
        if set(found) == {"q", "k", "v"}:
            state[name] = torch.cat([found[part][1] for part in "qkv"])
        else:
            left_over += [key for key, _ in found.values()]
    return Translated(state, ignored, left_over)
