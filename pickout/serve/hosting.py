"""One gallery that is searched while it changes; searches that wait together are made together."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pickout.errors import GalleryError, GalleryModelMismatch, PickoutError, ServerBusy
from pickout.gallery.audit.log import Acting
from pickout.gallery.encoder import Encoder
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.ranking import Asked
from pickout.gallery.search.search import Answer
from pickout.gallery.storage.lock import locked
from pickout.gallery.storage.memory import MakeVectors
from pickout.gallery.storage.rows import ROW_ID, Resident, Row
from pickout.gallery.storage.store import Store
from pickout.serve.settings import ServeSettings

LEASE = ".optimising"  # held by the one process that merges small pieces on disk; empty
_LOOK = 1.0  # seconds after which changes by other processes are looked for
_log = logging.getLogger(__name__)

Loader = Callable[[Path], Encoder]  # gives the model of a gallery's folder
Spread = Callable[[Store, Resident | None], MakeVectors]  # as in `OpenGallery.spread`
T = TypeVar("T")


@dataclass(slots=True)
class _Turn:
    """What waits: a search, or another question to the gallery."""

    call: Callable[[Gallery], Any]
    who: Acting | None
    future: "Future[Any]"


class Turns:
    """Everything that reads a gallery's rows in memory takes its turn here, so that no two threads use them at once."""

    def __init__(self, gallery: Callable[[], Gallery], *, waiting: int, together: int) -> None:
        self._gallery, self._limit, self._together = gallery, waiting, together
        self._queue: deque[_Turn] = deque()
        self._pool = ThreadPoolExecutor(1, "turns")

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    def search(self, make: Callable[[Gallery], Asked], who: Acting) -> "Future[Answer]":
        """Wait for a search."""
        return self._enqueue(_Turn(make, who, Future()))

    def ask(self, call: Callable[[Gallery], T]) -> T:
        """The answer to another question to the gallery."""
        return self._enqueue(_Turn(call, None, Future())).result()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Answer what waits and take nothing more."""
        self._pool.shutdown()

    def _enqueue(self, turn: _Turn) -> "Future[Any]":
        if len(self._queue) >= self._limit:
            raise ServerBusy(f"{self._limit} searches wait already; ask again in a moment", 1)
        self._queue.append(turn)
        try:
            self._pool.submit(self._work)
        except RuntimeError:  # closed
            raise ServerBusy("the server is stopping; ask again in a moment", 5) from None
        return turn.future

    def _work(self) -> None:
        if not self._queue:  # what this is for was answered with the search before it
            return
        turns = [self._queue.popleft()]
        while turns[0].who and len(turns) < self._together and self._queue and self._queue[0].who:
            turns.append(self._queue.popleft())
        gallery, made = self._gallery(), list[tuple[_Turn, Asked]]()
        for turn in turns:
            if not turn.future.set_running_or_notify_cancel():  # whoever went away meanwhile is not searched for
                continue
            with _telling(turn):
                found = turn.call(gallery)
                if turn.who is None:
                    turn.future.set_result(found)
                else:
                    made.append((turn, found))
        with _telling(*(turn for turn, _ in made)):
            answers = gallery.ask_many([asked for _, asked in made], [turn.who for turn, _ in made if turn.who])
            for (turn, _), answer in zip(made, answers, strict=True):
                if isinstance(answer, PickoutError):
                    turn.future.set_exception(answer)
                else:
                    turn.future.set_result(answer)


@contextmanager
def _telling(*turns: _Turn) -> Iterator[None]:
    """What goes wrong within is the answer to `turns`."""
    try:
        yield
    except Exception as error:
        for turn in turns:
            turn.future.set_exception(error)


class Hosted:
    """A gallery of a server. Searches use the rows that were read last; they are read anew beside them."""

    def __init__(self, path: Path, load: Loader, settings: ServeSettings, spread: Spread | None = None) -> None:
        self.path, self.name = path, served_name(path)
        self._load, self._spread = load, spread
        self.encoder = load(path)
        self._front = self._read(None)
        self._refreshing, self._reading = threading.Lock(), threading.Lock()
        self._rows = Gallery.open(path)
        self._wanted: deque[tuple[Sequence[str], Future[dict[str, Row]]]] = deque()
        self.turns = Turns(lambda: self._front, waiting=settings.waiting, together=settings.together)
        self._stop = threading.Event()
        self._follower = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._follower.start()

    def open(self) -> Gallery:
        """The gallery, for a change: apart from the one that is searched."""
        return Gallery.open(self.path, self.encoder)

    def rows(self, ids: Sequence[str]) -> dict[str, Row]:
        """Whole rows by id; what is no id of a row is left out. What is asked while others read is read together: a
        page asks for sixty pictures at once, and reading one row takes about as long as reading them all."""
        mine: Future[dict[str, Row]] = Future()
        self._wanted.append(([each for each in ids if ROW_ID.fullmatch(each)], mine))
        with self._reading:
            asked = [] if mine.done() else [self._wanted.popleft() for _ in range(len(self._wanted))]
            try:
                found = self._rows.rows(list({each for wanted, _ in asked for each in wanted})) if asked else {}
                for wanted, future in asked:
                    future.set_result({each: found[each] for each in wanted if each in found})
            except Exception as error:
                for _, future in asked:
                    future.set_exception(error)
        return mine.result()

    def found(self, ids: Sequence[str]) -> list[Row | None]:
        """The rows of these ids, None for one that is not there; as `permit` takes them."""
        rows = self.rows(ids) if ids else {}
        return [rows.get(each) for each in ids]

    def refresh(self) -> None:
        """Searches see all changes that were made until now, once this returns."""
        with self._refreshing:
            if self._front.changed_since_read():
                self._front = self._read(self._front)

    def rebuilt(self) -> None:
        """Take the model that the gallery has now."""
        with self._refreshing:
            self.encoder = self._load(self.path)
            self._front = self._read(self._front)

    def compact(self) -> bool:
        """Merge the small pieces on disk; GalleryBusy where another process is at it."""
        with locked(self.path / LEASE, 0, f"{self.name}: is being compacted by another process"):
            self.open().compact()
        self.refresh()
        return True

    def close(self) -> None:
        """Answer what waits, then stop."""
        self._stop.set()
        self._follower.join()
        self.turns.close()

    def _read(self, before: Gallery | None) -> Gallery:
        gallery = Gallery.open(self.path, self.encoder)
        gallery.spread = self._spread
        gallery.follow(before or gallery)
        return gallery

    def _follow(self) -> None:
        """Notice what other processes change."""
        while not self._stop.wait(_LOOK):
            began = time.monotonic()
            try:
                try:
                    self.refresh()
                except GalleryModelMismatch:
                    self.rebuilt()
            except (PickoutError, OSError) as error:
                _log.warning("%s", error)
            # A gallery that takes long to read and is changed all the time is read at most a fifth of the time.
            self._stop.wait(4 * (time.monotonic() - began))


def served_name(path: Path) -> str:
    """What clients call the gallery in a folder."""
    return path.name.removesuffix(".gallery")


def hosted(
    paths: Sequence[Path], load: Loader, settings: ServeSettings, spread: Spread | None = None
) -> dict[str, Hosted]:
    """The galleries of a server by name."""
    names = list(map(served_name, paths))
    if len(set(names)) < len(names):
        raise GalleryError(f"two galleries of one name among {', '.join(map(str, paths))}; rename a folder")
    return {name: Hosted(path, load, settings, spread) for name, path in zip(names, paths, strict=True)}
