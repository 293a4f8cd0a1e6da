"""Checkpoints that are whole or not there, and the way back from the newest whole one."""

import pickle
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch

from pickout.files import atomic_path, half_written

FOLDER = "checkpoints"
"""The folder of checkpoints inside a run folder."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that a run needs to go on after `epoch`, in types that `torch.load(weights_only=True)` admits.

    Args:
        epoch: the last finished epoch; the sampler and the schedule start from it.
        step: optimiser steps taken so far.
        method: the method's state dict.
        optimiser: the optimiser's state dict.
        scaler: the gradient scaler's state dict, for fp16.
        random: the random states of each process, as `random_states` gives them.
        best: the `epoch` whose weights the run folder holds and its `metrics` on the split that chose it; None before
            the first validation.
        journal: length of the journal in bytes.
        data: fingerprint of the training pairs.
        seconds: time spent training so far.
    """

    epoch: int
    step: int
    method: dict[str, Any]
    optimiser: dict[str, Any]
    scaler: dict[str, Any] | None
    random: list[dict[str, Any]]
    best: dict[str, Any] | None
    journal: int
    data: str
    seconds: float


class Checkpoints:
    """The checkpoints of one run folder, one file an epoch.

    Args:
        folder: the run folder.
        keep: how many of the newest to keep.
        tell: gets a sentence when a damaged checkpoint is passed over.
    """

    def __init__(self, folder: Path, *, keep: int, tell: Callable[[str], None]) -> None:
        self.folder, self.keep, self.tell = folder / FOLDER, keep, tell

    def files(self) -> list[Path]:
        """The checkpoints, oldest first."""
        return sorted(self.folder.glob("epoch-*.pt"), key=lambda path: (len(path.name), path.name))

    def save(self, state: TrainingState) -> Path:
        """Write `state`, then remove all but the newest `keep` checkpoints.

        Raises:
            StorageFull: no space left; earlier checkpoints stay as they were.
        """
        path = self.folder / f"epoch-{state.epoch:04d}.pt"
        values = {field.name: getattr(state, field.name) for field in fields(state)}  # asdict would copy every tensor
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            recorder = _Recorder(file)
            try:
                torch.save(values, cast(IO[bytes], recorder))
            except RuntimeError:
                if recorder.error is not None:
                    raise recorder.error from None
                raise
        for old in self.files()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> TrainingState | None:
        """The newest checkpoint that is whole, or None; what a kill left behind half-written is removed."""
        for leftover in half_written(self.folder):
            leftover.unlink(missing_ok=True)
        for path in reversed(self.files()):
            try:
                with warnings.catch_warnings():
                    # PyTorch warns of oddities of a strange file before it refuses the file.
                    warnings.simplefilter("ignore")
                    return TrainingState(**torch.load(path, map_location="cpu", weights_only=True))
            except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, TypeError, ValueError, KeyError) as error:
                reason = (str(error) or type(error).__name__).splitlines()[0][:120]
                self.tell(f"{path}: damaged ({reason}); going back to the checkpoint before it")
        return None


class _Recorder:
    """A file that remembers why a write failed: PyTorch's writer replaces the error by its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def random_states(device: torch.device) -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's global random generators, as plain types and tensors."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Put the global random generators back to what `random_states` saw."""
    random.setstate(states["python"])
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
