"""Guess hidden words, with the words themselves and a momentum model's guesses as targets (BERT; ALBEF; AGA, Eq. 4)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.losses.counting import Count, counted_mean
from pickout.losses.identity import IGNORED
from pickout.shapes import Float, Int

DistillationAxis = Literal["vocabulary", "sequence"]
"""What the student's soft-max runs over: `masked_word_loss`, or `masked_word_loss_over_sequence`."""


def masked_word_loss(
    logits_nV: Float[Tensor, "chosen vocabulary"],
    labels_n: Int[Tensor, " chosen"],
    teacher_nV: Float[Tensor, "chosen vocabulary"],
    alpha: float,
    *,
    count: Count | None = None,
) -> Float[Tensor, ""]:
    """(1 - alpha) CE(z, label) + alpha * -sum_v q_v log softmax(z)_v, a mean over the chosen positions (ALBEF; RaSa).

    q is the soft-max of the teacher's logits. Computed in float32.

    Args:
        logits_nV: z, at the chosen positions alone.
        labels_n: the words that stood there; `identity.IGNORED` takes a position out.
        teacher_nV: the momentum model's logits at the same positions; no gradient flows to them.
        alpha: the share of the soft labels.
        count: the denominator, as in `counting.counted_mean`.
    """
    with torch.autocast(logits_nV.device.type, enabled=False):
        guess_nV = logits_nV.float().log_softmax(dim=1)
        return _mixed(guess_nV, guess_nV, labels_n, teacher_nV, alpha, count)


def masked_word_loss_over_sequence(
    logits_BTV: Float[Tensor, "batch tokens vocabulary"],
    labels_BT: Int[Tensor, "batch tokens"],
    teacher_nV: Float[Tensor, "chosen vocabulary"],
    alpha: float,
    *,
    count: Count | None = None,
) -> Float[Tensor, ""]:
    """As `masked_word_loss`, but the student's soft-max of the soft-label term runs over the tokens of a caption.

    RaSa's released program has it so, and its published numbers with it; ALBEF mended the same line as a slip. It
    needs the logits of every position, padding included.

    Args:
        logits_BTV: z, at all positions.
        labels_BT: the words at the chosen positions, `identity.IGNORED` elsewhere.
        teacher_nV: the momentum model's logits at the chosen positions, in reading order.
        alpha: the share of the soft labels.
        count: the denominator, as in `counting.counted_mean`.
    """
    # Differs from the paper: soft labels over words call for the vocabulary axis; this is the released program.
    with torch.autocast(logits_BTV.device.type, enabled=False):
        row_n, place_n = (labels_BT != IGNORED).nonzero(as_tuple=True)
        chosen_nV = logits_BTV[row_n, place_n].float()
        over_tokens_nV = chosen_nV - logits_BTV.float().logsumexp(dim=1)[row_n]
        labels_n = labels_BT[row_n, place_n]
        return _mixed(chosen_nV.log_softmax(dim=1), over_tokens_nV, labels_n, teacher_nV, alpha, count)


def _mixed(
    guess_nV: Tensor, distilled_nV: Tensor, labels_n: Tensor, teacher_nV: Tensor, alpha: float, count: Count | None
) -> Tensor:
    """Both terms, from log-probabilities."""
    hard_n = F.nll_loss(guess_nV, labels_n, ignore_index=IGNORED, reduction="none")
    soft_n = -(teacher_nV.detach().float().softmax(dim=1) * distilled_nV).sum(dim=1)
    return counted_mean((1 - alpha) * hard_n + alpha * soft_n, labels_n != IGNORED, count)
