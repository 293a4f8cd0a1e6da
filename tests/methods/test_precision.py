"""Why weights stay float32 (the spec's E14): a paper-sized step vanishes in float16."""

from collections.abc import Callable

import torch

from pickout.data.batching import Batch
from pickout.methods.base import Method, Progress


def test_float16_rounds_a_small_step_away() -> None:
    def half(value: float) -> torch.Tensor:
        return torch.tensor(value, dtype=torch.float16)

    assert half(0.02) + half(5e-6) == half(0.02)
    assert half(0.1) + half(1e-5) == half(0.1)
    assert torch.tensor(0.1) + 1e-5 != torch.tensor(0.1)


def test_under_autocast_weights_and_gradients_are_float32_and_a_small_step_counts(
    make_method: Callable[..., Method], make_batch: Callable[..., Batch]
) -> None:
    method = make_method("itself")
    weight = method.get_parameter("image_head.adapter.inner.weight")
    before = weight.detach().clone()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        method.losses(make_batch(), Progress(1, 1, 10, 2)).total.backward()
    assert {parameter.dtype for parameter in method.parameters()} == {torch.float32}
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    torch.optim.Adam([weight], lr=1e-6, eps=1e-3).step()
    moved = (weight.detach() != before).float().mean()
    assert moved > 0.9
    assert (weight.detach().half() != before.half()).float().mean() < 0.2
