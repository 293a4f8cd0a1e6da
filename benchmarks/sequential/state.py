"""A fusion model's weights under the release's names, for the slow twin in `fusion.py`."""

import torch
from torch import Tensor

from pickout.data.batching import Batch
from pickout.methods.fusion_model import FusionModel
from sequential.fusion import Inputs
from sequential.towers import Sizes, State

_VISION = {
    "vision.class_token": "cls_token",
    "vision.positions": "pos_embed",
    "vision.patches": "patch_embed.proj",
    "vision.norm_out": "norm",
}
_BLOCK = {
    "norm_attention": "norm1",
    "attention.project_in": "attn.qkv",
    "attention.project_out": "attn.proj",
    "norm_feed_forward": "norm2",
    "feed_forward.widen": "mlp.fc1",
    "feed_forward.narrow": "mlp.fc2",
}
_EMBEDDINGS = {
    "words": "word_embeddings",
    "positions": "position_embeddings",
    "types": "token_type_embeddings",
    "norm": "LayerNorm",
}
_LAYER = {
    "attention.project_in": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.project_out": ("attention.output.dense",),
    "attention.norm": ("attention.output.LayerNorm",),
    "cross.project_query": ("crossattention.self.query",),
    "cross.project_memory": ("crossattention.self.key", "crossattention.self.value"),
    "cross.project_out": ("crossattention.output.dense",),
    "cross.norm": ("crossattention.output.LayerNorm",),
    "feed_forward.widen": ("intermediate.dense",),
    "feed_forward.narrow": ("output.dense",),
    "feed_forward.norm": ("output.LayerNorm",),
}
_REST = {
    "image_projection": "vision_proj{m}",
    "text_projection": "text_proj{m}",
    "matching_head": "itm_head",
    "relation_head": "prd_head",
    "replaced_head": "mrtd_head",
    "word_head.dense": "text_encoder{m}.cls.predictions.transform.dense",
    "word_head.norm": "text_encoder{m}.cls.predictions.transform.LayerNorm",
    "word_head.bias": "text_encoder{m}.cls.predictions.bias",
    "temperature": "temp",
    "image_queue": "image_queue",
    "text_queue": "text_queue",
    "identity_queue": "idx_queue",
    "queue_pointer": "queue_ptr",
}


def released(key: str, tensor: Tensor, text_layers: int) -> State:
    """One of our tensors under its name or names in the release."""
    m = "_m" if key.startswith("momentum.") else ""
    key = key.removeprefix("momentum.")
    name, kind = (key.rsplit(".", 1)[0], "." + key.rsplit(".", 1)[1]) if key.endswith(("weight", "bias")) else (key, "")
    if key == "word_head.bias":
        name, kind = key, ""
    if name in _REST:
        return {_REST[name].format(m=m) + kind: tensor[None] if key == "identity_queue" else tensor}
    if name in _VISION:
        shaped = {"vision.class_token": (1, 1, -1), "vision.positions": (1, *tensor.shape)}.get(name, tensor.shape)
        return {f"visual_encoder{m}.{_VISION[name]}{kind}": tensor.reshape(shaped)}
    parts = name.split(".")
    if parts[0] == "vision":
        return {f"visual_encoder{m}.blocks.{parts[3]}.{_BLOCK['.'.join(parts[4:])]}{kind}": tensor}
    if parts[1] == "embeddings":
        return {f"text_encoder{m}.bert.embeddings.{_EMBEDDINGS[parts[2]]}{kind}": tensor}
    number = int(parts[2]) + (text_layers if parts[1] == "fusion" else 0)
    names = _LAYER[".".join(parts[3:])]
    chunks = tensor.chunk(len(names))
    prefix = f"text_encoder{m}.bert.encoder.layer.{number}."
    return {f"{prefix}{name}{kind}": chunk for name, chunk in zip(names, chunks, strict=True)}


def released_state(method: FusionModel, tensors: State | None = None) -> State:
    """Copies of a model's weights, or of tensors of the same names and shapes, under the release's names."""
    state: State = {}
    for key, tensor in (method.state_dict() if tensors is None else tensors).items():
        state |= released(key, tensor.detach().clone(), method.text.layers)
    return state


def leaves(state: State) -> list[str]:
    """Make the online weights of a state dict leaves that collect gradients, and name them."""
    names = [key for key in state if "_queue" not in key and "queue_" not in key and "_m." not in key]
    for name in names:
        state[name].requires_grad_()
    return names


def sizes_of(method: FusionModel, vision_heads: int, mask: int, dropout: float = 0.0) -> Sizes:
    text = method.text
    return Sizes(vision_heads, text.heads, text.layers, dropout, text.padding, text.start, mask, text.end)


def inputs_of(batch: Batch, *, trimmed: bool = True) -> Inputs:
    """A batch as the slow twin takes it."""
    assert batch.second_images is not None and batch.weak_texts is not None and batch.replaced is not None
    length = int(torch.stack([batch.texts.mask.sum(1), batch.weak_texts.mask.sum(1)]).max()) if trimmed else None
    strong, weak = batch.texts, batch.weak_texts
    return Inputs(
        batch.images,
        batch.second_images,
        strong.ids[:, :length],
        strong.mask[:, :length],
        weak.ids[:, :length],
        weak.mask[:, :length],
        batch.identity,
        batch.replaced,
    )
