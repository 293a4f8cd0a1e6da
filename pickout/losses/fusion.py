"""Losses of captions that looked at images: do they match (RaSa, PITM; ALBEF), is the pair a weak one (RaSa, PRD),
which words are hidden (BERT; ALBEF; AGA, Eq. 4), and which were replaced (RaSa, MRTD; ELECTRA).

All are computed in float32 whatever the logits' type, and are means over the terms that count, or their sum divided by
`count`. Where processes average their gradients, the number of such terms of all processes divided by the number of
processes makes the result equal to one process's with the whole batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.losses.identity import IGNORED
from pickout.shapes import Bool, Float, Ids, Int, Ints, Mask, Scalar

Count = Tensor | float | int
Logits = Float[Tensor, "chosen vocabulary"]
Square = Float[Tensor, "batch batch"]


def counted_mean(
    values_P: Float[Tensor, " terms"], kept_P: Bool[Tensor, " terms"], count: Count | None = None
) -> Scalar:
    """The sum of the kept values over their number, or over `count`; 0, also to the gradient, where there is none."""
    number = kept_P.sum() if count is None else torch.as_tensor(count, device=values_P.device)
    return torch.where(kept_P, values_P, 0.0).sum() / torch.where(number > 0, number, 1)


@torch.no_grad()
def negative_weights(
    similarity_BB: Square,
    identity_B: Ints,
    *,
    group: int = 13,
    epsilon: float = 1e-5,
    equal_captions_BB: Bool[Tensor, "batch batch"] | None = None,
) -> Square:
    """How likely each column is drawn as a row's hard negative, up to the row's sum (RaSa; ALBEF).

    The soft-max of a row of similarities, already divided by the temperature, plus epsilon, so that a row whose
    negatives all round to zero can still be drawn; zero at equal identities, the diagonal among them, and at captions
    that read alike (`same_caption`). Negatives come from the row's own run of `group` samples: 13, the batch of one
    device in RaSa and AGA, keeps the published hardness on any device; 0: from the whole batch. A row without any
    negative is all zero, which the draw (`pickout.draws.categorical`) reports as invalid."""
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
    """Mean cross-entropy of "matches", class 1, against "does not" (ALBEF, ITM; RaSa, PITM; AGA, Eq. 3). A weak caption
    matches another image of the person; negatives that could not be drawn are not valid and do not count."""
    labels_P = matches_P.long()
    return _cross_entropy(logits_P2, labels_P if valid_P is None else labels_P.masked_fill(~valid_P, IGNORED), count)


def relation_loss(logits_B2: Float[Tensor, "batch 2"], replaced_B: Ints, *, count: Count | None = None) -> Scalar:
    """Mean cross-entropy of strong pairs against weak ones, class 1, with another caption of the person (RaSa, PRD)."""
    return _cross_entropy(logits_B2, replaced_B, count)


def replaced_labels(replaced_BT: Ids, ids_BT: Ids, content_BT: Mask, *, ignored_ids: tuple[int, ...] = ()) -> Ids:
    """1 where a word of the caption was drawn anew and differs, 0 where it does not, `IGNORED` where nothing is asked:
    at what is no word piece (`content_BT`), and at words that were replaced by `ignored_ids`. The released program
    reads the sample, not the place, and so leaves out words replaced by padding or start."""
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
    logits_nV: Logits, labels_n: Int[Tensor, " chosen"], teacher_nV: Logits, alpha: float, *, count: Count | None = None
) -> Scalar:
    """(1 - alpha) CE(z, label) + alpha * -sum_v q_v log softmax(z)_v, a mean over the chosen positions (ALBEF; RaSa).

    z are logits at the chosen positions alone, labels the words that stood there (`IGNORED` takes a position out), q
    the soft-max of the momentum model's logits at the same positions, to which no gradient flows."""
    with torch.autocast(logits_nV.device.type, enabled=False):
        guess_nV = logits_nV.float().log_softmax(dim=1)
        return _mixed(guess_nV, guess_nV, labels_n, teacher_nV, alpha, count)


def masked_word_loss_over_sequence(
    logits_BTV: Float[Tensor, "batch tokens vocabulary"],
    labels_BT: Ids,
    teacher_nV: Logits,
    alpha: float,
    *,
    count: Count | None = None,
) -> Scalar:
    """As `masked_word_loss`, but the student's soft-max of the soft-label term runs over the tokens of a caption.

    RaSa's released program has it so, and its published numbers with it; ALBEF mended the same line as a slip. z are
    logits at all positions, padding included; labels are `IGNORED` at those that were not chosen."""
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
