"""Keep the best tokens: how many, a fixed share or one that shrinks while training goes on (ATS), and which, from one
score a token to a bank of positions (ITSELF, section 3.2, GRAB)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.shapes import Float, Int, Ints, Mask, Scores, States


def fixed_budget(tokens: int, ratio: float) -> int:
    """int(M * ratio), at least 1, of M tokens to choose from."""
    return max(1, int(tokens * ratio))


def annealed_budget(tokens: int, *, start: float, end: float, time: int, duration: int) -> int:
    """The adaptive token schedule: int(M * start * (end / start) ** (t / T)) of M tokens to choose from, where the time
    t and the duration T are optimiser steps or epochs (ITSELF, Eq. 4).

    It falls geometrically from the share `start` to `end` and stays there: from T on it is int(M * end) outright, since
    the power may end a rounding error below. Times below 1 count as 1. The count has no state of its own, so a resumed
    run goes on where it stopped."""
    if time >= duration:
        return fixed_budget(tokens, end)
    return max(1, int(tokens * start * (end / start) ** (max(time, 1) / duration)))


@dataclass(frozen=True, slots=True)
class Bank:
    """Positions of the kept tokens."""

    index: Int[Tensor, "batch kept"]  # best first; content before padding before special tokens
    length: Ints  # how many of them are content, at least 1; the rest fills the row up


@torch.no_grad()
def select_bank(scores_BN: Scores, content_BN: Mask, padding_BN: Mask, kept: int, *, largest: bool = True) -> Bank:
    """The `kept` best content tokens of each sample, best first; the lowest position wins among equals.

    A sample with fewer content tokens is filled up with padding, then with special tokens, lowest position first.
    A sample without any (a caption emptied by augmentation) has length 1, its first filler, so that pooling has
    something to pool.

    Args:
        scores_BN: one score a token.
        content_BN: True where a token is a patch or a word piece; only these compete.
        padding_BN: True where a token is padding.
        kept: tokens to keep; cut to the number of tokens.
        largest: whether large scores are good; False for the minimum rows of ITSELF's table 6."""
    kept = min(kept, scores_BN.shape[1])
    merit_BN = scores_BN.float() if largest else -scores_BN.float()
    merit_BN = merit_BN.clamp(min=torch.finfo(torch.float32).min / 2)
    # The released program scores padding 0 and special tokens -1; below any score, a word at 0 never ties with padding.
    filler_BN = torch.where(padding_BN, torch.finfo(torch.float32).min, -torch.inf)
    merit_BN = torch.where(content_BN, merit_BN, filler_BN)
    index_BK = merit_BN.sort(dim=1, descending=True, stable=True).indices[:, :kept]
    return Bank(index_BK, content_BN.sum(dim=1).clamp(min=1, max=kept))


def gather_tokens(tokens_BND: States, index_BK: Int[Tensor, "batch kept"]) -> Float[Tensor, "batch kept width"]:
    """The tokens at the kept positions, in the bank's order; gradients flow to them."""
    return tokens_BND.gather(1, index_BK[..., None].expand(-1, -1, tokens_BND.shape[-1]))
