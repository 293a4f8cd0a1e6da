"""Searches that wait together are made together, in one thread for each gallery."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from pickout.errors import PickoutError, ServerBusy
from pickout.gallery.audit.log import Acting
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.ranking import Asked
from pickout.gallery.search.search import Answer

T = TypeVar("T")


@dataclass(slots=True)
class _Turn:
    """What waits: a search, or another question to the gallery.

    Args:
        call: makes the search, or answers the question.
        who: for whom a search is made; None for another question.
        future: where the answer goes.
    """

    call: Callable[[Gallery], Any]
    who: Acting | None
    future: "Future[Any]"


class Turns:
    """Everything that reads a gallery's rows in memory takes its turn here, so that no two threads use them at once.

    Args:
        gallery: gives the gallery as it is now.
        waiting: how many may wait.
        together: how many searches are made at once.
    """

    def __init__(self, gallery: Callable[[], Gallery], *, waiting: int, together: int) -> None:
        self._gallery, self._limit, self._together = gallery, waiting, together
        self._queue: deque[_Turn] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="turns", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    def search(self, make: Callable[[Gallery], Asked], who: Acting) -> "Future[Answer]":
        """Wait for a search.

        Args:
            make: says what is searched for, after looking at the gallery; what it raises is the answer.
            who: for whom, for the audit.

        Raises:
            ServerBusy: too many wait.
        """
        return self._enqueue(_Turn(make, who, Future()))

    def ask(self, call: Callable[[Gallery], T]) -> T:
        """The answer to another question to the gallery.

        Raises:
            ServerBusy: too many wait.
        """
        return self._enqueue(_Turn(call, None, Future())).result()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Answer what waits and take nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _enqueue(self, turn: _Turn) -> "Future[Any]":
        with self._changed:
            if self._closed:
                raise ServerBusy("the server is stopping; ask again in a moment", 5)
            if len(self._queue) >= self._limit:
                raise ServerBusy(f"{self._limit} searches wait already; ask again in a moment", 1)
            self._queue.append(turn)
            self._changed.notify()
        return turn.future

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                turns = [self._queue.popleft()]
                while turns[0].who and len(turns) < self._together and self._queue and self._queue[0].who:
                    turns.append(self._queue.popleft())
            # Whoever went away meanwhile is not searched for.
            turns = [turn for turn in turns if turn.future.set_running_or_notify_cancel()]
            if turns:
                self._answer(turns)

    def _answer(self, turns: Sequence[_Turn]) -> None:
        made: list[tuple[_Turn, Asked]] = []
        try:
            gallery = self._gallery()
        except Exception as error:
            for turn in turns:
                turn.future.set_exception(error)
            return
        for turn in turns:
            try:
                found = turn.call(gallery)
            except Exception as error:
                turn.future.set_exception(error)
                continue
            if turn.who is None:
                turn.future.set_result(found)
            else:
                made.append((turn, found))
        if made:
            self._search(gallery, made)

    def _search(self, gallery: Gallery, made: list[tuple[_Turn, Asked]]) -> None:
        try:
            answers = gallery.ask_many([asked for _, asked in made], [turn.who for turn, _ in made if turn.who])
        except Exception as error:
            for turn, _ in made:
                turn.future.set_exception(error)
            return
        for (turn, _), found in zip(made, answers, strict=True):
            if isinstance(found, PickoutError):
                turn.future.set_exception(found)
            else:
                turn.future.set_result(found)
