"""The step of `itself` equals the released program's order of work: losses and every gradient."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from sequential.itself import losses

from pickout.data.batching import Batch
from pickout.methods.base import Method, Progress
from pickout.methods.itself import Itself


@pytest.mark.parametrize("step", [1, 700, 1450])
@pytest.mark.parametrize("mismatch", ["n_id", "batch_max_plus_one"])
def test_losses_and_gradients_are_those_of_the_slow_twin(
    make_method: Callable[..., Method], make_batch: Callable[..., Batch], step: int, mismatch: str
) -> None:
    method = make_method("itself", mismatch_class=mismatch)
    assert isinstance(method, Itself)
    twin, batch = deepcopy(method), make_batch(6)
    ours, slow = method.losses(batch, Progress(step, 1, 10, 2)), losses(twin, batch, step)
    assert ours.terms.keys() == slow.keys()
    for name, term in slow.items():
        torch.testing.assert_close(ours.terms[name], term, rtol=1e-5, atol=1e-6)
    ours.total.backward()
    torch.stack(list(slow.values())).sum().backward()
    for (name, one), other in zip(method.named_parameters(), twin.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        # Batch statistics take the bias before them off again: what is left of its gradient is rounding.
        assert float((one.grad - other.grad).norm()) <= 1e-4 * float(other.grad.norm()) + 5e-6, name
    for one, other in zip(method.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(one, other)
