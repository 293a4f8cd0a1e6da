"""Which tokens are hidden, as pieces or as whole words, and what stands in their place (BERT; RaSa; AGA)."""

import torch
from torch import Tensor

from pickout.shapes import Bool, Ids, Int, Mask, Scores


@torch.no_grad()
def word_numbers(ids_BT: Ids, content_BT: Mask, continues_V: Bool[Tensor, " vocabulary"]) -> Ids:
    """Each token's word in its caption, from 0, by the pieces that go on; what is no content has an own number."""
    after_content_BT = torch.zeros_like(content_BT)
    after_content_BT[:, 1:] = content_BT[:, :-1]
    joined_BT = content_BT & after_content_BT & continues_V[ids_BT]
    return (~joined_BT).cumsum(dim=1) - 1


def word_sizes(words_BT: Ids) -> Ids:
    """How many pieces the word of each token has."""
    return torch.zeros_like(words_BT).scatter_add(1, words_BT, torch.ones_like(words_BT)).gather(1, words_BT)


@torch.no_grad()
def vacuous_positions(
    ids_BT: Ids, content_BT: Mask, vacuous_V: Bool[Tensor, " vocabulary"], words_BT: Ids | None = None
) -> Mask:
    """True at empty words (`vacuous_words.vacuous_table`); by whole words not where a longer word begins."""
    vacuous_BT = content_BT & vacuous_V[ids_BT]
    return vacuous_BT if words_BT is None else vacuous_BT & (word_sizes(words_BT) == 1)


@torch.no_grad()
def choose_positions(
    probability_BT: Scores, uniform_BT: Scores, content_BT: Mask, *, words_BT: Ids | None = None
) -> Mask:
    """True at the tokens that are hidden: one independent draw a piece, or a word (AGA; RaSa; BERT).

    Only content is ever chosen. A word's probability is the mean over its pieces (`pickout.saliency.masking`), which
    keeps the expected number of pieces, and its first piece's uniform decides."""
    if words_BT is not None:
        probability_BT, uniform_BT = _by_word(probability_BT, uniform_BT, words_BT)
    return (uniform_BT < probability_BT) & content_BT


@torch.no_grad()
def ensure_chosen(
    chosen_BT: Mask, probability_BT: Scores, content_BT: Mask, *, empty: Bool[Tensor, ""], words_BT: Ids | None = None
) -> Mask:
    """Where a whole batch has none chosen (`empty`), the likeliest token or word of each text, first among equals."""
    if words_BT is not None:
        probability_BT = _by_word(probability_BT, probability_BT, words_BT)[0]
    best_B1 = probability_BT.masked_fill(~content_BT, -1.0).argmax(dim=1, keepdim=True)
    if words_BT is None:
        forced_BT = torch.zeros_like(chosen_BT).scatter(1, best_B1, True)
    else:
        forced_BT = words_BT == words_BT.gather(1, best_B1)
    return torch.where(empty, forced_BT & content_BT, chosen_BT)


def _by_word(probability_BT: Tensor, uniform_BT: Tensor, words_BT: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the probabilities over each word and the uniform of its first piece, at all of its pieces."""
    probability_BT, uniform_BT = probability_BT.float(), uniform_BT.float()
    zero_BT = torch.zeros_like(probability_BT)
    size_BT = zero_BT.scatter_add(1, words_BT, torch.ones_like(probability_BT))
    mean_BT = zero_BT.scatter_add(1, words_BT, probability_BT) / size_BT.clamp(min=1)
    first_BT = torch.ones_like(words_BT, dtype=torch.bool)
    first_BT[:, 1:] = words_BT[:, 1:] != words_BT[:, :-1]
    deciding_BT = zero_BT.scatter_add(1, words_BT, uniform_BT * first_BT)
    return mean_BT.gather(1, words_BT), deciding_BT.gather(1, words_BT)


def random_words(uniform_BT: Scores, choices: Int[Tensor, " choices"]) -> Ids:
    """One of the choices a token, equally likely: all ids, special ones too, as in RaSa's program, or ordinary ones."""
    place_BT = (uniform_BT.float() * len(choices)).long()
    return choices[place_BT.clamp(max=len(choices) - 1)]


def apply_mask(
    ids_BT: Ids,
    chosen_BT: Mask,
    uniform_BT: Scores,
    random_BT: Ids,
    mask_id: int,
    *,
    hidden: float = 0.8,
    changed: float = 0.1,
) -> Ids:
    """80 % of the chosen tokens hidden behind `mask_id`, 10 % random words, the rest left (BERT), by other uniforms."""
    hidden_BT = chosen_BT & (uniform_BT < hidden)
    changed_BT = chosen_BT & ~hidden_BT & (uniform_BT < hidden + changed)
    return torch.where(hidden_BT, mask_id, torch.where(changed_BT, random_BT, ids_BT))
