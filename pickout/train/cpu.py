"""What a CPU training process asks of glibc and of PyTorch: to keep freed memory, and equal bits from equal runs."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of the two settings in glibc's malloc.h."""
_NEVER = 2**31 - 1
_LARGEST_OWN = 32 * 2**20
"""Bytes above which glibc always takes fresh memory; its own upper limit."""


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory instead of returning it to the kernel; False where the C library is another.

    A training step frees and takes the same large buffers again and again; returned and taken anew, each page is
    cleared and mapped once more. `benchmarks/freed_memory.py` measures what that costs.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(set_option(_TRIM_THRESHOLD, _NEVER)) and bool(set_option(_MMAP_THRESHOLD, _LARGEST_OWN))


@contextmanager
def repeatable() -> Iterator[None]:
    """Inside the block, take only algorithms that add in a fixed order, with any fixed number of threads.

    Without it, threads that sum the gradients of repeated indices (`features[pairs]`) add them in the order they happen
    to come. Memory is not filled before use, as PyTorch would do besides; nothing here reads what it has not written.
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
