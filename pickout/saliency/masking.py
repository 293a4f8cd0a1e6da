"""How likely each word is hidden, by attention (AGM: AGA, Eq. 8 and 9) or empty words alone (AGA, table I); which are,
as pieces or as whole words, and what stands in their place (BERT; RaSa; AGA). Float32 and without gradient.

Everywhere `ids_BT` are the captions, and `content_BT` is True where a token is a word piece: nothing else is ever
hidden. With `words_BT`, from `word_numbers`, whole words are meant, with None pieces. Random numbers come in as
uniforms in [0, 1), so the caller decides what is repeatable."""

from typing import Literal

import torch
from torch import Tensor

from pickout.shapes import Bool, Ids, Int, Mask, Scores

Normalisation = Literal["none", "mean", "max", "minmax"]
"""What a word's weight is divided by before Eq. 9: nothing, the mean, the largest, or the span above the smallest."""


@torch.no_grad()
def word_weights(fused_BT: Scores, content_BT: Mask, temperature: float) -> Scores:
    """The soft-max of attention, layers fused, over a caption's words alone, by a temperature tau (AGA, Eq. 8); 0
    elsewhere, and in a caption without words."""
    with torch.autocast(fused_BT.device.type, enabled=False):
        scores_BT = (fused_BT.float() / temperature).masked_fill(~content_BT, -torch.inf)
        return scores_BT.softmax(dim=1).masked_fill(~content_BT, 0.0)


@torch.no_grad()
def probabilities(
    weights_BT: Scores, content_BT: Mask, *, normalisation: Normalisation, scale: float, alpha1: float, alpha2: float
) -> Scores:
    """p = alpha1 + scale * alpha2 * w (AGA, Eq. 9), before clipping; 0 at tokens that are no content.

    Every word gets alpha1, which may be negative (table VII), and attention adds alpha2, times a scale. w is the weight
    from `word_weights` as it is (`none`), divided by the caption's mean weight (`mean`), by its largest (`max`), or
    moved so that the smallest is 0 and the largest 1 (`minmax`; 1 where all are equal)."""
    # Differs from the paper: read literally (`none`, scale 1) Eq. 9 hides some 5 % of the words, not the 15 % that the
    # text promises. With `mean` and a scale of 2/3 the expected share is alpha1 + 2/3 alpha2 = 15 % in every caption.
    if normalisation == "mean":
        weights_BT = weights_BT * content_BT.sum(dim=1, keepdim=True)
    elif normalisation == "max":
        weights_BT = weights_BT / weights_BT.amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    elif normalisation == "minmax":
        smallest_B1 = weights_BT.masked_fill(~content_BT, torch.inf).amin(dim=1, keepdim=True)
        span_B1 = weights_BT.amax(dim=1, keepdim=True) - smallest_B1
        weights_BT = torch.where(span_B1 > 0, (weights_BT - smallest_B1) / span_B1, 1.0)
    return (alpha1 + scale * alpha2 * weights_BT).masked_fill(~content_BT, 0.0)


@torch.no_grad()
def clip(raw_BT: Scores, *, redistribute: bool = True) -> Scores:
    """Numbers into [0, 1]; rows that need no clipping stay as they are.

    Args:
        raw_BT: any numbers, 0 at tokens that are no content.
        redistribute: whether the positive numbers of a clipped row are scaled, those at 1 apart, so that the row keeps
            its sum. The words' proportions below 1 stay; where the sum is negative or too large for the positive
            numbers, the row comes as near as it can."""
    clipped_BT = raw_BT.clamp(0, 1)
    if not redistribute:
        return clipped_BT
    wanted_B1 = raw_BT.sum(dim=1, keepdim=True).clamp(min=0)
    sorted_BT, order_BT = raw_BT.clamp(min=0).sort(dim=1, descending=True)
    # With the k largest at 1, the rest is scaled to the sum (wanted - k); the smallest k that lifts none above 1 is it.
    full_T = torch.arange(raw_BT.shape[1], device=raw_BT.device)
    rest_BT = sorted_BT.flip(1).cumsum(dim=1).flip(1)
    lifted_BT = (wanted_B1 - full_T) * torch.where(rest_BT > 0, sorted_BT / rest_BT, 0.0)
    full_B1 = (lifted_BT > 1).long().cumprod(dim=1).sum(dim=1, keepdim=True)
    last_B1 = full_B1.clamp(max=raw_BT.shape[1] - 1)
    rest_B1 = rest_BT.gather(1, last_B1)
    scaled_BT = (wanted_B1 - last_B1) * torch.where(rest_B1 > 0, sorted_BT / rest_B1, 0.0)
    kept_BT = torch.where(full_T < full_B1, 1.0, scaled_BT.clamp(0, 1))
    spread_BT = torch.zeros_like(clipped_BT).scatter(1, order_BT, kept_BT)
    return torch.where((clipped_BT == raw_BT).all(dim=1, keepdim=True), raw_BT, spread_BT)


def vacuous_probabilities(vacuous_BT: Mask, content_BT: Mask, ratio: float) -> Scores:
    """Empty words alone, from `vacuous_positions`, each with one probability, so that `ratio` of all of a caption's
    words is expected (AGA, table I).

    The paper does not say how many words this comparison hides; here as many as elsewhere, at most all empty ones."""
    words_B1 = content_BT.sum(dim=1, keepdim=True)
    empty_B1 = vacuous_BT.sum(dim=1, keepdim=True).clamp(min=1)
    return vacuous_BT.float() * (ratio * words_B1 / empty_B1).clamp(max=1)


@torch.no_grad()
def word_numbers(ids_BT: Ids, content_BT: Mask, continues_V: Bool[Tensor, " vocabulary"]) -> Ids:
    """The number of each token's word in its caption, from 0; a token that is no content has a number of its own.
    `continues_V` is True for pieces that go on with the word of the piece before."""
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
    """True at empty words, which `vacuous_words.vacuous_table` lists; with `words_BT` a listed piece that a longer word
    begins with does not count."""
    vacuous_BT = content_BT & vacuous_V[ids_BT]
    return vacuous_BT if words_BT is None else vacuous_BT & (word_sizes(words_BT) == 1)


@torch.no_grad()
def choose_positions(
    probability_BT: Scores, uniform_BT: Scores, content_BT: Mask, *, words_BT: Ids | None = None
) -> Mask:
    """True at the tokens that are hidden: one independent draw a piece, or a word (AGA; RaSa; BERT).

    As whole words, a word's probability is the mean over its pieces, which keeps the expected number of pieces, and
    its first piece's uniform decides."""
    if words_BT is not None:
        probability_BT, uniform_BT = _by_word(probability_BT, uniform_BT, words_BT)
    return (uniform_BT < probability_BT) & content_BT


@torch.no_grad()
def ensure_chosen(
    chosen_BT: Mask, probability_BT: Scores, content_BT: Mask, *, empty: Bool[Tensor, ""], words_BT: Ids | None = None
) -> Mask:
    """What `choose_positions` chose; where that is nothing at all, the likeliest token (or word) of each text, the
    first among equals. A text without words stays without. `empty` tells whether nothing was chosen in the whole batch,
    of which this may be a part."""
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
    """One of the choices a token, all equally likely. The choices are all ids of the vocabulary, special ones included,
    as in RaSa's program, or ordinary ones alone."""
    place_BT = (uniform_BT.float() * len(choices)).long()
    return choices[place_BT.clamp(max=len(choices) - 1)]


def apply_mask(ids_BT: Ids, chosen_BT: Mask, uniform_BT: Scores, random_BT: Ids, mask_id: int) -> Ids:
    """The captions with 80 % of the chosen tokens hidden behind `mask_id`, 10 % changed into those of `random_BT`, from
    `random_words`, and the rest left (BERT). `uniform_BT` are other numbers than those that chose."""
    hidden_BT = chosen_BT & (uniform_BT < 0.8)
    changed_BT = chosen_BT & ~hidden_BT & (uniform_BT < 0.9)
    return torch.where(hidden_BT, mask_id, torch.where(changed_BT, random_BT, ids_BT))
