"""What a search gives."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pickout.gallery.storage.rows import Metadata, Row


@dataclass(frozen=True, slots=True)
class Hit:
    """One candidate: a crop that a person must look at, not an identification.

    Args:
        rank: 1 for the best.
        score: inner product of the query's and the crop's vectors, less penalties.
        id: the row's id.
        file: the crop's absolute path when it was indexed; it may have moved.
        path: the same below the indexed folder.
        width: width of the upright original in pixels.
        height: height of the upright original in pixels.
        metadata: camera, time and labels.
        thumbnail: a small JPEG of it.
        match: score of the model's second look, which ranks the best; None where there was none.
        probability: that it shows the person described; None where the gallery is not calibrated for the query.
        others: ids of the crops that are shown as one with it, best first.
    """

    rank: int
    score: float
    id: str
    file: Path
    path: str
    width: int
    height: int
    metadata: Metadata
    thumbnail: bytes
    match: float | None = None
    probability: float | None = None
    others: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: Row, rank: int, score: float, **told: Any) -> "Hit":
        """The hit that shows `row`; `told` is what else is known."""
        same = ("id", "file", "path", "width", "height", "metadata", "thumbnail")
        return cls(rank=rank, score=score, **{name: getattr(row, name) for name in same}, **told)

    @property
    def camera(self) -> str | None:
        """The camera's name where it is known."""
        return self.metadata.camera

    @property
    def time(self) -> datetime | None:
        """When the crop was taken where it is known, without zone."""
        return self.metadata.time

    def as_json(self) -> dict[str, Any]:
        """All but the thumbnail, with plain values."""
        return {
            "rank": self.rank,
            "score": self.score,
            "match": self.match,
            "probability": self.probability,
            "id": self.id,
            "file": str(self.file),
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "camera": self.camera,
            "time": None if self.time is None else self.time.isoformat(),
            "video": self.metadata.video,
            "frame": self.metadata.frame,
            "box": None if self.metadata.box is None else list(self.metadata.box),
            "track": self.metadata.track,
            "labels": dict(self.metadata.labels),
            "others": list(self.others),
        }
