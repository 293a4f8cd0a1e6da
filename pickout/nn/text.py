"""The text tower: CLIP's causal transformer; the end-of-text token stands for the caption."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pickout.config import Layers, Settings, Size
from pickout.nn.transformer import Activation, LayerNorm, TowerOutput, Transformer
from pickout.shapes import NO_ATTENTION, AttentionRequest, AttentionTrace, Bool, Int, TokenBatch


class TextSettings(Settings):
    """Sizes of the text tower; vocabulary and context come from the tokenizer. The defaults are CLIP ViT-B/16's."""

    kind: Literal["clip", "bert", "sentence"] = "clip"
    """CLIP's causal tower, BERT cut into text layers and layers that look at images (ALBEF, RaSa, AGA), or a frozen
    BERT with trained layers, as wide as the image tower's, behind it (`pickout-small`)."""

    width: Size = 512  # width of a token inside the tower
    layers: Layers = 12  # number of transformer layers
    heads: Size = 8  # heads of each layer; CLIP uses 64 channels a head
    embedding: Size = 512  # length of a projected token; the image tower must have the same
    activation: Activation = "quick_gelu"
    """Activation of the feed-forward parts; OpenAI's weights need `quick_gelu`. BERT's is the exact GELU."""
    fusion_layers: Layers = 6
    """Layers behind the `layers` of the text alone: with cross-attention (`bert`; ALBEF: 6 and 6), or trained
    (`sentence`)."""
    feed_forward: Size | None = None  # width inside the feed-forward parts; `bert` only. None: four times `width`.
    positions: Size = 512  # longest caption in tokens; `bert` only, CLIP's is the tokenizer's context
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of hidden states and attention probabilities in training; `bert` only."""


def check_length(texts: TokenBatch, context: int) -> None:
    """Raise `ValueError` for captions longer than a tower's context."""
    if texts.ids.shape[1] > context:
        raise ValueError(f"captions of {texts.ids.shape[1]} tokens, the tower is built for {context}")


def first_content(texts: TokenBatch, end: int | None) -> Bool[Tensor, "batch tokens"]:
    """True where a token of captions that a class token opens is a word piece: none of start, end or padding."""
    content_BT = texts.mask.clone()
    content_BT[:, 0] = False
    return content_BT if end is None else content_BT & (texts.ids != end)


class TextTransformer(nn.Module):
    """Token ids to tokens in the joint space; padding needs no mask: a causal tower never looks there.

    `settings` are of kind `clip`, and `context` is the longest caption in tokens, start and end included. `start` is
    the id of the start token, None where captions have none; without `end` the largest id of each caption, as CLIP
    does."""

    def __init__(
        self,
        settings: TextSettings,
        *,
        vocabulary_size: int,
        context: int,
        start: int | None = None,
        end: int | None = None,
    ) -> None:
        super().__init__()
        self.context, self.embedding, self.start, self.end = context, settings.embedding, start, end
        width, self.layers = settings.width, settings.layers
        self.tokens = nn.Embedding(vocabulary_size, width)
        self.positions = nn.Parameter(torch.empty(context, width))
        self.transformer = Transformer(width, settings.layers, settings.heads, settings.activation, causal=True)
        self.norm_out = LayerNorm(width)
        self.projection = nn.Linear(width, settings.embedding, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        nn.init.normal_(self.projection.weight, std=width**-0.5)

    def forward(self, texts: TokenBatch, attention: AttentionRequest = NO_ATTENTION) -> TowerOutput:
        """Encode captions; the row that `attention` may expose is the end-of-text token's. `ValueError` for captions
        longer than the context, or a layer that is not there."""
        check_length(texts, self.context)
        query_B = self.end_positions(texts)
        x_BTD = self.tokens(texts.ids) + self.positions[: texts.ids.shape[1]]
        tokens_BTD, rows, maps = self.transformer(x_BTD, query_B, attention)
        content_BT = texts.mask.scatter(1, query_B[:, None], False)
        if self.start is not None:
            content_BT &= texts.ids != self.start
        return TowerOutput(self.projection(self.norm_out(tokens_BTD)), AttentionTrace(rows, maps, query_B, content_BT))

    def end_positions(self, texts: TokenBatch) -> Int[Tensor, " batch"]:
        """Where each caption ends: the first end token, or the last token where there is none. Without an end id it is
        the first place of the largest id (CLIP, whose end token is the last of the vocabulary)."""
        ids = texts.ids
        place = torch.arange(ids.shape[1], device=ids.device)
        ends = ids == (ids.amax(dim=1, keepdim=True) if self.end is None else self.end)
        first = torch.where(ends, place, ids.shape[1]).amin(dim=1)
        last = torch.where(texts.mask, place, 0).amax(dim=1)
        return torch.where(ends.any(dim=1), first, last)
