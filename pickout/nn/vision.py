"""The image tower: a vision transformer (CLIP's or a plain one) for images of any shape, patches at any stride."""

from typing import Literal

import torch
from torch import Tensor, nn

from pickout.config import Layers, Settings, Size
from pickout.nn.frozen import MultiStageTower
from pickout.nn.positions import patch_grid
from pickout.nn.tower import TowerOutput
from pickout.nn.transformer import Activation, LayerNorm, Transformer
from pickout.shapes import NO_ATTENTION, AttentionRequest, AttentionTrace, Float

VisionKind = Literal["clip", "vit", "lite0"]
"""`clip`: a norm before the layers and a projection behind them; `vit`: neither, as in ALBEF; `lite0`: trained layers
behind a frozen EfficientNet-Lite0, whose sizes are fixed."""

_EPSILON = {"clip": 1e-5, "vit": 1e-6}


class VisionSettings(Settings):
    """Sizes of the image tower. The defaults are CLIP ViT-B/16's."""

    kind: VisionKind = "clip"
    """CLIP's tower, a plain vision transformer whose tokens are not projected (ALBEF, RaSa, AGA), or layers on a
    frozen convolutional network (`pickout-small`), for which `patch`, `stride` and `activation` mean nothing."""

    patch: Size = 16
    """Side of a patch in pixels."""
    stride: Size = 16
    """Distance between patches in pixels; less than the patch makes them overlap."""
    width: Size = 768
    """Width of a token inside the tower."""
    layers: Layers = 12
    """Number of transformer layers."""
    heads: Size = 12
    """Heads of each layer; CLIP uses 64 channels a head."""
    embedding: Size = 512
    """Length of a projected token; the text tower must have the same. With kind `vit` the method projects."""
    branches: Layers = 1
    """Trained layers side by side in both towers; `lite0` only. Their embeddings stand one behind the other."""
    activation: Activation = "quick_gelu"
    """Activation of the feed-forward parts; OpenAI's weights need `quick_gelu`, ALBEF's `gelu`."""


class VisionTransformer(nn.Module):
    """Images to tokens in the joint space.

    The final norm and the projection run on all tokens, not on the class token alone, since part-level methods read
    them (IRRA, RDE, ITSELF).

    Args:
        height: image height in pixels.
        width: image width in pixels.
        patch: side of a patch in pixels.
        stride: distance between patches in pixels.
        channels: width of a token inside the tower.
        layers: number of layers.
        heads: heads of each layer.
        embedding: length of a projected token; with kind `vit` only remembered, for whoever projects.
        activation: of the feed-forward parts.
        kind: whether the layers are normed before and projected after (`clip`) or neither (`vit`).
    """

    def __init__(
        self,
        *,
        height: int,
        width: int,
        patch: int,
        stride: int,
        channels: int,
        layers: int,
        heads: int,
        embedding: int,
        activation: Activation = "quick_gelu",
        kind: VisionKind = "clip",
    ) -> None:
        super().__init__()
        self.size = (height, width)
        self.grid = patch_grid(height, width, patch, stride)
        self.embedding, self.channels, self.kind = embedding, channels, kind
        scale = channels**-0.5
        plain, epsilon = kind == "vit", _EPSILON[kind]
        self.patches = nn.Conv2d(3, channels, kernel_size=patch, stride=stride, bias=plain)
        self.class_token = nn.Parameter(scale * torch.randn(channels))
        self.positions = nn.Parameter(scale * torch.randn(1 + self.grid[0] * self.grid[1], channels))
        self.norm_in = nn.Identity() if plain else LayerNorm(channels)
        self.transformer = Transformer(channels, layers, heads, activation, epsilon=epsilon)
        self.norm_out = LayerNorm(channels, eps=epsilon)
        self.projection = nn.Identity() if plain else nn.Linear(channels, embedding, bias=False)
        if isinstance(self.projection, nn.Linear):
            nn.init.normal_(self.projection.weight, std=scale)

    @property
    def layers(self) -> int:
        """Number of transformer layers."""
        return len(self.transformer.layers)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], attention: AttentionRequest = NO_ATTENTION
    ) -> TowerOutput:
        """Encode prepared images.

        Args:
            images: normalised as the weights expect.
            attention: which rows and maps to expose.

        Returns:
            1 + rows x columns tokens an image, class token first, then patches row by row.

        Raises:
            ValueError: images of another size than the tower's, or a layer that is not there.
        """
        if tuple(images.shape[2:]) != self.size:
            raise ValueError(f"images of {tuple(images.shape[2:])} pixels, the tower is built for {self.size}")
        patches_BND = self.patches(images).flatten(2).transpose(1, 2)
        batch = images.shape[0]
        x_BND = torch.cat([self.class_token.expand(batch, 1, -1), patches_BND], dim=1) + self.positions
        query_B = torch.zeros(batch, dtype=torch.int64, device=images.device)
        stacked = self.transformer(self.norm_in(x_BND), query_B, attention)
        content_BN = torch.ones(x_BND.shape[:2], dtype=torch.bool, device=images.device)
        content_BN[:, 0] = False
        trace = AttentionTrace(stacked.rows, stacked.maps, query_B, content_BN)
        return TowerOutput(self.projection(self.norm_out(stacked.tokens)), trace)


ImageTower = VisionTransformer | MultiStageTower
"""What a method can look at images with."""


def build_vision(settings: VisionSettings, *, height: int, width: int) -> ImageTower:
    """An image tower at its starting weights for images of `height` x `width` pixels."""
    if settings.kind == "lite0":
        return MultiStageTower(
            height=height,
            width=width,
            channels=settings.width,
            layers=settings.layers,
            heads=settings.heads,
            embedding=settings.embedding,
            branches=settings.branches,
        )
    return VisionTransformer(
        height=height,
        width=width,
        patch=settings.patch,
        stride=settings.stride,
        channels=settings.width,
        layers=settings.layers,
        heads=settings.heads,
        embedding=settings.embedding,
        activation=settings.activation,
        kind=settings.kind,
    )
