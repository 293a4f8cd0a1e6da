"""What a training process asks of the system: freed memory kept, equal bits from equal runs, signals between steps."""

import ctypes
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of the two settings in glibc's malloc.h
_NEVER, _LARGEST_OWN = 2**31 - 1, 32 * 2**20  # bytes to give back at, and glibc's own limit for fresh memory


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory instead of returning it to the kernel; False where the C library is another. A
    training step frees and takes the same large buffers again and again; returned and taken anew, each page is cleared
    and mapped once more. `benchmarks/freed_memory.py` measures what that costs."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(set_option(_TRIM_THRESHOLD, _NEVER)) and bool(set_option(_MMAP_THRESHOLD, _LARGEST_OWN))


@contextmanager
def repeatable() -> Iterator[None]:
    """Inside the block, take only algorithms that add in a fixed order, with any fixed number of threads. Without it,
    threads that sum the gradients of repeated indices (`features[pairs]`) add them in the order they happen to come.
    Memory is not filled before use, as PyTorch would do besides; nothing here reads what it has not written."""
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


class Interruption:
    """Turns Ctrl-C and requests to terminate into `KeyboardInterrupt`, at once or, inside `deferred`, when `check` is
    called. A second signal is always heard at once. Outside the main thread nothing is changed."""

    def __init__(self) -> None:
        self._waits, self._asked = False, False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the signals until the block ends."""
        with ExitStack() as stack:
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM):
                    stack.callback(signal.signal, number, signal.signal(number, self._hear))
            yield

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Put the first signal off until `check`, or the end of the block."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        self.check()

    def check(self) -> None:
        """Stop here, with `KeyboardInterrupt`, if a signal came."""
        if self._asked:
            raise KeyboardInterrupt

    def _hear(self, *_: object) -> None:
        if self._asked or not self._waits:
            raise KeyboardInterrupt
        self._asked = True


def leave_signals_to_parent(worker: int) -> None:  # noqa: ARG001
    """Make a data worker deaf to Ctrl-C, which reaches the whole group: its parent tells it when to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
