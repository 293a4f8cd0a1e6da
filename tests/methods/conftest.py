"""Small models and batches for the tests of methods."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pickout.config import parse_settings
from pickout.data.batching import Batch
from pickout.methods import METHODS
from pickout.methods.base import Method
from pickout.nn.fusion_encoder import FusionEncoder
from pickout.nn.towers import TextSettings, TextTransformer, VisionKind, VisionSettings, VisionTransformer
from pickout.nn.transformer import Activation
from pickout.shapes import TokenBatch
from pickout.text.tokenizer import SpecialTokens, Vocabulary, read_vocabulary

SMALL: dict[str, dict[str, Any]] = {
    "dual": {},
    "itself": {"local_dimension": 12, "hidden": 10, "selection_layers": [1, 2]},
    "fusion": {"queue": 16, "negative_group": 4},
    "aga": {"queue": 16, "negative_group": 4, "enrich_probability": 0.5},
    "union": {
        "queue": 16,
        "negative_group": 4,
        "enrich_probability": 0.5,
        "bank": {"local_dimension": 12, "hidden": 10, "selection_layers": [1, 2]},
    },
}
"""Settings that fit towers of two layers. A new method adds its line."""
FUSING = ("fusion", "aga", "union")
"""Methods whose towers are a plain vision transformer and a fusion encoder."""

MASK, START, END = 27, 28, 29


SIZES: dict[str, Any] = {"width": 16, "layers": 2, "heads": 2, "embedding": 8}


def small_vision(kind: VisionKind = "clip") -> VisionTransformer:
    activation: Activation = "gelu" if kind == "vit" else "quick_gelu"
    settings = VisionSettings(kind=kind, patch=8, stride=8, activation=activation, **SIZES)
    return VisionTransformer(settings, height=48, width=16)


def small_text(context: int = 12) -> TextTransformer:
    return TextTransformer(TextSettings(**SIZES), vocabulary_size=30, context=context, start=START, end=END)


def small_fusion_encoder(
    dropout: float = 0.0, context: int = 12, *, size: int = 30, start: int = START, end: int | None = END
) -> FusionEncoder:
    settings = TextSettings(kind="bert", fusion_layers=2, feed_forward=32, positions=context, dropout=dropout, **SIZES)
    return FusionEncoder(settings, vocabulary_size=size, memory_width=16, padding=0, start=start, end=end)


def small_towers(name: str, dropout: float = 0.0) -> tuple[VisionTransformer, TextTransformer | FusionEncoder]:
    """Towers that the method of this name takes."""
    return (small_vision("vit"), small_fusion_encoder(dropout)) if name in FUSING else (small_vision(), small_text())


def small_vocabulary() -> Vocabulary:
    """26 words of one piece each, some of them continuations, between padding and mask, start and end."""
    entries = ("[PAD]", *(f"##w{n}" if n % 9 == 0 else f"w{n}" for n in range(1, MASK)), "[MASK]", "[CLS]", "[SEP]")
    return read_vocabulary("wordpiece", entries, SpecialTokens(0, START, END, MASK))


def make(name: str, *, identities: int = 4, seed: int = 0, **changes: Any) -> Method:
    """A method of two-layer towers, with a running normalisation that is not neutral."""
    torch.manual_seed(seed)
    settings = parse_settings(METHODS[name].settings, SMALL[name] | changes, source="test")
    method = METHODS[name].build(settings, *small_towers(name), identities, small_vocabulary())
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm1d) and module.running_mean is not None:
            torch.nn.init.normal_(module.running_mean, std=0.1)
    return method


def captions(lengths: list[int], *, context: int = 12, seed: int = 0) -> TokenBatch:
    """Captions of so many words, between start and end."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.zeros(len(lengths), context, dtype=torch.int64)
    for row, length in zip(ids, lengths, strict=True):
        row[0], row[length + 1] = START, END
        row[1 : length + 1] = torch.randint(1, START - 1, (length,), generator=generator)
    return TokenBatch(ids, ids != 0)


def pairs(size: int = 6, *, seed: int = 0) -> Batch:
    """Random images with captions of different lengths; two pairs a person."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 3, 48, 16, generator=generator)
    return Batch(images, captions([i % 10 + 1 for i in range(size)], seed=seed), torch.arange(size) // 2)


@pytest.fixture
def make_method() -> Callable[..., Method]:
    """`make_method(name, identities=4, seed=0, **settings)`."""
    return make


@pytest.fixture
def make_captions() -> Callable[..., TokenBatch]:
    """`make_captions(lengths, context=12, seed=0)`."""
    return captions


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """`make_batch(size=6, seed=0)`."""
    return pairs
