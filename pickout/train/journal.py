"""What happened in a run, one JSON object a line; TensorBoard's files are drawn from the same lines."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pickout.files import storage_errors

JOURNAL = "metrics.jsonl"  # the journal's name in a run folder


class Journal:
    """Lines appended to `metrics.jsonl` in a run folder, each an object with the key `event`; a context manager.

    Of an earlier run `length` bytes are kept, as a checkpoint remembers them, so that no step appears twice.
    TensorBoard's files, where TensorBoard is installed, are written anew from the lines that stay. No space left is a
    `StorageFull`, also from `write` and `sync`."""

    def __init__(self, folder: Path, *, length: int = 0) -> None:
        self.path = folder / JOURNAL
        with storage_errors(self.path):
            self._file = self.path.open("ab", buffering=0)
            self._file.truncate(min(length, self.path.stat().st_size))
        self._board = _open_tensorboard(folder / "tensorboard")
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

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

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


def _open_tensorboard(folder: Path) -> Any:
    """A writer into an emptied `folder`, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    return SummaryWriter(str(folder))
