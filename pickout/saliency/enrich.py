"""Put words that the model finds as likely in the place of hidden ones, and so make further captions (AGA, Eq. 10, 11).

The chosen words of a caption are replaced, all or some; the rest of the caption stays as it was, unmasked."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pickout.chance import categorical
from pickout.shapes import Bool, Float, Ids, Int, Mask, Scores

CandidateOrder = Literal["topk_then_drop", "drop_then_topk"]
"""Whether the original word is taken out of the k best, which leaves k - 1 or k, or before, which leaves k."""


class Candidates(NamedTuple):
    """Words that may stand in for the chosen ones."""

    ids: Int[Tensor, "chosen candidates"]  # best first
    probabilities: Float[Tensor, "chosen candidates"]  # 0 for a word that is refused; a row of zeros has no candidate


@torch.no_grad()
def candidates(
    logits_nV: Float[Tensor, "chosen vocabulary"],
    original_n: Int[Tensor, " chosen"],
    proposable_V: Bool[Tensor, " vocabulary"],
    replaceable_n: Bool[Tensor, " chosen"],
    *,
    k: int = 5,
    order: CandidateOrder = "topk_then_drop",
) -> Candidates:
    """The soft-max over the k best words, the original one left out (AGA, Eq. 10), in float32.

    Args:
        logits_nV: of the masked-word head, at the chosen positions.
        original_n: the words that stood there; never proposed.
        proposable_V: False for ids that are never proposed: special ones and parts of words (AGA is silent).
        replaceable_n: False at pieces within longer words, which get no candidate: a word in their place would stick
            to the pieces around it.
        k: how many of the best are looked at (AGA, table VI).
        order: when the original word is taken out. The candidates of AGA's figure 4 include it, so: after."""
    refused_nV = ~(proposable_V[None, :] & replaceable_n[:, None])
    with torch.autocast(logits_nV.device.type, enabled=False):
        scores_nV = logits_nV.float().masked_fill(refused_nV, -torch.inf)
        if order == "drop_then_topk":
            scores_nV = scores_nV.scatter(1, original_n[:, None], -torch.inf)
        best_nk, ids_nk = scores_nV.topk(min(k, scores_nV.shape[1]), dim=1)
        best_nk = best_nk.masked_fill(ids_nk == original_n[:, None], -torch.inf)
        return Candidates(ids_nk, best_nk.softmax(dim=1).masked_fill(best_nk == -torch.inf, 0.0))


@torch.no_grad()
def enrich(
    ids_BT: Ids,
    chosen_BT: Mask,
    found: Candidates,
    *,
    uniform_BT: Scores,
    decision_BU: Float[Tensor, "batch units"],
    allowed_B: Bool[Tensor, " batch"],
    probability: float = 0.3,
) -> Ids:
    """Draw a word for each chosen position (AGA, Eq. 11) and put it in with the given probability (p_tem).

    A chosen position without a candidate keeps its word, as does every other: start, end and padding stay.

    Args:
        ids_BT: the captions, unmasked.
        chosen_BT: the positions that were hidden, whatever stood there then.
        found: from `candidates`, for the chosen positions in reading order.
        uniform_BT: in [0, 1): which candidate.
        decision_BU: in [0, 1): one a caption decides over all of its words (AGA's p_tem), one a token over each word.
        allowed_B: False for captions that stay as they are: weak ones, whose words another image called for.
        probability: p_tem (AGA, table V)."""
    drawn = categorical(found.probabilities, uniform_BT[chosen_BT])
    word_n = found.ids.gather(1, drawn.index[:, None]).squeeze(1)
    proposed_BT = ids_BT.masked_scatter(chosen_BT, torch.where(drawn.valid, word_n, ids_BT[chosen_BT]))
    return torch.where((decision_BU < probability) & allowed_B[:, None], proposed_BT, ids_BT)
