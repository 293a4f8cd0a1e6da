"""Memory of a CPU training process."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of the two settings in glibc's malloc.h."""
_NEVER = 2**31 - 1
_LARGEST_OWN = 32 * 2**20
"""Bytes above which glibc always takes fresh memory; its own upper limit."""


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory instead of returning it to the kernel.

    A training step frees and takes the same large buffers again and again. Returned and taken anew, each page is
    cleared and mapped once more; `benchmarks/freed_memory.py` measures what that costs.

    Returns:
        Whether the C library took the setting; False where it is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(set_option(_TRIM_THRESHOLD, _NEVER)) and bool(set_option(_MMAP_THRESHOLD, _LARGEST_OWN))
