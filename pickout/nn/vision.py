"""The image tower: a vision transformer (CLIP's or a plain one) for images of any shape, patches at any stride."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.config import Layers, Settings, Size
from pickout.nn.transformer import Activation, LayerNorm, TowerOutput, Transformer, by_first_token
from pickout.shapes import NO_ATTENTION, AttentionRequest, Float

VisionKind = Literal["clip", "vit", "lite0"]


class VisionSettings(Settings):
    """Sizes of the image tower. The defaults are CLIP ViT-B/16's."""

    kind: VisionKind = "clip"
    """CLIP's tower, a plain vision transformer whose tokens are not projected (ALBEF, RaSa, AGA), or layers on a
    frozen convolutional network (`pickout-small`), for which `patch`, `stride` and `activation` mean nothing."""

    patch: Size = 16  # side of a patch in pixels
    stride: Size = 16  # distance between patches in pixels; less than the patch makes them overlap
    width: Size = 768  # width of a token inside the tower
    layers: Layers = 12  # number of transformer layers
    heads: Size = 12  # heads of each layer; CLIP uses 64 channels a head
    embedding: Size = 512
    """Length of a projected token; the text tower must have the same. With kind `vit` the method projects."""
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
        self.class_token = nn.Parameter(scale * torch.randn(channels))
        self.positions = nn.Parameter(scale * torch.randn(1 + self.grid[0] * self.grid[1], channels))
        self.norm_in = nn.Identity() if plain else LayerNorm(channels)
        self.transformer = Transformer(channels, settings.layers, settings.heads, settings.activation, epsilon=epsilon)
        self.norm_out = LayerNorm(channels, eps=epsilon)
        self.projection = nn.Identity() if plain else nn.Linear(channels, settings.embedding, bias=False)
        if isinstance(self.projection, nn.Linear):
            nn.init.normal_(self.projection.weight, std=scale)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], attention: AttentionRequest = NO_ATTENTION
    ) -> TowerOutput:
        """Encode images, normalised as the weights expect: class token first, then patches row by row. `ValueError` for
        images of another size than the tower's, or a layer in `attention` that is not there."""
        if tuple(images.shape[2:]) != self.size:
            raise ValueError(f"images of {tuple(images.shape[2:])} pixels, the tower is built for {self.size}")
        patches_BND = self.patches(images).flatten(2).transpose(1, 2)
        x_BND = torch.cat([self.class_token.expand(len(images), 1, -1), patches_BND], dim=1) + self.positions
        tokens_BND, rows, maps = self.transformer(self.norm_in(x_BND), None, attention)
        return by_first_token(self.projection(self.norm_out(tokens_BND)), rows, maps)


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
    table, those of leading tokens, stay. Float32, a copy also where the grids are equal.

    Bilinear, half-pixel centres, no antialias, as IRRA, RDE and ITSELF do; `bicubic` as AGA's lineage does.
    `ValueError` where the table does not hold `first` + old rows x old columns rows."""
    rows, columns = old
    if table.shape[0] != first + rows * columns:
        raise ValueError(f"a position table of {table.shape[0]} rows is not {first} + a grid of {rows}x{columns}")
    table = table.float()
    if old == new:
        return table.clone()
    grid_1DRC = table[first:].T.reshape(1, -1, rows, columns)
    resized_1DRC = F.interpolate(grid_1DRC, size=new, mode=mode, align_corners=False)
    return torch.cat([table[:first], resized_1DRC.flatten(2)[0].T])
