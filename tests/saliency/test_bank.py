"""Banks of kept tokens, against the spec's worked examples and against loops."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pickout.saliency.bank import Bank, gather_tokens, select_bank


def bank_by_loops(
    scores: Tensor, content: Tensor, padding: Tensor, kept: int, *, largest: bool
) -> tuple[list[int], int]:
    """The bank of one sample by sorting a list of (class of token, merit, position)."""
    order = []
    for position, score in enumerate(scores.tolist()):
        if content[position]:
            order.append((0, -score if largest else score, position))
        else:
            order.append((1 if padding[position] else 2, 0.0, position))
    chosen = [position for _, _, position in sorted(order)[:kept]]
    return chosen, max(1, min(int(content.sum()), kept, len(order)))


def text_bank(ids: list[int], row: list[float], kept: int) -> Bank:
    """The bank of one caption whose start is 100, end 101, padding 0."""
    tokens = torch.tensor([ids])
    padding = tokens == 0
    return select_bank(torch.tensor([row]), ~padding & (tokens < 100), padding, kept)


def test_the_class_token_is_left_out_of_an_image_bank() -> None:
    row = torch.tensor([[0.40, 0.25, 0.05, 0.20, 0.10]])
    content = torch.tensor([[False, True, True, True, True]])
    bank = select_bank(row, content, torch.zeros_like(content), 2)
    assert bank.index.tolist() == [[1, 3]]
    assert bank.length.tolist() == [2]


def test_a_short_caption_is_filled_up_with_padding() -> None:
    bank = text_bank([100, 11, 12, 13, 14, 101, 0, 0, 0, 0], [0.5, 0.05, 0.2, 0.1, 0.08, 0.07, 0, 0, 0, 0], 5)
    assert bank.index.tolist() == [[2, 3, 4, 1, 6]]
    assert bank.length.tolist() == [4]


def test_a_long_caption_fills_the_bank_by_itself() -> None:
    row = [0.30, 0.02, 0.11, 0.04, 0.13, 0.05, 0.09, 0.07, 0.03, 0.16]
    bank = text_bank([100, 1, 2, 3, 4, 5, 6, 7, 8, 101], row, 5)
    assert bank.index.tolist() == [[4, 2, 6, 7, 5]]
    assert bank.length.tolist() == [5]


def test_a_word_that_scores_zero_still_beats_padding_and_padding_beats_specials() -> None:
    bank = text_bank([100, 11, 12, 101, 0], [0.9, 0.0, 0.0, 0.1, 0.0], 5)
    assert bank.index.tolist() == [[1, 2, 4, 0, 3]]
    assert bank.length.tolist() == [2]


def test_an_emptied_caption_has_one_token_to_pool() -> None:
    bank = text_bank([100, 101, 0, 0], [0.6, 0.4, 0.0, 0.0], 3)
    assert bank.index.tolist() == [[2, 3, 0]]
    assert bank.length.tolist() == [1]


def test_the_lowest_position_wins_among_equals() -> None:
    content = torch.tensor([[False, True, True, True, True]])
    bank = select_bank(torch.full((1, 5), 0.2), content, torch.zeros_like(content), 3)
    assert bank.index.tolist() == [[1, 2, 3]]


def test_a_bank_is_no_longer_than_the_sample() -> None:
    bank = text_bank([100, 11, 101], [0.1, 0.2, 0.7], 30)
    assert bank.index.tolist() == [[1, 0, 2]]
    assert bank.length.tolist() == [1]


def test_scores_are_unchanged() -> None:
    scores = torch.rand(2, 6)
    before = scores.clone()
    select_bank(scores, torch.ones(2, 6, dtype=torch.bool), torch.zeros(2, 6, dtype=torch.bool), 3)
    assert torch.equal(scores, before)


@given(st.data())
@settings(max_examples=80)
def test_selection_equals_its_loop_twin(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 9))
    kept = data.draw(st.integers(1, 10))
    largest = data.draw(st.booleans())
    # Few distinct scores, so that ties are common.
    score = st.sampled_from([0.0, 0.125, 0.25, 1e-30, 0.9])
    scores = torch.tensor([data.draw(st.lists(score, min_size=size, max_size=size)) for _ in range(3)])
    kinds = torch.tensor([data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)) for _ in range(3)])
    bank = select_bank(scores, kinds == 0, kinds == 1, kept, largest=largest)
    for sample in range(3):
        expected = bank_by_loops(scores[sample], kinds[sample] == 0, kinds[sample] == 1, kept, largest=largest)
        assert (bank.index[sample].tolist(), int(bank.length[sample])) == expected


def test_kept_tokens_come_in_order_and_carry_gradients() -> None:
    tokens = torch.arange(12.0).reshape(1, 4, 3).requires_grad_()
    kept = gather_tokens(tokens, torch.tensor([[2, 0]]))
    assert kept.tolist() == [[[6, 7, 8], [0, 1, 2]]]
    kept.sum().backward()
    assert tokens.grad is not None
    assert tokens.grad[0].tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0]]
