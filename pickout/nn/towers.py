"""The image tower, a vision transformer (CLIP's or a plain one) for images of any shape, patches at any stride, and the
text tower, CLIP's causal transformer, where the end-of-text token stands for the caption."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.config import Layers, Settings, Size
from pickout.nn.transformer import Activation, LayerNorm, Stacked, TowerOutput, Transformer, by_first_token
from pickout.shapes import NO_ATTENTION, AttentionRequest, AttentionTrace, Float, Ints, Mask, Pictures, TokenBatch

VisionKind = Literal["clip", "vit", "lite0", "lite0_vit"]


class VisionSettings(Settings):
    """Sizes of the image tower. The defaults are CLIP ViT-B/16's."""

    kind: VisionKind = "clip"
    """CLIP's tower, a plain vision transformer whose tokens are not projected (ALBEF, RaSa, AGA), or layers on a
    frozen convolutional network, projected (`pickout-small`) or not, for which `patch`, `stride` and `activation` mean
    nothing."""

    patch: Size = 16  # side of a patch in pixels
    stride: Size = 16  # distance between patches in pixels; less than the patch makes them overlap
    width: Size = 768  # width of a token inside the tower
    layers: Layers = 12  # number of transformer layers
    heads: Size = 12  # heads of each layer; CLIP uses 64 channels a head
    embedding: Size = 512
    """Length of a projected token; the text tower must have the same. With `vit` and `lite0_vit` the method does it."""
    branches: Layers = 1
    """Trained layers side by side in both towers; `lite0` only. Their embeddings stand one behind the other."""
    activation: Activation = "quick_gelu"
    """Activation of the feed-forward parts; OpenAI's weights need `quick_gelu`, ALBEF's `gelu`."""


class VisionTransformer(nn.Module):
    """Images of so many pixels to tokens in the joint space; `settings` are of kind `clip`, whose layers are normed
    before and projected after, or `vit`, neither (ALBEF). The final norm and the projection run on all tokens, not on
    the class token alone, since part-level methods read them (IRRA, RDE, ITSELF)."""

    def __init__(self, settings: VisionSettings, *, height: int, width: int) -> None:
        super().__init__()
        self.settings, self.size = settings, (height, width)
        self.grid = patch_grid(height, width, settings.patch, settings.stride)
        self.embedding, self.layers = settings.embedding, settings.layers
        self.channels = channels = settings.width
        scale, plain = channels**-0.5, settings.kind == "vit"
        epsilon = 1e-6 if plain else 1e-5
        self.patches = nn.Conv2d(3, channels, kernel_size=settings.patch, stride=settings.stride, bias=plain)
        self.class_token = nn.Parameter(nn.init.normal_(torch.empty(channels), std=scale))
        self.positions = nn.Parameter(
            nn.init.normal_(torch.empty(1 + self.grid[0] * self.grid[1], channels), std=scale)
        )
        self.norm_in = nn.Identity() if plain else LayerNorm(channels)
        self.transformer = Transformer(channels, settings.layers, settings.heads, settings.activation, epsilon=epsilon)
        self.norm_out = LayerNorm(channels, eps=epsilon)
        self.projection = nn.Identity() if plain else nn.Linear(channels, settings.embedding, bias=False)
        if isinstance(self.projection, nn.Linear):
            nn.init.normal_(self.projection.weight, std=scale)

    def forward(self, images: Pictures, attention: AttentionRequest = NO_ATTENTION) -> TowerOutput:
        """Encode images, normalised as the weights expect: class token first, then patches row by row. `ValueError` for
        images of another size than the tower's, or a layer in `attention` that is not there."""
        if tuple(images.shape[2:]) != self.size:
            raise ValueError(f"images of {tuple(images.shape[2:])} pixels, the tower is built for {self.size}")
        patches_BND = self.patches(images).flatten(2).transpose(1, 2)
        x_BND = torch.cat([self.class_token.expand(images.shape[0], 1, -1), patches_BND], dim=1) + self.positions
        tokens_BND, rows, maps = self.transformer(self.norm_in(x_BND), None, attention)
        return by_first_token(Stacked(self.projection(self.norm_out(tokens_BND)), rows, maps))


def patch_grid(height: int, width: int, patch: int, stride: int) -> tuple[int, int]:
    """Rows and columns of patches: floor((side - patch) / stride) + 1 along each side; all in pixels. `ValueError` for
    an image smaller than one patch."""
    if min(height, width) < patch:
        raise ValueError(f"an image of {height}x{width} pixels is smaller than one patch of {patch}x{patch}")
    return (height - patch) // stride + 1, (width - patch) // stride + 1


def resize_positions(
    table: Float[Tensor, "tokens width"],
    old: tuple[int, int],
    new: tuple[int, int],
    *,
    mode: Literal["bilinear", "bicubic"] = "bilinear",
    first: int = 1,
) -> Float[Tensor, "resized width"]:
    """Interpolate the positions of a grid of patches, from `old` rows and columns to `new`; the `first` rows of the
    table, those of leading tokens, stay. Float32, a copy also where the grids are equal. Bilinear, half-pixel centres,
    no antialias, as IRRA, RDE and ITSELF do; `bicubic` as AGA's lineage does. `ValueError` where the table does not
    hold `first` + old rows x old columns rows."""
    rows, columns = old
    if table.shape[0] != first + rows * columns:
        raise ValueError(f"a position table of {table.shape[0]} rows is not {first} + a grid of {rows}x{columns}")
    table = table.float()
    if old == new:
        return table.clone()
    grid_1DRC = table[first:].T.reshape(1, -1, rows, columns)
    resized_1DRC = F.interpolate(grid_1DRC, size=new, mode=mode, align_corners=False)
    return torch.cat([table[:first], resized_1DRC.flatten(2)[0].T])


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
    dropout: float = Field(default=0.1, ge=0, lt=1)  # of hidden states and attention in training; `bert` only


def check_length(texts: TokenBatch, context: int) -> None:
    """Raise `ValueError` for captions longer than a tower's context."""
    if texts.ids.shape[1] > context:
        raise ValueError(f"captions of {texts.ids.shape[1]} tokens, the tower is built for {context}")


def first_content(texts: TokenBatch, end: int | None) -> Mask:
    """True where a token of captions that a class token opens is a word piece: none of start, end or padding."""
    content_BT = texts.mask.clone()
    content_BT[:, 0] = False
    return content_BT if end is None else content_BT & (texts.ids != end)


class TextTransformer(nn.Module):
    """Token ids to tokens in the joint space; padding needs no mask: a causal tower never looks there. `settings` are
    of kind `clip`, and `context` is the longest caption in tokens, start and end included. `start` is the id of the
    start token, None where captions have none; without `end` the largest id of each caption, as CLIP does."""

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

    def end_positions(self, texts: TokenBatch) -> Ints:
        """Where each caption ends: the first end token, or the last token where there is none. Without an end id it is
        the first place of the largest id (CLIP, whose end token is the last of the vocabulary)."""
        ids = texts.ids
        place = torch.arange(ids.shape[1], device=ids.device)
        ends = ids == (ids.amax(dim=1, keepdim=True) if self.end is None else self.end)
        first = torch.where(ends, place, ids.shape[1]).amin(dim=1)
        last = torch.where(texts.mask, place, 0).amax(dim=1)
        return torch.where(ends.any(dim=1), first, last)
