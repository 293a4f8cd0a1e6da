"""Losses over identities: matched and mismatched pairs told apart by class (CID), and plain classification.

The choice of hard negatives carries no gradient; cross-entropies are computed in float32.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.losses.alignment import cosine_similarity, same_identity
from pickout.shapes import Float, Int

MismatchClass = Literal["n_id", "batch_max_plus_one"]

IGNORED = -100
"""The label of a pair that is left out, because its sample has no negative in the batch."""


@dataclass(frozen=True, slots=True)
class HardNegatives:
    """For each sample the most similar one of another person, or -1 where the batch shows one person only.

    Args:
        text: of each image. Shape: (batch,).
        image: of each caption. Shape: (batch,).
    """

    text: Int[Tensor, " batch"]
    image: Int[Tensor, " batch"]


@dataclass(frozen=True, slots=True)
class LabelledPairs:
    """Pairs of an image and a caption with the class they should get.

    Args:
        image: which image. Shape: (pairs,).
        text: which caption. Shape: (pairs,).
        label: an identity, the mismatch class, or `IGNORED`. Shape: (pairs,).
    """

    image: Int[Tensor, " pairs"]
    text: Int[Tensor, " pairs"]
    label: Int[Tensor, " pairs"]


@torch.no_grad()
def hard_negatives(
    image_BE: Float[Tensor, "batch dimension"],
    text_BE: Float[Tensor, "batch dimension"],
    identity_B: Int[Tensor, " batch"],
) -> HardNegatives:
    """The nearest sample of another identity, by cosine, in both directions (ITSELF, CID; CFAM).

    Args:
        image_BE: image features, any norm.
        text_BE: text features, any norm.
        identity_B: who is shown.
    """
    return nearest_others(cosine_similarity(image_BE, text_BE), identity_B)


def nearest_others(similarity_BB: Float[Tensor, "batch batch"], identity_B: Int[Tensor, " batch"]) -> HardNegatives:
    """As `hard_negatives`, from similarities.

    Args:
        similarity_BB: images in rows, captions in columns.
        identity_B: who is shown.
    """
    same_BB = same_identity(identity_B)
    others_BB = similarity_BB.masked_fill(same_BB, -torch.inf)
    alone_B = same_BB.all(dim=1)
    return HardNegatives(
        text=others_BB.argmax(dim=1).masked_fill(alone_B, -1),
        image=others_BB.argmax(dim=0).masked_fill(alone_B, -1),
    )


def mismatch_label(identity_B: Int[Tensor, " batch"], identities: int, rule: MismatchClass) -> Int[Tensor, ""]:
    """The class of mismatched pairs.

    Args:
        identity_B: who is shown.
        identities: n_id, the number of training identities.
        rule: `n_id` is the one class that is no identity. `batch_max_plus_one` is the batch's largest identity plus
            one, usually a real identity, as ITSELF's program has it.
    """
    if rule == "n_id":
        return torch.full_like(identity_B[0], identities)
    return identity_B.max() + 1


def matching_pairs(
    negatives: HardNegatives, identity_B: Int[Tensor, " batch"], mismatch: Int[Tensor, ""]
) -> LabelledPairs:
    """Three pairs a sample, in order: its own, its caption with a wrong image, its image with a wrong caption (CID).

    Args:
        negatives: from `hard_negatives`.
        identity_B: who is shown.
        mismatch: class of the wrong pairs, from `mismatch_label`.
    """
    own_B = torch.arange(len(identity_B), device=identity_B.device)
    image_B3 = torch.stack([own_B, negatives.image.clamp(min=0), own_B], dim=1)
    text_B3 = torch.stack([own_B, own_B, negatives.text.clamp(min=0)], dim=1)
    wrong_image_B = torch.where(negatives.image < 0, IGNORED, mismatch)
    wrong_text_B = torch.where(negatives.text < 0, IGNORED, mismatch)
    label_B3 = torch.stack([identity_B, wrong_image_B, wrong_text_B], dim=1)
    return LabelledPairs(image_B3.flatten(), text_B3.flatten(), label_B3.flatten())


def classification(logits_PC: Float[Tensor, "samples classes"], label_P: Int[Tensor, " samples"]) -> Float[Tensor, ""]:
    """Mean cross-entropy over the samples that are not `IGNORED` (ITSELF, the identity terms of CID).

    Args:
        logits_PC: one row a sample.
        label_P: class of each.
    """
    return F.cross_entropy(logits_PC.float(), label_P, ignore_index=IGNORED)


def pair_classification(
    image_first_PC: Float[Tensor, "pairs classes"],
    text_first_PC: Float[Tensor, "pairs classes"],
    label_P: Int[Tensor, " pairs"],
) -> Float[Tensor, ""]:
    """Half the sum of the cross-entropies of both orders of a pair (ITSELF, CID).

    Args:
        image_first_PC: logits of f([image; text]).
        text_first_PC: logits of f([text; image]).
        label_P: from `matching_pairs`.
    """
    return (classification(image_first_PC, label_P) + classification(text_first_PC, label_P)) / 2
