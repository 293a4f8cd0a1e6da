"""Long work: followed while it goes on, finished also when nobody follows it any more."""

import contextvars
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from pickout.errors import NotThere, PickoutError, ServerBusy

_KEPT = 100  # jobs that have ended and can still be asked about
_NICE = 10  # how much the system puts a job's thread behind those that search
_log = logging.getLogger(__name__)

_LOOK = 0.5  # seconds between two looks, of a job that waits for its turn, whether it is still wanted

Tell = Callable[[dict[str, Any]], None]  # with how far the work is; raises `JobCancelled` where it is unwanted
Result = dict[str, Any]
Task = Callable[[Tell], Result]


class JobCancelled(PickoutError):
    """A job was stopped. What it had committed stays, and the same job goes on from there."""


@dataclass(slots=True)
class Job:
    """One piece of work."""

    id: str
    what: str
    owner: str | None
    gallery: str
    of: str | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    result: Result | None = None
    error: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def tell(self, told: dict[str, Any]) -> None:
        """How far it is."""
        if self.cancelled.is_set():
            raise JobCancelled("the job was cancelled; the same job goes on where it stopped")
        self.progress = told

    def as_json(self) -> dict[str, Any]:
        """How it stands, but for its error."""
        told = {"job": self.id, "what": self.what, "gallery": self.gallery, "ended": self.ended.is_set()}
        return {**told, "progress": self.progress, "result": self.result}


class Jobs:
    """The jobs of a server. Those of one gallery take turns; so do those that are `of` something else, apart."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._turns: dict[str | None, threading.Lock] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(self, what: str, gallery: str, owner: str | None, work: Task, of: str | None = None) -> Job:
        """Begin. One that is `of` something takes its gallery's turn itself, and is cancelled by `close`."""
        with self._lock:
            running = [job for job in self._jobs.values() if not job.ended.is_set()]
            if len(running) >= self._limit or self._closed:
                raise ServerBusy(f"{len(running)} jobs wait or run already; come back later", 30)
            for old in [job.id for job in self._jobs.values() if job.ended.is_set()][:-_KEPT]:
                del self._jobs[old]
            job = Job(secrets.token_hex(8), what, owner, gallery, of)
            self._jobs[job.id] = job
            context = contextvars.copy_context()  # for whom it is done, for the audit
            thread = threading.Thread(target=context.run, args=(self._run, job, work), name=what, daemon=True)
            self._threads[job.id] = thread
            thread.start()  # before `close` could wait for it
        return job

    def own(self, identifier: str, owner: str | None) -> Job:
        """A job by its id, for whoever began it; for others as if it were not there."""
        job = self._jobs.get(identifier)
        if job is None or job.owner != owner:
            raise NotThere("no job of this id")
        return job

    def busy(self, of: str) -> bool:
        """Whether a job waits or runs that is of this."""
        return any(job.of == of and not job.ended.is_set() for job in list(self._jobs.values()))

    @contextmanager
    def turn(self, gallery: str | None, tell: Tell) -> Iterator[None]:
        """Wait for the turn of those that change this gallery."""
        lock = self._turns.setdefault(gallery, threading.Lock())
        while not lock.acquire(timeout=_LOOK):
            tell({"doing": "waiting"})
        try:
            yield
        finally:
            lock.release()

    @property
    def running(self) -> int:
        """How many wait or run."""
        return sum(not job.ended.is_set() for job in list(self._jobs.values()))

    def close(self) -> None:
        """Finish what was begun and begin nothing more; what can go on later is cancelled."""
        with self._lock:
            self._closed = True
            threads = list(self._threads.values())
            for job in self._jobs.values():
                if job.of is not None:
                    job.cancelled.set()
        for thread in threads:
            thread.join()

    def _run(self, job: Job, work: Task) -> None:
        with suppress(OSError, AttributeError):  # Linux lowers one thread; elsewhere nothing is lowered
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            with self.turn(job.gallery if job.of is None else None, job.tell):
                job.tell({})
                job.result = work(job.tell)
        except Exception as error:
            job.error = error
            if not isinstance(error, PickoutError):
                _log.exception("job %s (%s)", job.id, job.what)
        finally:
            self._threads.pop(job.id, None)
            job.ended.set()
