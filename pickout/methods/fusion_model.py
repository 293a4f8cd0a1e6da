"""The modules of `fusion` and `aga`, and what they do outside training: ALBEF's model with RaSa's heads."""

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.errors import RecipeError, TrainingError
from pickout.losses.contrastive import EMPTY
from pickout.methods.base import (
    ALL_ROWS,
    ImageFeatures,
    ImageTower,
    Method,
    ParameterGroup,
    TextFeatures,
    group_parameters,
)
from pickout.methods.fusion_settings import FusionSettings
from pickout.nn.fusion_encoder import FusionEncoder, MaskedWordHead
from pickout.nn.shared_keys import ImageMemory
from pickout.nn.vision import VisionTransformer
from pickout.shapes import NO_ATTENTION, Bool, Float, Int, TokenBatch

_NEW = ("relation_head.", "replaced_head.")
TRAINING_ONLY = ("momentum.", "image_queue", "text_queue", "identity_queue", "queue_pointer", *_NEW)
"""Prefixes of state keys that only training needs."""
_FOLLOWED = ("vision", "text", "image_projection", "text_projection", "word_head")
_RELEASED_DECAY = ("temperature", "vision.class_token", "vision.positions")


class Momentum(nn.Module):
    """The momentum twin: a slow average of both towers, both projections and the word head, without gradient.

    Parts that the online model does not have are left out; `dropout` tells whether it is active in training.
    """

    vision: VisionTransformer
    text: FusionEncoder
    image_projection: nn.Linear
    text_projection: nn.Linear
    word_head: MaskedWordHead

    def __init__(self, online: nn.Module, *, dropout: bool) -> None:
        super().__init__()
        self.dropout = dropout
        for name in _FOLLOWED:
            if hasattr(online, name):
                self.add_module(name, copy.deepcopy(online.get_submodule(name)).requires_grad_(False))

    def train(self, mode: bool = True) -> "Momentum":
        """Training mode only where dropout is wanted."""
        super().train(mode and self.dropout)
        return self

    @torch.no_grad()
    def follow(self, online: nn.Module, momentum: float) -> None:
        """Move: theta_m <- m * theta_m + (1 - m) * theta, in place, all tensors in few kernels (ALBEF, RaSa).

        Buffers, which are no average, are copied.
        """
        for name, twin in self.named_children():
            leader = online.get_submodule(name)
            slow: list[Tensor] = list(twin.parameters())
            torch._foreach_mul_(slow, momentum)
            torch._foreach_add_(slow, [*leader.parameters()], alpha=1 - momentum)
            for kept, current in zip(twin.buffers(), leader.buffers(), strict=True):
                kept.copy_(current)


class FusionModel(Method):
    """Two towers with a contrastive score, and a fusion encoder whose matching head looks at the best again.

    Built for no identities it has no momentum twin, no queues, and of the heads only `matching_head` and `word_head`.
    Arguments as in `MethodEntry.build`.

    Raises:
        RecipeError: a tower of another kind, or no term that uses the fusion layers.
    """

    momentum: Momentum | None
    word_head: MaskedWordHead
    matching_head: nn.Linear
    relation_head: nn.Linear
    replaced_head: nn.Linear
    image_queue: Tensor
    text_queue: Tensor
    identity_queue: Tensor
    queue_pointer: Tensor

    def __init__(self, settings: FusionSettings, vision: ImageTower, text: Any, identities: int) -> None:
        super().__init__()
        if not isinstance(text, FusionEncoder):
            raise RecipeError(
                "model.text.kind = 'clip': this method fuses captions and images; set model.text.kind = 'bert'"
            )
        if not isinstance(vision, VisionTransformer) or vision.settings.kind != "vit":
            raise RecipeError(
                f"model.vision.kind = '{vision.settings.kind}': this method projects image tokens itself; "
                "set model.vision.kind = 'vit'"
            )
        self.heads = {name for name in ("matching", "relation", "replaced") if settings.weights[name] > 0}
        if settings.hides_words or "replaced" in self.heads:
            self.heads.add("word")
        if not self.heads:
            raise RecipeError(
                "matching_weight, word_weight, relation_weight and replaced_weight are all 0; set one above 0"
            )
        self.settings, self.vision, self.text, self.dimension = settings, vision, text, vision.embedding
        self.image_projection = nn.Linear(vision.channels, vision.embedding)
        self.text_projection = nn.Linear(text.width, vision.embedding)
        self.temperature = nn.Parameter(torch.tensor(settings.temperature))
        if "word" in self.heads:
            # Without a loss of its own the word head keeps its weights and only proposes words.
            head = MaskedWordHead(text.width, text.vocabulary_size)
            self.word_head = head.requires_grad_(settings.hides_words)
        if "matching" in self.heads:
            self.matching_head, self.candidates = nn.Linear(text.width, 2), settings.candidates
        self.momentum = None
        if identities > 0:
            for name in sorted({"relation", "replaced"} & self.heads):
                self.add_module(f"{name}_head", nn.Linear(text.width, 2))
            self.momentum = Momentum(self, dropout=settings.momentum_dropout)
            for name in ("image_queue", "text_queue"):
                self.register_buffer(name, F.normalize(torch.randn(vision.embedding, settings.queue), dim=0))
            self.register_buffer("identity_queue", torch.full((settings.queue,), EMPTY, dtype=torch.int64))
            self.register_buffer("queue_pointer", torch.zeros(1, dtype=torch.int64))

    @property
    def twin(self) -> Momentum:
        """The momentum twin; raises `TrainingError` for a model that was built without what training needs."""
        if self.momentum is None:
            raise TrainingError("this model was built without identities, so it has no momentum twin to train with")
        return self.momentum

    def encode_images(self, images: Float[Tensor, "batch 3 height width"], *, trace: bool = False) -> ImageFeatures:
        """Embed prepared images; `parts` holds `global`, not normalised; `tokens` is what `remember` reads."""
        out = self.vision(images, ALL_ROWS if trace else NO_ATTENTION)
        whole, seen = self.image_projection(out.tokens[:, 0]).float(), out.trace if trace else None
        return ImageFeatures(F.normalize(whole, dim=-1), out.tokens, {"global": whole}, seen)

    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> TextFeatures:
        """Embed tokenized captions; `parts` holds `global`, not normalised; `tokens` are the text layers' states."""
        out = self.text(texts, ALL_ROWS if trace else NO_ATTENTION)
        whole, seen = self.text_projection(out.tokens[:, 0]).float(), out.trace if trace else None
        return TextFeatures(F.normalize(whole, dim=-1), out.tokens, texts, {"global": whole}, seen)

    def remember(self, tokens: Float[Tensor, "images tokens width"]) -> ImageMemory:
        """Keys and values of the images for every fusion layer."""
        return self.text.remember(tokens)

    def match_pairs(
        self,
        memory: ImageMemory,
        states: Float[Tensor, "pairs tokens width"],
        mask: Bool[Tensor, "pairs tokens"],
        image: Int[Tensor, " pairs"],
    ) -> Float[Tensor, " pairs"]:
        """The matching head's logit of class 1 (RaSa); as `Method.match_pairs`."""
        if "matching" not in self.heads:
            return super().match_pairs(memory, states, mask, image)
        fused = self.text.fuse(states, mask, memory, image, summary_rows=len(states))
        return cast(Tensor, self.matching_head(fused.summary)[:, 1].float())

    def parameter_groups(self) -> list[ParameterGroup]:
        """Everything pretrained, new heads, and of both what loses no weight: biases and other vectors (ALBEF)."""
        return group_parameters(self, self._group_of)

    def _group_of(self, name: str, parameter: nn.Parameter) -> tuple[str, float, float]:
        kind, rate = ("heads", self.settings.head_rate) if name.startswith(_NEW) else ("base", 1.0)
        decays = self.settings.decay_positions if name in _RELEASED_DECAY else parameter.dim() > 1
        return (kind, rate, 1.0) if decays else (f"{kind}.bias", rate, 0.0)
