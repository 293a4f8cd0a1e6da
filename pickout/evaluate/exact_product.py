"""Inner products that are the same on every machine, however the work is cut.

A float32 matrix product depends in its last bits on the shape of the block, the number of threads and the library, so
two runs may order two nearly equal images differently. Here each embedding is first rounded to a grid of 2^-26
(relative to the longest vector): products are then whole multiples of 2^-52, all partial sums stay below 2^53 of these
units (by Cauchy-Schwarz), and a float64 matrix product makes no rounding error at all, in whatever order it adds. The
exact sum is rounded once to float32. The grid moves a score of unit vectors by about 1e-8, less than the rounding
errors of an ordinary float32 product.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pickout.shapes import Float

GRID_BITS = 26
"""Coordinates are rounded to 2^-GRID_BITS of the longest vector: two such factors fill float64's 53 bits."""

_GALLERY_BLOCK = 4096


class ExactProduct:
    """Inner products of all queries with all gallery vectors, some rows at a time.

    Raises:
        ValueError: the two have different dimensions, or a number is not finite.
    """

    def __init__(
        self, queries: Float[Tensor, "queries dimension"], gallery: Float[Tensor, "gallery dimension"]
    ) -> None:
        if queries.shape[1] != gallery.shape[1]:
            raise ValueError(f"queries have {queries.shape[1]} numbers each, the gallery {gallery.shape[1]}")
        self._queries, self._gallery = queries, gallery
        self._query_exponent, self._gallery_exponent = _exponent(queries), _exponent(gallery)

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows gallery"]:
        """Exact inner products of queries `start` to `stop` with the whole gallery, float64."""
        product = torch.empty(stop - start, len(self._gallery), dtype=torch.float64)
        rows = _on_grid(self._queries[start:stop], self._query_exponent)
        for left in range(0, len(self._gallery), _GALLERY_BLOCK):
            block = _on_grid(self._gallery[left : left + _GALLERY_BLOCK], self._gallery_exponent)
            torch.mm(rows, block.T, out=product[:, left : left + _GALLERY_BLOCK])
        return product.mul_(2.0 ** (self._query_exponent + self._gallery_exponent - 2 * GRID_BITS))


def mix(products: Sequence[Float[Tensor, "rows gallery"]], weights: Sequence[float]) -> Float[Tensor, "rows gallery"]:
    """The weighted sum of exact float64 products, rounded once to float32 (ITSELF, Eq. 8, with two)."""
    if len(products) == 1 and weights[0] == 1.0:
        return products[0].float()
    total = products[0] * weights[0]
    for product, weight in zip(products[1:], weights[1:], strict=True):
        # Multiplied and added apart: a fused multiply-add may be used for some elements of a block and not for others.
        total += product * weight
    return total.float()


def _exponent(vectors: Tensor) -> int:
    """The least e with every vector's length at most about 2^e; the tolerance keeps unit vectors at 0."""
    blocks = torch.split(vectors, _GALLERY_BLOCK) if len(vectors) else ()
    longest = max((float(block.double().norm(dim=1).max()) for block in blocks), default=0.0)
    if not math.isfinite(longest):
        raise ValueError("an embedding holds a number that is not finite")
    return math.frexp(longest * 0.999)[1]


def _on_grid(vectors: Tensor, exponent: int) -> Tensor:
    return vectors.to(torch.float64, copy=True).mul_(2.0 ** (GRID_BITS - exponent)).round_()
