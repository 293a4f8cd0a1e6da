"""Layers of BERT: post-norm self-attention, cross-attention to remembered images, feed-forward (ALBEF's form).

Projections that read the same tokens are one matrix product: queries, keys and values of self-attention, keys and
values of cross-attention."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.nn import attention
from pickout.nn.attention import Attended, Grouping, Keys, SelfAttention, attend_in_groups, recomputed, split_heads
from pickout.nn.transformer import LayerNorm
from pickout.shapes import Float, Ids, Mask, States

EPSILON = 1e-12  # of BERT's layer normalisation
DEVIATION, WIDTH = 0.02, 768  # standard deviation of BERT's starting weights, and its width


class Embeddings(nn.Module):
    """Ids to tokens: word, place and type embeddings, normalised. The embedding of the id `padding` is not trained;
    `positions` is the longest caption in tokens, `dropout` of channels in training."""

    def __init__(self, vocabulary_size: int, positions: int, width: int, padding: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary_size, width, padding_idx=padding)
        self.positions = nn.Embedding(positions, width)
        self.types = nn.Embedding(2, width)
        self.norm = LayerNorm(width, eps=EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids_BT: Ids) -> States:
        """Embed ids; the type is 0 throughout (ALBEF)."""
        x_BTD = self.words(ids_BT) + self.positions.weight[: ids_BT.shape[1]] + self.types.weight[0]
        return cast(Tensor, self.dropout(self.norm(x_BTD)))


class BertSelfAttention(SelfAttention):
    """Self-attention over the tokens that are not padding, with dropout of the output too, residual and norm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__(width, heads, dropout=dropout)
        self.norm = LayerNorm(width, eps=EPSILON)

    def forward(  # type: ignore[override]
        self, x_BTD: States, mask_BT: Mask | None, *, queries: int | None = None, row: bool = False, map: bool = False
    ) -> Attended:
        """Mix the tokens; arguments as in `SelfAttention`, and the row is that of the class token, the first."""
        mixed = super().forward(x_BTD, mask_BN=mask_BT, queries=queries, row=row, map=map)
        out_BTD = F.dropout(mixed.tokens, self.dropout, self.training)
        return mixed._replace(tokens=self.norm(out_BTD + x_BTD[:, :queries]))


class CrossAttention(nn.Module):
    """Text tokens look at remembered image tokens (`memory_width`), with their own residual and norm; heads must divide
    the width, and dropout is of attention probabilities and of the output, in training."""

    def __init__(self, width: int, memory_width: int, heads: int, dropout: float) -> None:
        super().__init__()
        attention.check_heads(width, heads)
        self.heads, self.dropout = heads, dropout
        self.project_query = nn.Linear(width, width)
        self.project_memory = nn.Linear(memory_width, 2 * width)
        self.project_out = nn.Linear(width, width)
        self.norm = LayerNorm(width, eps=EPSILON)

    def remember(self, tokens_IND: Float[Tensor, "images image_tokens width"]) -> tuple[Keys, Keys]:
        """Keys and values of images."""
        keys, values = split_heads(self.project_memory(tokens_IND), 2, self.heads)
        return keys, values

    def forward(
        self,
        x_RTD: States,
        k_IHNd: Keys,
        v_IHNd: Keys,
        grouping: Grouping | None,
        *,
        row: bool = False,
        map: bool = False,
    ) -> Attended:
        """Mix image tokens, from `remember`, into text tokens; without `grouping` row r reads image r. Reading where
        the class token (`row`) or every token (`map`) looked copies the keys for each row."""
        q_RTHd = self.project_query(x_RTD).unflatten(-1, (self.heads, -1))
        mixed_RTHd = attend_in_groups(q_RTHd, k_IHNd, v_IHNd, grouping, dropout=self.dropout if self.training else 0.0)
        out_RTD = self.project_out(mixed_RTHd.flatten(2))
        mixed_RTD = self.norm(F.dropout(out_RTD, self.dropout, self.training) + x_RTD)
        if not (row or map):
            return Attended(mixed_RTD, None, None)
        q_RHTd, k_RHNd = q_RTHd.transpose(1, 2), k_IHNd if grouping is None else k_IHNd[grouping.image]
        seen = attention.attention_map(q_RHTd, k_RHNd) if map else None
        return Attended(mixed_RTD, attention.attention_row(q_RHTd, k_RHNd) if row else None, seen)


class BertFeedForward(nn.Module):
    """Widen to `hidden`, exact GELU, narrow, with dropout in training, residual and norm."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)
        self.norm = LayerNorm(width, eps=EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*axes width"]) -> Float[Tensor, "*axes width"]:
        """Change each token by itself."""
        return cast(Tensor, self.norm(self.dropout(recomputed(self.narrow, F.gelu, self.widen(x))) + x))


class TextLayer(nn.Module):
    """Self-attention and feed-forward; arguments as in `BertSelfAttention` and `BertFeedForward`."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = BertSelfAttention(width, heads, dropout)
        self.feed_forward = BertFeedForward(width, hidden, dropout)

    def forward(self, x_BTD: States, mask_BT: Mask | None, **read: bool) -> Attended:
        """Run the layer; arguments as in `BertSelfAttention`."""
        mixed_BTD, row, map_ = self.attention(x_BTD, mask_BT, **read)
        return Attended(self.feed_forward(mixed_BTD), row, map_)


class FusionLayer(nn.Module):
    """Self-attention, cross-attention to images, feed-forward; arguments as in `TextLayer` and `CrossAttention`."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, memory_width: int) -> None:
        super().__init__()
        self.attention = BertSelfAttention(width, heads, dropout)
        self.cross = CrossAttention(width, memory_width, heads, dropout)
        self.feed_forward = BertFeedForward(width, hidden, dropout)

    def forward(
        self,
        x_RTD: States,
        mask_RT: Mask | None,
        k_IHNd: Keys,
        v_IHNd: Keys,
        grouping: Grouping | None,
        *,
        queries: int | None = None,
        **read: bool,
    ) -> Attended:
        """Mix text tokens, of which the first `queries` are wanted, then image tokens into them; as `CrossAttention`.
        The mask is True where a text token is not padding."""
        mixed_RTD = self.attention(x_RTD, mask_RT, queries=queries).tokens
        mixed_RTD, row, map_ = self.cross(mixed_RTD, k_IHNd, v_IHNd, grouping, **read)
        return Attended(self.feed_forward(mixed_RTD), row, map_)


def start_as_bert(module: nn.Module, width: int = WIDTH) -> None:
    """BERT's starting weights: normal with deviation 0.02, biases zero, norms neutral, no embedding of padding. Modules
    whose tokens have a smaller `width` start with a larger one, so that a product with a normed token is as large as in
    BERT: with 0.02 at 128 what a caption sees of an image drowns in its own residual, and matching learns nothing."""
    # Differs from the paper: BERT's deviation was chosen for one width; at that width nothing differs.
    deviation = DEVIATION * (WIDTH / width) ** 0.5
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=deviation)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
        if isinstance(part, nn.Embedding) and part.padding_idx is not None:
            with torch.no_grad():
                part.weight[part.padding_idx].zero_()
