"""Work done in threads on a few things ahead of the one that is asked for."""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


@contextmanager
def reading_ahead(
    work: Callable[[Item], Done], items: Iterable[Item], *, threads: int, ahead: int
) -> Iterator[Iterator[Done]]:
    """`work` of every item in order, done in threads; at most `ahead` of them before they are asked for."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="reading")
    # Set here, before the threads start and after they end: warning filters are shared by all threads.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        try:
            yield _in_order(pool, work, items, ahead)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Done], items: Iterable[Item], ahead: int
) -> Iterator[Done]:
    waiting: deque[Future[Done]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
