"""Equal bits from equal runs on a CPU, with any fixed number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def repeatable() -> Iterator[None]:
    """Inside the block, take only algorithms that add in a fixed order.

    Without it, threads that sum the gradients of repeated indices (`features[pairs]`) add them in the order they happen
    to come, and two equal runs part in the last bits. Memory is not filled before use, which PyTorch would do besides;
    nothing here reads memory that it has not written.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    deterministic: Any = torch.utils.deterministic
    filled = deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        deterministic.fill_uninitialized_memory = filled
