"""The contrastive loss, against the spec's worked example and against loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pickout.losses.contrastive import (
    DIRECTIONS,
    ContrastiveLoss,
    Direction,
    contrastive,
    positive_keys,
    soft_cross_entropy,
    with_queue,
)

KEY_IDENTITY = torch.tensor([7, 9, 7, -100, 9])


def softmax(scores: list[Tensor]) -> list[Tensor]:
    top = max(score.item() for score in scores)
    powers = [torch.exp(score - top) for score in scores]
    return [power / sum(powers) for power in powers]


def direction_by_loops(
    query: Tensor, teacher: Tensor, keys: Tensor, positive: Tensor, temperature: Tensor, alpha: float
) -> Tensor:
    """One direction in double precision, row by row; differentiable."""
    loss = query.new_zeros(())
    for b in range(len(query)):
        wanted = [j for j in range(keys.shape[1]) if positive[b, j]]
        own = softmax([query[b] @ keys[:, j] / temperature for j in range(keys.shape[1])])
        soft = softmax([teacher[b] @ keys[:, j] / temperature.detach() for j in range(keys.shape[1])])
        for j in range(keys.shape[1]):
            target = alpha * soft[j] + (1 - alpha) * (1 / len(wanted) if j in wanted else 0.0)
            loss = loss - target * torch.log(own[j]) / len(query)
    return loss


def contrastive_by_loops(
    given: dict[str, Tensor], positive: Tensor, alpha: float, directions: tuple[Direction, ...]
) -> Tensor:
    losses = []
    for direction in directions:
        query, key = direction[0], direction[-1]
        losses.append(
            direction_by_loops(
                given[query], given[f"{query}_m"], given[f"{key}_keys"], positive, given["temperature"], alpha
            )
        )
    return sum(losses[1:], losses[0]) / len(losses)


def random_features(batch: int, queue: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def unit(rows: int) -> Tensor:
        return F.normalize(torch.randn(rows, 4, generator=generator), dim=-1)

    given = {name: unit(batch) for name in ("i", "t", "i_m", "t_m")}
    given |= {f"{side}_keys": with_queue(given[f"{side}_m"], unit(queue).T) for side in ("i", "t")}
    return given | {"temperature": torch.tensor(0.2)}


def loss_of(
    given: dict[str, Tensor], positive: Tensor, alpha: float, directions: tuple[Direction, ...] = DIRECTIONS
) -> ContrastiveLoss:
    return contrastive(
        given["i"],
        given["t"],
        given["i_m"],
        given["t_m"],
        given["i_keys"],
        given["t_keys"],
        positive,
        temperature=given["temperature"],
        alpha=alpha,
        directions=directions,
    )


def with_gradient(given: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    leaves = {name: value.detach().to(dtype) for name, value in given.items()}
    for name in ("i", "t", "temperature"):
        leaves[name].requires_grad_()
    return leaves


def test_the_worked_example() -> None:
    positive = positive_keys(torch.tensor([7]), KEY_IDENTITY)
    assert positive.tolist() == [[True, False, True, False, False]]
    teacher = (torch.tensor([[0.6, 0.1, 0.5, 0.0, 0.2]]) / 0.07).softmax(1)
    target = 0.4 * teacher + 0.6 * positive / 2
    assert target[0].tolist() == pytest.approx([0.621562, 0.000254, 0.377063, 0.000061, 0.001061], abs=1e-6)
    online = torch.tensor([[0.7, 0.2, 0.4, 0.1, 0.0]]) / 0.07
    assert float(soft_cross_entropy(online, target)) == pytest.approx(1.643608, abs=1e-6)


def test_the_worked_example_from_features() -> None:
    keys = torch.eye(5)
    online, momentum = torch.tensor([[0.7, 0.2, 0.4, 0.1, 0.0]]), torch.tensor([[0.6, 0.1, 0.5, 0.0, 0.2]])
    positive = positive_keys(torch.tensor([7]), KEY_IDENTITY)
    found = contrastive(
        online, online, momentum, momentum, keys, keys, positive, temperature=torch.tensor(0.07), alpha=0.4
    )
    assert float(found.loss) == pytest.approx(1.643608, abs=1e-6)
    assert found.image_to_text.tolist() == [[pytest.approx(10.0)]]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(0, 4), st.integers(0, 2**31))
@settings(max_examples=30)
def test_loss_and_gradients_equal_the_loop_twin(identity: list[int], queue: int, seed: int) -> None:
    given = random_features(len(identity), queue, seed)
    who = torch.tensor(identity)
    positive = positive_keys(who, torch.cat([who, torch.tensor([0, -100, 2, 1])[:queue]]))
    fast, slow = with_gradient(given, torch.float32), with_gradient(given, torch.float64)
    found = loss_of(fast, positive, 0.4).loss
    expected = contrastive_by_loops(slow, positive, 0.4, DIRECTIONS)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    expected.backward()
    for name in ("i", "t", "temperature"):
        torch.testing.assert_close(fast[name].grad, slow[name].grad.float(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("directions", [("i2t", "t2i"), ("i2i",), ("t2t", "i2t", "t2i")])
def test_directions_can_be_left_out(directions: tuple[Direction, ...]) -> None:
    given = random_features(3, 2, 5)
    positive = positive_keys(torch.tensor([0, 1, 0]), torch.tensor([0, 1, 0, -100, 1]))
    double = {name: value.double() for name, value in given.items()}
    expected = contrastive_by_loops(double, positive, 0.4, directions)
    assert float(loss_of(given, positive, 0.4, directions).loss) == pytest.approx(expected.item(), rel=1e-5)


def test_one_hot_targets_know_the_own_pair_alone() -> None:
    who, keys = torch.tensor([3, 3]), torch.tensor([3, 5, 3, 3, 3, 5])
    assert positive_keys(who, keys, one_hot=True).nonzero().tolist() == [[0, 0], [1, 1]]
    assert positive_keys(who, keys)[0].tolist() == [True, False, True, True, True, False]


def test_similarities_are_those_of_the_batch_without_gradient() -> None:
    given = with_gradient(random_features(3, 4, 1), torch.float32)
    positive = positive_keys(torch.arange(3), torch.tensor([0, 1, 2, -100, -100, -100, -100]))
    found = loss_of(given, positive, 0.0)
    with torch.no_grad():
        torch.testing.assert_close(found.image_to_text, given["i"] @ given["t_m"].T / given["temperature"])
        torch.testing.assert_close(found.text_to_image, given["t"] @ given["i_m"].T / given["temperature"])
    assert not found.image_to_text.requires_grad and not found.text_to_image.requires_grad


def test_autocast_does_not_lower_the_precision() -> None:
    given, who = random_features(4, 3, 2), torch.tensor([0, 1, 0, 2])
    positive = positive_keys(who, torch.cat([who, torch.tensor([2, -100, 0])]))
    plain = loss_of(given, positive, 0.4).loss
    assert math.isfinite(plain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss_of(given, positive, 0.4).loss, plain)
