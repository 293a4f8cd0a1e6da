"""Arithmetic over many rows, in threads that are kept from one search to the next."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache


def in_threads(block: Callable[[int], None], starts: range) -> None:
    """`block(start)` for every start, in as many threads as this process may use; in this one where one is enough."""
    threads = min(len(starts), thread_count())
    if threads <= 1:
        for start in starts:
            block(start)
        return
    list(_pool(thread_count()).map(block, starts))


def thread_count() -> int:
    """As many as this process may use, or as OMP_NUM_THREADS says, which numerical libraries go by."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rows")


if hasattr(os, "register_at_fork"):  # the threads of a pool do not live on in a child
    os.register_at_fork(after_in_child=_pool.cache_clear)
