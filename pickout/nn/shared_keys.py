"""Cross-attention of many texts with few images: the texts of one image ask together.

Cross-attention has no mask over its queries, so the queries of all rows that read the same image can stand side by side
in one product with the image's keys and values. Those are then neither computed nor copied again for each row. Images
are put into bands of similar row counts, and the rows of a band are padded to its largest count.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.shapes import Float, Int

WIDEST = 1.25  # largest row count of a band relative to its smallest
COPY = 25
"""Copying an image's keys and values into a band takes about as long as asking them so many queries (a CPU core)."""


class ImageMemory(NamedTuple):
    """Keys and values of images for every layer that looks at them."""

    keys: tuple[Float[Tensor, "images heads tokens depth"], ...]
    values: tuple[Float[Tensor, "images heads tokens depth"], ...]

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.keys[0])


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
    k_IHNd: Float[Tensor, "images heads image_tokens depth"],
    v_IHNd: Float[Tensor, "images heads image_tokens depth"],
    grouping: Grouping | None,
    *,
    dropout: float = 0.0,
) -> Float[Tensor, "rows tokens heads depth"]:
    """Soft-max attention of each row's queries over its image's tokens; without `grouping` row r reads image r."""
    if grouping is None:
        return F.scaled_dot_product_attention(q_RTHd.transpose(1, 2), k_IHNd, v_IHNd, dropout_p=dropout).transpose(1, 2)
    inner = q_RTHd.shape[1:]
    asked = torch.split(q_RTHd.index_select(0, grouping.order), [band.count * band.slots for band in grouping.bands])
    parts = []
    for band, rows in zip(grouping.bands, asked, strict=True):
        keys = k_IHNd if band.images is None else k_IHNd.index_select(0, band.images)
        values = v_IHNd if band.images is None else v_IHNd.index_select(0, band.images)
        side_by_side = rows.reshape(band.count, -1, *inner[1:]).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(side_by_side, keys, values, dropout_p=dropout)
        parts.append(mixed.transpose(1, 2).reshape(-1, *inner))
    return (torch.cat(parts) if len(parts) > 1 else parts[0]).index_select(0, grouping.back)
