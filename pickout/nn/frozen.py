"""Towers whose first part is pretrained and stays as it is, with a few trained layers behind it.

The frozen part can be computed once for all: both towers also take its result (`Frozen`, or tokens instead of pixels).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.nn.bert import Embeddings, TextLayer, start_as_bert
from pickout.nn.efficientnet import EfficientNetLite0
from pickout.nn.reduction import Reduction
from pickout.nn.tower import TowerOutput
from pickout.nn.transformer import LayerNorm, Transformer, check_request
from pickout.shapes import NO_ATTENTION, AttentionRequest, AttentionTrace, Bool, Float, Int, TokenBatch

STRIDE = 16
"""Pixels between two tokens."""
CHANNELS = 4 * (40 + 24 + 24 + 3) + 112 + 320
"""Of a token before the reduction."""
DEPTH = 32
"""Channels of a head in the trained text layers."""
KEPT_IMAGE, KEPT_TEXT = 192, 160
"""Channels of a token behind the reduction."""


class Branched(NamedTuple):
    """What trained layers give: projected tokens, and by layer (from 1) the attention that was asked for."""

    tokens: Float[Tensor, "batch tokens embedding"]
    rows: Mapping[int, Tensor]
    maps: Mapping[int, Tensor]


class ImageBranch(nn.Module):
    """Trained layers behind a frozen image network.

    Args:
        tokens: number of image tokens.
        channels: width of a token in the layers.
        layers: number of layers.
        heads: heads of each.
        embedding: length of a projected token.
    """

    def __init__(self, tokens: int, channels: int, layers: int, heads: int, embedding: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(KEPT_IMAGE, channels)
        self.class_token = nn.Parameter(0.02 * torch.randn(channels))
        self.positions = nn.Parameter(0.02 * torch.randn(1 + tokens, channels))
        self.norm_in = LayerNorm(channels)
        self.transformer = Transformer(channels, layers, heads, "gelu")
        self.norm_out = LayerNorm(channels)
        self.projection = nn.Linear(channels, embedding)

    def forward(
        self,
        seen_BND: Float[Tensor, "batch tokens kept"],
        query_B: Int[Tensor, " batch"],
        attention: AttentionRequest,
    ) -> Branched:
        """Class token first."""
        class_B1D = self.class_token.expand(len(seen_BND), 1, -1)
        tokens = torch.cat([class_B1D, self.norm_in(self.narrow(seen_BND))], dim=1) + self.positions
        stacked = self.transformer(tokens, query_B, attention)
        return Branched(_by_summary(self.projection(self.norm_out(stacked.tokens))), stacked.rows, stacked.maps)


class TextBranch(nn.Module):
    """Trained layers of BERT's kind behind a frozen BERT.

    Args:
        channels: width of a token in the layers.
        layers: number of layers.
        embedding: length of a projected token.
    """

    def __init__(self, channels: int, layers: int, embedding: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(KEPT_TEXT, channels)
        self.norm_in = LayerNorm(channels)
        self.layers = nn.ModuleList(TextLayer(channels, channels // DEPTH, 4 * channels, 0.0) for _ in range(layers))
        self.projection = nn.Linear(channels, embedding)
        start_as_bert(self.layers, channels)

    def forward(
        self,
        seen_BTD: Float[Tensor, "batch tokens kept"],
        mask_BT: Bool[Tensor, "batch tokens"],
        attention: AttentionRequest,
    ) -> Branched:
        """The first token stands for the whole."""
        x_BTD = self.norm_in(self.narrow(seen_BTD))
        rows: dict[int, Tensor] = {}
        maps: dict[int, Tensor] = {}
        for number, layer in enumerate(self.layers, start=1):
            assert isinstance(layer, TextLayer)
            x_BTD, row, map_ = layer.attention(
                x_BTD, mask_BT, row=attention.wants_row(number), map=attention.wants_map(number)
            )
            x_BTD = layer.feed_forward(x_BTD)
            if row is not None:
                rows[number] = row
            if map_ is not None:
                maps[number] = map_
        return Branched(_by_summary(self.projection(x_BTD)), rows, maps)


def _by_summary(tokens_BND: Float[Tensor, "batch tokens embedding"]) -> Float[Tensor, "batch tokens embedding"]:
    """Tokens over the length of the first, so that each branch has an equal part in the score."""
    length_B11: Tensor = torch.linalg.vector_norm(tokens_BND[:, :1].float(), dim=-1, keepdim=True)
    return tokens_BND / length_B11.clamp_min(1e-6)


def _side_by_side(branches: Sequence[Branched]) -> Branched:
    """The branches' tokens one behind the other, and the means of their attention."""

    def mean(parts: Sequence[Mapping[int, Tensor]]) -> dict[int, Tensor]:
        return {layer: torch.stack([part[layer] for part in parts]).mean(dim=0) for layer in parts[0]}

    tokens = torch.cat([branch.tokens for branch in branches], dim=-1)
    return Branched(tokens, mean([branch.rows for branch in branches]), mean([branch.maps for branch in branches]))


class MultiStageTower(nn.Module):
    """Images to tokens in the joint space: frozen EfficientNet-Lite0, one token for each 16x16 pixels, trained layers.

    A token holds what several stages see at its place, since colour and cloth live in early stages and garments in late
    ones: the 2x2 cells of stride 8 (that stage's channels, mean and spread of the stage before, red, green and blue),
    stride 16, and the cell of stride 32 that it lies in.

    Args:
        height: image height in pixels, a multiple of 32.
        width: image width in pixels, a multiple of 32.
        channels: width of a token in the trained layers.
        layers: number of trained layers.
        heads: heads of each.
        embedding: length of a projected token, over all branches together.
        branches: trained layers side by side, each from weights of its own.

    Raises:
        ValueError: a height or width that is no multiple of 32, or an embedding that cannot be shared out.
    """

    def __init__(
        self, *, height: int, width: int, channels: int, layers: int, heads: int, embedding: int, branches: int = 1
    ) -> None:
        super().__init__()
        if height % 32 or width % 32:
            raise ValueError(f"images of {height}x{width} pixels: this tower takes multiples of 32")
        if embedding % branches:
            raise ValueError(f"an embedding of {embedding} cannot be shared out among {branches} branches")
        self.size, self.grid = (height, width), (height // STRIDE, width // STRIDE)
        self.channels, self.embedding, self.layers = channels, embedding, layers
        self.trunk = EfficientNetLite0().requires_grad_(False)
        self.reduction = Reduction(CHANNELS, KEPT_IMAGE)
        tokens = self.grid[0] * self.grid[1]
        self.branches = nn.ModuleList(
            ImageBranch(tokens, channels, layers, heads, embedding // branches) for _ in range(branches)
        )

    def stages(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch tokens channels"]:
        """What the frozen network sees at each place, not reduced."""
        if tuple(images.shape[2:]) != self.size:
            raise ValueError(f"images of {tuple(images.shape[2:])} pixels, the tower is built for {self.size}")
        early, low, middle, late = self.trunk(images)
        mean = F.avg_pool2d(early, 2)
        spread = (F.avg_pool2d(early * early, 2) - mean * mean).clamp_min(0).sqrt()
        colour = F.adaptive_avg_pool2d(images, (mean.shape[2], mean.shape[3]))
        near = F.pixel_unshuffle(torch.cat([low, mean, spread, colour], dim=1), 2)
        wide = F.interpolate(late.float(), scale_factor=2.0)
        return torch.cat([near.float(), middle.float(), wide], dim=1).flatten(2).transpose(1, 2)

    def frozen(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch tokens kept"]:
        """The tokens of the frozen part; `forward` takes them too."""
        tokens: Tensor = self.reduction(self.stages(images))
        return tokens

    def forward(self, images: Float[Tensor, "batch *axes"], attention: AttentionRequest = NO_ATTENTION) -> TowerOutput:
        """Encode prepared images, or the tokens that `frozen` made of them.

        Args:
            images: Shape: (batch, 3, height, width), or (batch, tokens, kept).
            attention: which trained layers' rows and maps to expose.

        Raises:
            ValueError: images of another size than the tower's, or a layer that is not there.
        """
        seen = self.frozen(images) if images.ndim == 4 else images.float()
        query_B = torch.zeros(len(seen), dtype=torch.int64, device=seen.device)
        tokens, rows, maps = _side_by_side([branch(seen, query_B, attention) for branch in self.branches])
        content_BN = torch.ones(tokens.shape[:2], dtype=torch.bool, device=seen.device)
        content_BN[:, 0] = False
        return TowerOutput(tokens, AttentionTrace(rows, maps, query_B, content_BN))


class SentenceTower(nn.Module):
    """Captions to tokens in the joint space: a frozen BERT and trained layers of the same kind behind it.

    Args:
        vocabulary_size: number of token ids.
        context: longest caption in tokens.
        width: token width of the frozen BERT.
        depth: its layers.
        heads: its heads.
        channels: width of a token in the trained layers.
        layers: number of trained layers.
        embedding: length of a projected token, over all branches together.
        branches: trained layers side by side.
        padding: id of padding.
        end: id of the closing token, None where captions have none.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        context: int,
        width: int,
        depth: int,
        heads: int,
        channels: int,
        layers: int,
        embedding: int,
        branches: int = 1,
        padding: int,
        end: int | None,
    ) -> None:
        super().__init__()
        self.context, self.embedding, self.layers, self.end = context, embedding, layers, end
        self.embeddings = Embeddings(
            vocabulary_size=vocabulary_size, positions=context, width=width, padding=padding, dropout=0.0
        )
        self.trunk = nn.ModuleList(TextLayer(width, heads, 4 * width, 0.0) for _ in range(depth))
        for part in (self.embeddings, self.trunk):
            part.requires_grad_(False)
        self.reduction = Reduction(width, KEPT_TEXT)
        self.branches = nn.ModuleList(TextBranch(channels, layers, embedding // branches) for _ in range(branches))

    def states(self, texts: TokenBatch) -> Float[Tensor, "batch tokens width"]:
        """What the frozen BERT makes of captions, not reduced."""
        length = texts.ids.shape[1]
        if length > self.context:
            raise ValueError(f"captions of {length} tokens, the tower is built for {self.context}")
        longest = int(texts.mask.sum(dim=1).max())
        mask_BT = texts.mask[:, :longest]
        x_BTD: Tensor = self.embeddings(texts.ids[:, :longest])
        for layer in self.trunk:
            assert isinstance(layer, TextLayer)
            x_BTD = layer.feed_forward(layer.attention(x_BTD, mask_BT)[0])
        return F.pad(x_BTD, (0, 0, 0, length - longest))

    def frozen(self, texts: TokenBatch) -> Float[Tensor, "batch tokens kept"]:
        """The states of the frozen part, reduced."""
        states: Tensor = self.reduction(self.states(texts))
        return states

    def forward(self, texts: TokenBatch, attention: AttentionRequest = NO_ATTENTION) -> TowerOutput:
        """Encode captions; the first token stands for the whole.

        Args:
            texts: at most `context` tokens each; with `states` the frozen part is not computed again.
            attention: which trained layers' rows and maps to expose.

        Raises:
            ValueError: captions longer than the context, or a layer that is not there.
        """
        check_request(attention, self.layers)
        seen = self.frozen(texts) if texts.states is None else texts.states.float()
        tokens, rows, maps = _side_by_side([branch(seen, texts.mask, attention) for branch in self.branches])
        query_B = torch.zeros(len(texts), dtype=torch.int64, device=tokens.device)
        content_BT = texts.mask.clone()
        content_BT[:, 0] = False
        if self.end is not None:
            content_BT &= texts.ids != self.end
        return TowerOutput(tokens, AttentionTrace(rows, maps, query_B, content_BT))
