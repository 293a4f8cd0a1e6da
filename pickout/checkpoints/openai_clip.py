"""CLIP state dicts in OpenAI's own key names, also as the trunk of IRRA, RDE and ITSELF files."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from pickout.checkpoints.imported import Translated

_LAYER = {
    "attn.in_proj_": "attention.project_in.",
    "attn.out_proj.": "attention.project_out.",
    "ln_1.": "norm_attention.",
    "ln_2.": "norm_feed_forward.",
    "mlp.c_fc.": "feed_forward.widen.",
    "mlp.c_proj.": "feed_forward.narrow.",
}
_SINGLE = {
    "visual.conv1.weight": "vision.patches.weight",
    "visual.class_embedding": "vision.class_token",
    "visual.positional_embedding": "vision.positions",
    "visual.ln_pre.weight": "vision.norm_in.weight",
    "visual.ln_pre.bias": "vision.norm_in.bias",
    "visual.ln_post.weight": "vision.norm_out.weight",
    "visual.ln_post.bias": "vision.norm_out.bias",
    "visual.proj": "vision.projection.weight",
    "token_embedding.weight": "text.tokens.weight",
    "positional_embedding": "text.positions",
    "ln_final.weight": "text.norm_out.weight",
    "ln_final.bias": "text.norm_out.bias",
    "text_projection": "text.projection.weight",
}
# Stored as (width, embedding) and multiplied from the right.
_TRANSPOSED = ("visual.proj", "text_projection")
_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+?)(weight|bias)")
IGNORED = {
    "logit_scale": "CLIP's temperature; scores here are plain cosines",
    "input_resolution": "a size, not a weight",
    "context_length": "a size, not a weight",
    "vocab_size": "a size, not a weight",
}


def is_openai_clip(keys: Collection[str]) -> bool:
    """Whether the keys are those of OpenAI's CLIP with a vision transformer."""
    return {"visual.conv1.weight", "visual.proj", "token_embedding.weight"} <= set(keys)


def our_name(key: str) -> str | None:
    """Our name of one of OpenAI's keys, or None where we have none."""
    if key in _SINGLE:
        return _SINGLE[key]
    match = _BLOCK.fullmatch(key)
    if match is None or match[3] not in _LAYER:
        return None
    tower = "vision" if match[1] else "text"
    return f"{tower}.transformer.layers.{match[2]}.{_LAYER[match[3]]}{match[4]}"


def translate(tensors: Mapping[str, Tensor], prefix: str = "") -> Translated:
    """Both towers under our names, in float32.

    Args:
        tensors: a state dict, float16 or float32.
        prefix: what stands before CLIP's own names; keys without it are not looked at.
    """
    state: dict[str, Tensor] = {}
    ignored: dict[str, str] = {}
    left_over: list[str] = []
    for full, tensor in tensors.items():
        if not full.startswith(prefix):
            continue
        key = full.removeprefix(prefix)
        name = our_name(key)
        if name is not None:
            state[name] = (tensor.T if key in _TRANSPOSED else tensor).float().contiguous()
        elif key in IGNORED:
            ignored[full] = IGNORED[key]
        else:
            left_over.append(full)
    return Translated(state, ignored, left_over)
