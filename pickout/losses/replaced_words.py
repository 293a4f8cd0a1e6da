"""Tell which words of a caption a masked-word model has replaced (RaSa, MRTD; ELECTRA)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pickout.draws import categorical
from pickout.losses.counting import Count, counted_mean
from pickout.losses.identity import IGNORED
from pickout.shapes import Bool, Float, Int


@torch.no_grad()
def sample_words(
    logits_PV: Float[Tensor, "*places vocabulary"], uniform_P: Float[Tensor, "*places"], *, chunk: int = 256
) -> Int[Tensor, "*places"]:
    """One word a place, drawn from the soft-max of its logits over the whole vocabulary, in float32 (RaSa, MRTD).

    Args:
        logits_PV: of the momentum model, at every place.
        uniform_P: in [0, 1).
        chunk: places drawn at once, which bounds the memory.
    """
    flat_nV, uniform_n = logits_PV.flatten(0, -2), uniform_P.flatten()
    drawn_n = torch.empty_like(uniform_n, dtype=torch.int64)
    with torch.autocast(logits_PV.device.type, enabled=False):
        for start in range(0, len(uniform_n), chunk):
            some = slice(start, start + chunk)
            drawn_n[some] = categorical(flat_nV[some].float().softmax(dim=1), uniform_n[some]).index
    return drawn_n.view(uniform_P.shape)


def replace_words(
    ids_BT: Int[Tensor, "batch tokens"],
    content_BT: Bool[Tensor, "batch tokens"],
    sampled_BT: Int[Tensor, "batch tokens"],
) -> Int[Tensor, "batch tokens"]:
    """The caption that the online model judges: sampled words, but start, end and padding stay (RaSa, MRTD).

    Every word is replaced, not only the masked ones; most samples equal the original.

    Args:
        ids_BT: the caption.
        content_BT: True where a token is a word piece.
        sampled_BT: from `sample_words`.
    """
    return torch.where(content_BT, sampled_BT, ids_BT)


def replaced_labels(
    replaced_BT: Int[Tensor, "batch tokens"],
    ids_BT: Int[Tensor, "batch tokens"],
    content_BT: Bool[Tensor, "batch tokens"],
    *,
    ignored_ids: tuple[int, ...] = (),
) -> Int[Tensor, "batch tokens"]:
    """1 where a word differs from the caption's, 0 where it does not, `identity.IGNORED` where nothing is asked.

    Args:
        replaced_BT: from `replace_words`.
        ids_BT: the caption.
        content_BT: True where a token is a word piece; nothing is asked elsewhere.
        ignored_ids: words that were sampled and yet are not asked for. The released program reads the sample, not the
            place, and so leaves out words replaced by padding or start: pass these two ids to do the same.
    """
    asked_BT = content_BT
    for token in ignored_ids:
        asked_BT = asked_BT & (replaced_BT != token)
    return (replaced_BT != ids_BT).long().masked_fill(~asked_BT, IGNORED)


def replaced_word_loss(
    logits_BT2: Float[Tensor, "batch tokens 2"], labels_BT: Int[Tensor, "batch tokens"], *, count: Count | None = None
) -> Float[Tensor, ""]:
    """Mean cross-entropy over the words that are asked for (RaSa, MRTD).

    Args:
        logits_BT2: class 1 means replaced.
        labels_BT: from `replaced_labels`.
        count: the denominator, as in `counting.counted_mean`.
    """
    with torch.autocast(logits_BT2.device.type, enabled=False):
        labels = labels_BT.flatten()
        losses = F.cross_entropy(logits_BT2.float().flatten(0, 1), labels, ignore_index=IGNORED, reduction="none")
        return counted_mean(losses, labels != IGNORED, count)
