"""Self-attention with the fused kernel, and the attention weights that readers ask for, computed apart.

The main path never sees a weight: `scaled_dot_product_attention` keeps them inside its kernel. A reader that wants to
know where the class token looked gets softmax(q_cls K^T / sqrt(d)), one row of N numbers a sample, from the same
queries and keys; a whole map is computed only for the layers that roll-out needs. Neither carries a gradient.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.shapes import Bool, Float, Int


class Attended(NamedTuple):
    """What one attention layer gives; row and map have heads averaged, float32, no gradient, before dropout."""

    tokens: Float[Tensor, "batch queries width"]  # the mixed tokens
    row: Float[Tensor, "batch tokens"] | None  # where the query token looked; None unless asked for
    map: Float[Tensor, "batch mapped tokens"] | None  # where every token looked; None unless asked for


def split_heads(
    x_BTW: Float[Tensor, "batch tokens width"], parts: int, heads: int
) -> tuple[Float[Tensor, "batch heads tokens depth"], ...]:
    """Projections that stand side by side, each cut into heads; going back, the views cost one copy together."""
    return tuple(part.reshape(*part.shape[:2], heads, -1).transpose(1, 2) for part in x_BTW.chunk(parts, dim=-1))


def check_heads(width: int, heads: int) -> None:
    """Raise `ValueError` where heads do not divide the width."""
    if width % heads:
        raise ValueError(f"width {width} cannot be split into {heads} heads")


class SelfAttention(nn.Module):
    """Multi-head self-attention; heads must divide the width. Where `causal`, a token sees only itself and earlier
    ones; `dropout` is of attention probabilities in training."""

    def __init__(self, width: int, heads: int, *, causal: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads, self.causal, self.dropout = heads, causal, dropout
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(
        self,
        x_BND: Float[Tensor, "batch tokens width"],
        query_B: Int[Tensor, " batch"] | None = None,
        *,
        mask_BN: Bool[Tensor, "batch tokens"] | None = None,
        queries: int | None = None,
        row: bool = False,
        map: bool = False,
    ) -> Attended:
        """Mix normalised tokens, of which the first `queries` are wanted (None: all).

        `mask_BN` is True where a token is not padding (None where none is; not with `causal`). `row` and `map` ask for
        the row of the token at `query_B` (None: the first) and for the whole map."""
        q_BHNd, k_BHNd, v_BHNd = split_heads(self.project_in(x_BND), 3, self.heads)
        mixed_BHNd = F.scaled_dot_product_attention(
            q_BHNd[:, :, :queries],
            k_BHNd,
            v_BHNd,
            attn_mask=None if mask_BN is None else mask_BN[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal,
        )
        seen_BN, seen_BNN = mask_BN, None if mask_BN is None else mask_BN[:, None]
        if self.causal and (row or map):
            place_N = torch.arange(x_BND.shape[1], device=x_BND.device)
            seen_BN = place_N <= (torch.zeros_like(place_N[:1]) if query_B is None else query_B)[:, None]
            seen_BNN = (place_N <= place_N[:, None])[None]
        return Attended(
            self.project_out(mixed_BHNd.transpose(1, 2).flatten(2)),
            attention_row(q_BHNd, k_BHNd, query_B, seen_BN) if row else None,
            attention_map(q_BHNd, k_BHNd, seen_BNN) if map else None,
        )


@torch.no_grad()
def attention_row(
    q_BHNd: Float[Tensor, "batch heads queries depth"],
    k_BHNd: Float[Tensor, "batch heads tokens depth"],
    query_B: Int[Tensor, " batch"] | None = None,
    seen_BN: Bool[Tensor, "seers tokens"] | None = None,
) -> Float[Tensor, "batch tokens"]:
    """The soft-max attention of one token a sample, averaged over heads: softmax(q K^T / sqrt(d)).

    `query_B` is the position of the token (None: the first), and `seen_BN` is True for keys that may be seen, for each
    sample or for all (None: all keys). Float32, detached; each row sums to 1."""
    first = query_B is None
    q_BHd = q_BHNd[:, :, 0] if first else q_BHNd[torch.arange(len(q_BHNd), device=q_BHNd.device), :, query_B]
    seen = None if seen_BN is None else seen_BN[:, None, None]
    return _weights(q_BHd[:, :, None], k_BHNd, seen).mean(dim=1).squeeze(1)


@torch.no_grad()
def attention_map(
    q_BHNd: Float[Tensor, "batch heads queries depth"],
    k_BHNd: Float[Tensor, "batch heads tokens depth"],
    seen_BNN: Bool[Tensor, "seers seeing tokens"] | None = None,
) -> Float[Tensor, "batch queries tokens"]:
    """The soft-max attention of every token, averaged over heads; float32, detached, rows are queries and sum to 1.

    Head by head, so that the peak is two maps a sample instead of one for each head. `seen_BNN` is True for keys that a
    query may see, each axis for all or for each; None for all keys."""
    heads = list(zip(q_BHNd.unbind(1), k_BHNd.unbind(1), strict=True))
    total_BNN = _weights(*heads[0], seen_BNN)
    for q_BNd, k_BNd in heads[1:]:
        total_BNN += _weights(q_BNd, k_BNd, seen_BNN)
    return total_BNN / len(heads)


def _weights(q: Tensor, k: Tensor, seen: Tensor | None) -> Tensor:
    with torch.autocast(q.device.type, enabled=False):
        scores = q.float() @ k.float().transpose(-1, -2) * q.shape[-1] ** -0.5
        weights: Tensor = (scores if seen is None else scores.masked_fill(~seen, -torch.inf)).softmax(dim=-1)
        return weights
