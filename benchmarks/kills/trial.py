"""Operations on one gallery, a kill, and the checks after it; again and again."""

import statistics
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kills.check import Wrong, compare, file_names, phase, reached, traces
from kills.model import Model, Operation
from kills.process import Worker, WorkerFailed

SETTLING = ("add", "compact", "update", "remove", "erase")
"""The change that follows a kill, and finishes what was interrupted, is one of these."""
_RECENT = 60
"""How many erased rows are looked for in the files after each kill; all of them at the end."""


MANY = 260
"""Rows at least where searches are approximate."""


@dataclass
class Tally:
    """What happened to one kind of operation.

    Args:
        kills: processes killed.
        inside: those that had not acknowledged the operation yet.
        rows: rows of operations that were acknowledged.
        wrong: what should not be.
        phases: how far the killed operations came.
        visible: signs of rows that are there, by whether they are seen in the files: shows that the search for traces
            would find some.
    """

    kills: int = 0
    inside: int = 0
    rows: int = 0
    wrong: Wrong = field(default_factory=Wrong)
    phases: Counter[str] = field(default_factory=Counter)
    visible: Counter[bool] = field(default_factory=Counter)


class Trial:
    """One gallery with one or more writers, each with its own crops and its own process.

    Args:
        folder: an empty folder.
        kinds: operations that come between those that are killed.
        seed: of everything random.
        writers: how many.
        preload: see `Worker`.
        timed: operations of a kind that are timed before one is killed.
    """

    def __init__(
        self,
        folder: Path,
        kinds: Iterable[str],
        seed: int,
        *,
        writers: int = 1,
        preload: Path | None = None,
        timed: int = 3,
    ) -> None:
        self.gallery, self._errors, self._preload = folder / "people.gallery", folder / "errors", preload
        least = MANY if "approximate" in kinds else 30
        self.models = [Model(folder / f"crops{number}", seed + number, least) for number in range(writers)]
        self.tally, self._kinds = Tally(), sorted(kinds)
        self._took: dict[str, list[float]] = {}
        self._timed = timed
        self._spare = [self._start()]
        self._workers = [self._fresh() for _ in self.models]
        for worker in self._workers:  # one after another, so that the first makes the gallery
            worker.ask({"do": "facts"})

    def close(self) -> None:
        """Look for all erased rows, and end all processes."""
        for worker in [*self._spare, *self._workers]:
            worker.close()
        self._look_for_traces(everything=True)
        files = b"".join(file.read_bytes() for file in self.gallery.rglob("*") if file.is_file())
        for model in self.models:
            for crop, _ in model.rows.values():
                signs = {
                    "vector": crop.vectors[model.model],
                    "thumbnail": crop.thumbnail[-120:],
                    "id": crop.id.encode(),
                }
                self.tally.visible.update(sign in files for sign in signs.values())

    def kill(self, kind: str, step: int | None = None) -> bool:
        """Have each writer killed in an operation of this kind, or of any kind where several write; then check.

        Args:
            kind: which.
            step: before which change of the file system, instead of at a random moment.

        Returns:
            Whether the first writer was killed inside the operation.
        """
        several = len(self.models) > 1
        with ThreadPoolExecutor(len(self.models)) as pool:
            killed = list(
                pool.map(
                    lambda number: self._until_killed(number, None if several else kind, step), range(len(self.models))
                )
            )
        interrupted = {model: each for model, each in zip(self.models, killed, strict=True) if each is not None}
        self.tally.kills += len(killed)
        self.tally.inside += len(interrupted)
        self._workers = [self._fresh() for _ in self.models]
        self._check(self._workers[0], interrupted)
        return killed[0] is not None

    def _until_killed(self, number: int, kind: str | None, step: int | None) -> Operation | None:
        """Do operations, and kill the process inside one. Returns that one, or None where it was acknowledged."""
        model, worker = self.models[number], self._workers[number]
        if step is None:
            for _ in range(model.random.randint(0, 2 * len(self.models))):
                self._do(worker, model, model.draw_any(self._kinds))
        kind = kind or model.random.choice(self._kinds)
        while True:
            for operation in model.draw(kind):
                took = self._took.get(kind, [])
                if operation.kind != kind or (step is None and len(took) < self._timed):
                    self._do(worker, model, [operation])
                    continue
                before = file_names(self.gallery)
                if step is None:
                    delay = model.random.uniform(0, 1.1 * statistics.median(took[-20:]))
                    told = self._kill_after(worker, operation, delay)
                else:
                    told = self._kill_before(worker, operation, step)
                if told is not None:
                    self._acknowledge(told, model, operation)
                    return None
                self.tally.phases[phase(before, self.gallery)] += 1
                return operation

    def _kill_after(self, worker: Worker, operation: Operation, delay: float) -> dict[str, Any] | None:
        """What it said before it was killed, `delay` seconds after it was asked."""
        began = self._send(worker, operation)
        time.sleep(max(0.0, began + delay - time.monotonic()))
        return worker.kill()

    def _kill_before(self, worker: Worker, operation: Operation, step: int) -> dict[str, Any] | None:
        self._send(worker, operation, kill_at=step)
        try:
            told = worker.answer()
        except WorkerFailed:
            if not worker.was_killed:
                raise
            told = None
        worker.close()
        return told

    def _check(self, worker: Worker, interrupted: dict[Model, Operation]) -> None:
        """Read, change something else, read again."""
        wrong = self.tally.wrong
        facts = worker.ask({"do": "facts"})
        wrong.extend(compare(facts, self.models, interrupted, written=False))
        erasures = {model: each for model, each in interrupted.items() if each.kind == "erase"}
        for model, operation in interrupted.items():
            model.avoided = frozenset(operation.before) if model in erasures else frozenset()
            if model not in erasures:
                model.settle(operation, reached(facts, model, operation))
        model = self.models[0].random.choice(self.models)
        self._do(worker, model, model.draw(model.random.choice(SETTLING)))
        begun, facts = set(facts["unfinished"]), worker.ask({"do": "facts"})
        wrong.extend(compare(facts, self.models, erasures, written=True))
        wrong.came_back += [f"{each}: its erasure had begun, but it is there" for each in begun & set(facts["rows"])]
        for model, operation in erasures.items():
            model.settle(operation, reached(facts, model, operation))
            model.avoided = frozenset()
        self._look_for_traces()

    def _look_for_traces(self, *, everything: bool = False) -> None:
        """Erased rows leave nothing in any file; what was removed or replaced before leaves nothing in the tables."""
        first = 0 if everything else -_RECENT
        erased = [signs for model in self.models for signs in model.erased[first:]]
        swept = [signs for model in self.models for signs in model.swept[first:]]
        self.tally.wrong.came_back += traces(self.gallery, erased) + traces(self.gallery, swept, ".lance/")

    def _fresh(self) -> Worker:
        """A process that has done nothing yet; the next one starts meanwhile."""
        self._spare.append(self._start())
        return self._spare.pop(0)

    def _start(self) -> Worker:
        return Worker(self.gallery, self._errors, self._preload)

    def _do(self, worker: Worker, model: Model, operations: Iterable[Operation]) -> None:
        """Do these, each acknowledged before the next is drawn."""
        for operation in operations:
            began = self._send(worker, operation)
            told = worker.answer()
            self._took.setdefault(operation.kind, []).append(time.monotonic() - began)
            self._acknowledge(told, model, operation)

    def _send(self, worker: Worker, operation: Operation, **more: int) -> float:
        for file in operation.files:
            file.unlink(missing_ok=True)
        return worker.send({**operation.request, **more})

    def _acknowledge(self, told: dict[str, Any], model: Model, operation: Operation) -> None:
        if "error" in told:
            raise WorkerFailed(f"{operation.kind}: {told['error']}")
        model.settle(operation)
        self.tally.rows += len(operation.after)
