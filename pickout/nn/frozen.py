"""Towers whose first part is pretrained and stays as it is, with a few trained layers behind it.

The frozen part can be computed once for all: both towers also take its result (`Frozen`, or tokens instead of pixels).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.nn.bert import Embeddings, TextLayer, start_as_bert
from pickout.nn.efficientnet import EfficientNetLite0
from pickout.nn.reduction import Reduction
from pickout.nn.tower import TowerOutput
from pickout.nn.transformer import LayerNorm, Transformer, check_request
from pickout.shapes import NO_ATTENTION, AttentionRequest, AttentionTrace, Float, TokenBatch

STRIDE = 16
"""Pixels between two tokens."""
CHANNELS = 4 * (40 + 24 + 24 + 3) + 112 + 320
"""Of a token before the reduction."""
DEPTH = 32
"""Channels of a head in the trained text layers."""
KEPT_IMAGE, KEPT_TEXT = 192, 160
"""Channels of a token behind the reduction."""


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
        embedding: length of a projected token.

    Raises:
        ValueError: a height or width that is no multiple of 32.
    """

    def __init__(self, *, height: int, width: int, channels: int, layers: int, heads: int, embedding: int) -> None:
        super().__init__()
        if height % 32 or width % 32:
            raise ValueError(f"images of {height}x{width} pixels: this tower takes multiples of 32")
        self.size, self.grid = (height, width), (height // STRIDE, width // STRIDE)
        self.channels, self.embedding = channels, embedding
        self.trunk = EfficientNetLite0().requires_grad_(False)
        self.reduction = Reduction(CHANNELS, KEPT_IMAGE)
        self.narrow = nn.Linear(KEPT_IMAGE, channels)
        self.class_token = nn.Parameter(0.02 * torch.randn(channels))
        self.positions = nn.Parameter(0.02 * torch.randn(1 + self.grid[0] * self.grid[1], channels))
        self.norm_in = LayerNorm(channels)
        self.transformer = Transformer(channels, layers, heads, "gelu")
        self.norm_out = LayerNorm(channels)
        self.projection = nn.Linear(channels, embedding)

    @property
    def layers(self) -> int:
        """Number of trained layers."""
        return len(self.transformer.layers)

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
        batch = len(seen)
        tokens = torch.cat([self.class_token.expand(batch, 1, -1), self.norm_in(self.narrow(seen))], dim=1)
        query_B = torch.zeros(batch, dtype=torch.int64, device=seen.device)
        stacked = self.transformer(tokens + self.positions, query_B, attention)
        content_BN = torch.ones(tokens.shape[:2], dtype=torch.bool, device=seen.device)
        content_BN[:, 0] = False
        trace = AttentionTrace(stacked.rows, stacked.maps, query_B, content_BN)
        return TowerOutput(self.projection(self.norm_out(stacked.tokens)), trace)


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
        embedding: length of a projected token.
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
        padding: int,
        end: int | None,
    ) -> None:
        super().__init__()
        self.context, self.embedding, self.end = context, embedding, end
        self.embeddings = Embeddings(
            vocabulary_size=vocabulary_size, positions=context, width=width, padding=padding, dropout=0.0
        )
        self.trunk = nn.ModuleList(TextLayer(width, heads, 4 * width, 0.0) for _ in range(depth))
        for part in (self.embeddings, self.trunk):
            part.requires_grad_(False)
        self.reduction = Reduction(width, KEPT_TEXT)
        self.narrow = nn.Linear(KEPT_TEXT, channels)
        self.norm_in = LayerNorm(channels)
        self.trained = nn.ModuleList(TextLayer(channels, channels // DEPTH, 4 * channels, 0.0) for _ in range(layers))
        self.projection = nn.Linear(channels, embedding)
        start_as_bert(self.trained, channels)

    @property
    def layers(self) -> int:
        """Number of trained layers."""
        return len(self.trained)

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
        x_BTD = self.norm_in(self.narrow(seen))
        rows: dict[int, Tensor] = {}
        maps: dict[int, Tensor] = {}
        for number, layer in enumerate(self.trained, start=1):
            assert isinstance(layer, TextLayer)
            x_BTD, row, map_ = layer.attention(
                x_BTD, texts.mask, row=attention.wants_row(number), map=attention.wants_map(number)
            )
            x_BTD = layer.feed_forward(x_BTD)
            if row is not None:
                rows[number] = row
            if map_ is not None:
                maps[number] = map_
        query_B = torch.zeros(len(texts), dtype=torch.int64, device=x_BTD.device)
        content_BT = texts.mask.clone()
        content_BT[:, 0] = False
        if self.end is not None:
            content_BT &= texts.ids != self.end
        return TowerOutput(self.projection(x_BTD), AttentionTrace(rows, maps, query_B, content_BT))
