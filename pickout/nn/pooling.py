"""Pooling over a bank of tokens whose first tokens count and whose rest is filler."""

import math

import torch
from torch import Tensor, nn

from pickout.shapes import Bool, Float


def max_pool(
    z_BKE: Float[Tensor, "batch kept dimension"], filled_BK: Bool[Tensor, "batch kept"]
) -> Float[Tensor, "batch dimension"]:
    """Each channel's largest value over the tokens that count (ITSELF as released; RDE).

    Args:
        z_BKE: adapted tokens.
        filled_BK: True at tokens that count; at least one a sample.
    """
    return z_BKE.masked_fill(~filled_BK[..., None], -torch.inf).max(dim=1).values


class LearnedPool(nn.Module):
    """A learned mean of each channel's sorted values (generalised pooling operator, VSE-infinity; ITSELF, algorithm 1).

    The weight of rank r among n tokens is a soft-max over ranks of a score that a small bidirectional GRU reads off
    sinusoidal codes of the ranks. It depends on n and r alone, so one run of the GRU a length serves the whole batch.

    Args:
        code: length of a rank's code.
        hidden: width of the GRU in each direction.
        temperature: divides the scores before the soft-max.
    """

    def __init__(self, code: int = 32, hidden: int = 32, temperature: float = 0.1) -> None:
        super().__init__()
        self.code = code
        self.temperature = temperature
        self.reader = nn.GRU(code, hidden, batch_first=True, bidirectional=True)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(
        self, z_BKE: Float[Tensor, "batch kept dimension"], filled_BK: Bool[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch dimension"]:
        """Pool.

        Args:
            z_BKE: adapted tokens, float32.
            filled_BK: True at the first tokens of each sample, at least one.
        """
        lengths_B = filled_BK.sum(dim=1)
        sorted_BKE = z_BKE.masked_fill(~filled_BK[..., None], -torch.inf).sort(dim=1, descending=True).values
        sorted_BKE = sorted_BKE.masked_fill(~filled_BK[..., None], 0.0)
        present_L, place_B = torch.unique(lengths_B, return_inverse=True)
        weights_BK = self.rank_weights(present_L, z_BKE.shape[1])[place_B]
        return (weights_BK[..., None] * sorted_BKE).sum(dim=1)

    def rank_weights(self, lengths: Tensor, kept: int) -> Float[Tensor, "lengths kept"]:
        """The weight of each rank for samples of these lengths; zero from each length on, rows sum to 1.

        Args:
            lengths: how many tokens count. Shape: (lengths,).
            kept: the longest.
        """
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
