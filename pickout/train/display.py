"""What a person or a program sees of a run while it goes on."""

import json
import time
from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pickout.errors import printable


class Display:
    """Shows nothing; the base of the others, and what all but one of several processes use."""

    def say(self, message: str) -> None:
        """A sentence for people, which is an event too."""
        self.event("message", {"message": message})

    def progress(self, done: int, total: int, what: str) -> None:
        """`done` of about `total` optimiser steps are behind the run; epochs differ a little in length."""

    def event(self, event: str, fields: Mapping[str, Any]) -> None:
        """A journal line other than a step was written, or something is said."""

    def close(self) -> None:
        """Training is over, or broke off."""


class Terminal(Display):
    """A bar with the time left, and one line an epoch; without a terminal the lines only, which tell the time left."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        done = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} steps")
        times = TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
        self._bar = Progress(*done, *times, console=self._console, disable=not self._console.is_terminal)
        self._begun: tuple[float, int] | None = None
        self._left = ""

    def progress(self, done: int, total: int, what: str) -> None:
        """Move the bar; the first call begins it."""
        if self._begun is None:
            self._begun = time.monotonic(), done
            self._bar.add_task(what, total=max(total, 1), completed=done)
            self._bar.start()
        begun, first = self._begun
        seconds = (time.monotonic() - begun) / max(done - first, 1) * max(total - done, 0)
        hours, rest = divmod(round(seconds), 3600)
        self._left = f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
        self._bar.update(self._bar.task_ids[0], completed=done, total=max(total, 1), description=what)

    def event(self, event: str, fields: Mapping[str, Any]) -> None:
        """A sentence, a line for an epoch, and one for the end."""
        if event == "message":
            self._console.print(printable(fields["message"]), markup=False, soft_wrap=True)
        of = fields["best"] if event == "done" else fields
        measures = [f"{name} {value:.2f}" for name, value in of.get("metrics", {}).items()]
        if event == "epoch":
            kept = ["kept"] if fields["chosen"] else []
            parts = [f"epoch {fields['epoch']}", f"loss {fields['loss']:.3f}", *measures, *kept, f"({self._left} left)"]
            self.say("  ".join(parts))
        elif event == "done":
            self.close()
            told = f"epoch {of['epoch']} of {fields['epochs']} kept, selected on {fields['selected_on']}"
            self.say("  ".join([told, *measures]))

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


class JsonLines(Display):
    """One JSON object a line: sentences as `message`, and every journal line other than steps."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: str, fields: Mapping[str, Any]) -> None:
        """Write it."""
        self._stream.write(json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n")
        self._stream.flush()
