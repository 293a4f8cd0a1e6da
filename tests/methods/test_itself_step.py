"""The step of `itself` equals the released program's order of work: losses and every gradient."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from sequential.itself import losses

from pickout.data.batching import Batch
from pickout.methods.base import Method, Progress
from pickout.methods.itself import Itself
from pickout.shapes import TokenBatch


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


@pytest.mark.parametrize(
    ("selection", "discard", "columns"),
    [*((each, 0.25, 9) for each in ("mars", "layer", "last", "mean", "std", "min_mean")), ("mars", 0.9, 12)],
)
def test_padding_that_no_bank_can_hold_is_not_computed_and_changes_nothing(
    make_method: Callable[..., Method],
    make_batch: Callable[..., Batch],
    monkeypatch: pytest.MonkeyPatch,
    selection: str,
    discard: float,
    columns: int,
) -> None:
    """Fillers of short captions take part in the batch statistics, so those that a bank may hold stay. A roll-out that
    discards nine tenths of a map counts its entries, so padding stays there."""
    rules = {"selection": selection, "discard": discard, "single_layer": 1}
    batch, seen, found = make_batch(6), list[int](), []
    for cut in (True, False):
        if not cut:
            monkeypatch.setattr(TokenBatch, "cut", lambda texts, _=0: texts)
        method = make_method("itself", **rules)
        method.get_submodule("text").register_forward_pre_hook(lambda _, given: seen.append(given[0].ids.shape[1]))
        terms = method.losses(batch, Progress(1450, 1, 10, 2)).terms
        found.append([*terms.values(), method.eval().encode_texts(batch.texts).embedding])
    assert seen == [columns, 9, 12, 12]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
