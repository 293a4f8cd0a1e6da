"""How a method chooses one tower's tokens: by a rule and a shrinking budget in training, by another rule after it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pickout.methods.base import Progress
from pickout.nn.tower import TowerOutput
from pickout.saliency.bank import Bank, gather_tokens, select_bank
from pickout.saliency.budget import Budget
from pickout.saliency.scoring import Scoring
from pickout.shapes import Bool, Float, Int


@dataclass(frozen=True, slots=True)
class TokenBank:
    """Kept tokens.

    Args:
        tokens: content first, best first, then fillers. Shape: (batch, kept, width).
        length: how many of them are content, at least 1. Shape: (batch,).
    """

    tokens: Float[Tensor, "batch kept width"]
    length: Int[Tensor, " batch"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The choice of one tower's tokens.

    Args:
        training: how tokens are scored in training.
        evaluation: how they are scored outside training.
        budget: how many are kept in training.
        selectable: tokens that can be kept: patches, or the context less start and end.
        tokens: all tokens of a sample.
        evaluation_kept: how many are kept outside training.
    """

    training: Scoring
    evaluation: Scoring
    budget: Budget
    selectable: int
    tokens: int
    evaluation_kept: int

    def training_kept(self, progress: Progress) -> int:
        """How many tokens training keeps at this moment."""
        return self.budget.kept(
            self.selectable,
            self.tokens,
            step=progress.step,
            epoch=progress.epoch,
            steps_per_epoch=progress.steps_per_epoch,
        )

    def in_training(self, out: TowerOutput, padding: Bool[Tensor, "batch tokens"] | None, kept: int) -> TokenBank:
        """The bank that training learns from.

        Args:
            out: holds the attention of `training.request`.
            padding: True at padding; None where there is none.
            kept: from `training_kept`.
        """
        return _choose(self.training, out, padding, kept)

    def in_evaluation(self, out: TowerOutput, padding: Bool[Tensor, "batch tokens"] | None) -> TokenBank:
        """The bank outside training.

        Args:
            out: holds the attention of `evaluation.request`.
            padding: True at padding; None where there is none.
        """
        return _choose(self.evaluation, out, padding, self.evaluation_kept)


def _choose(rule: Scoring, out: TowerOutput, padding: Bool[Tensor, "batch tokens"] | None, kept: int) -> TokenBank:
    content_BN = out.trace.content
    padding_BN = torch.zeros_like(content_BN) if padding is None else padding
    bank: Bank = select_bank(rule.scores(out.trace), content_BN, padding_BN, kept, largest=rule.largest)
    return TokenBank(gather_tokens(out.tokens, bank.index), bank.length)
