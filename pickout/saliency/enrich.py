"""Put words that the model finds as likely in the place of hidden ones, and so make further captions (AGA, Eq. 10, 11).

The chosen words of a caption are replaced, all or some; the rest of the caption stays as it was, unmasked."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pickout.draws import categorical
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
    """The soft-max over the k best words (AGA, Eq. 10 and table VI), in float32, from the masked-word head's logits at
    the chosen positions. The original word is never proposed; the candidates of AGA's figure 4 count it in, so it is
    taken out after. Neither are special ids and parts of words, which are not `proposable` (AGA is silent). Pieces
    within longer words are not `replaceable` and get no candidate: a word would stick to the pieces around."""
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
    """Draw a word from `candidates` for each chosen position of unmasked captions (AGA, Eq. 11) and put it in with the
    given probability (p_tem; table V).

    A chosen position without a candidate keeps its word, as does every other: start, end and padding stay. `uniform_BT`
    draws the candidate; `decision_BU`, uniform too, decides over all words of a caption (AGA's p_tem), or over each.
    Captions that are not `allowed` stay as they are: weak ones, whose words another image called for."""
    drawn = categorical(found.probabilities, uniform_BT[chosen_BT])
    word_n = found.ids.gather(1, drawn.index[:, None]).squeeze(1)
    proposed_BT = ids_BT.masked_scatter(chosen_BT, torch.where(drawn.valid, word_n, ids_BT[chosen_BT]))
    return torch.where((decision_BU < probability) & allowed_B[:, None], proposed_BT, ids_BT)
