"""A run's folder: what happened, one JSON object a line, from which TensorBoard's files are drawn; whose recipe it
follows, whether it is finished, that one process trains in it, and its checkpoints, which are whole or not there."""

import fcntl
import io
import json
import os
import pickle
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pickout.checkpoints.saved_model import SETTINGS_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from pickout.config import parse_settings, read_toml, to_toml
from pickout.errors import RecipeError, ResumeMismatch, TrainingError
from pickout.files import atomic_path, half_written, storage_errors, write_atomically
from pickout.train.recipe import Recipe, differences

JOURNAL = "metrics.jsonl"  # the journal's name in a run folder


class Journal:
    """Lines appended to `metrics.jsonl` in a run folder, each an object with the key `event`. Of an
    earlier run `length` bytes are kept, as a checkpoint remembers them, so that no step appears twice. TensorBoard's
    files, where TensorBoard is installed, are written anew from the lines that stay. `StorageFull`: no space left."""

    def __init__(self, folder: Path, *, length: int = 0) -> None:
        self.path = folder / JOURNAL
        with storage_errors(self.path):
            self._file = self.path.open("ab", buffering=0)
            self._file.truncate(min(length, self.path.stat().st_size))
        self._board: Any = None
        with suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            for old in (folder / "tensorboard").glob("events.out.tfevents.*"):
                old.unlink()
            self._board = SummaryWriter(str(folder / "tensorboard"))
        for line in read_journal(self.path):
            self._draw(line)

    def write(self, event: str, **fields: Any) -> None:
        """Append one line with the `event` and its `fields`."""
        line = {"event": event, **fields}
        data = json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with storage_errors(self.path):
            while data:
                data = data[self._file.write(data) :]
        self._draw(line)

    def sync(self) -> int:
        """Make sure that all lines are on disk, and return the journal's length in bytes."""
        with storage_errors(self.path):
            os.fsync(self._file.fileno())
        if self._board is not None:
            self._board.flush()
        return self.path.stat().st_size

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()

    def _draw(self, line: Mapping[str, Any]) -> None:
        """Show the numbers of a line with a step: tables inside it become `key/name`."""
        if self._board is None or "step" not in line:
            return
        for key, value in line.items():
            if isinstance(value, Mapping):
                for name, number in value.items():
                    self._board.add_scalar(f"{key}/{name}", number, line["step"])
            elif isinstance(value, float):
                self._board.add_scalar(key, value, line["step"])


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal, in order. A torn last line, left by a kill, is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


CHECKPOINTS, RECIPE_FILE, LOCK_FILE, SUMMARY = "checkpoints", "recipe.toml", ".lock", "summary.json"


@contextmanager
def training_in(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it when the process dies. `TrainingError` where another
    process trains there, it holds something else, or it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if others and RECIPE_FILE not in others:
            raise TrainingError(f"{folder}: holds {others[0]} but no {RECIPE_FILE}, so it is no run; give another")
        # For its owner alone: who may open a file may lock it, and so keep the run from going on.
        lock = os.fdopen(os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "wb")
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be used as a run folder: {error.strerror}; give another --out") from None
    with lock:
        try:
            # A POSIX lock: unlike flock's, worker processes do not inherit it and outlive a killed run with it.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise TrainingError(f"{folder}: another process is training here; wait or give another --out") from None
        except OSError:
            pass  # This file system has no locks.
        yield


def claim(folder: Path, recipe: Recipe) -> None:
    """Start a run in an empty folder, or make sure that the run in it follows the same recipe; else a `ResumeMismatch`
    names the keys that differ. A run without a finished epoch has nothing to lose: another recipe takes its place."""
    file = folder / RECIPE_FILE
    if not file.exists():
        write_atomically(file, to_toml(recipe))
        return
    try:
        before = parse_settings(Recipe, read_toml(file), source=str(file))
    except RecipeError as error:
        raise ResumeMismatch(f"the run's own recipe cannot be read: {error}; give another --out") from None
    changed = differences(before, recipe)
    if changed and any((folder / CHECKPOINTS).glob("*.pt")):
        raise ResumeMismatch(f"{folder}: holds a run of another recipe ({'; '.join(changed)}); give another --out")
    if changed:
        (folder / TOKENIZER_FILE).unlink(missing_ok=True)
        write_atomically(file, to_toml(recipe))


def read_summary(folder: Path) -> dict[str, Any] | None:
    """What a finished run tells about itself; None where it is not finished. `TrainingError` where its end is garbled,
    or its model is gone."""
    file = folder / SUMMARY
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        {name: found[name] for name in ("best", "epochs", "selected_on")}
    except (OSError, ValueError, KeyError, TypeError):
        raise TrainingError(f"{file}: garbled; delete it, and the run goes on from its checkpoints") from None
    if gone := [name for name in (SETTINGS_FILE, TOKENIZER_FILE, WEIGHTS_FILE) if not (folder / name).exists()]:
        remedy = "put it back, or give another --out to train again"
        raise TrainingError(f"{folder}: this run is finished, but its {gone[0]} is gone; {remedy}")
    return dict(found)


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that a run needs to go on after `epoch`, in types that `torch.load(weights_only=True)` admits."""

    epoch: int  # the last finished one
    step: int  # optimiser steps taken so far
    method: dict[str, Any]  # this and the next two: state dicts
    optimiser: dict[str, Any]
    scaler: dict[str, Any] | None  # the gradients', for fp16
    random: list[dict[str, Any]]  # `random_states` of each process
    best: dict[str, Any] | None  # the `epoch` whose weights the run folder holds, and its `metrics`
    journal: int  # length in bytes
    data: str  # fingerprint of the training pairs
    seconds: float  # time spent training so far


class Checkpoints:
    """The newest `keep` checkpoints of one run folder, one file an epoch; `tell` hears of damaged ones."""

    def __init__(self, folder: Path, *, keep: int, tell: Callable[[str], None]) -> None:
        self.folder, self.keep, self.tell = folder / CHECKPOINTS, keep, tell

    def files(self) -> list[Path]:
        """The checkpoints, oldest first."""
        return sorted(self.folder.glob("epoch-*.pt"), key=lambda path: (len(path.name), path.name))

    def save(self, state: TrainingState) -> Path:
        """Write `state`, then remove all but the newest `keep` checkpoints; with a `StorageFull` earlier ones stay."""
        path = self.folder / f"epoch-{state.epoch:04d}.pt"
        values = {field.name: getattr(state, field.name) for field in fields(state)}  # asdict would copy every tensor
        with atomic_path(path) as temporary, _Recorder(io.FileIO(temporary, "wb")) as file:
            try:
                torch.save(values, file)
            except RuntimeError as error:
                raise file.error or error from None
        for old in self.files()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> TrainingState | None:
        """The newest checkpoint that is whole, or None; what a kill left behind half-written is removed."""
        for leftover in half_written(self.folder):
            leftover.unlink(missing_ok=True)
        for path in reversed(self.files()):
            try:
                # PyTorch warns of oddities of a strange file before it refuses the file.
                with warnings.catch_warnings(action="ignore"):
                    return TrainingState(**torch.load(path, map_location="cpu", weights_only=True))
            except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, TypeError, ValueError, KeyError) as error:
                reason = (str(error) or type(error).__name__).splitlines()[0][:120]
                self.tell(f"{path}: damaged ({reason}); going back to the checkpoint before it")
        return None


class _Recorder(io.BufferedWriter):
    """A file that remembers why a write failed: PyTorch's writer replaces the error by its own."""

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            raise


def random_states(device: torch.device) -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's global random generators, as plain types and tensors."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    numpy = (kind, np.asarray(keys).tolist(), *rest)
    states: dict[str, Any] = {"python": random.getstate(), "numpy": numpy, "torch": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Put the global random generators back to what `random_states` saw."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
