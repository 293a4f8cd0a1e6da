"""The modules of `fusion` and `aga`, and what they do outside training: ALBEF's model with RaSa's heads."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.errors import TrainingError
from pickout.losses.queue import EMPTY
from pickout.methods.base import ALL_ROWS, ImageFeatures, Method, ParameterGroup, TextFeatures
from pickout.nn.fusion_encoder import FusionEncoder, MaskedWordHead
from pickout.nn.memory import ImageMemory
from pickout.nn.momentum import momentum_copy, update_momentum
from pickout.nn.vision import VisionTransformer
from pickout.shapes import NO_ATTENTION, Bool, Float, Int, TokenBatch

TRAINING_ONLY = (
    *("momentum.", "image_queue", "text_queue", "identity_queue", "queue_pointer"),
    *("relation_head.", "replaced_head."),
)
"""Prefixes of state keys that only training needs."""
_FOLLOWED = ("vision", "text", "image_projection", "text_projection", "word_head")
_RELEASED_DECAY = ("temperature", "vision.class_token", "vision.positions")


class Momentum(nn.Module):
    """The momentum twin: slow copies of both towers, both projections and the word head, without gradient.

    Args:
        online: the model to follow; parts that it does not have are left out.
        dropout: whether dropout is active in training.
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
                self.add_module(name, momentum_copy(online.get_submodule(name)))

    def train(self, mode: bool = True) -> "Momentum":
        """Training mode only where dropout is wanted."""
        super().train(mode and self.dropout)
        return self

    def follow(self, online: nn.Module, momentum: float) -> None:
        """Move every weight towards the online model's."""
        for name, twin in self.named_children():
            update_momentum(twin, online.get_submodule(name), momentum)


class FusionModel(Method):
    """Two towers with a contrastive score, and a fusion encoder whose matching head looks at the best again.

    Without training-only parts it has no momentum twin, no queues, and of the heads only `matching_head` and
    `word_head`.

    Args:
        vision: the image tower, of kind `vit`.
        text: the fusion encoder.
        heads: which heads there are, of `matching`, `word`, `relation` and `replaced`.
        train_words: whether the word head learns; otherwise it keeps its weights and only proposes words.
        trainable: whether the training-only parts are built.
        momentum_dropout: as in `Momentum`.
        queue: length of the queues.
        temperature: starting value.
        candidates: as in `Method`.
        head_rate: learning rate of the relation and replaced-word heads relative to the recipe's.
        decay_positions: whether temperature, class token and image positions lose weight (RaSa).
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

    def __init__(
        self,
        vision: VisionTransformer,
        text: FusionEncoder,
        *,
        heads: frozenset[str],
        train_words: bool = True,
        trainable: bool = True,
        momentum_dropout: bool = True,
        queue: int = 65536,
        temperature: float = 0.07,
        candidates: int = 128,
        head_rate: float = 10.0,
        decay_positions: bool = False,
    ) -> None:
        super().__init__()
        self.vision, self.text = vision, text
        self.dimension = vision.embedding
        self.heads, self.head_rate, self.decay_positions = heads, head_rate, decay_positions
        self.image_projection = nn.Linear(vision.channels, vision.embedding)
        self.text_projection = nn.Linear(text.width, vision.embedding)
        self.temperature = nn.Parameter(torch.tensor(temperature))
        if "word" in heads:
            self.word_head = MaskedWordHead(text.width, text.vocabulary_size).requires_grad_(train_words)
        if "matching" in heads:
            self.matching_head, self.candidates = nn.Linear(text.width, 2), candidates
        self.momentum = None
        if trainable:
            for name in sorted({"relation", "replaced"} & heads):
                self.add_module(f"{name}_head", nn.Linear(text.width, 2))
            self.momentum = Momentum(self, dropout=momentum_dropout)
            for name in ("image_queue", "text_queue"):
                self.register_buffer(name, F.normalize(torch.randn(vision.embedding, queue), dim=0))
            self.register_buffer("identity_queue", torch.full((queue,), EMPTY, dtype=torch.int64))
            self.register_buffer("queue_pointer", torch.zeros(1, dtype=torch.int64))

    @property
    def twin(self) -> Momentum:
        """The momentum twin.

        Raises:
            TrainingError: the model was built without what training needs.
        """
        if self.momentum is None:
            raise TrainingError("this model was built without identities, so it has no momentum twin to train with")
        return self.momentum

    def encode_images(self, images: Float[Tensor, "batch 3 height width"], *, trace: bool = False) -> ImageFeatures:
        """Embed prepared images; `parts` holds `global`, not normalised; `tokens` is what `remember` reads."""
        out = self.vision(images, ALL_ROWS if trace else NO_ATTENTION)
        summary = self.image_projection(out.tokens[:, 0]).float()
        return ImageFeatures(
            F.normalize(summary, dim=-1), out.tokens, {"global": summary}, out.trace if trace else None
        )

    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> TextFeatures:
        """Embed tokenized captions; `parts` holds `global`, not normalised; `tokens` are the text layers' states."""
        out = self.text(texts, ALL_ROWS if trace else NO_ATTENTION)
        summary = self.text_projection(out.tokens[:, 0]).float()
        return TextFeatures(
            F.normalize(summary, dim=-1), out.tokens, texts, {"global": summary}, out.trace if trace else None
        )

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
        """The matching head's logit of class 1 (RaSa); see `Method.match_pairs`.

        Raises:
            NotImplementedError: the model has no matching head.
        """
        if "matching" not in self.heads:
            return super().match_pairs(memory, states, mask, image)
        fused = self.text.fuse(states, mask, memory, image, summary_rows=len(states))
        return cast(Tensor, self.matching_head(fused.summary)[:, 1].float())

    def parameter_groups(self) -> list[ParameterGroup]:
        """Everything pretrained, new heads, and of both what loses no weight: biases and other vectors (ALBEF)."""
        groups: dict[str, ParameterGroup] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                new = name.startswith(("relation_head.", "replaced_head."))
                kind = ("heads" if new else "base") + ("" if self._decays(name, parameter) else ".bias")
                rate, decay = self.head_rate if new else 1.0, 0.0 if kind.endswith(".bias") else 1.0
                groups.setdefault(kind, ParameterGroup(kind, [], rate, decay)).parameters.append(parameter)
        return list(groups.values())

    def _decays(self, name: str, parameter: nn.Parameter) -> bool:
        if name in _RELEASED_DECAY:
            return self.decay_positions
        return parameter.dim() > 1
