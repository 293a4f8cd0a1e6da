"""The tiny weights of RaSa's released program, under our names. Used by several tests."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pickout.nn.fusion_encoder import FusionEncoder
from pickout.nn.towers import TextSettings, VisionSettings, VisionTransformer


def tower_state(weights: Mapping[str, Tensor], suffix: str = "") -> dict[str, Tensor]:
    """The towers' weights under `vision.` and `text.`; `suffix` is `_m` for the momentum twin."""
    image, text = f"visual_encoder{suffix}.", f"text_encoder{suffix}.bert."
    state = {
        "vision.class_token": weights[f"{image}cls_token"].flatten(),
        "vision.positions": weights[f"{image}pos_embed"][0],
        "vision.patches.weight": weights[f"{image}patch_embed.proj.weight"],
        "vision.patches.bias": weights[f"{image}patch_embed.proj.bias"],
    }
    for kind in ("weight", "bias"):
        state[f"vision.norm_out.{kind}"] = weights[f"{image}norm.{kind}"]
        for number in range(_layers(weights, f"{image}blocks.")):
            ours, theirs = f"vision.transformer.layers.{number}.", f"{image}blocks.{number}."
            for mine, other in (
                ("norm_attention", "norm1"),
                ("attention.project_in", "attn.qkv"),
                ("attention.project_out", "attn.proj"),
                ("norm_feed_forward", "norm2"),
                ("feed_forward.widen", "mlp.fc1"),
                ("feed_forward.narrow", "mlp.fc2"),
            ):
                state[f"{ours}{mine}.{kind}"] = weights[f"{theirs}{other}.{kind}"]
    for mine, other in (("words", "word"), ("positions", "position"), ("types", "token_type")):
        state[f"text.embeddings.{mine}.weight"] = weights[f"{text}embeddings.{other}_embeddings.weight"]
    for kind in ("weight", "bias"):
        state[f"text.embeddings.norm.{kind}"] = weights[f"{text}embeddings.LayerNorm.{kind}"]
    layers = _layers(weights, f"{text}encoder.layer.")
    fused = [n for n in range(layers) if f"{text}encoder.layer.{n}.crossattention.self.query.weight" in weights]
    for number in range(layers):
        ours = f"text.fusion.{number - fused[0]}." if number in fused else f"text.text_layers.{number}."
        state |= _layer(weights, f"{text}encoder.layer.{number}.", ours)
    return state


def _layer(weights: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    state = {}
    for kind in ("weight", "bias"):
        own = [weights[f"{theirs}attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
        state[f"{ours}attention.project_in.{kind}"] = torch.cat(own)
        pairs = [
            ("attention.project_out", "attention.output.dense"),
            ("attention.norm", "attention.output.LayerNorm"),
            ("feed_forward.widen", "intermediate.dense"),
            ("feed_forward.narrow", "output.dense"),
            ("feed_forward.norm", "output.LayerNorm"),
        ]
        if ".fusion." in ours:
            memory = [weights[f"{theirs}crossattention.self.{part}.{kind}"] for part in ("key", "value")]
            state[f"{ours}cross.project_memory.{kind}"] = torch.cat(memory)
            pairs += [
                ("cross.project_query", "crossattention.self.query"),
                ("cross.project_out", "crossattention.output.dense"),
                ("cross.norm", "crossattention.output.LayerNorm"),
            ]
        for mine, other in pairs:
            state[f"{ours}{mine}.{kind}"] = weights[f"{theirs}{other}.{kind}"]
    return state


def _layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    return 1 + max(int(key.removeprefix(prefix).split(".")[0]) for key in weights if key.startswith(prefix))


def tiny_towers() -> tuple[VisionTransformer, FusionEncoder]:
    """Towers of the golden sizes, without the weights."""
    sizes = {"width": 32, "layers": 2, "heads": 2, "embedding": 16}
    vision = VisionTransformer(VisionSettings(kind="vit", activation="gelu", **sizes), height=64, width=64)
    layout = TextSettings(kind="bert", fusion_layers=2, feed_forward=64, positions=32, dropout=0.1, **sizes)
    text = FusionEncoder(layout, vocabulary_size=200, memory_width=32, padding=0, start=1)
    return vision, text
