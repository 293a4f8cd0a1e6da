"""A CLIP of a few thousand weights in OpenAI's key names, and its merges."""

from pathlib import Path

import torch
from torch import Tensor

MERGES = ["r e", "re d</w>", "b l", "bl u", "blu e</w>", "h a", "ha t</w>", "' s</w>", "j e"]
VOCABULARY = 512 + len(MERGES) - 1 + 3
CONTEXT = 16
WIDTH, EMBEDDING = 64, 16
_BLOCK = {
    "attn.in_proj_weight": (3 * WIDTH, WIDTH),
    "attn.in_proj_bias": (3 * WIDTH,),
    "attn.out_proj.weight": (WIDTH, WIDTH),
    "attn.out_proj.bias": (WIDTH,),
    "ln_1.weight": (WIDTH,),
    "ln_1.bias": (WIDTH,),
    "ln_2.weight": (WIDTH,),
    "ln_2.bias": (WIDTH,),
    "mlp.c_fc.weight": (4 * WIDTH, WIDTH),
    "mlp.c_fc.bias": (4 * WIDTH,),
    "mlp.c_proj.weight": (WIDTH, 4 * WIDTH),
    "mlp.c_proj.bias": (WIDTH,),
}


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {key: 0.1 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def openai_state(patches: int = 9, layers: int = 2) -> dict[str, Tensor]:
    """A CLIP in OpenAI's names: patch 16, a grid of `patches`, one head a tower."""
    shapes = {
        "visual.class_embedding": (WIDTH,),
        "visual.conv1.weight": (WIDTH, 3, 16, 16),
        "visual.positional_embedding": (patches + 1, WIDTH),
        "visual.ln_pre.weight": (WIDTH,),
        "visual.ln_pre.bias": (WIDTH,),
        "visual.ln_post.weight": (WIDTH,),
        "visual.ln_post.bias": (WIDTH,),
        "visual.proj": (WIDTH, EMBEDDING),
        "token_embedding.weight": (VOCABULARY, WIDTH),
        "positional_embedding": (CONTEXT, WIDTH),
        "ln_final.weight": (WIDTH,),
        "ln_final.bias": (WIDTH,),
        "text_projection": (WIDTH, EMBEDDING),
    }
    for layer in range(layers):
        for key, shape in _BLOCK.items():
            shapes[f"visual.transformer.resblocks.{layer}.{key}"] = shape
            shapes[f"transformer.resblocks.{layer}.{key}"] = shape
    return random_tensors(shapes)


def save_pth(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path
