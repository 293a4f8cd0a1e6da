"""What an indexing run is told, and what it says while it goes on and at its end."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import Field

from pickout.config import Settings

Progress = Callable[[int, int], None]  # told how many are done, and of how many


class IngestSettings(Settings):
    """How a folder is read and written."""

    batch: int | None = Field(default=None, ge=1)
    """Images encoded at once. None: 8, 16 and 32 are tried with the first crops, and the fastest is kept."""
    commit: int = Field(default=256, ge=1)
    """Rows written at once, while the next ones are encoded; a kill loses at most so many and those that gather."""
    commit_seconds: float = Field(default=5.0, gt=0)  # rows are written at least this often
    threads: int = Field(default=min(4, os.cpu_count() or 1), ge=1, le=64)
    """Threads that read and decode while the model encodes."""
    compact_every: int = Field(default=100, ge=1)  # commits after which the small pieces on disk are merged
    tokens: Literal["auto", "off"] = "auto"
    """Whether the tokens that a model's second look reads are kept: 2 bytes a number, 0.9 MB a crop for a ViT-B/16 at
    384x384. Without them a search ranks by vectors alone."""


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far a run is: files or rows dealt with, in all, encoded, and quarantined since they cannot be read."""

    done: int
    total: int
    encoded: int
    quarantined: int


@dataclass(slots=True)
class Report:
    """What was done, counted."""

    def as_json(self) -> dict[str, Any]:
        """All counts by name."""
        return asdict(self)


@dataclass(slots=True)
class IngestReport(Report):
    """What a run did, counted in files or rows."""

    found: int = 0  # image files below the folder
    added: int = 0  # new rows
    updated: int = 0  # rows whose file or metadata had changed
    unchanged: int = 0  # rows left alone
    quarantined: int = 0  # files put, or kept, on the quarantine list
    encoded: int = 0  # images that went through the model; equal bytes go once
    erased: int = 0  # files of crops that were erased, which stay so until `again` is said
    vanished: int = 0  # rows whose files are gone
    deserted: int = 0  # rows in folders that are gone, or hold none of their files any more: maybe not mounted
    folders: tuple[str, ...] = ()  # those folders
    unseen: int = 0  # rows whose files could not be looked for; kept
    pruned: int = 0  # rows removed
    held: int = 0  # rows that would have been removed, but are held
    untold: int = 0  # files that the metadata table does not name; 0 without a table
    seconds: float = 0.0  # wall time
    passed_over: dict[str, int] = field(default_factory=dict)  # files and folders not looked into, by kind
    notes: list[str] = field(default_factory=list)  # what was assumed about the metadata table, or names nothing
