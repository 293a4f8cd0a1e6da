"""Self-attention with the fused kernel, and the attention weights that readers ask for, computed apart.

The main path never sees a weight: `scaled_dot_product_attention` keeps them inside its kernel. A reader that wants to
know where the class token looked gets softmax(q_cls K^T / sqrt(d)), one row of N numbers a sample, from the same
queries and keys; a whole map is computed only for the layers that roll-out needs. Neither carries a gradient.

Cross-attention has no mask over its queries, so the queries of all rows that read the same image can stand side by side
in one product with the image's keys and values. Those are then neither computed nor copied again for each row. Images
are put into bands of similar row counts, and the rows of a band are padded to its largest count."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pickout.shapes import Bool, Float, Int, Ints, Mask, Scores, States

Queries = Float[Tensor, "batch heads queries depth"]
Heads = Float[Tensor, "batch heads tokens depth"]  # queries, keys or values of all tokens
Keys = Float[Tensor, "images heads image_tokens depth"]  # keys or values of images


class Attended(NamedTuple):
    """What one attention layer gives; row and map have heads averaged, float32, no gradient, before dropout."""

    tokens: Float[Tensor, "batch queries width"]  # the mixed tokens
    row: Scores | None  # where the query token looked; None unless asked for
    map: Float[Tensor, "batch mapped tokens"] | None  # where every token looked; None unless asked for


def recomputed(linear: nn.Linear, before: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`linear(before(x))`. In training only x is kept for the way back: `before`, a norm or an activation, costs little
    and is computed again there; the product is not."""
    if not (linear.training and torch.is_grad_enabled()):
        return cast(Tensor, linear(before(x)))
    return cast(Tensor, checkpoint(lambda x: linear(before(x)), x, use_reentrant=False, preserve_rng_state=False))


def mix(q: Tensor, k: Tensor, v: Tensor, dropout: float, **how: Any) -> Tensor:
    """`scaled_dot_product_attention`. With dropout a CPU has no kernel that forgets the probabilities; they are then
    computed again on the way back, with the same draws, instead of kept."""
    attend: Callable[..., Tensor] = partial(F.scaled_dot_product_attention, dropout_p=dropout, **how)
    if dropout == 0 or q.device.type != "cpu" or not torch.is_grad_enabled():
        return attend(q, k, v)
    return cast(Tensor, checkpoint(attend, q, k, v, use_reentrant=False))


def split_heads(x_BTW: States, parts: int, heads: int) -> tuple[Heads, ...]:
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
        x_BND: States,
        query_B: Ints | None = None,
        *,
        mask_BN: Mask | None = None,
        queries: int | None = None,
        row: bool = False,
        map: bool = False,
        norm: nn.Module | None = None,
    ) -> Attended:
        """Mix tokens, of which the first `queries` are wanted (None: all); `norm`, if given, comes first.
        `mask_BN` is True where a token is not padding (None where none is; not with `causal`). `row` and `map` ask for
        the row of the token at `query_B` (None: the first) and for the whole map."""
        projected = self.project_in(x_BND) if norm is None else recomputed(self.project_in, norm, x_BND)
        q_BHNd, k_BHNd, v_BHNd = split_heads(projected, 3, self.heads)
        dropout, seen = self.dropout if self.training else 0.0, None if mask_BN is None else mask_BN[:, None, None]
        mixed_BHNd = mix(q_BHNd[:, :, :queries], k_BHNd, v_BHNd, dropout, attn_mask=seen, is_causal=self.causal)
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
    q_BHNd: Queries, k_BHNd: Heads, query_B: Ints | None = None, seen_BN: Bool[Tensor, "seers tokens"] | None = None
) -> Scores:
    """The soft-max attention of one token a sample, averaged over heads: softmax(q K^T / sqrt(d)). `query_B` is the
    position of the token (None: the first), and `seen_BN` is True for keys that may be seen, for each sample or for all
    (None: all keys). Float32, detached; each row sums to 1."""
    q_BHd = q_BHNd[:, :, 0] if query_B is None else q_BHNd[torch.arange(len(q_BHNd), device=q_BHNd.device), :, query_B]
    seen = None if seen_BN is None else seen_BN[:, None, None]
    return _weights(q_BHd[:, :, None], k_BHNd, seen).mean(dim=1).squeeze(1)


@torch.no_grad()
def attention_map(
    q_BHNd: Queries, k_BHNd: Heads, seen_BNN: Bool[Tensor, "seers seeing tokens"] | None = None
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


WIDEST = 1.25  # largest row count of a band relative to its smallest
COPY = 25  # queries that take as long as copying an image's keys and values into a band, about (a CPU core)


class ImageMemory(NamedTuple):
    """Keys and values of images for every layer that looks at them."""

    keys: tuple[Keys, ...]
    values: tuple[Keys, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """Images with similar numbers of rows."""

    images: Int[Tensor, " images"] | None  # which images; None for all in order
    count: int  # how many images
    slots: int  # rows of an image, padding included


class Grouping(NamedTuple):
    """All rows by the image they read."""

    bands: tuple[Band, ...]  # every row is in exactly one
    order: Int[Tensor, " slots"]  # the rows in the order of bands and images, each image's padded by repeating one
    back: Int[Tensor, " rows"]  # where each row stands in `order`
    image: Int[Tensor, " rows"]  # which image each row reads


def group_rows(image_R: Int[Tensor, " rows"], images: int, tokens: int = 1) -> Grouping:
    """Group rows by the image that each reads, from 0 to `images` - 1; some may have no row. The more tokens of a row
    ask, the sooner are images cut into bands instead of padding rows."""
    of = image_R.cpu()
    by_image, counts = of.argsort(stable=True), torch.bincount(of, minlength=images)
    starts = counts.cumsum(0) - counts
    bands, orders, back, filled = list[Band](), list[Tensor](), torch.empty_like(of), 0
    for members in _bands(counts, tokens):
        slots = int(counts[members].max())
        place_IS = torch.arange(slots).expand(len(members), slots)
        real_IS = place_IS < counts[members][:, None]
        rows_IS = by_image[(starts[members][:, None] + torch.where(real_IS, place_IS, 0)).clamp(max=len(of) - 1)]
        back[rows_IS[real_IS]] = filled + real_IS.flatten().nonzero().squeeze(1)
        bands.append(Band(None if len(members) == images else members.to(image_R.device), len(members), slots))
        orders.append(rows_IS.flatten())
        filled += rows_IS.numel()
    order = torch.cat(orders) if orders else of
    return Grouping(tuple(bands), order.to(image_R.device), back.to(image_R.device), image_R)


def _bands(counts: Int[Tensor, " images"], tokens: int) -> list[Int[Tensor, " members"]]:
    """Images in bands, ascending numbers in each: one of all where padding costs less than copying the keys; else
    images with rows, in bands whose counts differ by no more than `WIDEST`."""
    if len(counts) == 0 or int(counts.max()) == 0:
        return []
    if int((counts.max() - counts).sum()) * tokens <= COPY * len(counts):
        return [torch.arange(len(counts))]
    bands: list[list[int]] = []
    smallest, order = 0, counts.argsort(stable=True)
    for image, count in zip(order.tolist(), counts[order].tolist(), strict=True):
        if count and count > smallest * WIDEST:
            bands.append([])
            smallest = count
        if count:
            bands[-1].append(image)
    return [torch.tensor(sorted(band)) for band in bands]


def attend_in_groups(
    q_RTHd: Float[Tensor, "rows tokens heads depth"],
    k_IHNd: Keys,
    v_IHNd: Keys,
    grouping: Grouping | None,
    *,
    dropout: float = 0.0,
) -> Float[Tensor, "rows tokens heads depth"]:
    """Soft-max attention of each row's queries over its image's tokens; without `grouping` row r reads image r."""
    if grouping is None:
        return mix(q_RTHd.transpose(1, 2), k_IHNd, v_IHNd, dropout).transpose(1, 2)
    inner = q_RTHd.shape[1:]
    asked = torch.split(q_RTHd.index_select(0, grouping.order), [band.count * band.slots for band in grouping.bands])
    parts = []
    for band, rows in zip(grouping.bands, asked, strict=True):
        keys, values = (x if band.images is None else x.index_select(0, band.images) for x in (k_IHNd, v_IHNd))
        side_by_side = rows.reshape(band.count, -1, *inner[1:]).transpose(1, 2)
        parts.append(mix(side_by_side, keys, values, dropout).transpose(1, 2).reshape(-1, *inner))
    return (torch.cat(parts) if len(parts) > 1 else parts[0]).index_select(0, grouping.back)
