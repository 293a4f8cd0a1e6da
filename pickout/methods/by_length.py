"""Run the fusion encoder over rows of similar length together, so that little padding is computed.

Padding changes no other token, so results are equal; what comes back at padding is zero. With `whole` it is computed
too, and all rows go together.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.nn.fusion_encoder import Fused, FusionEncoder
from pickout.nn.shared_keys import ImageMemory
from pickout.shapes import Bool, Float, Int, TokenBatch

_ROWS, _MOST = 48, 4
"""Rows of a band at least, and bands at most: narrower bands pad less, and make more and smaller products."""


def bands(mask_RT: Bool[Tensor, "rows tokens"], *, whole: bool) -> Iterator[tuple[Int[Tensor, " band"], int]]:
    """Rows by ascending length, in bands, each in the order of its rows, and the longest length of each.

    With `whole` all rows make one band, as long as they are padded.
    """
    if whole:
        yield torch.arange(len(mask_RT), device=mask_RT.device), mask_RT.shape[1]
        return
    lengths = mask_RT.sum(dim=1).clamp(min=1).cpu()
    for band in lengths.argsort(stable=True).chunk(min(_MOST, max(1, len(lengths) // _ROWS))):
        yield band.sort().values.to(mask_RT.device), int(lengths[band].max())


def read_by_length(
    encoder: FusionEncoder, texts: TokenBatch, *, whole: bool = False
) -> Float[Tensor, "rows tokens width"]:
    """The text layers' states of captions that are padded to one length."""
    found = []
    for rows, longest in bands(texts.mask, whole=whole):
        states = encoder(TokenBatch(texts.ids[rows, :longest], texts.mask[rows, :longest])).tokens
        found.append((rows, F.pad(states, (0, 0, 0, texts.ids.shape[1] - longest))))
    return _restored(*zip(*found, strict=True))


def fuse_by_length(
    encoder: FusionEncoder,
    states_RTD: Float[Tensor, "rows tokens width"],
    mask_RT: Bool[Tensor, "rows tokens"],
    memory: ImageMemory,
    image_R: Int[Tensor, " rows"],
    *,
    summary_rows: int = 0,
    whole: bool = False,
) -> Fused:
    """The fusion layers; arguments as in `FusionEncoder.fuse`."""
    summaries, tokens = [], []
    for rows, longest in bands(mask_RT, whole=whole):
        short = int((rows < summary_rows).sum())
        states, mask = states_RTD[rows, :longest], mask_RT[rows, :longest]
        fused = encoder.fuse(states, mask, memory, image_R[rows], summary_rows=short)
        summaries.append((rows, fused.summary))
        padded = F.pad(fused.tokens, (0, 0, 0, mask_RT.shape[1] - longest))
        tokens.append((rows[short:] - summary_rows, padded if short < len(rows) else states_RTD[:0]))
    return Fused(_restored(*zip(*summaries, strict=True)), _restored(*zip(*tokens, strict=True)))


def _restored(order: tuple[Tensor, ...], parts: tuple[Tensor, ...]) -> Tensor:
    """Rows of all bands in their first order."""
    return torch.cat(parts).index_select(0, torch.cat(order).argsort()) if len(parts) > 1 else parts[0]
