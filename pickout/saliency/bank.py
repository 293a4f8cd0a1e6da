"""Keep the best tokens: from one score a token to a bank of positions (ITSELF, section 3.2, GRAB)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.shapes import Bool, Float, Int


@dataclass(frozen=True, slots=True)
class Bank:
    """Positions of the kept tokens.

    Args:
        index: best first; content before padding before special tokens. Shape: (batch, kept).
        length: how many of them are content, at least 1; the rest fills the row up. Shape: (batch,).
    """

    index: Int[Tensor, "batch kept"]
    length: Int[Tensor, " batch"]

    @property
    def filled(self) -> Bool[Tensor, "batch kept"]:
        """True at the first `length` places of each row."""
        place_K = torch.arange(self.index.shape[1], device=self.index.device)
        return place_K < self.length[:, None]


@torch.no_grad()
def select_bank(
    scores_BN: Float[Tensor, "batch tokens"],
    content_BN: Bool[Tensor, "batch tokens"],
    padding_BN: Bool[Tensor, "batch tokens"],
    kept: int,
    *,
    largest: bool = True,
) -> Bank:
    """The `kept` best content tokens of each sample, best first; the lowest position wins among equals.

    A sample with fewer content tokens is filled up with padding, then with special tokens, lowest position first.
    A sample without any (a caption emptied by augmentation) has length 1, its first filler, so that pooling has
    something to pool.

    Args:
        scores_BN: one score a token.
        content_BN: True where a token is a patch or a word piece; only these compete.
        padding_BN: True where a token is padding.
        kept: tokens to keep; cut to the number of tokens.
        largest: whether large scores are good; False for the minimum rows of ITSELF's table 6.
    """
    kept = min(kept, scores_BN.shape[1])
    merit_BN = scores_BN.float() if largest else -scores_BN.float()
    merit_BN = merit_BN.clamp(min=torch.finfo(torch.float32).min / 2)
    # The released program scores padding 0 and special tokens -1; below any score, a word at 0 never ties with padding.
    filler_BN = torch.where(padding_BN, torch.finfo(torch.float32).min, -torch.inf)
    merit_BN = torch.where(content_BN, merit_BN, filler_BN)
    index_BK = merit_BN.sort(dim=1, descending=True, stable=True).indices[:, :kept]
    length_B = content_BN.sum(dim=1).clamp(min=1, max=kept)
    return Bank(index_BK, length_B)


def gather_tokens(
    tokens_BND: Float[Tensor, "batch tokens width"], index_BK: Int[Tensor, "batch kept"]
) -> Float[Tensor, "batch kept width"]:
    """The tokens at the kept positions, in the bank's order; gradients flow to them.

    Args:
        tokens_BND: all tokens.
        index_BK: positions, as in `Bank.index`.
    """
    return tokens_BND.gather(1, index_BK[..., None].expand(-1, -1, tokens_BND.shape[-1]))
