"""Contrast of images and captions against momentum keys, with soft targets (ALBEF; RaSa; AGA, Eq. 1, 2 and 12).

Computed in float32 whatever the features' type.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pickout.shapes import Bool, Float, Int

Direction = Literal["i2t", "t2i", "i2i", "t2t"]
"""Which query meets which keys: i an image, t a caption."""
# Differs from the paper: AGA, Eq. 1 and 2 print i2t and t2i alone; the program that it builds on has all four.
DIRECTIONS: tuple[Direction, ...] = ("i2t", "t2i", "i2i", "t2t")


@dataclass(frozen=True, slots=True)
class ContrastiveLoss:
    """The loss, and the similarities from which hard negatives are drawn.

    Args:
        loss: the mean over the directions.
        image_to_text: online images against the batch's momentum captions, divided by the temperature, detached.
            Shape: (batch, batch).
        text_to_image: online captions against the batch's momentum images, likewise.
    """

    loss: Float[Tensor, ""]
    image_to_text: Float[Tensor, "batch batch"]
    text_to_image: Float[Tensor, "batch batch"]


def distillation_weight(alpha: float, *, step: int, steps_per_epoch: int) -> float:
    """The share of the soft targets: 0 at the first step, up in a line to `alpha` after one epoch (ALBEF; RaSa).

    Args:
        alpha: the final share.
        step: the optimiser step about to be taken, from 1, over the whole run.
        steps_per_epoch: optimiser steps in one epoch.
    """
    return alpha * min(1.0, (step - 1) / max(1, steps_per_epoch))


def positive_keys(
    identity_B: Int[Tensor, " batch"], key_identity_K: Int[Tensor, " keys"], *, one_hot: bool = False
) -> Bool[Tensor, "batch keys"]:
    """True where a key shows the query's person (RaSa).

    Args:
        identity_B: who is shown.
        key_identity_K: who each key shows: the batch's own first, then the queue's.
        one_hot: whether only the query's own pair counts, key b for query b (ALBEF; AGA, Eq. 1 and 2).
    """
    if not one_hot:
        return identity_B[:, None] == key_identity_K[None, :]
    return torch.eye(len(identity_B), len(key_identity_K), dtype=torch.bool, device=identity_B.device)


def contrastive(
    image_BE: Float[Tensor, "batch dimension"],
    text_BE: Float[Tensor, "batch dimension"],
    image_m_BE: Float[Tensor, "batch dimension"],
    text_m_BE: Float[Tensor, "batch dimension"],
    image_keys_EK: Float[Tensor, "dimension keys"],
    text_keys_EK: Float[Tensor, "dimension keys"],
    positive_BK: Bool[Tensor, "batch keys"],
    *,
    temperature: Float[Tensor, ""],
    alpha: float,
    directions: tuple[Direction, ...] = DIRECTIONS,
) -> ContrastiveLoss:
    """The mean over `directions` of `soft_cross_entropy` (ALBEF; RaSa; AGA, Eq. 12). All features have unit norm.

    The momentum queries' similarities are divided by the same temperature, without gradient.

    Args:
        image_BE: online features of images.
        text_BE: online features of captions; row b belongs to image b.
        image_m_BE: momentum features of the same images.
        text_m_BE: momentum features of the same captions.
        image_keys_EK: from `queue.with_queue`.
        text_keys_EK: from `queue.with_queue`.
        positive_BK: from `positive_keys`; each row has one.
        temperature: divides the cosines; a gradient flows to it.
        alpha: the share of the soft targets, from `distillation_weight`.
        directions: the terms.
    """
    own = image_BE.shape[0]
    with torch.autocast(image_BE.device.type, enabled=False):
        online = {"i": image_BE.float(), "t": text_BE.float()}
        momentum = {"i": image_m_BE.detach().float(), "t": text_m_BE.detach().float()}
        keys = {"i": image_keys_EK.detach().float(), "t": text_keys_EK.detach().float()}
        hard_BK = positive_BK.float() / positive_BK.sum(dim=1, keepdim=True).clamp(min=1)
        total = image_BE.new_zeros((), dtype=torch.float32)
        for direction in directions:
            query, key = direction[0], keys[direction[-1]]
            student_BK = online[query] @ key / temperature
            with torch.no_grad():
                teacher_BK = (momentum[query] @ key / temperature).softmax(dim=1)
                target_BK = alpha * teacher_BK + (1 - alpha) * hard_BK
            total = total + soft_cross_entropy(student_BK, target_BK)
        with torch.no_grad():
            image_to_text = online["i"] @ keys["t"][:, :own] / temperature
            text_to_image = online["t"] @ keys["i"][:, :own] / temperature
    return ContrastiveLoss(total / len(directions), image_to_text, text_to_image)


def soft_cross_entropy(
    scores_BK: Float[Tensor, "batch keys"], target_BK: Float[Tensor, "batch keys"]
) -> Float[Tensor, ""]:
    """The mean over rows of -sum_j target_j log softmax(scores)_j.

    Args:
        scores_BK: similarities divided by the temperature.
        target_BK: rows sum to one; no gradient flows to them.
    """
    return -(target_BK.detach() * scores_BK.float().log_softmax(dim=1)).sum(dim=1).mean()
