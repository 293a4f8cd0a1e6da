"""A small RaSa with random weights, in the names of its released program, and what becomes of it in other files."""

from pathlib import Path

import torch
from torch import Tensor

from pickout.checkpoints.saved_model import save_model
from pickout.data.transforms import ImageSettings
from pickout.methods.fusion_model import FusionModel
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.text.build import wordpiece_tokenizer
from pickout.text.tokenizer import SpecialTokens, read_vocabulary

WORDS = ["[PAD]", "[CLS]", "[MASK]", "[UNK]", "[SEP]", *(f"w{n}" for n in range(35))]
VISION, TEXT, FEED_FORWARD, JOINT, POSITIONS, GRID, PATCH, QUEUE = 128, 64, 96, 16, 32, 4, 8, 24
"""Sizes: widths of the towers, of the text's feed-forward parts, of the joint space, and so on."""
RASA_ONLY = ("idx_queue", "prd_head.weight", "prd_head.bias", "mrtd_head.weight", "mrtd_head.bias")
"""What ALBEF's pre-training file does not have."""


def rasa_state(seed: int = 0) -> dict[str, Tensor]:
    """A RaSa training's state dict: two layers each of the image tower, the text layers and the fusion layers."""
    generator = torch.Generator().manual_seed(seed)
    shapes = _heads() | {
        f"{tower}{twin}.{key}": shape
        for twin in ("", "_m")
        for tower, shapes in (("visual_encoder", _vision()), ("text_encoder", _text()))
        for key, shape in shapes.items()
    }
    state = {key: torch.randn(shape, generator=generator) * 0.2 for key, shape in shapes.items()}
    for key, tensor in state.items():
        if "norm" in key.lower() and key.endswith("weight"):
            tensor += 1
    for twin in ("", "_m"):
        cls, bert = f"text_encoder{twin}.cls.predictions", f"text_encoder{twin}.bert.embeddings"
        state[f"{cls}.decoder.weight"] = state[f"{bert}.word_embeddings.weight"].clone()
        state[f"{cls}.decoder.bias"] = state[f"{cls}.bias"].clone()
        state[f"{bert}.position_ids"] = torch.arange(POSITIONS)[None]
    state["temp"] = torch.tensor(0.05)
    state["idx_queue"] = torch.arange(QUEUE)[None] % 5
    state["queue_ptr"] = torch.tensor([7])
    return state


def albef_state(seed: int = 0) -> dict[str, Tensor]:
    """The same as ALBEF's pre-training writes it."""
    return {key: tensor for key, tensor in rasa_state(seed).items() if key not in RASA_ONLY}


def retrieval_state(seed: int = 0) -> dict[str, Tensor]:
    """The same as ALBEF's retrieval writes it: no word head, and so no `bert.`; its queue knows the images."""
    kept = {key: tensor for key, tensor in rasa_state(seed).items() if key not in RASA_ONLY[1:] and ".cls." not in key}
    return {key.replace(".bert.", "."): tensor for key, tensor in kept.items()}


def bert_state(seed: int = 0) -> dict[str, Tensor]:
    """The text tower without what looks at images, as `bert-base-uncased` is stored: norms with gamma and beta."""
    state = {
        key.removeprefix("text_encoder."): tensor
        for key, tensor in rasa_state(seed).items()
        if key.startswith("text_encoder.") and "crossattention" not in key
    }
    state |= {"cls.seq_relationship.weight": torch.ones(2, TEXT), "bert.pooler.dense.bias": torch.ones(TEXT)}
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, former in old.items():
        state = {key.replace(new, former): tensor for key, tensor in state.items()}
    return state


def vit_state(seed: int = 0) -> dict[str, Tensor]:
    """The image tower with a classifier, as timm writes it."""
    state = {
        key.removeprefix("visual_encoder."): tensor
        for key, tensor in rasa_state(seed).items()
        if key.startswith("visual_encoder.")
    }
    return state | {"head.weight": torch.ones(3, VISION), "head.bias": torch.ones(3)}


def settings(method: str = "fusion", *, image: tuple[int, int] = (32, 32), **changes: object) -> ModelSettings:
    """What a model of these sizes is built from; `changes` are the method's."""
    vision = {"patch": PATCH, "stride": PATCH, "width": VISION, "layers": 2, "heads": 2, "embedding": JOINT}
    text = {"width": TEXT, "layers": 2, "fusion_layers": 2, "heads": 1, "embedding": JOINT}
    return ModelSettings(
        method={"name": method, "queue": QUEUE, **changes},
        image=ImageSettings(height=image[0], width=image[1], resample="bicubic"),
        vision=VisionSettings(kind="vit", activation="gelu", **vision),
        text=TextSettings(kind="bert", feed_forward=FEED_FORWARD, positions=POSITIONS, activation="gelu", **text),
    )


def fresh(method: str = "fusion", *, image: tuple[int, int] = (32, 32), **changes: object) -> FusionModel:
    """A model of these sizes at its starting weights, ready for training."""
    return built(settings(method, image=image, **changes))


def built(model: ModelSettings) -> FusionModel:
    """The model of these settings at its starting weights, ready for training."""
    torch.manual_seed(3)
    fusion = build_model(model, Facts(), identities=5)
    assert isinstance(fusion, FusionModel)
    return fusion


def write_run(folder: Path, method: FusionModel, image: tuple[int, int] = (32, 32)) -> Path:
    """Save a model as the end of a training does."""
    vocabulary = folder.parent / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS))
    tokenizer = wordpiece_tokenizer(vocabulary, context=16, closing=False, cleaning="albef", words=50)
    save_model(folder, method, tokenizer, settings(image=image), identities=5)
    return folder


class Facts:
    """What a model must know of the tokenizer."""

    vocabulary_size, context = len(WORDS), 16
    special = SpecialTokens(padding=0, start=1, end=None, mask=2)
    vocabulary = read_vocabulary("wordpiece", tuple(WORDS), special)


def _linear(name: str, wide: int, narrow: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (wide, narrow), f"{name}.bias": (wide,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _heads() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"image_queue": (JOINT, QUEUE), "text_queue": (JOINT, QUEUE)}
    for twin in ("", "_m"):
        shapes |= _linear(f"vision_proj{twin}", JOINT, VISION) | _linear(f"text_proj{twin}", JOINT, TEXT)
    for head in ("itm", "prd", "mrtd"):
        shapes |= _linear(f"{head}_head", 2, TEXT)
    return shapes


def _vision() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, VISION),
        "pos_embed": (1, GRID * GRID + 1, VISION),
        "patch_embed.proj.weight": (VISION, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (VISION,),
    } | _norm("norm", VISION)
    for number in range(2):
        block = f"blocks.{number}"
        shapes |= _norm(f"{block}.norm1", VISION) | _norm(f"{block}.norm2", VISION)
        shapes |= _linear(f"{block}.attn.qkv", 3 * VISION, VISION) | _linear(f"{block}.attn.proj", VISION, VISION)
        shapes |= _linear(f"{block}.mlp.fc1", 4 * VISION, VISION) | _linear(f"{block}.mlp.fc2", VISION, 4 * VISION)
    return shapes


def _text() -> dict[str, tuple[int, ...]]:
    start, head = "bert.embeddings", "cls.predictions"
    shapes: dict[str, tuple[int, ...]] = {
        f"{start}.word_embeddings.weight": (len(WORDS), TEXT),
        f"{start}.position_embeddings.weight": (POSITIONS, TEXT),
        f"{start}.token_type_embeddings.weight": (2, TEXT),
        f"{head}.bias": (len(WORDS),),
    }
    shapes |= _norm(f"{start}.LayerNorm", TEXT) | _norm(f"{head}.transform.LayerNorm", TEXT)
    shapes |= _linear(f"{head}.transform.dense", TEXT, TEXT)
    for number in range(4):
        layer = f"bert.encoder.layer.{number}"
        for kind, width in (("attention", TEXT), ("crossattention", VISION))[: 1 + (number >= 2)]:
            shapes |= _linear(f"{layer}.{kind}.self.query", TEXT, TEXT)
            shapes |= _linear(f"{layer}.{kind}.self.key", TEXT, width) | _linear(
                f"{layer}.{kind}.self.value", TEXT, width
            )
            shapes |= _linear(f"{layer}.{kind}.output.dense", TEXT, TEXT)
            shapes |= _norm(f"{layer}.{kind}.output.LayerNorm", TEXT)
        shapes |= _linear(f"{layer}.intermediate.dense", FEED_FORWARD, TEXT) | _norm(f"{layer}.output.LayerNorm", TEXT)
        shapes |= _linear(f"{layer}.output.dense", TEXT, FEED_FORWARD)
    return shapes
