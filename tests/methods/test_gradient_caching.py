"""A batch that goes through the towers in chunks gives the losses and gradients of the whole batch."""

from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch

from pickout.data.batching import Batch
from pickout.errors import RecipeError
from pickout.methods import METHODS
from pickout.methods.base import Method, Progress
from pickout.train.engine import _Losses

NOW = Progress(3, 1, 10, 2)
SEPARABLE = ("dual", "itself")


@pytest.mark.parametrize("chunk", [1, 4, 6, 8])
@pytest.mark.parametrize("name", SEPARABLE)
def test_gradients_are_those_of_the_plain_step(
    name: str, chunk: int, make_method: Callable[..., Method], make_batch: Callable[..., Batch]
) -> None:
    plain, batch = make_method(name), make_batch(6)
    cached = deepcopy(plain)
    one, other = plain.losses(batch, NOW), _Losses(cached, chunk)(batch, NOW)
    assert one.logs == other.logs
    for key, term in one.terms.items():
        torch.testing.assert_close(other.terms[key], term, rtol=1e-6, atol=1e-6)
    one.total.backward()
    other.total.backward()
    for (key, first), second in zip(plain.named_parameters(), cached.parameters(), strict=True):
        assert first.grad is not None and second.grad is not None
        rounding = 2e-6 * max(1.0, float(first.grad.abs().max()))  # captions of a chunk have a longest of their own
        torch.testing.assert_close(second.grad, first.grad, rtol=1e-5, atol=rounding, msg=key)
    for first, second in zip(plain.buffers(), cached.buffers(), strict=True):
        torch.testing.assert_close(second, first)


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("name", SEPARABLE)
def test_each_chunk_is_computed_again_on_the_way_back(
    name: str, low: bool, make_method: Callable[..., Method], make_batch: Callable[..., Batch]
) -> None:
    """Each chunk passes a tower once forwards and once more on the way back, so nothing of the others is there."""
    method, counts = make_method(name, identities=16), {}
    for chunk in (4, 32):
        passes = list[int]()
        hook = method.get_submodule("vision").register_forward_hook(
            lambda module, given, out, seen=passes: seen.append(len(given[0]))
        )
        with torch.autocast("cpu", torch.bfloat16) if low else nullcontext():
            total = _Losses(method, chunk)(make_batch(32), NOW).total
        total.backward()
        hook.remove()
        counts[chunk] = passes
    assert counts == {4: [4] * 16, 32: [32]}


@pytest.mark.parametrize("name", sorted(METHODS.keys() - set(SEPARABLE)))
def test_a_method_whose_losses_depend_on_more_is_refused(name: str, make_method: Callable[..., Method]) -> None:
    with pytest.raises(RecipeError, match=r"sampler\.chunk = 4: the losses of .*leave it out"):
        _Losses(make_method(name), 4)
    _Losses(make_method(name), None)
