"""The towers of RaSa's release, pass by pass, on a plain state dict with its names; read by `fusion.py`."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]
BERT = "text_encoder{m}.bert.encoder.layer.{layer}."


@dataclass(frozen=True)
class Sizes:
    """What the names of a state dict do not tell."""

    vision_heads: int
    text_heads: int
    text_layers: int
    dropout: float = 0.0
    padding: int = 0
    start: int = 1
    mask: int = 2
    end: int | None = None


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def norm(state: State, name: str, x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, hidden: Tensor | None, dropout: float) -> tuple[Tensor, Tensor]:
    """Softmax attention with its weights written out; also gives the weights before dropout."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if hidden is not None:
        scores = scores + hidden
    weights = scores.softmax(-1)
    mixed = F.dropout(weights, dropout) @ v
    return mixed.transpose(1, 2).flatten(2), weights


def see(state: State, sizes: Sizes, images: Tensor, m: str = "") -> Tensor:
    """The image tower: (batch, 1 + patches, width)."""
    name = f"visual_encoder{m}"
    weight = state[f"{name}.patch_embed.proj.weight"]
    patches = F.conv2d(images, weight, state[f"{name}.patch_embed.proj.bias"], stride=weight.shape[-1])
    x = patches.flatten(2).transpose(1, 2)
    x = torch.cat([state[f"{name}.cls_token"].expand(len(x), -1, -1), x], 1) + state[f"{name}.pos_embed"]
    layer = 0
    while f"{name}.blocks.{layer}.norm1.weight" in state:
        block = f"{name}.blocks.{layer}"
        q, k, v = linear(state, f"{block}.attn.qkv", norm(state, f"{block}.norm1", x, 1e-6)).chunk(3, -1)
        mixed, _ = attend(q, k, v, sizes.vision_heads, None, 0.0)
        x = x + linear(state, f"{block}.attn.proj", mixed)
        inner = F.gelu(linear(state, f"{block}.mlp.fc1", norm(state, f"{block}.norm2", x, 1e-6)))
        x = x + linear(state, f"{block}.mlp.fc2", inner)
        layer += 1
    return norm(state, f"{name}.norm", x, 1e-6)


def _attention_part(
    state: State, sizes: Sizes, name: str, x: Tensor, source: Tensor, hidden: Tensor | None
) -> tuple[Tensor, Tensor]:
    q = linear(state, f"{name}.self.query", x)
    k, v = linear(state, f"{name}.self.key", source), linear(state, f"{name}.self.value", source)
    mixed, weights = attend(q, k, v, sizes.text_heads, hidden, sizes.dropout)
    mixed = F.dropout(linear(state, f"{name}.output.dense", mixed), sizes.dropout)
    return norm(state, f"{name}.output.LayerNorm", x + mixed, 1e-12), weights


def _layer(
    state: State, sizes: Sizes, name: str, x: Tensor, hidden: Tensor, image: Tensor | None
) -> tuple[Tensor, Tensor]:
    x, weights = _attention_part(state, sizes, f"{name}attention", x, x, hidden)
    if image is not None:
        x, weights = _attention_part(state, sizes, f"{name}crossattention", x, image, None)
    inner = F.gelu(linear(state, f"{name}intermediate.dense", x))
    out = F.dropout(linear(state, f"{name}output.dense", inner), sizes.dropout)
    return norm(state, f"{name}output.LayerNorm", x + out, 1e-12), weights


def hide(mask: Tensor) -> Tensor:
    return (1.0 - mask.float())[:, None, None, :] * -10000.0


def read(state: State, sizes: Sizes, ids: Tensor, mask: Tensor, m: str = "") -> tuple[Tensor, Tensor]:
    """The text layers: states, and the class rows (layers, batch, tokens), heads averaged."""
    name = f"text_encoder{m}.bert.embeddings"
    x = F.embedding(ids, state[f"{name}.word_embeddings.weight"], padding_idx=sizes.padding)
    x = x + state[f"{name}.token_type_embeddings.weight"][0]
    x = x + state[f"{name}.position_embeddings.weight"][: ids.shape[1]]
    x = F.dropout(norm(state, f"{name}.LayerNorm", x, 1e-12), sizes.dropout)
    rows = []
    for layer in range(sizes.text_layers):
        x, weights = _layer(state, sizes, BERT.format(m=m, layer=layer), x, hide(mask), None)
        rows.append(weights[:, :, 0].mean(1).detach())
    return x, torch.stack(rows)


def fuse(
    state: State, sizes: Sizes, states: Tensor, mask: Tensor, image: Tensor, m: str = ""
) -> tuple[Tensor, list[Tensor]]:
    """The fusion layers: tokens, and the class token's cross-attention of each layer, heads averaged."""
    layer, rows = sizes.text_layers, []
    while f"{BERT.format(m=m, layer=layer)}output.dense.weight" in state:
        states, weights = _layer(state, sizes, BERT.format(m=m, layer=layer), states, hide(mask), image)
        rows.append(weights[:, :, 0].mean(1).detach())
        layer += 1
    return states, rows


def words(state: State, x: Tensor, m: str = "") -> Tensor:
    """The word head at every position: logits of the whole vocabulary."""
    name = f"text_encoder{m}.cls.predictions"
    x = F.gelu(linear(state, f"{name}.transform.dense", x))
    x = norm(state, f"{name}.transform.LayerNorm", x, 1e-12)
    table = state[f"text_encoder{m}.bert.embeddings.word_embeddings.weight"]
    return F.linear(x, table, state[f"{name}.bias"])
