"""What a person or a program sees of a run while it goes on."""

import json
import time
from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Display:
    """Shows nothing; the base of the others, and what all but one of several processes use."""

    def say(self, message: str) -> None:
        """A sentence for people."""

    def start(self, done: int, total: int) -> None:
        """Training begins with `done` of about `total` optimiser steps behind it."""

    def expect(self, total: int) -> None:
        """The run will take about `total` optimiser steps; epochs differ a little in length."""

    def step(self, step: int, epoch: int, loss: float) -> None:
        """An optimiser step was taken."""

    def event(self, event: str, fields: Mapping[str, Any]) -> None:
        """A journal line other than a step was written."""

    def close(self) -> None:
        """Training is over, or broke off."""


class Terminal(Display):
    """A bar with the time left, and one line an epoch; without a terminal the lines only, with the time left in them.

    Args:
        stream: where to write, usually standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._begun, self._first, self._done, self._total = time.monotonic(), 0, 0, 1

    def say(self, message: str) -> None:
        """A sentence for people."""
        self._console.print(message, markup=False, soft_wrap=True)

    def start(self, done: int, total: int) -> None:
        """Training begins with `done` of about `total` optimiser steps behind it."""
        self._begun, self._first, self._done, self._total = time.monotonic(), done, done, max(total, 1)
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} steps"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task("training", total=self._total, completed=done)
            self._bar.start()

    def expect(self, total: int) -> None:
        """The run will take about `total` optimiser steps; epochs differ a little in length."""
        self._total = max(total, 1)
        if self._bar is not None:
            self._bar.update(self._task, total=self._total)

    def step(self, step: int, epoch: int, loss: float) -> None:
        """An optimiser step was taken."""
        self._done = step
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=f"epoch {epoch}  loss {loss:.3f}")

    def event(self, event: str, fields: Mapping[str, Any]) -> None:
        """A journal line other than a step was written."""
        if event == "epoch":
            loss, chosen = f"loss {fields['loss']:.3f}", ["kept"] if fields["chosen"] else []
            parts = [f"epoch {fields['epoch']}", loss, *_measures(fields.get("metrics", {})), *chosen]
            self.say("  ".join([*parts, f"({self._left()} left)"]))
        elif event == "done":
            best = fields["best"]
            kept = f"epoch {best['epoch']} of {fields['epochs']} kept, selected on {fields['selected_on']}"
            self.close()
            self.say("  ".join([kept, *_measures(best["metrics"])]))

    def close(self) -> None:
        """Training is over, or broke off."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _left(self) -> str:
        taken = max(self._done - self._first, 1)
        seconds = (time.monotonic() - self._begun) / taken * max(self._total - self._done, 0)
        hours, rest = divmod(round(seconds), 3600)
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def _measures(metrics: Mapping[str, float]) -> list[str]:
    return [f"{name} {value:.2f}" for name, value in metrics.items()]


class JsonLines(Display):
    """One JSON object a line: sentences as `message`, and every journal line other than steps.

    Args:
        stream: where to write, usually standard output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, message: str) -> None:
        """A sentence for people."""
        self.event("message", {"message": message})

    def event(self, event: str, fields: Mapping[str, Any]) -> None:
        """A journal line other than a step was written."""
        self._stream.write(json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n")
        self._stream.flush()
