"""Features of earlier batches, kept as further keys of the contrastive loss (MoCo; ALBEF; RaSa, section 3.1)."""

import torch
from torch import Tensor

from pickout.shapes import Float, Int

EMPTY = -100
"""The identity of a place that no batch has filled yet; nobody's positive."""


@torch.no_grad()
def enqueue(
    image_queue_EQ: Float[Tensor, "dimension queue"],
    text_queue_EQ: Float[Tensor, "dimension queue"],
    identity_Q: Int[Tensor, " queue"],
    pointer: Int[Tensor, "1"],
    image_BE: Float[Tensor, "batch dimension"],
    text_BE: Float[Tensor, "batch dimension"],
    identity_B: Int[Tensor, " batch"],
) -> None:
    """Write a batch over the oldest places, in place, going on at the front behind the last place (ALBEF; RaSa).

    The queues and the pointer are changed, nothing is read back from the device. Call it after the loss that used the
    queue. Of a batch larger than the queue the last rows stay.

    Args:
        image_queue_EQ: momentum features of images, one a column.
        text_queue_EQ: momentum features of captions.
        identity_Q: who is shown in each column; `EMPTY` at first.
        pointer: the next place to write, from 0.
        image_BE: the batch's momentum features of images, of all processes.
        text_BE: the same of captions.
        identity_B: who is shown.
    """
    places = identity_Q.shape[0]
    if places == 0:
        return
    count = identity_B.shape[0]
    skipped = max(0, count - places)
    order = torch.arange(skipped, count, device=pointer.device)
    place = (pointer + order) % places
    image_queue_EQ.index_copy_(1, place, image_BE[skipped:].T.to(image_queue_EQ.dtype))
    text_queue_EQ.index_copy_(1, place, text_BE[skipped:].T.to(text_queue_EQ.dtype))
    identity_Q.index_copy_(0, place, identity_B[skipped:].to(identity_Q.dtype))
    pointer.add_(count).remainder_(places)


def with_queue(
    features_BE: Float[Tensor, "batch dimension"], queue_EQ: Float[Tensor, "dimension queue"]
) -> Float[Tensor, "dimension keys"]:
    """The keys of the contrastive loss, one a column: the batch's own first, then the queue (a copy, no gradient).

    Args:
        features_BE: momentum features of the batch.
        queue_EQ: of earlier batches.
    """
    return torch.cat([features_BE.detach().float().T, queue_EQ.float()], dim=1)
