"""Losses of captions that looked at images: do they match (RaSa, PITM; ALBEF), is the pair a weak one (RaSa, PRD),
which words are hidden (BERT; ALBEF; AGA, Eq. 4), and which were replaced (RaSa, MRTD; ELECTRA).

`count` is everywhere as in `counted_mean`. All are computed in float32 whatever the logits' type."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.losses.identity import IGNORED
from pickout.shapes import Bool, Float, Ids, Int, Ints, Mask, Scalar

Count = Tensor | float | int


def counted_mean(
    values_P: Float[Tensor, " terms"], kept_P: Bool[Tensor, " terms"], count: Count | None = None
) -> Scalar:
    """The sum of the kept values divided by their number, or by `count`; 0, also to the gradient, where none is kept.

    Args:
        values_P: one loss a term.
        kept_P: True where a term counts.
        count: the denominator. Where processes average their gradients, the number of kept terms of all processes
            divided by the number of processes makes the result equal to one process's with the whole batch."""
    number = kept_P.sum() if count is None else torch.as_tensor(count, device=values_P.device)
    return torch.where(kept_P, values_P, 0.0).sum() / torch.where(number > 0, number, 1)


@torch.no_grad()
def negative_weights(
    similarity_BB: Float[Tensor, "batch batch"],
    identity_B: Ints,
    *,
    group: int = 13,
    epsilon: float = 1e-5,
    equal_captions_BB: Bool[Tensor, "batch batch"] | None = None,
) -> Float[Tensor, "batch batch"]:
    """How likely each column is drawn as a row's hard negative, up to the row's sum (RaSa; ALBEF).

    The soft-max of a row, plus epsilon, zero at equal identities, the diagonal among them. A row without any negative
    is all zero, which the draw (`pickout.chance.categorical`) reports as invalid.

    Args:
        similarity_BB: queries in rows, divided by the temperature; transposed for the other direction.
        identity_B: who is shown.
        group: negatives come from the row's own run of so many samples: 13, the batch of one device in RaSa and AGA,
            keeps the published hardness on any device. 0: from the whole batch.
        epsilon: added after the soft-max, so that a row whose negatives all round to zero can still be drawn.
        equal_captions_BB: True where two captions read alike, from `same_caption`; these are no negatives either."""
    run_B = torch.arange(len(identity_B), device=identity_B.device) // (group or max(1, len(identity_B)))
    refused_BB = (run_B[:, None] != run_B) | (identity_B[:, None] == identity_B)
    with torch.autocast(similarity_BB.device.type, enabled=False):
        near_BB = similarity_BB.float().masked_fill(run_B[:, None] != run_B, -torch.inf)
    if equal_captions_BB is not None:
        refused_BB = refused_BB | equal_captions_BB
    return (near_BB.softmax(dim=1) + epsilon).masked_fill(refused_BB, 0.0)


def same_caption(ids_BT: Ids) -> Bool[Tensor, "batch batch"]:
    """True where two captions, padded to one length with one id, have equal token ids."""
    return (ids_BT[:, None] == ids_BT).all(dim=2)


def matching_loss(
    logits_P2: Float[Tensor, "pairs 2"],
    matches_P: Bool[Tensor, " pairs"],
    valid_P: Bool[Tensor, " pairs"] | None = None,
    *,
    count: Count | None = None,
) -> Scalar:
    """Mean cross-entropy of "matches" against "does not", over the valid pairs (ALBEF, ITM; RaSa, PITM; AGA, Eq. 3).
    Class 1 means that a pair matches: a caption and its image (or another image's weak caption of the same person). A
    negative that could not be drawn is not valid; without `valid_P` all count."""
    labels_P = matches_P.long()
    return _cross_entropy(logits_P2, labels_P if valid_P is None else labels_P.masked_fill(~valid_P, IGNORED), count)


def relation_loss(logits_B2: Float[Tensor, "batch 2"], replaced_B: Ints, *, count: Count | None = None) -> Scalar:
    """Mean cross-entropy of strong against weak positive pairs, whose caption is another of the person (RaSa, PRD).
    Class 1 means a weak one, and `replaced_B` is 1 there."""
    return _cross_entropy(logits_B2, replaced_B, count)


def replaced_labels(replaced_BT: Ids, ids_BT: Ids, content_BT: Mask, *, ignored_ids: tuple[int, ...] = ()) -> Ids:
    """1 where a word differs from the caption's, 0 where it does not, `IGNORED` where nothing is asked.

    Args:
        replaced_BT: the caption with words drawn anew; start, end and padding stay.
        ids_BT: the caption.
        content_BT: True where a token is a word piece; nothing is asked elsewhere.
        ignored_ids: words that were sampled and yet are not asked for. The released program reads the sample, not the
            place, and so leaves out words replaced by padding or start: pass these two ids to do the same."""
    asked_BT = content_BT
    for token in ignored_ids:
        asked_BT = asked_BT & (replaced_BT != token)
    return (replaced_BT != ids_BT).long().masked_fill(~asked_BT, IGNORED)


def replaced_word_loss(
    logits_BT2: Float[Tensor, "batch tokens 2"], labels_BT: Ids, *, count: Count | None = None
) -> Scalar:
    """Mean cross-entropy over the words that `replaced_labels` asks for; class 1 means replaced (RaSa, MRTD)."""
    return _cross_entropy(logits_BT2.flatten(0, 1), labels_BT.flatten(), count)


def masked_word_loss(
    logits_nV: Float[Tensor, "chosen vocabulary"],
    labels_n: Int[Tensor, " chosen"],
    teacher_nV: Float[Tensor, "chosen vocabulary"],
    alpha: float,
    *,
    count: Count | None = None,
) -> Scalar:
    """(1 - alpha) CE(z, label) + alpha * -sum_v q_v log softmax(z)_v, a mean over the chosen positions (ALBEF; RaSa).

    z are the logits at the chosen positions alone, the labels the words that stood there; `IGNORED` takes a position
    out. q is the soft-max of the teacher's logits, the momentum model's at the same positions, to which no gradient
    flows; alpha is the share of the soft labels."""
    with torch.autocast(logits_nV.device.type, enabled=False):
        guess_nV = logits_nV.float().log_softmax(dim=1)
        return _mixed(guess_nV, guess_nV, labels_n, teacher_nV, alpha, count)


def masked_word_loss_over_sequence(
    logits_BTV: Float[Tensor, "batch tokens vocabulary"],
    labels_BT: Ids,
    teacher_nV: Float[Tensor, "chosen vocabulary"],
    alpha: float,
    *,
    count: Count | None = None,
) -> Scalar:
    """As `masked_word_loss`, but the student's soft-max of the soft-label term runs over the tokens of a caption.

    RaSa's released program has it so, and its published numbers with it; ALBEF mended the same line as a slip.

    Logits are at all positions, padding included, labels `IGNORED` but at the chosen positions; the teacher's logits
    are at those alone, in reading order."""
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


def _cross_entropy(logits: Tensor, labels: Tensor, count: Count | None) -> Tensor:
    with torch.autocast(logits.device.type, enabled=False):
        losses = F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="none")
        return counted_mean(losses, labels != IGNORED, count)
