"""Tokens of all images or captions of a split, kept for the second look: in memory, or on disk when they do not fit.

Rows are packed: a caption of 12 tokens takes 12 places whatever the context is.
"""

import tempfile
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pickout.files import storage_errors
from pickout.shapes import Bool, Float


class TokenStore:
    """So many rows (`items`) of tokens in the order they are added. Use as a context manager or call `close`.

    In memory they are float32. What does not fit into the `budget` of bytes lies in an unnamed file, by default in the
    system's temporary `folder`, as bfloat16, which halves the bytes and rounds to three digits; the file is gone with
    the process, however it ends.
    """

    def __init__(self, items: int, *, budget: int, folder: Path | None = None) -> None:
        self.items, self.budget, self.folder = items, budget, folder
        self.on_disk = False
        self._file: IO[bytes] | None = None
        self._parts: list[Tensor] = []
        self._starts, self._width = [0], 0
        self._packed: Tensor | None = None

    def __len__(self) -> int:
        return len(self._starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row. Shape: (rows,)."""
        starts = np.array(self._starts, dtype=np.int64)
        return starts[1:] - starts[:-1]

    def add(self, tokens_BND: Float[Tensor, "batch tokens width"], mask_BN: Bool[Tensor, "batch tokens"]) -> None:
        """Append a batch of rows; in each the tokens that are kept come first. `StorageFull`: no space for the file."""
        if not len(self):
            self._width = tokens_BND.shape[2]
            self.on_disk = self.items * tokens_BND[0].numel() * 4 > self.budget
        packed = tokens_BND[mask_BN.to(tokens_BND.device)].cpu()
        for count in mask_BN.sum(dim=1).tolist():
            self._starts.append(self._starts[-1] + count)
        self._packed = None
        if not self.on_disk:
            self._parts.append(packed.float())
            return
        with storage_errors(self.folder or Path(tempfile.gettempdir())):
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115  (closed by `close`)
            self._file.write(packed.to(torch.bfloat16).contiguous().view(torch.uint8).numpy().tobytes())
            self._file.flush()

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows tokens width"]:
        """Rows `start` to `stop`, padded with zeros to the longest of them, float32."""
        return self.take(np.arange(start, stop))[0]

    def take(self, rows: NDArray[np.int64]) -> tuple[Float[Tensor, "rows tokens width"], Bool[Tensor, "rows tokens"]]:
        """Some rows, padded with zeros to the longest of them, float32, and True where a token is real."""
        starts, lengths = np.array(self._starts[:-1])[rows], self.lengths[rows]
        place = np.arange(int(lengths.max(initial=0)))[None, :]
        real = place < lengths[:, None]
        index, mask = torch.from_numpy(np.where(real, starts[:, None] + place, 0)), torch.from_numpy(real)
        return self.packed()[index].float().masked_fill_(~mask[..., None], 0.0), mask

    def packed(self) -> Float[Tensor, "places width"]:
        """Every token, row after row: float32 from memory, bfloat16 mapped from the file."""
        if self._packed is None:
            if self._file is None:
                self._packed = torch.cat(self._parts) if self._parts else torch.empty(0, self._width)
                self._parts = [self._packed]
            else:
                count = self._starts[-1] * self._width
                # Mapped as private pages: torch warns of read-only memory, and nothing writes.
                mapped = np.memmap(self._file, dtype=np.uint16, mode="c", shape=(count,))
                self._packed = torch.from_numpy(mapped.view(np.int16)).view(torch.bfloat16).view(-1, self._width)
        return self._packed

    def close(self) -> None:
        """Let go of the memory and the file."""
        self._parts, self._packed = [], None
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> "TokenStore":
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


def joined(stores: list[tuple[Tensor, NDArray[np.int64]]], *, budget: int) -> TokenStore:
    """One store of the rows of several processes, given the `packed` and `lengths` of each, in their order."""
    whole = TokenStore(sum(len(lengths) for _, lengths in stores), budget=budget)
    for packed, lengths in stores:
        for row in torch.split(packed, lengths.tolist()):
            whole.add(row[None].float(), torch.ones(1, len(row), dtype=torch.bool))
    return whole
