"""CLIP state dicts: OpenAI's own key names, also as the trunk of IRRA, RDE and ITSELF files, and Hugging Face's."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pickout.checkpoints.formats.foreign_model import Facts
from pickout.checkpoints.formats.names import Names
from pickout.errors import CheckpointError, CheckpointUnknown
from pickout.files import read_text
from pickout.nn.transformer import Activation

OPENAI_TABLE = {
    "visual.conv1.weight": "vision.patches.weight",
    "visual.class_embedding": "vision.class_token",
    "visual.positional_embedding": "vision.positions",
    "visual.ln_pre.*": "vision.norm_in.*",
    "visual.ln_post.*": "vision.norm_out.*",
    "visual.proj": "vision.projection.weight",
    "token_embedding.weight": "text.tokens.weight",
    "positional_embedding": "text.positions",
    "ln_final.*": "text.norm_out.*",
    "text_projection": "text.projection.weight",
} | {
    f"{theirs}transformer.resblocks.#.{key}": f"{ours}.transformer.layers.#.{name}"
    for theirs, ours in (("visual.", "vision"), ("", "text"))
    for key, name in {
        "attn.in_proj_weight": "attention.project_in.weight",
        "attn.in_proj_bias": "attention.project_in.bias",
        "attn.out_proj.*": "attention.project_out.*",
        "ln_1.*": "norm_attention.*",
        "ln_2.*": "norm_feed_forward.*",
        "mlp.c_fc.*": "feed_forward.widen.*",
        "mlp.c_proj.*": "feed_forward.narrow.*",
    }.items()
}
"""OpenAI's keys to our names."""
TRANSPOSED = ("visual.proj", "text_projection")
"""Stored as (width, embedding) and multiplied from the right."""
_TEMPERATURE = {"logit_scale": "CLIP's temperature; scores here are plain cosines"}
OPENAI_IGNORED = _TEMPERATURE | dict.fromkeys(
    ("input_resolution", "context_length", "vocab_size"), "a size, not a weight"
)
"""OpenAI's keys that are left out."""
OPENAI = Names(OPENAI_TABLE, OPENAI_IGNORED, frozenset(TRANSPOSED))
OPENAI_TELLING = ("visual.conv1.weight", "visual.proj", "token_embedding.weight")
"""Keys that only a CLIP with a vision transformer in OpenAI's names has together."""

HUGGING_FACE = Names(
    {
        "vision_model.embeddings.patch_embedding.weight": "vision.patches.weight",
        "vision_model.embeddings.class_embedding": "vision.class_token",
        "vision_model.embeddings.position_embedding.weight": "vision.positions",
        "vision_model.pre_layrnorm.*": "vision.norm_in.*",
        "vision_model.post_layernorm.*": "vision.norm_out.*",
        "visual_projection.weight": "vision.projection.weight",
        "text_model.embeddings.token_embedding.weight": "text.tokens.weight",
        "text_model.embeddings.position_embedding.weight": "text.positions",
        "text_model.final_layer_norm.*": "text.norm_out.*",
        "text_projection.weight": "text.projection.weight",
    }
    | {
        f"{tower}_model.encoder.layers.#.{key}": f"{tower}.transformer.layers.#.{name}"
        for tower in ("vision", "text")
        for key, name in {
            "self_attn.q_proj.*": "attention.project_in.*|0",
            "self_attn.k_proj.*": "attention.project_in.*|1",
            "self_attn.v_proj.*": "attention.project_in.*|2",
            "self_attn.out_proj.*": "attention.project_out.*",
            "layer_norm1.*": "norm_attention.*",
            "layer_norm2.*": "norm_feed_forward.*",
            "mlp.fc1.*": "feed_forward.widen.*",
            "mlp.fc2.*": "feed_forward.narrow.*",
        }.items()
    },
    _TEMPERATURE
    | {f"{tower}_model.embeddings.position_ids": "a count from 0, not a weight" for tower in ("vision", "text")},
)
HUGGING_FACE_TELLING = (
    *("visual_projection.weight", "text_projection.weight"),
    "vision_model.embeddings.class_embedding",
)
"""Keys that only a whole CLIP in Hugging Face's names has together."""
_ACTIVATIONS: dict[str, Activation] = {"quick_gelu": "quick_gelu", "gelu": "gelu"}


def read_config(path: Path) -> Facts:
    """The sizes in a `config.json` of a CLIP: image size, heads and activation."""
    try:
        config = json.loads(read_text(path))
        kind = config.get("model_type")
        if kind != "clip":
            raise CheckpointUnknown(f"{path}: the folder looks like a Hugging Face '{kind}' model; CLIP is supported")
        vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
        activations = {part.get("hidden_act", "quick_gelu") for part in (vision, text)}
        norms = {part.get("layer_norm_eps", 1e-5) for part in (vision, text)}
        side, stride = _size(vision, "image_size", 224), _size(vision, "patch_size", 32)
        heads = _size(vision, "num_attention_heads", 12), _size(text, "num_attention_heads", 8)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; a Hugging Face checkpoint needs it beside the weights") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a readable config ({error}); fetch it again") from None
    if len(activations) != 1 or not activations <= set(_ACTIVATIONS) or norms != {1e-5}:
        raise CheckpointError(
            f"{path}: hidden_act {sorted(activations)} with layer_norm_eps {sorted(norms)} cannot be computed; "
            f"one of {sorted(_ACTIVATIONS)} in both towers and 1e-5 can"
        )
    return Facts((side, side), stride, heads[0], heads[1], _ACTIVATIONS[activations.pop()])


def _size(part: Mapping[str, Any], key: str, usual: int) -> int:
    value = part.get(key, usual)
    if type(value) is not int or not 0 < value <= 10_000:
        raise ValueError(f"{key} = {value!r}")
    return value
