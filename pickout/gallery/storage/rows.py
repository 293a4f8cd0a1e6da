"""A crop as a gallery keeps it."""

import hashlib
import os
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pickout.errors import UsageError
from pickout.gallery.vectors.exact import Vectors

NO_TIME = np.datetime64("NaT", "us")  # stands in `Resident.times` for a crop without time
LABEL = "label:"  # stands before a label's name in `Resident.facets`


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known about a crop besides its pixels."""

    camera: str | None = None  # the camera's name
    time: datetime | None = None  # when the crop was taken, without zone (see `without_zone`)
    labels: Mapping[str, str] = field(default_factory=dict)  # free names and values
    video: str | None = None  # the video that it was cut from
    frame: int | None = None  # the frame's number in the video
    box: tuple[int, int, int, int] | None = None  # left, top, width and height in that frame, in pixels
    track: str | None = None  # the track that it belongs to, of one camera and video

    def over(self, older: "Metadata") -> "Metadata":
        """This metadata laid over `older`: what is not told here stays as it was."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        told = {name: value for name, value in own.items() if value is not None}
        return replace(older, **{**told, "labels": {**older.labels, **self.labels}})


@dataclass(frozen=True, slots=True)
class Row:
    """One crop of a gallery."""

    id: str  # hexadecimal digest of the file's absolute path: a path has one row
    content: str  # SHA-256 of the file's bytes, hexadecimal
    root: str  # the absolute folder that was indexed
    path: str  # the file's path below `root`
    vector: NDArray[np.float32]  # (D,) unit vector
    width: int  # of the upright image in pixels, as is the height
    height: int
    metadata: Metadata  # camera, time, labels and place in a video
    thumbnail: bytes  # a small JPEG, so that results have pictures when the originals have moved
    added: datetime  # when the row was written, UTC without zone
    tokens: NDArray[np.uint16] | None = None  # bfloat16 bit patterns (tokens, width); None in rows that were fetched
    seal: bytes | None = None  # `columns.row_seal` when it was written, in fetched rows; None in an older format

    @property
    def file(self) -> Path:
        """The crop's absolute path when it was indexed."""
        return Path(self.root) / self.path


@dataclass(frozen=True, slots=True)
class Known:
    """What ingest must know about a row to leave its file alone."""

    id: str
    content: str
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Facet:
    """What each crop says about one thing, for example its camera."""

    names: tuple[str, ...]  # the values that occur, sorted
    positions: NDArray[np.int32]  # (N,) position in `names`, or -1 where a crop says nothing


NO_FACET = Facet((), np.empty(0, np.int32))  # stands for a thing that no crop says anything about


@dataclass(frozen=True, slots=True)
class Resident:
    """The columns that a search reads, in memory. All arrays have N rows in the same order."""

    ids: NDArray[np.bytes_]  # (N,) byte strings of 32 hexadecimal digits
    vectors: Vectors  # the N unit vectors
    facets: Mapping[str, Facet]  # what can be filtered by: `camera`, `track`, `video`, `LABEL` + each label's name
    times: NDArray[np.datetime64]  # (N,) microseconds, NaT without time
    order: NDArray[np.int64]  # (N,) each row's rank by path; among equal scores the smaller comes first
    damaged: int = 0  # how many of the vectors are not of length one, which each was when it was written
    version: int = 0  # the table's when they were read

    def without(self, ids: Collection[str]) -> "Resident":
        """These rows but those of some ids."""
        keep = ~np.isin(self.ids, np.array([identifier.encode() for identifier in ids], "S32"))
        return replace(
            self,
            ids=self.ids[keep],
            vectors=self.vectors.kept(keep),
            facets={name: Facet(facet.names, facet.positions[keep]) for name, facet in self.facets.items()},
            times=self.times[keep],
            order=np.argsort(np.argsort(self.order[keep])),
        )


def storable(name: str) -> str:
    """`name` as a column of text can hold it: what is no Unicode is written out, as in `caf\\udce9`."""
    return name.encode(errors="backslashreplace").decode()


def composed(name: str) -> str:
    """`name` in Unicode's composed form (NFC), by which names are compared: an é may be one letter or two."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def row_id(file: Path) -> str:
    """The id of the row for `file`, an absolute path: 32 hexadecimal digits."""
    return hashlib.blake2b(os.fsencode(file), digest_size=16).hexdigest()


def without_zone(time: datetime) -> datetime:
    """`time` as a gallery keeps it: with an offset it is turned into UTC, without one it stays as it stands."""
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 date or time, as `2026-03-01T14:30`; `UsageError` for anything else."""
    try:
        return without_zone(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        examples = "2026-03-01, 2026-03-01T14:30 or 2026-03-01T14:30:00+01:00"
        raise UsageError(f"'{text}' is no date or time; write {examples}") from None
