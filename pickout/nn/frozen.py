"""Towers whose first part is pretrained and stays as it is, with a few trained layers behind it.

The frozen part can be computed once for all: both towers also take its result (`Frozen`, or tokens instead of pixels).
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.nn.bert import Embeddings, TextLayer, start_as_bert
from pickout.nn.efficientnet import EfficientNetLite0
from pickout.nn.towers import TextSettings, VisionSettings, check_length, first_content
from pickout.nn.transformer import LayerNorm, Stacked, TowerOutput, Transformer, by_first_token, run_layers
from pickout.shapes import NO_ATTENTION, AttentionRequest, Float, Mask, Pictures, States, TokenBatch

STRIDE = 16  # pixels between two tokens
CHANNELS = 4 * (40 + 24 + 24 + 3) + 112 + 320  # of a token before the reduction
DEPTH = 32  # channels of a head in the trained text layers
KEPT_IMAGE, KEPT_TEXT = 192, 160  # channels of a token behind the reduction
ROOT = 0.25
"""Each kept direction is divided by its variance to this power: between plain projection (0) and whitening (0.5)."""
FLOOR = 0.02  # added to the variances, as a share of the largest
LARGEST = 6.0  # standardised values are cut here, so that no single channel of an unusual picture takes over


class Reduction(nn.Module):
    """Standardise each channel, cut outliers, and project to the `kept` directions that vary most. It is set once from
    data and then stays; `pickout adapt` moves its mean and scale."""

    mean: Tensor
    scale: Tensor
    basis: Tensor
    offset: Tensor

    def __init__(self, width: int, kept: int) -> None:
        super().__init__()
        whole = {"mean": torch.zeros(width), "scale": torch.ones(width), "offset": torch.zeros(width)}
        for name, start in {**whole, "basis": torch.zeros(width, kept).fill_diagonal_(1)}.items():
            self.register_buffer(name, start)

    def forward(self, x: Float[Tensor, "*axes width"]) -> Float[Tensor, "*axes kept"]:
        """Reduce tokens, in float32."""
        with torch.autocast(x.device.type, enabled=False):
            return (self._standard(x.float()) - self.offset) @ self.basis

    def _standard(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.scale).clamp(-LARGEST, LARGEST)

    @torch.no_grad()
    def fit(self, x: Float[Tensor, "tokens width"]) -> None:
        """Take statistics and directions from tokens of the training data."""
        x = x.float()
        self.mean.copy_(x.mean(dim=0))
        self.scale.copy_(x.std(dim=0) + 1e-3)
        standard = self._standard(x)
        self.offset.copy_(standard.mean(dim=0))
        centred = standard - self.offset
        variances, directions = torch.linalg.eigh(centred.T @ centred / len(x))
        kept = self.basis.shape[1]
        variances, directions = variances.flip(0)[:kept], directions.flip(1)[:, :kept]
        self.basis.copy_(directions / (variances + FLOOR * variances[0]) ** ROOT)


class ImageBranch(nn.Module):
    """Trained layers behind a frozen image network; `channels` is the width of a token in them, and also of a token
    that comes out where there is no `embedding` to project to."""

    def __init__(self, tokens: int, channels: int, layers: int, heads: int, embedding: int | None) -> None:
        super().__init__()
        self.narrow = nn.Linear(KEPT_IMAGE, channels)
        self.class_token = nn.Parameter(nn.init.normal_(torch.empty(channels), std=0.02))
        self.positions = nn.Parameter(nn.init.normal_(torch.empty(1 + tokens, channels), std=0.02))
        self.norm_in = LayerNorm(channels)
        self.transformer = Transformer(channels, layers, heads, "gelu")
        self.norm_out = LayerNorm(channels)
        self.projection = None if embedding is None else nn.Linear(channels, embedding)

    def forward(self, seen_BND: Float[Tensor, "batch tokens kept"], attention: AttentionRequest) -> Stacked:
        """Class token first."""
        class_B1D, patches_BND = self.class_token.expand(seen_BND.shape[0], 1, -1), self.norm_in(self.narrow(seen_BND))
        tokens = torch.cat([class_B1D, patches_BND], dim=1) + self.positions
        tokens, rows, maps = self.transformer(tokens, None, attention)
        tokens = self.norm_out(tokens)
        return Stacked(tokens if self.projection is None else _by_summary(self.projection(tokens)), rows, maps)


class TextBranch(nn.Module):
    """Trained layers of BERT's kind behind a frozen BERT; `channels` is the width of a token in them."""

    def __init__(self, channels: int, layers: int, embedding: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(KEPT_TEXT, channels)
        self.norm_in = LayerNorm(channels)
        self.layers = nn.ModuleList(TextLayer(channels, channels // DEPTH, 4 * channels, 0.0) for _ in range(layers))
        self.projection = nn.Linear(channels, embedding)
        start_as_bert(self.layers, channels)

    def forward(
        self, seen_BTD: Float[Tensor, "batch tokens kept"], attention: AttentionRequest, mask_BT: Mask
    ) -> Stacked:
        """The first token stands for the whole."""
        x_BTD = self.norm_in(self.narrow(seen_BTD))
        tokens, rows, maps = run_layers(self.layers, x_BTD, attention, mask_BT)
        return Stacked(_by_summary(self.projection(tokens)), rows, maps)


def _by_summary(tokens_BND: Float[Tensor, "batch tokens embedding"]) -> Float[Tensor, "batch tokens embedding"]:
    """Tokens over the length of the first, so that each branch has an equal part in the score."""
    length_B11: Tensor = torch.linalg.vector_norm(tokens_BND[:, :1].float(), dim=-1, keepdim=True)
    return tokens_BND / length_B11.clamp_min(1e-6)


def _side_by_side(branches: Sequence[Stacked]) -> Stacked:
    """The branches' tokens one behind the other, and the means of their attention."""
    rows, maps = (
        {layer: torch.stack([part[layer] for part in parts]).mean(dim=0) for layer in parts[0]}
        for parts in ([branch.rows for branch in branches], [branch.maps for branch in branches])
    )
    return Stacked(torch.cat([branch.tokens for branch in branches], dim=-1), rows, maps)


class MultiStageTower(nn.Module):
    """Images to tokens in the joint space: frozen EfficientNet-Lite0, one token for each 16x16 pixels, trained layers.
    A token holds what several stages see at its place, since colour and cloth live in early stages and garments in late
    ones: the 2x2 cells of stride 8 (that stage's channels, mean and spread of the stage before, red, green and blue),
    stride 16, and the cell of stride 32 that it lies in. `settings` are of kind `lite0`, where the embedding is that of
    all branches together, or `lite0_vit`: one branch, whose tokens are not projected. `ValueError` for a height or
    width in pixels that is no multiple of 32, or an embedding that cannot be shared out."""

    def __init__(self, settings: VisionSettings, *, height: int, width: int) -> None:
        super().__init__()
        if height % 32 or width % 32:
            raise ValueError(f"images of {height}x{width} pixels: this tower takes multiples of 32")
        embedding, branches, plain = settings.embedding, settings.branches, settings.kind == "lite0_vit"
        if plain and branches > 1:
            raise ValueError(f"branches = {branches}: kind 'lite0_vit' has one")
        if embedding % branches:
            raise ValueError(f"an embedding of {embedding} cannot be shared out among {branches} branches")
        self.settings, self.size, self.grid = settings, (height, width), (height // STRIDE, width // STRIDE)
        self.channels, self.embedding, self.layers = settings.width, embedding, settings.layers
        self.trunk = EfficientNetLite0().requires_grad_(False)
        self.reduction = Reduction(CHANNELS, KEPT_IMAGE)
        sizes = (self.grid[0] * self.grid[1], settings.width, settings.layers, settings.heads)
        length = None if plain else embedding // branches
        self.branches = nn.ModuleList(ImageBranch(*sizes, length) for _ in range(branches))

    def stages(self, images: Pictures) -> Float[Tensor, "batch tokens channels"]:
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

    def frozen(self, images: Pictures) -> Float[Tensor, "batch tokens kept"]:
        """The tokens of the frozen part; `forward` takes them too."""
        return cast(Tensor, self.reduction(self.stages(images)))

    def forward(self, images: Float[Tensor, "batch *axes"], attention: AttentionRequest = NO_ATTENTION) -> TowerOutput:
        """Encode prepared images (batch, 3, height, width), or the tokens (batch, tokens, kept) that `frozen` made;
        `ValueError` for images of another size than the tower's, or a layer that is not there."""
        seen = self.frozen(images) if images.ndim == 4 else images.float()
        return by_first_token(_side_by_side([branch(seen, attention) for branch in self.branches]))


class SentenceTower(nn.Module):
    """Captions to tokens in the joint space: a frozen BERT and trained layers of the same kind behind it. `settings`
    are of kind `sentence`: width, layers and heads are the frozen BERT's, `fusion_layers` are trained, and the
    embedding is that of all branches together. In the trained layers a token has so many `channels`; `padding` and
    `end` are the ids of padding and of the closing token, None where captions have none."""

    def __init__(
        self,
        settings: TextSettings,
        *,
        vocabulary_size: int,
        context: int,
        channels: int,
        branches: int = 1,
        padding: int,
        end: int | None,
    ) -> None:
        super().__init__()
        width, layers, self.end = settings.width, settings.fusion_layers, end
        self.context, self.embedding, self.layers = context, settings.embedding, layers
        self.embeddings = Embeddings(vocabulary_size, context, width, padding, dropout=0.0)
        self.trunk = nn.ModuleList(TextLayer(width, settings.heads, 4 * width, 0.0) for _ in range(settings.layers))
        for part in (self.embeddings, self.trunk):
            part.requires_grad_(False)
        self.reduction = Reduction(width, KEPT_TEXT)
        self.branches = nn.ModuleList(
            TextBranch(channels, layers, settings.embedding // branches) for _ in range(branches)
        )

    def states(self, texts: TokenBatch) -> States:
        """What the frozen BERT makes of captions, not reduced."""
        check_length(texts, self.context)
        longest = int(texts.mask.sum(dim=1).max())
        x_BTD = self.embeddings(texts.ids[:, :longest])
        x_BTD = run_layers(self.trunk, x_BTD, NO_ATTENTION, texts.mask[:, :longest]).tokens
        return F.pad(x_BTD, (0, 0, 0, texts.ids.shape[1] - longest))

    def frozen(self, texts: TokenBatch) -> Float[Tensor, "batch tokens kept"]:
        """The states of the frozen part, reduced."""
        return cast(Tensor, self.reduction(self.states(texts)))

    def forward(self, texts: TokenBatch, attention: AttentionRequest = NO_ATTENTION) -> TowerOutput:
        """Encode captions; with `states` the frozen part is not computed again. `ValueError` for captions longer than
        the context, or a layer that is not there."""
        seen = self.frozen(texts) if texts.states is None else texts.states.float()
        stacked = _side_by_side([branch(seen, attention, texts.mask) for branch in self.branches])
        return by_first_token(stacked, first_content(texts, self.end))
