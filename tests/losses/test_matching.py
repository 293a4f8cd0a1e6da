"""Hard negatives and the losses over pairs, against the spec's worked example and against loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pickout.chance import categorical
from pickout.losses.fusion import matching_loss, negative_weights, relation_loss, same_caption


def weights_by_loops(
    similarity: Tensor, identity: list[int], group: int | None, epsilon: float, captions: list[str] | None
) -> list[list[float]]:
    table = []
    for i, row in enumerate(similarity.double().tolist()):
        near = [j for j in range(len(row)) if group is None or i // group == j // group]
        total = sum(math.exp(row[j]) for j in near)
        weights = [0.0] * len(row)
        for j in near:
            alike = identity[i] == identity[j] or (captions is not None and captions[i] == captions[j])
            weights[j] = 0.0 if alike else math.exp(row[j]) / total + epsilon
        table.append(weights)
    return table


def binary_by_loops(logits: list[list[float]], labels: list[int], valid: list[bool]) -> float:
    losses = [
        math.log(sum(math.exp(value) for value in row)) - row[label]
        for row, label, kept in zip(logits, labels, valid, strict=True)
        if kept
    ]
    return sum(losses) / max(1, len(losses))


batches = st.lists(st.integers(0, 4), min_size=1, max_size=9)


@given(batches, st.sampled_from([None, 1, 2, 4, 13]), st.integers(0, 2**31), st.booleans())
@settings(max_examples=80)
def test_weights_equal_their_loop_twin(identity: list[int], group: int | None, seed: int, read: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.randn(len(identity), len(identity), generator=generator) * 3
    ids = torch.randint(0, 2, (len(identity), 2), generator=generator)
    captions = [str(row) for row in ids.tolist()] if read else None
    equal = same_caption(ids) if read else None
    found = negative_weights(similarity, torch.tensor(identity), group=group or 0, equal_captions_BB=equal)
    expected = weights_by_loops(similarity, identity, group, 1e-5, captions)
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=1e-4)


@given(batches, st.sampled_from([None, 2, 13]), st.integers(0, 2**31))
@settings(max_examples=60)
def test_no_negative_shows_the_same_person_or_another_group(identity: list[int], group: int | None, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    size = len(identity)
    weights = negative_weights(
        torch.randn(size, size, generator=generator) * 20, torch.tensor(identity), group=group or 0
    )
    drawn = categorical(weights, torch.rand(size, generator=generator))
    for i in range(size):
        near = [j for j in range(size) if group is None or i // group == j // group]
        others = [j for j in near if identity[j] != identity[i]]
        assert bool(drawn.valid[i]) == bool(others)
        assert not others or int(drawn.index[i]) in others


def test_a_row_whose_negatives_all_round_to_zero_can_be_drawn() -> None:
    similarity = torch.tensor([[500.0, 0.0, 0.0], [0.0, 500.0, 0.0], [0.0, 0.0, 500.0]])
    who = torch.arange(3)
    assert bool((negative_weights(similarity, who, epsilon=0.0) == 0).all())
    drawn = categorical(negative_weights(similarity, who), torch.tensor([0.1, 0.6, 0.9]))
    assert drawn.valid.tolist() == [True, True, True]
    assert drawn.index.tolist() == [1, 2, 1]


def test_a_batch_of_one_person_has_no_negative_and_still_a_loss() -> None:
    weights = negative_weights(torch.randn(3, 3), torch.zeros(3, dtype=torch.int64))
    drawn = categorical(weights, torch.rand(3))
    assert drawn.valid.tolist() == [False, False, False]
    logits = torch.randn(6, 2, requires_grad=True)
    matches = torch.tensor([True] * 3 + [False] * 3)
    loss = matching_loss(logits, matches, torch.cat([torch.ones(3, dtype=torch.bool), drawn.valid]))
    loss.backward()
    assert loss.item() == pytest.approx(binary_by_loops(logits[:3].tolist(), [1] * 3, [True] * 3), rel=1e-5)
    assert logits.grad is not None and torch.equal(logits.grad[3:], torch.zeros(3, 2))


def test_likelier_negatives_are_drawn_more_often() -> None:
    similarity = torch.tensor([[9.0, 1.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    weights = negative_weights(similarity, torch.arange(3), epsilon=0.0)[:1].expand(20000, 3)
    drawn = categorical(weights, torch.rand(20000, generator=torch.Generator().manual_seed(1)))
    assert float((drawn.index == 1).float().mean()) == pytest.approx(math.e / (1 + math.e), abs=0.015)


def test_the_matching_loss_of_the_worked_example() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, 0.0], [0.5, 0.5]])
    assert float(matching_loss(logits, torch.tensor([True, False, False]))) == pytest.approx(0.377779, abs=1e-6)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8), st.integers(0, 2**31))
@settings(max_examples=40)
def test_losses_over_pairs_equal_their_loop_twin(pairs: list[tuple[bool, bool]], seed: int) -> None:
    logits = torch.randn(len(pairs), 2, generator=torch.Generator().manual_seed(seed))
    matches, valid = (torch.tensor(column) for column in zip(*pairs, strict=True))
    labels = matches.long().tolist()
    expected = binary_by_loops(logits.tolist(), labels, valid.tolist())
    assert float(matching_loss(logits, matches, valid)) == pytest.approx(expected, rel=1e-5, abs=1e-7)
    everyone = binary_by_loops(logits.tolist(), labels, [True] * len(pairs))
    assert float(relation_loss(logits, matches.long())) == pytest.approx(everyone, rel=1e-5)


def test_halves_with_a_given_count_average_to_the_whole() -> None:
    logits, matches = torch.randn(6, 2), torch.tensor([True, True, False, False, False, False])
    valid = torch.tensor([True, True, True, False, True, True])
    whole = matching_loss(logits, matches, valid)
    count = valid.sum() / 2
    halves = [matching_loss(logits[rows], matches[rows], valid[rows], count=count) for rows in (slice(4), slice(4, 6))]
    torch.testing.assert_close(sum(halves) / 2, whole)
    halves = [relation_loss(logits[rows], matches[rows].long(), count=3) for rows in (slice(4), slice(4, 6))]
    torch.testing.assert_close(sum(halves) / 2, relation_loss(logits, matches.long()))


def test_logits_below_full_precision_are_scored_in_float32() -> None:
    logits = torch.randn(4, 2).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert matching_loss(logits, torch.tensor([True, False, True, False])).dtype == torch.float32
