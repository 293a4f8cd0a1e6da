"""Losses that pull matching images and captions together: TAL, SDM and InfoNCE.

All are computed in float32 whatever the features' type and norm, and take every pair of equal identity as a positive:
row i of the captions belongs to image i, and `identity_B` says who is shown."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.losses.contrastive import soft_cross_entropy
from pickout.shapes import Bool, Embedded, Float, Ints, Scalar


def cosine_similarity(
    text_BE: Float[Tensor, "texts dimension"], image_BE: Float[Tensor, "images dimension"]
) -> Float[Tensor, "texts images"]:
    """Cosine of each caption with each image, float32."""
    with torch.autocast(text_BE.device.type, enabled=False):
        return F.normalize(text_BE.float(), dim=-1) @ F.normalize(image_BE.float(), dim=-1).T


def same_identity(identity_B: Ints) -> Bool[Tensor, "batch batch"]:
    """True where two pairs show one person."""
    return identity_B[:, None] == identity_B[None, :]


def triplet_alignment(
    image_BE: Embedded, text_BE: Embedded, identity_B: Ints, *, temperature: float, margin: float
) -> Scalar:
    """Triplet alignment loss, a sum over the batch in both directions (RDE, TAL; ITSELF, section 3.4).

    With s the cosines, texts in rows, it is `hinge_sum(s) + hinge_sum(s transposed)`."""
    similarity_BB, same_BB = cosine_similarity(text_BE, image_BE), same_identity(identity_B)
    with torch.autocast(similarity_BB.device.type, enabled=False):
        rows = hinge_sum(similarity_BB, same_BB, temperature=temperature, margin=margin)
        return rows + hinge_sum(similarity_BB.T, same_BB.T, temperature=temperature, margin=margin)


def hinge_sum(
    similarity_QG: Float[Tensor, "queries items"],
    same_QG: Bool[Tensor, "queries items"],
    *,
    temperature: float,
    margin: float,
) -> Scalar:
    """Sum over rows of [m - sum_k a_k s_k + tau * log sum_(negatives) exp(s_k / tau)]_+ (RDE, TAL).

    a is the soft-max of s / tau over the row's positives and carries no gradient. A row without negatives gives 0, also
    to the gradient.

    Cosines, and True at positives, of which each row has one; the temperature is tau, the margin m."""
    scaled_QG = similarity_QG / temperature
    positive_QG = scaled_QG.detach().masked_fill(~same_QG, -torch.inf).softmax(dim=1)
    attraction_Q = (positive_QG * similarity_QG).sum(dim=1)
    has_negative_Q = ~same_QG.all(dim=1)
    # A row of minus infinities would send NaN through the log-sum-exp, so rows without negatives stay unmasked here.
    repulsion_QG = scaled_QG.masked_fill(same_QG & has_negative_Q[:, None], -torch.inf)
    repulsion_Q = temperature * repulsion_QG.logsumexp(dim=1)
    hinge_Q = (margin - attraction_Q + repulsion_Q).relu()
    return torch.where(has_negative_Q, hinge_Q, 0.0).sum()


def similarity_distribution(image_BE: Embedded, text_BE: Embedded, identity_B: Ints, *, temperature: float) -> Scalar:
    """Similarity distribution matching: KL(p || q) in both directions, each a mean over the batch (IRRA, SDM).

    p is the soft-max over a row of the cosines, divided by the temperature (IRRA takes 0.02), q the row's positives
    divided by their number; 1e-8 is added to q before its logarithm."""
    similarity_BB = cosine_similarity(text_BE, image_BE) / temperature
    same_BB = same_identity(identity_B).float()
    target_BB = (same_BB / same_BB.sum(dim=1, keepdim=True) + 1e-8).log()
    guesses = [scores_BB.log_softmax(dim=1) for scores_BB in (similarity_BB, similarity_BB.T)]
    losses = [(guess_BB.exp() * (guess_BB - target_BB)).sum(dim=1).mean() for guess_BB in guesses]
    return losses[0] + losses[1]


def info_nce(image_BE: Embedded, text_BE: Embedded, identity_B: Ints, *, scale: Scalar) -> Scalar:
    """InfoNCE in both directions, each a mean over the batch; a person's positives share the target (CLIP; SupCon).
    The scale is the factor of the cosines; a gradient flows to it."""
    scores_BB = cosine_similarity(text_BE, image_BE) * scale
    same_BB = same_identity(identity_B).float()
    target_BB = same_BB / same_BB.sum(dim=1, keepdim=True)
    return soft_cross_entropy(scores_BB, target_BB) + soft_cross_entropy(scores_BB.T, target_BB)
