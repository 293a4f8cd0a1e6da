"""Losses over identities: matched and mismatched pairs told apart by class (CID), and plain classification.

The choice of hard negatives carries no gradient; cross-entropies are computed in float32. `identity_B` says who is
shown."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.losses.alignment import same_identity
from pickout.shapes import Float, Int, Ints, Scalar

MismatchClass = Literal["n_id", "batch_max_plus_one"]

IGNORED = -100  # the label of a pair that is left out, because its sample has no negative in the batch


class HardNegatives(NamedTuple):
    """The most similar text of another person for each image, and image for each text; -1 where there is none."""

    text: Ints
    image: Ints


class LabelledPairs(NamedTuple):
    """Pairs of an image and a text with the class they should get: an identity, the mismatch class, or `IGNORED`."""

    image: Int[Tensor, " pairs"]
    text: Int[Tensor, " pairs"]
    label: Int[Tensor, " pairs"]


@torch.no_grad()
def hard_negatives(similarity_BB: Float[Tensor, "batch batch"], identity_B: Ints) -> HardNegatives:
    """The nearest sample of another identity in both directions (ITSELF, CID; CFAM), by cosines with images in rows and
    captions in columns."""
    same_BB = same_identity(identity_B)
    others_BB, alone_B = similarity_BB.masked_fill(same_BB, -torch.inf), same_BB.all(dim=1)
    return HardNegatives(*(others_BB.argmax(dim=side).masked_fill(alone_B, -1) for side in (1, 0)))


def mismatch_label(identity_B: Ints, identities: int, rule: MismatchClass) -> Int[Tensor, ""]:
    """The class of mismatched pairs by a rule: `n_id`, the number of training identities, is the one class that is no
    identity; `batch_max_plus_one` is the batch's largest identity plus one, usually a real one, as ITSELF's program has
    it."""
    return torch.full_like(identity_B[0], identities) if rule == "n_id" else identity_B.max() + 1


def matching_pairs(negatives: HardNegatives, identity_B: Ints, mismatch: Int[Tensor, ""]) -> LabelledPairs:
    """Three pairs a sample, in order: its own, its caption with a wrong image, its image with a wrong caption (CID);
    `mismatch`, from `mismatch_label`, is the class of the wrong pairs."""
    own_B = torch.arange(len(identity_B), device=identity_B.device)
    image_B3 = torch.stack([own_B, negatives.image.clamp(min=0), own_B], dim=1)
    text_B3 = torch.stack([own_B, own_B, negatives.text.clamp(min=0)], dim=1)
    wrong_image_B, wrong_text_B = (
        torch.where(wrong_B < 0, IGNORED, mismatch) for wrong_B in (negatives.image, negatives.text)
    )
    label_B3 = torch.stack([identity_B, wrong_image_B, wrong_text_B], dim=1)
    return LabelledPairs(image_B3.flatten(), text_B3.flatten(), label_B3.flatten())


def classification(logits_PC: Float[Tensor, "samples classes"], label_P: Int[Tensor, " samples"]) -> Scalar:
    """Mean cross-entropy over the samples that are not `IGNORED` (ITSELF, the identity terms of CID)."""
    return F.cross_entropy(logits_PC.float(), label_P, ignore_index=IGNORED)


def pair_classification(
    image_first_PC: Float[Tensor, "pairs classes"],
    text_first_PC: Float[Tensor, "pairs classes"],
    label_P: Int[Tensor, " pairs"],
) -> Scalar:
    """Half the sum of the cross-entropies of both orders of a pair, f([image; text]) and f([text; image]), with labels
    from `matching_pairs` (ITSELF, CID)."""
    return (classification(image_first_PC, label_P) + classification(text_first_PC, label_P)) / 2
