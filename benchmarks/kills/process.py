"""A worker process from outside: asked, killed, replaced."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_WORKER = Path(__file__).with_name("worker.py")
_STEPS = Path(__file__).with_name("steps.c")
_PATIENCE = 120.0


class WorkerFailed(Exception):
    """A worker ended by itself, or said nothing."""


class Worker:
    """A process that works on the gallery at `path`; imports everything before it says that it is ready.

    Args:
        path: the gallery.
        errors: file that gets what it writes to stderr.
        preload: a shared library that is loaded into it first.
    """

    def __init__(self, path: Path, errors: Path, preload: Path | None = None) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "LANCE_CPU_THREADS": "2"}
        if preload is not None:
            environment["LD_PRELOAD"] = str(preload)
        self._errors = errors
        with errors.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, str(_WORKER), str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                bufsize=0,
            )
        self._text, self._ready = b"", False

    def send(self, request: dict[str, Any]) -> float:
        """Ask for something; the answer comes later. Returns when it was asked."""
        while not self._ready:
            self._ready = self.answer()["ready"]
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return time.monotonic()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask for something and wait for the answer."""
        self.send(request)
        return self.answer()

    def answer(self, patience: float = _PATIENCE) -> dict[str, Any]:
        """The next line it says.

        Raises:
            TimeoutError: it says nothing for `patience` seconds.
            WorkerFailed: it has ended.
        """
        until = time.monotonic() + patience
        while b"\n" not in self._text:
            assert self._process.stdout is not None
            if not select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError
            more = os.read(self._process.stdout.fileno(), 1 << 20)
            if not more:
                told = self._errors.read_text(errors="replace")[-2000:]
                raise WorkerFailed(f"ended with {self._process.wait()}: {told}")
            self._text += more
        line, _, self._text = self._text.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told

    def kill(self) -> dict[str, Any] | None:
        """SIGKILL it, now. Returns what it had said until then, if anything."""
        self._process.kill()
        self._process.wait()
        try:
            return self.answer(0.0)
        except (WorkerFailed, TimeoutError, json.JSONDecodeError):
            return None
        finally:
            self.close()

    @property
    def was_killed(self) -> bool:
        """Whether it ended by SIGKILL."""
        return self._process.wait() == -signal.SIGKILL

    def close(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def counting_library(folder: Path) -> Path | None:
    """The library that kills before the n-th change of the file system, compiled into `folder`; None without `cc`."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    made = folder / "steps.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(made), str(_STEPS), "-ldl"], check=True)
    return made
