"""Which row of an attention map speaks for a sample: the class (end-of-text) token's, or the mean over its content.

A row is written as a start vector times the map, so that a roll-out can carry the vector through its layers and never
needs the product of whole maps.
"""

import torch
from torch import Tensor

from pickout.shapes import Bool, Float, Int


def point_at(query_B: Int[Tensor, " batch"], tokens: int) -> Float[Tensor, "batch tokens"]:
    """The start vector of the class or end-of-text row: one at the query token, zero elsewhere.

    Args:
        query_B: position of the query token of each sample.
        tokens: tokens of a sample.
    """
    place_N = torch.arange(tokens, device=query_B.device)
    return (place_N == query_B[:, None]).float()


def average_over(content_BN: Bool[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens"]:
    """The start vector of the mean row of a sample's content; zero where a sample has no content.

    Args:
        content_BN: True where a token is a patch or a word piece.
    """
    counts_B1 = content_BN.sum(dim=1, keepdim=True).clamp(min=1)
    return content_BN.float() / counts_B1


@torch.no_grad()
def read_row(
    map_BNN: Float[Tensor, "batch tokens tokens"], start_BN: Float[Tensor, "batch tokens"]
) -> Float[Tensor, "batch tokens"]:
    """`start` times the map, in float32: where the starting tokens look.

    Args:
        map_BNN: attention, rows are queries.
        start_BN: from `point_at` or `average_over`.
    """
    with torch.autocast(map_BNN.device.type, enabled=False):
        return torch.einsum("bn,bnm->bm", start_BN.float(), map_BNN.float())
