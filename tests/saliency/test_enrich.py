"""Enriched captions, against the spec's worked example and against loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pickout.saliency.enrich import Candidates, candidates, enrich

PAD, UNK, CLS, MASK = 0, 1, 2, 3
BLACK, DARK, GREY, BLUE, GRAY, RED = 4, 5, 6, 7, 8, 9
LOGITS = torch.tensor([[9.0, 9.0, 9.0, 9.0, 2.0, 1.5, 1.0, 0.5, 0.0, -1.0]])
ONE = torch.tensor([True])
PROPOSABLE = torch.tensor([False] * 4 + [True] * 6)


def candidates_by_loops(
    logits: list[float], original: int, proposable: list[bool], replaceable: bool, k: int, order: str
) -> dict[int, float]:
    """Probability of each candidate."""
    ids = [v for v in range(len(logits)) if proposable[v] and replaceable]
    if order == "drop_then_topk":
        ids = [v for v in ids if v != original]
    ids = sorted(ids, key=lambda v: -logits[v])[:k]
    ids = [v for v in ids if v != original]
    total = sum(math.exp(logits[v]) for v in ids)
    return {v: math.exp(logits[v]) / total for v in ids}


def as_mapping(found: Candidates, row: int) -> dict[int, float]:
    pairs = zip(found.ids[row].tolist(), found.probabilities[row].tolist(), strict=True)
    return {word: probability for word, probability in pairs if probability > 0}


def of_black(order: str) -> Candidates:
    return candidates(LOGITS, torch.tensor([BLACK]), PROPOSABLE, ONE, order=order)  # type: ignore[arg-type]


def test_the_original_is_taken_out_of_the_five_best() -> None:
    expected = {DARK: 0.455054, GREY: 0.276004, BLUE: 0.167405, GRAY: 0.101536}
    assert as_mapping(of_black("topk_then_drop"), 0) == pytest.approx(expected, abs=1e-6)


def test_taken_out_first_it_leaves_room_for_one_more() -> None:
    expected = {DARK: 0.438669, GREY: 0.266066, BLUE: 0.161377, GRAY: 0.097880, RED: 0.036008}
    assert as_mapping(of_black("drop_then_topk"), 0) == pytest.approx(expected, abs=1e-6)


@given(
    st.integers(1, 4), st.integers(1, 7), st.sampled_from(["topk_then_drop", "drop_then_topk"]), st.integers(0, 2**31)
)
@settings(max_examples=60)
def test_candidates_equal_their_loop_twin(chosen: int, k: int, order: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(chosen, 8, generator=generator)
    original = torch.randint(0, 8, (chosen,), generator=generator)
    proposable = torch.rand(8, generator=generator) < 0.6
    replaceable = torch.rand(chosen, generator=generator) < 0.7
    found = candidates(logits, original, proposable, replaceable, k=k, order=order)  # type: ignore[arg-type]
    for n in range(chosen):
        expected = candidates_by_loops(
            logits[n].double().tolist(), int(original[n]), proposable.tolist(), bool(replaceable[n]), k, order
        )
        assert as_mapping(found, n) == pytest.approx(expected, abs=1e-6)
        assert not expected or found.probabilities[n].sum().item() == pytest.approx(1.0, abs=1e-6)


def test_specials_and_unknown_words_are_never_proposed() -> None:
    for order in ("topk_then_drop", "drop_then_topk"):
        assert min(as_mapping(of_black(order), 0)) >= 4


def test_a_piece_within_a_word_gets_no_candidate() -> None:
    found = candidates(LOGITS.expand(2, -1), torch.tensor([BLACK, DARK]), PROPOSABLE, torch.tensor([True, False]))
    assert set(as_mapping(found, 0)) == {DARK, GREY, BLUE, GRAY}
    assert as_mapping(found, 1) == {}


IDS = torch.tensor([[CLS, BLACK, RED, BLUE, PAD], [CLS, GREY, BLACK, PAD, PAD], [CLS, RED, GRAY, DARK, RED]])
CHOSEN = torch.tensor([[0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()
FOUND = Candidates(
    torch.tensor([[DARK, BLACK, GREY], [GREY, RED, DARK], [DARK, GREY, BLACK]]),
    torch.tensor([[0.5, 0.0, 0.5], [0.2, 0.3, 0.5], [0.0, 0.0, 0.0]]),
)


def enrich_by_loops(
    ids: Tensor, chosen: Tensor, found: Candidates, uniform: Tensor, decision: Tensor, allowed: Tensor, rate: float
) -> tuple[list[list[int]], list[bool]]:
    table = ids.tolist()
    for n, (b, i) in enumerate(chosen.nonzero().tolist()):
        running, words = 0.0, found.ids[n].tolist()
        for word, probability in zip(words, found.probabilities[n].tolist(), strict=True):
            running += probability
            if probability > 0 and running > float(uniform[b, i]):
                unit = i if decision.shape[1] > 1 else 0
                if bool(allowed[b]) and float(decision[b, unit]) < rate:
                    table[b][i] = word
                break
    return table, [row != old for row, old in zip(table, ids.tolist(), strict=True)]


@given(st.booleans(), st.integers(0, 2**31))
@settings(max_examples=60)
def test_enriched_captions_equal_their_loop_twin(by_word: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(3, 5, generator=generator)
    decision = torch.rand(3, 5 if by_word else 1, generator=generator)
    allowed = torch.rand(3, generator=generator) < 0.7
    made = enrich(IDS, CHOSEN, FOUND, uniform_BT=uniform, decision_BU=decision, allowed_B=allowed, probability=0.6)
    expected = enrich_by_loops(IDS, CHOSEN, FOUND, uniform, decision, allowed, 0.6)
    assert (made.tolist(), (made != IDS).any(1).tolist()) == expected


def enriched(decision: list[list[float]], allowed: list[bool]) -> tuple[list[list[int]], list[bool]]:
    made = enrich(
        IDS,
        CHOSEN,
        FOUND,
        uniform_BT=torch.full((3, 5), 0.6),
        decision_BU=torch.tensor(decision),
        allowed_B=torch.tensor(allowed),
    )
    return made.tolist(), (made != IDS).any(1).tolist()


def test_a_caption_is_replaced_whole_with_the_papers_probability() -> None:
    ids, rows = enriched([[0.29], [0.0], [0.0]], [True, True, True])
    assert ids[0] == [CLS, GREY, RED, DARK, PAD]
    assert rows == [True, False, False]  # no candidate in the second, nothing chosen in the third
    assert ids[1:] == IDS[1:].tolist()
    assert enriched([[0.3], [0.3], [0.3]], [True] * 3) == (IDS.tolist(), [False] * 3)


def test_words_can_be_replaced_one_by_one() -> None:
    ids, rows = enriched([[0.0, 0.9, 0.0, 0.1, 0.0], [0.0] * 5, [0.0] * 5], [True] * 3)
    assert ids[0] == [CLS, BLACK, RED, DARK, PAD]
    assert rows == [True, False, False]


def test_weak_captions_stay_as_they_are() -> None:
    assert enriched([[0.0], [0.0], [0.0]], [False, True, True]) == (IDS.tolist(), [False] * 3)


def test_nothing_chosen_leaves_every_caption() -> None:
    none = torch.zeros_like(CHOSEN)
    found = candidates(torch.zeros(0, 10), torch.zeros(0, dtype=torch.int64), PROPOSABLE, ONE[:0])
    made = enrich(
        IDS, none, found, uniform_BT=torch.rand(3, 5), decision_BU=torch.zeros(3, 1), allowed_B=torch.ones(3).bool()
    )
    assert torch.equal(made, IDS)


def test_draws_follow_the_candidates() -> None:
    ids = torch.full((20000, 1), BLACK)
    found = candidates(LOGITS.expand(20000, -1), ids.squeeze(1), PROPOSABLE, ONE.expand(20000))
    made = enrich(
        ids,
        torch.ones_like(ids).bool(),
        found,
        uniform_BT=torch.rand(20000, 1, generator=torch.Generator().manual_seed(0)),
        decision_BU=torch.zeros(20000, 1),
        allowed_B=torch.ones(20000).bool(),
    )
    shares = made.squeeze(1).bincount(minlength=10) / 20000
    expected = torch.tensor([0, 0, 0, 0, 0, 0.455054, 0.276004, 0.167405, 0.101536, 0])
    torch.testing.assert_close(shares, expected, atol=0.015, rtol=0)


def test_candidates_have_no_gradient_and_full_precision_under_autocast() -> None:
    logits = LOGITS.bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = candidates(logits, torch.tensor([BLACK]), PROPOSABLE, ONE)
    assert found.probabilities.dtype == torch.float32 and not found.probabilities.requires_grad
    assert torch.equal(found.probabilities, of_black("topk_then_drop").probabilities)
