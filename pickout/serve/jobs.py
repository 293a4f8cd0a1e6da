"""Long work: followed while it goes on, finished also when nobody follows it any more."""

import contextvars
import logging
import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pickout.errors import PickoutError, ServerBusy

_KEPT = 100
"""Jobs that have ended and can still be asked about."""
_NICE = 10
"""How much the system puts a job's thread behind those that search."""
_log = logging.getLogger(__name__)

Tell = Callable[[dict[str, Any]], None]
"""Called with how far the work is."""


@dataclass(slots=True)
class Job:
    """One piece of work."""

    id: str
    what: str
    owner: str | None
    gallery: str
    progress: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    error: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def as_json(self) -> dict[str, Any]:
        """How it stands, but for its error."""
        told = {"job": self.id, "what": self.what, "gallery": self.gallery, "ended": self.ended.is_set()}
        return {**told, "progress": self.progress, "result": self.result}


class Jobs:
    """The jobs of a server. Those of one gallery take turns."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._turns: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(self, what: str, gallery: str, owner: str | None, work: Callable[[Tell], dict[str, Any]]) -> Job:
        """Begin."""
        with self._lock:
            running = [job for job in self._jobs.values() if not job.ended.is_set()]
            if len(running) >= self._limit or self._closed:
                raise ServerBusy(f"{len(running)} jobs wait or run already; come back later", 30)
            for old in [job.id for job in self._jobs.values() if job.ended.is_set()][:-_KEPT]:
                del self._jobs[old]
            job = Job(secrets.token_hex(8), what, owner, gallery)
            self._jobs[job.id] = job
            turn = self._turns.setdefault(gallery, threading.Lock())
            context = contextvars.copy_context()  # for whom it is done, for the audit
            thread = threading.Thread(target=context.run, args=(self._run, job, turn, work), name=what, daemon=True)
            self._threads[job.id] = thread
        thread.start()
        return job

    def get(self, identifier: str) -> Job | None:
        """A job by its id."""
        return self._jobs.get(identifier)

    @property
    def running(self) -> int:
        """How many wait or run."""
        return sum(not job.ended.is_set() for job in list(self._jobs.values()))

    def close(self) -> None:
        """Finish what was begun and begin nothing more."""
        with self._lock:
            self._closed = True
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()

    def _run(self, job: Job, turn: threading.Lock, work: Callable[[Tell], dict[str, Any]]) -> None:
        with suppress(OSError, AttributeError):  # Linux lowers one thread; elsewhere nothing is lowered
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            with turn:
                job.result = work(lambda told: setattr(job, "progress", told))
        except Exception as error:
            job.error = error
            if not isinstance(error, PickoutError):
                _log.exception("job %s (%s)", job.id, job.what)
        finally:
            self._threads.pop(job.id, None)
            job.ended.set()
