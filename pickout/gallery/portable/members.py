"""Rows from a member of a portable file, and all that can be wrong with them."""

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pickout.gallery.changes.verification import no_area, row_faults
from pickout.gallery.intake.picture import LARGEST_SIDE
from pickout.gallery.portable.file import PortableFile, RowsMember, row_schema
from pickout.gallery.storage.columns import from_arrow, unpack_tokens
from pickout.gallery.storage.rows import Row

_AT_ONCE = 16
_NEEDED = ("id", "content", "root", "path", "width", "height", "thumbnail", "added", "vector")
"""Columns in which a value must stand."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_FOOTER = 2**20
_DEEPEST = 12
_PLAIN, _RLE = 0, 3


def read_rows(portable: PortableFile, member: RowsMember, *, check: bool = False) -> Iterator[Row]:
    """The rows of a member, with tokens and their seals; with `check`, each is held against what a gallery writes."""
    data, dimension = portable.rows(member), portable.contents.model.dimension
    rows = enumerate(_rows(data, member, dimension))
    while True:
        try:
            number, row = next(rows)
        except StopIteration:
            return
        except Exception as error:  # whatever pyarrow raises on hostile bytes
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise portable.damaged(f"{member.name}: holds no rows of a gallery ({first[:200]})") from None
        if check and (what := _fault(row, dimension)):
            raise portable.damaged(f"{member.name}, row {number} ({row.path[:200]}): {what}")
        yield row


def _rows(data: bytes, member: RowsMember, dimension: int) -> Iterator[Row]:
    check_plain(data)
    file = pq.ParquetFile(pa.BufferReader(data))
    if file.metadata.num_rows != member.rows:
        raise ValueError(f"{file.metadata.num_rows} rows instead of {member.rows}")
    if not file.schema_arrow.equals(row_schema(dimension)):
        raise ValueError(f"other columns than those of a gallery of {dimension} numbers a vector")
    count, size = 0, 0
    for batch in file.iter_batches(_AT_ONCE):
        count, size = count + batch.num_rows, size + batch.nbytes
        # Each row takes some bytes of offsets and empty columns that the file leaves out.
        if count > member.rows or size > 2 * len(data) + 1024 * count:
            raise ValueError("its rows are larger than the member")
        batch.validate(full=True)
        for name in _NEEDED:
            if batch.column(name).null_count:
                raise ValueError(f"column {name} has a row without value")
        for name in ("vector", "box"):
            if batch.column(name).flatten().null_count:
                raise ValueError(f"column {name} has an incomplete row")
        rows = from_arrow(pa.Table.from_batches([batch.drop_columns(["tokens"])]))
        for row, tokens in zip(rows, batch.column("tokens"), strict=True):
            yield replace(row, tokens=unpack_tokens(tokens.as_buffer()).copy()) if tokens.is_valid else row
    if count != member.rows:
        raise ValueError(f"{count} rows instead of {member.rows}")


def _fault(row: Row, dimension: int) -> str | None:
    """What is wrong with a row, in a few words; the cheap and the dangerous first."""
    path, labels = PurePath(row.path), row.metadata.labels
    if "\0" in row.root + row.path or not PurePath(row.root).is_absolute():
        return "its path is none that a gallery writes"
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return "its path leads out of its folder"
    if not _SHA256.fullmatch(row.content) or min(row.width, row.height) < 1:
        return "its digest or size cannot be"
    # They were read from JSON, which may hold anything.
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        return "its labels are no texts"
    if row.tokens is not None and 0 in row.tokens.shape:
        return "its tokens are empty"
    if no_area(row.metadata.box):
        return f"its box {list(row.metadata.box or ())} has no area"
    try:
        with Image.open(io.BytesIO(row.thumbnail), formats=("JPEG",)) as image:
            large = max(image.size) > LARGEST_SIDE
    except Exception:  # Pillow's decoders raise almost any error on damaged data
        large = True
    if large:
        return f"its thumbnail is no JPEG of at most {LARGEST_SIDE} pixels"
    return next((fault.what.split(";")[0] for fault in row_faults(row, row.tokens, dimension)), None)


def check_plain(data: bytes) -> None:
    """Refuse a Parquet file with a column that is compressed, has a dictionary, is encrypted or lies elsewhere.

    It is read before any library gets the file: pyarrow ends the process on some codecs, and unpacks whatever is
    packed. The error is a ValueError.
    """
    if data[:4] != b"PAR1" or data[-4:] != b"PAR1" or len(data) < 12:
        raise ValueError("no table")
    length = struct.unpack("<L", data[-8:-4])[0]
    if length > min(_LARGEST_FOOTER, len(data) - 12):
        raise ValueError(f"its end claims {length} bytes")
    try:
        told = _Footer(data[-8 - length : -8]).structure(0)
        chunks = [chunk for group in told.get(4, []) for chunk in group[1]]
        # Fields of a column: 1 file, 3 facts, 8 and 9 encryption; of its facts: 2 encodings, 4 codec, 11 dictionary.
        plain = all(
            not chunk.keys() & {1, 8, 9}
            and chunk[3][4] == 0
            and set(chunk[3][2]) <= {_PLAIN, _RLE}
            and 11 not in chunk[3]
            for chunk in chunks
        )
    except (IndexError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("its end is garbled") from None
    if not plain or not chunks:
        raise ValueError("a column is compressed, or not there")


class _Footer:
    """Reads values of Thrift's compact protocol one after another; past the end is an IndexError."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def structure(self, depth: int) -> dict[int, Any]:
        """Values by number of the field."""
        if depth > _DEEPEST:
            raise ValueError("its end is too deep")
        found: dict[int, Any] = {}
        field = 0
        while head := self._bytes(1)[0]:
            step, kind = divmod(head, 16)
            field = field + step if step else self._signed()
            if field in found:
                raise ValueError("its end says something twice")
            found[field] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (4, 5, 6):
            return self._signed()
        if kind in (1, 2, 3):
            return self._bytes(1)
        if kind in (7, 8):  # a floating-point number, or text
            return self._bytes(8 if kind == 7 else self._number())
        if kind in (9, 10):
            count, of = divmod(self._bytes(1)[0], 16)
            return [self._value(of, depth) for _ in range(self._number() if count == 15 else count)]
        if kind == 12:
            return self.structure(depth + 1)
        raise ValueError(f"its end has a value of kind {kind}")

    def _signed(self) -> int:
        number = self._number()
        return number >> 1 ^ -(number & 1)

    def _number(self) -> int:
        number = 0
        for shift in range(0, 64, 7):
            byte = self._bytes(1)[0]
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise ValueError("its end has a number that is too long")

    def _bytes(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise IndexError
        self._at += count
        return self._data[self._at - count : self._at]
