"""Cross-attention of many texts with few images: the texts of one image ask together.

Cross-attention has no mask over its queries, so the queries of all rows that read the same image can stand side by side
in one product with the image's keys and values. Those are then neither computed nor copied again for each row. Images
are put into bands of similar row counts, and the rows of a band are padded to its largest count.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.shapes import Float, Int

SPREAD = 1.25
"""Largest row count of a band relative to its smallest."""


@dataclass(frozen=True, slots=True)
class Band:
    """Images with similar numbers of rows.

    Args:
        images: which images; None for all in order. Shape: (images,).
        rows: the rows of each image, padded by repeating one. Shape: (images * slots,).
        slots: rows of an image, padding included.
        kept: positions in `rows` that are not padding; None for all. Shape: (rows,).
    """

    images: Int[Tensor, " images"] | None
    rows: Int[Tensor, " slots"]
    slots: int
    kept: Int[Tensor, " rows"] | None


@dataclass(frozen=True, slots=True)
class Grouping:
    """All rows by the image they read.

    Args:
        bands: every row is in exactly one.
        back: where each row stands among the kept rows of all bands. Shape: (rows,).
        image: which image each row reads. Shape: (rows,).
    """

    bands: tuple[Band, ...]
    back: Int[Tensor, " rows"]
    image: Int[Tensor, " rows"]


def group_rows(image_R: Int[Tensor, " rows"], images: int) -> Grouping:
    """Group rows by image.

    Args:
        image_R: which image each row reads, from 0 to `images` - 1.
        images: how many images there are; some may have no row.
    """
    device = image_R.device
    of = image_R.cpu()
    order = of.argsort(stable=True)
    counts = torch.bincount(of, minlength=images)
    starts = counts.cumsum(0) - counts
    bands = []
    placed: list[Tensor] = []
    for members in _bands(counts):
        slots = int(counts[members].max())
        place_IS = torch.arange(slots).expand(len(members), slots)
        real_IS = place_IS < counts[members][:, None]
        rows_IS = order[starts[members][:, None] + torch.where(real_IS, place_IS, 0)]
        kept = None if bool(real_IS.all()) else real_IS.flatten().nonzero().squeeze(1)
        whole = len(members) == images and torch.equal(members, torch.arange(images))
        placed.append(rows_IS[real_IS])
        bands.append(
            Band(
                None if whole else members.to(device),
                rows_IS.flatten().to(device),
                slots,
                None if kept is None else kept.to(device),
            )
        )
    back = torch.cat(placed).argsort() if placed else of
    return Grouping(tuple(bands), back.to(device), image_R)


def _bands(counts: Int[Tensor, " images"]) -> list[Int[Tensor, " members"]]:
    """Images with rows, in bands whose counts differ by no more than `SPREAD`; ascending numbers in each."""
    bands: list[list[int]] = []
    smallest = 0
    for image in counts.argsort(stable=True).tolist():
        count = int(counts[image])
        if count == 0:
            continue
        if not bands or count > smallest * SPREAD:
            bands.append([])
            smallest = count
        bands[-1].append(image)
    return [torch.tensor(sorted(band)) for band in bands]


def attend_in_groups(
    q_RHTd: Float[Tensor, "rows heads tokens depth"],
    k_IHNd: Float[Tensor, "images heads image_tokens depth"],
    v_IHNd: Float[Tensor, "images heads image_tokens depth"],
    grouping: Grouping | None,
    *,
    dropout: float = 0.0,
) -> Float[Tensor, "rows heads tokens depth"]:
    """Soft-max attention of each row's queries over its image's tokens.

    Args:
        q_RHTd: queries.
        k_IHNd: keys, once an image.
        v_IHNd: values, once an image.
        grouping: which image each row reads; None: row r reads image r.
        dropout: probability that an attention weight is dropped.
    """
    if grouping is None:
        return F.scaled_dot_product_attention(q_RHTd, k_IHNd, v_IHNd, dropout_p=dropout)
    _, heads, tokens, depth = q_RHTd.shape
    parts = []
    for band in grouping.bands:
        keys = k_IHNd if band.images is None else k_IHNd.index_select(0, band.images)
        values = v_IHNd if band.images is None else v_IHNd.index_select(0, band.images)
        images, slots = len(keys), band.slots
        asked = q_RHTd.index_select(0, band.rows).view(images, slots, heads, tokens, depth).transpose(1, 2)
        side_by_side = asked.reshape(images, heads, slots * tokens, depth)
        mixed = F.scaled_dot_product_attention(side_by_side, keys, values, dropout_p=dropout)
        rows = mixed.view(images, heads, slots, tokens, depth).transpose(1, 2).reshape(-1, heads, tokens, depth)
        parts.append(rows if band.kept is None else rows.index_select(0, band.kept))
    return torch.cat(parts).index_select(0, grouping.back)
