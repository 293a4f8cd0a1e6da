"""Work that goes on while the caller does something else."""

import threading
from collections.abc import Callable


class Background:
    """Runs one piece of work at a time in a thread of its own.

    The thread does not keep a process from ending: whoever must not lose the work calls `join`.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether the work goes on."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Callable[[], None]) -> None:
        """Begin; `join` must have been called since the last time."""
        self._thread = threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True)
        self._thread.start()

    def join(self) -> BaseException | None:
        """Wait for the end of the work. The error that it ended with is given back once, not raised."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        return error

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # whatever it is, it is the caller's
            self._error = error
