"""Towers and fusion layers against the recorded numbers of RaSa's released program."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from pickout.nn.fusion_encoder import FusionEncoder
from pickout.nn.towers import VisionTransformer
from pickout.shapes import AttentionRequest, TokenBatch
from tests.golden.rasa import tiny_towers, tower_state

Golden = tuple[dict[str, Tensor], dict[str, Tensor], VisionTransformer, FusionEncoder]


@pytest.fixture
def golden(rasa_tiny: Path) -> Golden:
    weights = load_file(rasa_tiny / "weights.safetensors")
    io = load_file(rasa_tiny / "io.safetensors")
    vision, text = tiny_towers()
    state = tower_state(weights)
    vision.load_state_dict({key.removeprefix("vision."): v for key, v in state.items() if key.startswith("vision.")})
    text.load_state_dict({key.removeprefix("text."): v for key, v in state.items() if key.startswith("text.")})
    return weights, io, vision.eval(), text.eval()


def close(ours: Tensor, recorded: Tensor) -> None:
    torch.testing.assert_close(ours, recorded, rtol=0, atol=1e-5)


@torch.no_grad()
def test_image_and_text_tokens_features_and_class_rows(golden: Golden) -> None:
    weights, io, vision, text = golden
    images = vision(io["image1"]).tokens
    texts = TokenBatch(io["text2_ids"], io["text2_mask"].bool())
    read = text(texts, AttentionRequest(rows="all"))
    close(images, io["image_tokens"])
    close(read.tokens, io["text_tokens"])
    close(torch.stack([read.trace.rows[1], read.trace.rows[2]], dim=1), io["text_cls_attention"])
    for tokens, name in ((images, "vision"), (read.tokens, "text")):
        feature = F.linear(tokens[:, 0], weights[f"{name}_proj.weight"], weights[f"{name}_proj.bias"])
        close(F.normalize(feature, dim=-1), io["image_feat" if name == "vision" else "text_feat"])


@torch.no_grad()
def test_fused_tokens_and_both_heads_logits(golden: Golden) -> None:
    weights, io, _, text = golden
    mask = io["text2_mask"].bool()
    fused = text.fuse(io["text_tokens"], mask, text.remember(io["image_tokens"]))
    close(fused.tokens[mask], io["fused_tokens"][mask])
    for head in ("itm", "prd"):
        close(
            F.linear(fused.summary, weights[f"{head}_head.weight"], weights[f"{head}_head.bias"]), io[f"{head}_logits"]
        )
