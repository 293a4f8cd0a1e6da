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
    """What a run did, counted in files or rows.

    Args:
        found: image files below the folder.
        added, updated, unchanged: rows that are new, whose file or metadata had changed, that were left alone.
        quarantined: files put, or kept, on the quarantine list.
        encoded: images that went through the model; equal bytes go once.
        erased: files of crops that were erased, which stay so until `again` is said.
        vanished, pruned: rows whose files are gone, and rows removed.
        deserted: rows in folders that are gone, or that hold none of their files any more: a disk may not be mounted.
        folders: those folders.
        unseen: rows whose files could not be looked for; kept.
        untold: files that the metadata table does not name; 0 without a table.
        seconds: wall time.
        passed_over: files and folders that were not looked into, by kind; see `Scan`.
        notes: what was assumed about the metadata table.
    """

    found: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    quarantined: int = 0
    encoded: int = 0
    erased: int = 0
    vanished: int = 0
    deserted: int = 0
    folders: tuple[str, ...] = ()
    unseen: int = 0
    pruned: int = 0
    untold: int = 0
    seconds: float = 0.0
    passed_over: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """All counts by name."""
        return asdict(self)
