"""Equal runs end with equal bits, also with several threads."""

from collections.abc import Iterator

import pytest
import torch

from pickout.train.engine import launch, repeatable


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
def test_gradients_of_repeated_indices_are_equal_each_time() -> None:
    """Outside the block nearly every repetition differs in the last bits."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(400, 128, generator=generator)
    index = torch.randint(0, 400, (3072,), generator=generator)
    upstream = torch.randn(3072, 128, generator=generator)

    def gradient() -> torch.Tensor:
        leaf = features.clone().requires_grad_()
        leaf[index].backward(upstream)
        assert leaf.grad is not None
        return leaf.grad

    with repeatable():
        first = gradient()
        assert all(torch.equal(first, gradient()) for _ in range(20))


def test_training_on_a_cpu_is_repeatable() -> None:
    with launch("cpu", "fp32", 1):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_settings_end_with_the_block() -> None:
    filled = torch.utils.deterministic.fill_uninitialized_memory
    with pytest.raises(ValueError, match="broke"), repeatable():
        assert torch.are_deterministic_algorithms_enabled()
        raise ValueError("broke")
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory == filled
