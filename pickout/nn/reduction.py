"""From wide tokens to few channels that are nearly white, by statistics of the training data."""

import torch
from torch import Tensor, nn

from pickout.shapes import Float

ROOT = 0.25
"""Each kept direction is divided by its variance to this power: between plain projection (0) and whitening (0.5)."""
FLOOR = 0.02
"""Added to the variances, as a share of the largest."""
LARGEST = 6.0
"""Standardised values are cut here, so that no single channel of an unusual picture takes over."""


class Reduction(nn.Module):
    """Standardise each channel, cut outliers, and project to the directions that vary most.

    It is set once from data and then stays; `pickout adapt` moves its mean and scale.

    Args:
        width: channels of a token.
        kept: channels that remain.
    """

    mean: Tensor
    scale: Tensor
    basis: Tensor
    offset: Tensor

    def __init__(self, width: int, kept: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("offset", torch.zeros(width))
        self.register_buffer("basis", torch.eye(width)[:, :kept].clone())

    def forward(self, x: Float[Tensor, "*axes width"]) -> Float[Tensor, "*axes kept"]:
        """Reduce tokens, in float32."""
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = (self._standard(x.float()) - self.offset) @ self.basis
            return out

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
