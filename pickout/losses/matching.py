"""Does this caption describe this image: weights of hard negatives, and the losses (RaSa, PITM and PRD; ALBEF).

The draw itself is `pickout.draws.categorical`, from uniform numbers that the caller gives.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.losses.counting import Count, counted_mean
from pickout.shapes import Bool, Float, Int


@torch.no_grad()
def negative_weights(
    similarity_BB: Float[Tensor, "batch batch"],
    identity_B: Int[Tensor, " batch"],
    *,
    group: int | None = 13,
    epsilon: float = 1e-5,
    equal_captions_BB: Bool[Tensor, "batch batch"] | None = None,
) -> Float[Tensor, "batch batch"]:
    """How likely each column is drawn as a row's hard negative, up to the row's sum (RaSa; ALBEF).

    The soft-max of a row, plus epsilon, zero at equal identities, the diagonal among them. A row without any negative
    is all zero, which the draw reports as invalid. Pass the transposed similarities for the other direction.

    Args:
        similarity_BB: queries in rows, divided by the temperature.
        identity_B: who is shown.
        group: negatives come from the row's own run of so many samples: 13, the batch of one device in RaSa and AGA,
            keeps the published hardness on any device. None: from the whole batch.
        epsilon: added after the soft-max, so that a row whose negatives all round to zero can still be drawn.
        equal_captions_BB: True where two captions read alike, from `same_caption`; these are no negatives either.
    """
    place_B = torch.arange(identity_B.shape[0], device=identity_B.device)
    run_B = place_B // (group or max(1, identity_B.shape[0]))
    near_BB = run_B[:, None] == run_B[None, :]
    with torch.autocast(similarity_BB.device.type, enabled=False):
        weights_BB = similarity_BB.float().masked_fill(~near_BB, -torch.inf).softmax(dim=1) + epsilon
    refused_BB = ~near_BB | (identity_B[:, None] == identity_B[None, :])
    if equal_captions_BB is not None:
        refused_BB = refused_BB | equal_captions_BB
    return weights_BB.masked_fill(refused_BB, 0.0)


def same_caption(ids_BT: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch batch"]:
    """True where two captions have equal token ids.

    Args:
        ids_BT: padded to one length with one id.
    """
    return (ids_BT[:, None] == ids_BT[None, :]).all(dim=2)


def matching_loss(
    logits_P2: Float[Tensor, "pairs 2"],
    matches_P: Bool[Tensor, " pairs"],
    valid_P: Bool[Tensor, " pairs"] | None = None,
    *,
    count: Count | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of "matches" against "does not", over the valid pairs (ALBEF, ITM; RaSa, PITM; AGA, Eq. 3).

    Args:
        logits_P2: class 1 means that the pair matches.
        matches_P: True for a caption with its image (or another image's weak caption of the same person).
        valid_P: False for a negative that could not be drawn; without it all count.
        count: the denominator, as in `counting.counted_mean`.
    """
    return _binary(logits_P2, matches_P.long(), valid_P, count)


def relation_loss(
    logits_B2: Float[Tensor, "batch 2"], replaced_B: Int[Tensor, " batch"], *, count: Count | None = None
) -> Float[Tensor, ""]:
    """Mean cross-entropy of strong against weak positive pairs (RaSa, PRD).

    Args:
        logits_B2: of the positive pairs; class 1 means a weak one.
        replaced_B: 1 where the caption was replaced by another one of the same person.
        count: the denominator, as in `counting.counted_mean`.
    """
    return _binary(logits_B2, replaced_B, None, count)


def _binary(logits: Tensor, labels: Tensor, valid: Tensor | None, count: Count | None) -> Tensor:
    with torch.autocast(logits.device.type, enabled=False):
        losses = F.cross_entropy(logits.float(), labels, reduction="none")
        kept = torch.ones_like(labels, dtype=torch.bool) if valid is None else valid
        return counted_mean(losses, kept, count)
