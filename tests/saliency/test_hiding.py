"""Which tokens are hidden and what replaces them, against the spec's worked example and against loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pickout.saliency.masking import (
    apply_mask,
    choose_positions,
    ensure_chosen,
    random_words,
    vacuous_positions,
    word_numbers,
)

PAD, CLS, MASK, END = 0, 1, 2, 3
CONTINUES = torch.tensor([id % 5 == 4 for id in range(30)])
"""Ids 4, 9, 14 ... go on with a word."""


def caption_batch(captions: list[list[int]], end: bool = False) -> tuple[Tensor, Tensor]:
    """Ids and content of [start, words, (end), padding ...]."""
    width = max(map(len, captions)) + 3
    rows = [[CLS, *words, *([END] if end else [])] for words in captions]
    ids = torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])
    content = torch.tensor([[False, *[True] * len(words), *[False] * (width - 1 - len(words))] for words in captions])
    return ids, content


def words_by_loops(ids: list[int], content: list[bool]) -> list[list[int]]:
    """Positions of each word, non-content tokens as words of their own."""
    words: list[list[int]] = []
    for i, token in enumerate(ids):
        if i > 0 and content[i] and content[i - 1] and bool(CONTINUES[token]):
            words[-1].append(i)
        else:
            words.append([i])
    return words


def chosen_by_loops(
    probability: Tensor, uniform: Tensor, ids: Tensor, content: Tensor, whole: bool
) -> list[list[bool]]:
    table, best = [], []
    for p, u, row, kept in zip(probability.tolist(), uniform.tolist(), ids.tolist(), content.tolist(), strict=True):
        units = words_by_loops(row, kept) if whole else [[i] for i in range(len(row))]
        units = [unit for unit in units if kept[unit[0]]]
        means = [sum(p[i] for i in unit) / len(unit) for unit in units]
        hit = [unit for unit, mean in zip(units, means, strict=True) if u[unit[0]] < mean]
        table.append([any(i in unit for unit in hit) for i in range(len(row))])
        likeliest = max(range(len(units)), key=lambda j: (means[j], -j)) if units else None
        best.append([likeliest is not None and i in units[likeliest] for i in range(len(row))])
    return table if any(any(line) for line in table) else best


captions = st.lists(st.lists(st.integers(5, 29), max_size=6), min_size=1, max_size=4)


@given(captions, st.booleans(), st.booleans(), st.sampled_from([0.0, 0.2, 0.9]), st.integers(0, 2**31))
@settings(max_examples=60)
def test_choices_equal_their_loop_twin(texts: list[list[int]], end: bool, whole: bool, level: float, seed: int) -> None:
    ids, content = caption_batch(texts, end)
    generator = torch.Generator().manual_seed(seed)
    # Multiples of a power of two, so that means and ties are exact.
    probability = level * torch.randint(0, 5, ids.shape, generator=generator) / 4 * content
    uniform = torch.rand(ids.shape, generator=generator)
    words = word_numbers(ids, content, CONTINUES) if whole else None
    chosen = choose_positions(probability, uniform, content, words_BT=words)
    chosen = ensure_chosen(chosen, probability, content, words_BT=words, empty=~chosen.any())
    assert chosen.tolist() == chosen_by_loops(probability, uniform, ids, content, whole)
    assert not bool((chosen & ~content).any())


def test_a_word_is_hidden_whole_or_not_at_all() -> None:
    ids, content = caption_batch([[5, 9, 14, 6, 7, 19]])
    words = word_numbers(ids, content, CONTINUES)
    assert words.tolist() == [[0, 1, 1, 1, 2, 3, 3, 4, 5]]
    probability = torch.tensor([[0, 0.9, 0.0, 0.0, 0.2, 0.2, 0.4, 0, 0]])
    uniform = torch.tensor([[0.0, 0.29, 0.99, 0.99, 0.21, 0.29, 0.0, 0, 0]])
    chosen = choose_positions(probability, uniform, content, words_BT=words)
    assert chosen.tolist() == [[False, True, True, True, False, True, True, False, False]]


def test_a_caption_cut_in_front_of_a_continuing_piece_starts_a_word_of_its_own() -> None:
    ids, content = caption_batch([[9, 5]])
    assert word_numbers(ids, content, CONTINUES).tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("whole", [False, True])
def test_as_many_pieces_are_expected_in_words_as_one_by_one(whole: bool) -> None:
    ids, content = caption_batch([[5, 9, 14, 6, 7, 19, 24, 8]])
    probability = torch.tensor([[0, 0.5, 0.1, 0.0, 0.2, 0.2, 0.4, 0.0, 0.1, 0, 0]]).expand(20000, -1)
    ids, content = ids.expand(20000, -1), content.expand(20000, -1)
    uniform = torch.rand(ids.shape, generator=torch.Generator().manual_seed(0))
    words = word_numbers(ids, content, CONTINUES) if whole else None
    chosen = choose_positions(probability, uniform, content, words_BT=words)
    assert chosen.float().sum(1).mean().item() == pytest.approx(1.5, abs=0.03)


def test_where_nothing_was_chosen_the_likeliest_of_each_text_is() -> None:
    ids, content = caption_batch([[5, 6, 7], [8], []])
    probability = torch.tensor([[0, 0.1, 0.2, 0.2, 0, 0], [0, 0.1, 0, 0, 0, 0], [0.0] * 6])
    never = torch.full(ids.shape, 0.99)
    chosen = choose_positions(probability, never, content)
    assert not bool(chosen.any())
    forced = ensure_chosen(chosen, probability, content, empty=~chosen.any())
    assert forced.nonzero().tolist() == [[0, 2], [1, 1]]
    never[1, 1] = 0.0
    chosen = choose_positions(probability, never, content)
    assert ensure_chosen(chosen, probability, content, empty=~chosen.any()).nonzero().tolist() == [[1, 1]]


def test_another_part_of_the_batch_may_have_chosen() -> None:
    ids, content = caption_batch([[5, 9, 7]])
    none, probability = torch.zeros_like(content), content * torch.tensor([0, 0.1, 0.2, 0.12, 0, 0])
    words = word_numbers(ids, content, CONTINUES)
    assert torch.equal(ensure_chosen(none, probability, content, empty=torch.tensor(False)), none)
    forced = ensure_chosen(none, probability, content, empty=torch.tensor(True), words_BT=words)
    assert forced.nonzero().tolist() == [[0, 1], [0, 2]]


def mask_by_loops(ids: Tensor, chosen: Tensor, kind: Tensor, random: Tensor) -> list[list[int]]:
    table = []
    for row, hit, u, r in zip(ids.tolist(), chosen.tolist(), kind.tolist(), random.tolist(), strict=True):
        line = []
        for i, token in enumerate(row):
            new = MASK if u[i] < 0.8 else r[i] if u[i] < 0.9 else token
            line.append(new if hit[i] else token)
        table.append(line)
    return table


@given(st.integers(1, 4), st.integers(1, 8), st.integers(0, 2**31))
@settings(max_examples=40)
def test_masked_captions_equal_their_loop_twin(batch: int, tokens: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ids, random = (torch.randint(0, 30, (batch, tokens), generator=generator) for _ in range(2))
    chosen = torch.rand(batch, tokens, generator=generator) < 0.5
    kind = torch.rand(batch, tokens, generator=generator)
    assert apply_mask(ids, chosen, kind, random, MASK).tolist() == mask_by_loops(ids, chosen, kind, random)


def test_shares_of_the_worked_example_over_ten_thousand_texts() -> None:
    probability = torch.tensor([[0, 0.055954, 0.371739, 0.114888, 0.057419]]).expand(10000, 5)
    ids, content = torch.tensor([[CLS, 5, 6, 7, 8]]).expand(10000, 5), probability > 0
    generator = torch.Generator().manual_seed(0)
    choose, kind, word = torch.rand(3, 10000, 5, generator=generator).unbind()
    chosen = choose_positions(probability, choose, content)
    assert chosen.sum(1).float().mean().item() == pytest.approx(0.60, abs=0.02)
    # The random words are none of the caption's, so that a changed word can be told.
    masked = apply_mask(ids, chosen, kind, random_words(word, torch.arange(10, 30)), MASK)
    hit = masked[chosen]
    shares = [(hit == MASK).float().mean(), (hit >= 10).float().mean(), (hit == ids[chosen]).float().mean()]
    assert [share.item() for share in shares] == pytest.approx([0.8, 0.1, 0.1], abs=0.015)
    assert torch.equal(masked[~chosen], ids[~chosen])


def test_random_words_cover_the_choices_evenly_and_never_leave_them() -> None:
    uniform = torch.rand(1, 30000, generator=torch.Generator().manual_seed(2))
    found = random_words(uniform, torch.tensor([7, 11, 19]))
    assert sorted(set(found.flatten().tolist())) == [7, 11, 19]
    shares = found.bincount() if found.dim() == 1 else found.flatten().bincount()
    assert (shares[[7, 11, 19]] / 30000).tolist() == pytest.approx([1 / 3] * 3, abs=0.015)
    edges = random_words(torch.tensor([[0.0, 1 - 2**-24]]), torch.arange(30522))
    assert edges.tolist() == [[0, 30521]]


def test_a_listed_piece_at_the_front_of_a_longer_word_is_no_empty_word() -> None:
    ids, content = caption_batch([[5, 9, 5, 6, 5]], end=True)
    vacuous = torch.arange(30) == 5
    numbers = word_numbers(ids, content, CONTINUES)
    assert vacuous_positions(ids, content, vacuous, numbers).nonzero()[:, 1].tolist() == [3, 5]
    assert vacuous_positions(ids, content, vacuous).nonzero()[:, 1].tolist() == [1, 3, 5]
    everything = torch.ones(30, dtype=torch.bool)
    assert torch.equal(vacuous_positions(ids, content, everything), content)
