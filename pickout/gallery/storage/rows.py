"""A crop as a gallery keeps it, and rows as Arrow columns and back, in the order and types of the table on disk."""

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import index
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from pickout.errors import UsageError
from pickout.gallery.vectors.exact import Floats, Ids, Mask, Places, Rows, Tokens, Vectors

LARGEST_NUMBER = 2**31 - 1  # of a frame's number and a box's sides
Values = dict[str, Any]  # a row's, by column
LABEL = "label:"  # stands before a label's name in `Resident.facets`
_Text = Annotated[str, AfterValidator(lambda text: text.encode().decode())]  # an error where it is no Unicode
_Index = BeforeValidator(lambda number: number if isinstance(number, bool) else index(number))  # also NumPy's
_Whole = Annotated[int, _Index, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
_Side = Annotated[_Whole, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known about a crop besides its pixels. Its types are checked where somebody else tells it."""

    __pydantic_config__ = ConfigDict(strict=True, revalidate_instances="always")

    camera: _Text | None = None  # the camera's name
    time: datetime | None = None  # when the crop was taken, without zone (see `without_zone`)
    labels: Mapping[_Text, _Text] = field(default_factory=dict)  # free names and values
    video: _Text | None = None  # the video that it was cut from
    frame: _Whole | None = None  # the frame's number in the video
    box: tuple[_Whole, _Whole, _Side, _Side] | None = None  # left, top, width and height in that frame, in pixels
    track: _Text | None = None  # the track that it belongs to, of one camera and video

    def over(self, older: "Metadata") -> "Metadata":
        """This metadata laid over `older`: what is not told here stays as it was."""
        told = {name: value for name in METADATA if (value := getattr(self, name)) is not None}
        return replace(older, **{**told, "labels": {**older.labels, **self.labels}})

    def told(self) -> list[str]:
        """The names of what is told here, those of labels among them."""
        return [*(name for name in METADATA if name != "labels" and getattr(self, name) is not None), *self.labels]

    def without(self, names: Collection[str]) -> "Metadata":
        """The same, but nothing is told of these: fields, or else labels."""
        own = {name: None for name in METADATA if name != "labels" and name in names}
        labels = {name: value for name, value in self.labels.items() if name not in names}
        return replace(self, labels=labels, **own) if own or len(labels) < len(self.labels) else self


@dataclass(frozen=True, slots=True)
class Row:
    """One crop of a gallery."""

    id: str  # hexadecimal digest of the file's absolute path: a path has one row
    content: str  # SHA-256 of the file's bytes, hexadecimal
    root: str  # the absolute folder that was indexed
    path: str  # the file's path below `root`
    vector: Floats  # (D,) unit vector
    width: int  # of the upright image in pixels, as is the height
    height: int
    metadata: Metadata  # camera, time, labels and place in a video
    thumbnail: bytes  # a small JPEG, so that results have pictures when the originals have moved
    added: datetime  # when the row was written, UTC without zone
    tokens: Tokens | None = None  # bfloat16 bit patterns (tokens, width); None in rows that were fetched
    seal: bytes | None = None  # `columns.row_seal` when it was written, in fetched rows; None in an older format

    @property
    def file(self) -> Path:
        """The crop's absolute path when it was indexed."""
        return Path(self.root) / self.path


class Known(NamedTuple):
    """What ingest must know about a row to leave its file alone."""

    id: str
    content: str
    metadata: Metadata


class Facet(NamedTuple):
    """What each crop says about one thing, for example its camera."""

    names: tuple[str, ...]  # the values that occur, sorted
    positions: NDArray[np.int32]  # (N,) position in `names`, or -1 where a crop says nothing


NO_FACET = Facet((), np.empty(0, np.int32))  # stands for a thing that no crop says anything about


class Located(dict[str, int]):
    """Ids of rows, and where each stood in the table when it was read."""


@dataclass(frozen=True, slots=True)
class Resident:
    """The columns that a search reads, in memory. All arrays have N rows in the same order."""

    ids: Ids  # (N,) byte strings of 32 hexadecimal digits
    vectors: Vectors  # the N unit vectors
    facets: Mapping[str, Facet]  # what can be filtered by: `camera`, `track`, `video`, `LABEL` + each label's name
    times: NDArray[np.datetime64]  # (N,) microseconds, NaT without time
    order: Rows  # (N,) each row's rank by path; among equal scores the smaller comes first
    version: int = 0  # the table's when they were read
    places: Places = field(default_factory=lambda: np.empty(0, np.uint64))
    """(N,) where each row stood in the table then, as LanceDB names it."""
    hidden: Mask | None = None  # (N,) rows whose erasure has begun, which no search may find

    def located(self, rows: Iterable[int]) -> Located:
        """Ids of these rows, and where they stood."""
        return Located({self.ids[row].decode(): int(self.places[row]) for row in rows})


def storable(name: str) -> str:
    """`name` as a column of text can hold it: what is no Unicode is written out, as in `caf\\udce9`."""
    return name.encode(errors="backslashreplace").decode()


def composed(name: str) -> str:
    """`name` in Unicode's composed form (NFC), by which names are compared: an é may be one letter or two."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


ROW_ID = re.compile("[0-9a-f]{32}")


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


_PLACE = [("id", pa.string()), ("content", pa.string()), ("root", pa.binary()), ("path", pa.binary())]
_SIZE = [("width", pa.int32()), ("height", pa.int32()), ("camera", pa.string()), ("time", pa.timestamp("us"))]
FIELDS = [*_PLACE, *_SIZE, ("labels", pa.string()), ("thumbnail", pa.binary()), ("added", pa.timestamp("us"))]
"""Columns of format 1, before the vector."""
_VIDEO = [("video", pa.string()), ("frame", pa.int64()), ("box", pa.list_(pa.int32())), ("track", pa.string())]
ADDED_FIELDS = [*_VIDEO, ("tokens", pa.large_binary()), ("seal", pa.binary())]  # columns of format 2, behind the vector
METADATA = ("camera", "time", "labels", "video", "frame", "box", "track")  # columns that `to_metadata` reads
_PLAIN = ("id", "content", "width", "height", "thumbnail", "added")  # columns that are a row's fields as they are
FACETS = ("camera", "track", "video")  # columns of names that can be filtered by
MARKED = ("content", "root", "path", "width", "height", "added", *METADATA)  # columns that `row_mark` reads
RESIDENT = ("id", "root", "path", "time", "labels", *FACETS)  # columns that a search reads, besides the vectors


def to_arrow(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Rows as a table of this schema."""
    vectors = pa.array(np.concatenate([row.vector for row in rows]))
    columns = {
        **{name: [getattr(row, name) for row in rows] for name in _PLAIN},
        **{name: [os.fsencode(getattr(row, name)) for row in rows] for name in ("root", "path")},
        **{name: [getattr(row.metadata, name) for row in rows] for name in METADATA},
        "labels": [_labels(row.metadata) for row in rows],
        "tokens": [None if row.tokens is None else _packed(row.tokens) for row in rows],
        "seal": [row_seal(row) for row in rows],
        "vector": pa.FixedSizeListArray.from_arrays(vectors, len(rows[0].vector)),
    }
    return pa.table(columns, schema=schema)


def row_schema(dimension: int) -> pa.Schema:
    """The columns of a gallery's table, and of an export, for vectors of this length."""
    return pa.schema([*FIELDS, ("vector", pa.list_(pa.float32(), dimension)), *ADDED_FIELDS])


def rows_with_tokens(table: pa.Table) -> Iterator[Row]:
    """The rows of a table, tokens included."""
    for values, own in zip(table.drop_columns(["tokens"]).to_pylist(), table["tokens"], strict=True):
        yield replace(to_row(values), tokens=unpack_tokens(own.as_buffer()).copy() if own.is_valid else None)


def to_row(values: Values) -> Row:
    """A row from its values by column, without tokens."""
    plain: dict[str, Any] = {name: values.get(name) for name in _PLAIN}
    plain |= {"root": os.fsdecode(values["root"]), "path": os.fsdecode(values["path"]), "seal": values.get("seal")}
    return Row(**plain, vector=np.asarray(values.get("vector"), dtype=np.float32), metadata=to_metadata(values))


def completed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows of a table of any format with the columns of `schema`; those that an older one lacks are empty."""
    names, count = rows.schema.names, rows.num_rows
    columns = [rows[field.name] if field.name in names else pa.nulls(count, field.type) for field in schema]
    return pa.table(columns, schema=schema)


def row_seal(row: Row, tokens: Tokens | None = None) -> bytes:
    """Digest of all that a row holds (BLAKE2b, 16 bytes), so that a change by other hands shows; `tokens` are its own
    where it was fetched without."""
    told, own = row.metadata, row.tokens if tokens is None else tokens
    parts = [row.id.encode(), row.content.encode(), os.fsencode(row.root), os.fsencode(row.path), row.thumbnail]
    parts.append(np.ascontiguousarray(row.vector, "<f4").tobytes())
    place = (told.video, told.frame, None if told.box is None else list(told.box), told.track)
    times = [None if time is None else time.isoformat() for time in (told.time, row.added)]
    parts.append(json.dumps([row.width, row.height, told.camera, _labels(told), *times, *place]).encode())
    if own is not None:
        parts.append(_packed(own))
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def row_mark(row: Row) -> bytes:
    """Digest of what a row holds besides what a model made of its pixels (BLAKE2b, 16 bytes)."""
    facts = (row.content, row.root, row.path, row.width, row.height, row.added, row.metadata)
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).digest()


def to_metadata(values: Values) -> Metadata:
    """The metadata in a row's values by column; columns that an older table lacks are unknown."""
    told = {name: values.get(name) for name in METADATA}
    labels, box = told["labels"], told["box"]
    return Metadata(**{**told, "labels": json.loads(labels) if labels else {}, "box": tuple(box) if box else None})


def _labels(told: Metadata) -> str | None:
    return json.dumps(dict(told.labels)) if told.labels else None


def _packed(tokens: Tokens) -> bytes:
    """Two sizes, then the bit patterns."""
    return np.array(tokens.shape, "<u4").tobytes() + np.ascontiguousarray(tokens, "<u2").tobytes()


def unpack_tokens(data: Any) -> Tokens:
    """What a row's packed tokens hold: two sizes, then the bit patterns. Shape: (tokens, width)."""
    return np.frombuffer(data, "<u2", offset=8).reshape(np.frombuffer(data, "<u4", count=2).astype(int))
