"""A run's folder: whose recipe it follows, whether it is finished, and that one process trains in it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pickout.checkpoints.saved_model import TOKENIZER_FILE
from pickout.config import parse_settings, read_toml, to_toml
from pickout.errors import RecipeError, ResumeMismatch, TrainingError
from pickout.files import write_atomically
from pickout.train.recipe import Recipe, differences
from pickout.train.training_state import FOLDER as CHECKPOINTS

RECIPE_FILE, SUMMARY_FILE, LOCK_FILE = "recipe.toml", "summary.json", ".lock"


@contextmanager
def training_in(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it when the process dies.

    Raises:
        TrainingError: another process trains in this folder, it holds something else, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if others and RECIPE_FILE not in others:
            raise TrainingError(
                f"{folder}: holds {others[0]} but no {RECIPE_FILE}, so it is no run; give another --out"
            )
        # For its owner alone: who may open a file may lock it, and so keep the run from going on.
        lock = os.fdopen(os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "wb")
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be used as a run folder: {error.strerror}; give another --out") from None
    with lock:
        try:
            # A POSIX lock: unlike flock's, worker processes do not inherit it and outlive a killed run with it.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            told = "another process is training here; wait for it or give another --out"
            raise TrainingError(f"{folder}: {told}") from None
        except OSError:
            pass  # This file system has no locks.
        yield


def claim(folder: Path, recipe: Recipe) -> None:
    """Start a run in an empty folder, or make sure that the run in it follows the same recipe.

    A run that has not finished an epoch has nothing to lose: another recipe takes its place.

    Raises:
        ResumeMismatch: the folder holds a run of another recipe; names the keys that differ.
    """
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
        raise ResumeMismatch(
            f"{folder}: holds a run of another recipe ({'; '.join(changed)}); give another --out, or the same recipe"
        )
    if changed:
        (folder / TOKENIZER_FILE).unlink(missing_ok=True)
        write_atomically(file, to_toml(recipe))


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Mark the run as finished.

    Raises:
        StorageFull: no space left.
    """
    write_atomically(folder / SUMMARY_FILE, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def read_summary(folder: Path) -> dict[str, Any] | None:
    """What `write_summary` wrote, or None for a run that is not finished."""
    file = folder / SUMMARY_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
