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
    """What one attention layer gives.

    Args:
        tokens: the mixed tokens. Shape: (batch, tokens, width).
        row: where the query token looked, heads averaged, float32, no gradient; None unless asked for.
            Shape: (batch, tokens).
        map: where every token looked, as `row`. Shape: (batch, tokens, tokens).
    """

    tokens: Float[Tensor, "batch tokens width"]
    row: Float[Tensor, "batch tokens"] | None
    map: Float[Tensor, "batch tokens tokens"] | None


def split_heads(
    x_BTW: Float[Tensor, "batch tokens width"], parts: int, heads: int
) -> tuple[Float[Tensor, "batch heads tokens depth"], ...]:
    """Projections that stand side by side, each cut into heads; views that going back cost one copy together.

    Args:
        x_BTW: `parts` times heads times depth channels a token.
        parts: how many projections.
        heads: heads of each.
    """
    return tuple(part.reshape(*part.shape[:2], heads, -1).transpose(1, 2) for part in x_BTW.chunk(parts, dim=-1))


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Args:
        width: token width.
        heads: number of heads; must divide `width`.
        causal: whether a token sees only itself and earlier ones.
    """

    def __init__(self, width: int, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be split into {heads} heads")
        self.heads = heads
        self.causal = causal
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(
        self,
        x_BND: Float[Tensor, "batch tokens width"],
        query_B: Int[Tensor, " batch"],
        *,
        row: bool = False,
        map: bool = False,
    ) -> Attended:
        """Mix the tokens.

        Args:
            x_BND: normalised tokens.
            query_B: position of the token whose row may be read.
            row: whether to compute the row of `query_B`.
            map: whether to compute the whole map.
        """
        q_BHNd, k_BHNd, v_BHNd = split_heads(self.project_in(x_BND), 3, self.heads)
        mixed_BHNd = F.scaled_dot_product_attention(q_BHNd, k_BHNd, v_BHNd, is_causal=self.causal)
        return Attended(
            self.project_out(mixed_BHNd.transpose(1, 2).flatten(2)),
            attention_row(q_BHNd, k_BHNd, query_B, causal=self.causal) if row else None,
            attention_map(q_BHNd, k_BHNd, causal=self.causal) if map else None,
        )


@torch.no_grad()
def attention_row(
    q_BHNd: Float[Tensor, "batch heads queries depth"],
    k_BHNd: Float[Tensor, "batch heads tokens depth"],
    query_B: Int[Tensor, " batch"],
    *,
    causal: bool,
    mask_BN: Bool[Tensor, "batch tokens"] | None = None,
) -> Float[Tensor, "batch tokens"]:
    """The soft-max attention of one token a sample, averaged over heads: softmax(q K^T / sqrt(d)).

    Args:
        q_BHNd: queries, of as many tokens as keys where `causal`.
        k_BHNd: keys of all tokens.
        query_B: position of the token whose row is wanted.
        causal: whether keys after `query_B` are hidden.
        mask_BN: True for keys that may be seen; None for all.

    Returns:
        Float32, detached; each row sums to 1.
    """
    batch, _, tokens, depth = k_BHNd.shape
    with torch.autocast(q_BHNd.device.type, enabled=False):
        chosen_BHd = q_BHNd[torch.arange(batch, device=q_BHNd.device), :, query_B].float()
        scores_BHN = torch.einsum("bhd,bhnd->bhn", chosen_BHd, k_BHNd.float()) * depth**-0.5
        if causal:
            hidden_BN = torch.arange(tokens, device=query_B.device) > query_B[:, None]
            scores_BHN = scores_BHN.masked_fill(hidden_BN[:, None], float("-inf"))
        if mask_BN is not None:
            scores_BHN = scores_BHN.masked_fill(~mask_BN[:, None], float("-inf"))
        row_BN: Tensor = scores_BHN.softmax(dim=-1).mean(dim=1)
    return row_BN


@torch.no_grad()
def attention_map(
    q_BHNd: Float[Tensor, "batch heads queries depth"],
    k_BHNd: Float[Tensor, "batch heads tokens depth"],
    *,
    causal: bool,
    mask_BN: Bool[Tensor, "batch tokens"] | None = None,
) -> Float[Tensor, "batch queries tokens"]:
    """The soft-max attention of every token, averaged over heads.

    Head by head, so that the peak is two maps a sample instead of one for each head.

    Args:
        q_BHNd: queries, of as many tokens as keys where `causal`.
        k_BHNd: keys.
        causal: whether a token's later keys are hidden; the map is then lower-triangular.
        mask_BN: True for keys that may be seen; None for all.

    Returns:
        Float32, detached; rows are queries and sum to 1.
    """
    batch, heads, queries, depth = q_BHNd.shape
    tokens = k_BHNd.shape[2]
    total_BNN = q_BHNd.new_zeros((batch, queries, tokens), dtype=torch.float32)
    hidden_NN = torch.ones(queries, tokens, dtype=torch.bool, device=q_BHNd.device).triu(1)
    with torch.autocast(q_BHNd.device.type, enabled=False):
        for q_BNd, k_BNd in zip(q_BHNd.unbind(1), k_BHNd.unbind(1), strict=True):
            scores_BNN = q_BNd.float() @ k_BNd.float().transpose(1, 2) * depth**-0.5
            if causal:
                scores_BNN = scores_BNN.masked_fill(hidden_NN, float("-inf"))
            if mask_BN is not None:
                scores_BNN = scores_BNN.masked_fill(~mask_BN[:, None], float("-inf"))
            total_BNN += scores_BNN.softmax(dim=-1)
    return total_BNN / heads
