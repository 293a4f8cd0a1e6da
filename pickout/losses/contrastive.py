"""Contrast of images and captions against momentum keys of this batch and of earlier ones, which a queue keeps (MoCo),
with soft targets (ALBEF; RaSa; AGA, Eq. 1, 2 and 12), in float32 whatever the features' type."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pickout.shapes import Bool, Embedded, Float, Int, Ints, Scalar

Direction = Literal["i2t", "t2i", "i2i", "t2t"]  # which query meets which keys: i an image, t a caption
# Differs from the paper: AGA, Eq. 1 and 2 print i2t and t2i alone; the program that it builds on has all four.
DIRECTIONS: tuple[Direction, ...] = ("i2t", "t2i", "i2i", "t2t")
EMPTY = -100  # the identity of a place in the queue that no batch has filled yet; nobody's positive


class ContrastiveLoss(NamedTuple):
    """The loss, and the similarities from which hard negatives are drawn."""

    loss: Scalar  # the mean over the directions
    image_to_text: Float[Tensor, "batch batch"]
    """Online images against the batch's momentum captions, divided by the temperature, detached."""
    text_to_image: Float[Tensor, "batch batch"]  # online captions against the batch's momentum images, likewise


def positive_keys(
    identity_B: Ints, key_identity_K: Int[Tensor, " keys"], *, one_hot: bool = False
) -> Bool[Tensor, "batch keys"]:
    """True where a key, the batch's own first and then the queue's, shows the query's person (RaSa); with `one_hot` the
    query's own pair alone counts, key b for query b (ALBEF; AGA, Eq. 1 and 2)."""
    if not one_hot:
        return identity_B[:, None] == key_identity_K[None, :]
    return torch.eye(len(identity_B), len(key_identity_K), dtype=torch.bool, device=identity_B.device)


def contrastive(
    image_BE: Embedded,
    text_BE: Embedded,
    image_m_BE: Embedded,
    text_m_BE: Embedded,
    image_keys_EK: Float[Tensor, "dimension keys"],
    text_keys_EK: Float[Tensor, "dimension keys"],
    positive_BK: Bool[Tensor, "batch keys"],
    *,
    temperature: Scalar,
    alpha: float,
    directions: tuple[Direction, ...] = DIRECTIONS,
) -> ContrastiveLoss:
    """The mean over `directions` of `soft_cross_entropy` (ALBEF; RaSa; AGA, Eq. 12). All features have unit norm.

    The momentum queries' similarities are divided by the same temperature, without gradient.

    Args:
        image_BE, text_BE: online features; caption b belongs to image b.
        image_m_BE, text_m_BE: momentum features of the same.
        image_keys_EK, text_keys_EK: from `with_queue`.
        positive_BK: from `positive_keys`; each row has one.
        temperature: divides the cosines; a gradient flows to it.
        alpha: the share of the soft targets.
        directions: the terms."""
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


def soft_cross_entropy(scores_BK: Float[Tensor, "batch keys"], target_BK: Float[Tensor, "batch keys"]) -> Scalar:
    """The mean over rows of -sum_j target_j log softmax(scores)_j: scores are similarities divided by the temperature,
    rows of the target sum to one and get no gradient."""
    return -(target_BK.detach() * scores_BK.float().log_softmax(dim=1)).sum(dim=1).mean()


@torch.no_grad()
def enqueue(
    image_queue_EQ: Float[Tensor, "dimension queue"],
    text_queue_EQ: Float[Tensor, "dimension queue"],
    identity_Q: Int[Tensor, " queue"],
    pointer: Int[Tensor, "1"],
    image_BE: Embedded,
    text_BE: Embedded,
    identity_B: Ints,
) -> None:
    """Write a batch over the oldest places, in place, going on at the front behind the last place (ALBEF; RaSa).

    Queues hold momentum features, one a column, with who is shown (`EMPTY` at first); the pointer is the next place to
    write, from 0, and what is written the momentum features of the batch, of all processes. Nothing is read back from
    the device. Call it after the loss that used the queue. Of a batch larger than the queue the last rows stay."""
    places, count = len(identity_Q), len(identity_B)
    if places == 0:
        return
    skipped = max(0, count - places)
    place = (pointer + torch.arange(skipped, count, device=pointer.device)) % places
    image_queue_EQ.index_copy_(1, place, image_BE[skipped:].T.to(image_queue_EQ.dtype))
    text_queue_EQ.index_copy_(1, place, text_BE[skipped:].T.to(text_queue_EQ.dtype))
    identity_Q.index_copy_(0, place, identity_B[skipped:].to(identity_Q.dtype))
    pointer.add_(count).remainder_(places)


def with_queue(features_BE: Embedded, queue_EQ: Float[Tensor, "dimension queue"]) -> Float[Tensor, "dimension keys"]:
    """The keys of the contrastive loss, one a column: the batch's own momentum features first, then the queue of
    earlier ones (a copy, no gradient)."""
    return torch.cat([features_BE.detach().float().T, queue_EQ.float()], dim=1)
