"""Heads of ITSELF: from a bank of tokens to a local embedding (GRAB), and the classifiers of CID."""

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pickout.shapes import Bool, Embedded, Float, Int, Ints

Residual = Literal["linear", "identity"]
Pool = Literal["max", "gpo"]


def unit_tokens(tokens: Float[Tensor, "*axes width"]) -> Float[Tensor, "*axes width"]:
    """Each token divided by (its norm + 1e-8), float32 (RDE, ITSELF)."""
    norms: Tensor = torch.linalg.vector_norm(tokens.float(), dim=-1, keepdim=True)
    return tokens.float() / (norms + 1e-8)


def max_pool(z_BKE: Float[Tensor, "batch kept dimension"], filled_BK: Bool[Tensor, "batch kept"]) -> Embedded:
    """Each channel's largest value over the tokens that count, at least one a sample (ITSELF as released; RDE)."""
    return z_BKE.masked_fill(~filled_BK[..., None], -torch.inf).max(dim=1).values


class LearnedPool(nn.Module):
    """A learned mean of each channel's sorted values (generalised pooling operator, VSE-infinity; ITSELF, algorithm 1).
    The weight of rank r among n tokens is a soft-max over ranks of a score that a small bidirectional GRU reads off
    sinusoidal codes of the ranks. It depends on n and r alone, so one run a length serves the whole batch."""

    code, hidden, temperature = 32, 32, 0.1

    def __init__(self) -> None:
        super().__init__()
        self.reader = nn.GRU(self.code, self.hidden, batch_first=True, bidirectional=True)
        self.score = nn.Linear(self.hidden, 1, bias=False)

    def forward(self, z_BKE: Float[Tensor, "batch kept dimension"], filled_BK: Bool[Tensor, "batch kept"]) -> Embedded:
        """Pool the first tokens of each sample, at least one, where `filled_BK` is True; float32."""
        sorted_BKE = z_BKE.masked_fill(~filled_BK[..., None], -torch.inf).sort(dim=1, descending=True).values
        sorted_BKE = sorted_BKE.masked_fill(~filled_BK[..., None], 0.0)
        present_L, place_B = torch.unique(filled_BK.sum(dim=1), return_inverse=True)
        weights_BK = self.rank_weights(present_L, z_BKE.shape[1])[place_B]
        return (weights_BK[..., None] * sorted_BKE).sum(dim=1)

    def rank_weights(self, lengths: Int[Tensor, " lengths"], kept: int) -> Float[Tensor, "lengths kept"]:
        """The weight of each of `kept` ranks in samples of these lengths; zero from each length on, rows sum to 1."""
        with torch.autocast(lengths.device.type, enabled=False):
            codes_LKD = self._codes(kept, self.score.weight).expand(len(lengths), -1, -1)
            packed = nn.utils.rnn.pack_padded_sequence(codes_LKD, lengths.cpu(), batch_first=True, enforce_sorted=False)
            read_LKH, _ = nn.utils.rnn.pad_packed_sequence(self.reader(packed)[0], batch_first=True, total_length=kept)
            both_LKH = torch.unflatten(read_LKH, -1, (2, -1)).mean(dim=-2)
            scores_LK = self.score(both_LKH).squeeze(-1).float() / self.temperature
            beyond_LK = torch.arange(kept, device=lengths.device) >= lengths[:, None]
            weights: Tensor = scores_LK.masked_fill(beyond_LK, -torch.inf).softmax(dim=1)
            return weights

    def _codes(self, kept: int, like: Tensor) -> Float[Tensor, "kept code"]:
        """Sines and cosines of the ranks at falling frequencies."""
        steps = torch.arange(0, self.code, 2, device=like.device, dtype=torch.float32)
        angle_KF = torch.arange(kept, device=like.device)[:, None] * torch.exp(steps * (-math.log(1e4) / self.code))
        return torch.stack([angle_KF.sin(), angle_KF.cos()], dim=-1).flatten(1).to(like.dtype)


class GrabAdapter(nn.Module):
    """z = shortcut(x) + MLP(x), token by token; the MLP is linear, batch norm over all rows, ReLU, linear (ITSELF,
    algorithm 1). The shortcut is `linear`, learned, or the `identity`, as in the paper's algorithm, which needs equal
    widths (else `ValueError`)."""

    def __init__(self, width: int, hidden: int, dimension: int, *, residual: Residual = "linear") -> None:
        super().__init__()
        if residual == "identity" and width != dimension:
            raise ValueError(f"an identity shortcut cannot lead from {width} to {dimension} channels")
        # Differs from the paper: token and result have different lengths there, so the released shortcut is linear.
        self.shortcut = nn.Linear(width, dimension) if residual == "linear" else nn.Identity()
        self.inner = nn.Linear(width, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.outer = nn.Linear(hidden, dimension)

    def forward(self, x_PD: Float[Tensor, "rows width"]) -> Float[Tensor, "rows dimension"]:
        """Adapt rows that are normalised already; while training they share batch statistics."""
        x_PD = x_PD.to(self.inner.weight.dtype)
        return cast(Tensor, self.shortcut(x_PD) + self.outer(F.relu(self.norm(self.inner(x_PD)))))


class GrabHead(nn.Module):
    """A bank of tokens to one local embedding: unit tokens, adapter, pooling over the bank's content (ITSELF, GRAB).
    The pool `max` takes each channel's largest value; `gpo` learns how to weigh the sorted values. With `mask_fillers`
    the rows that only fill up short captions stay out of the adapter and so out of its batch statistics; as released
    they take part, and the result in evaluation mode is the same."""

    def __init__(
        self,
        width: int,
        hidden: int,
        dimension: int,
        *,
        residual: Residual = "linear",
        pool: Pool = "max",
        mask_fillers: bool = False,
    ) -> None:
        super().__init__()
        self.adapter = GrabAdapter(width, hidden, dimension, residual=residual)
        self.pool = LearnedPool() if pool == "gpo" else None
        self.mask_fillers = mask_fillers

    def forward(self, bank_BKD: Float[Tensor, "batch kept width"], length_B: Ints) -> Embedded:
        """Embed banks of kept tokens, content first, of which so many count; float32, neither is normalised."""
        unit_BKD = unit_tokens(bank_BKD)
        filled_BK = torch.arange(bank_BKD.shape[1], device=bank_BKD.device) < length_B[:, None]
        if self.mask_fillers:
            rows_PE = self.adapter(unit_BKD[filled_BK]).float()
            z_BKE = rows_PE.new_zeros(*filled_BK.shape, rows_PE.shape[-1])
            z_BKE[filled_BK] = rows_PE
        else:
            z_BKE = self.adapter(unit_BKD.flatten(0, 1)).float().unflatten(0, filled_BK.shape)
        return max_pool(z_BKE, filled_BK) if self.pool is None else cast(Tensor, self.pool(z_BKE, filled_BK))


class IdentityHeads(nn.Module):
    """The classifiers of CID for one kind of feature; used in training only, in float32 also under autocast. A pair is
    fused by f([a; b]) = GELU(LayerNorm(W [a; b] + c)), one f for both orders, and classified as an identity or as a
    mismatch (ITSELF, CID; fusion after CFAM), where `pairs`; images and captions by themselves, by one classifier for
    both, where `alone`. `deviation` is that of the classifiers' starting weights; biases start at 0."""

    def __init__(
        self, dimension: int, classes: int, *, pairs: bool = True, alone: bool = True, deviation: float = 0.001
    ) -> None:
        super().__init__()
        if pairs:
            self.fusion = nn.Linear(2 * dimension, dimension)
            self.fusion_norm = nn.LayerNorm(dimension)
            self.pair_classifier = nn.Linear(dimension, classes)
        if alone:
            self.identity_classifier = nn.Linear(dimension, classes)
        for name, parameter in self.named_parameters():
            if "classifier.weight" in name:
                nn.init.normal_(parameter, std=deviation)
            elif "classifier.bias" in name:
                nn.init.zeros_(parameter)

    def pair_logits(
        self, image_BE: Embedded, text_BE: Embedded, image_P: Int[Tensor, " pairs"], text_P: Int[Tensor, " pairs"]
    ) -> tuple[Tensor, Tensor]:
        """Classify pairs of an image (`image_P`) and a caption (`text_P`); features are not normalised. W [a; b] is
        W_left a + W_right b, so each feature is multiplied once by each half, however many pairs it is in."""
        with torch.autocast(image_BE.device.type, enabled=False):
            # Seen as (2 d, d), rows of W are those of W_left and W_right in turns: one product, no copy of halves.
            features_FD = torch.cat([image_BE, text_BE]).float()
            both_FD2 = F.linear(features_FD, self.fusion.weight.float().view(-1, features_FD.shape[1]))
            both_FD2 = both_FD2.view(len(features_FD), -1, 2)
            image_FD2, text_FD2 = both_FD2[: len(image_BE)], both_FD2[len(image_BE) :]
            bias = self.fusion.bias.float()
            image_first = image_FD2[image_P, :, 0] + text_FD2[text_P, :, 1] + bias
            text_first = text_FD2[text_P, :, 0] + image_FD2[image_P, :, 1] + bias
            first, second = (F.gelu(self.fusion_norm(fused)) for fused in (image_first, text_first))
            return self.pair_classifier(first), self.pair_classifier(second)

    def identity_logits(self, features_BE: Embedded) -> Float[Tensor, "batch classes"]:
        """Classify images or captions by themselves, from features that are not normalised."""
        with torch.autocast(features_BE.device.type, enabled=False):
            return cast(Tensor, self.identity_classifier(features_BE.float()))
