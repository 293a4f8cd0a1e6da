"""What an indexing run says while it goes on and at its end."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far a run is: files dealt with and found; of those, images that went through the model, and files
    quarantined."""

    done: int
    total: int
    encoded: int
    quarantined: int


@dataclass(slots=True)
class IngestReport:
    """What a run did, counted in files or rows."""

    found: int = 0  # image files below the folder
    added: int = 0  # new rows
    updated: int = 0  # rows whose file or metadata had changed
    unchanged: int = 0  # rows left alone
    quarantined: int = 0  # files put, or kept, on the quarantine list
    encoded: int = 0  # images that went through the model; equal bytes go once
    erased: int = 0  # files of crops that were erased, which stay so until `again` is said
    vanished: int = 0  # rows whose files are gone
    # rows in folders that are gone, or that hold none of their files any more: a disk may not be mounted
    deserted: int = 0
    folders: tuple[str, ...] = ()  # those folders
    unseen: int = 0  # rows whose files could not be looked for; kept
    pruned: int = 0  # rows removed
    untold: int = 0  # files that the metadata table does not name; 0 without a table
    seconds: float = 0.0  # wall time
    # files and folders that were not looked into, by kind; see `Scan`
    passed_over: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what was assumed about the metadata table

    def as_json(self) -> dict[str, Any]:
        """All counts by name."""
        return asdict(self)
