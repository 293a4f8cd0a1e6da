"""Ctrl-C and requests to terminate, heard between two steps instead of in the middle of one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class Interruption:
    """Turns the two signals into `KeyboardInterrupt`, at once or, inside `deferred`, when `check` is called.

    A second signal is always heard at once. Outside the main thread nothing is changed.
    """

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
