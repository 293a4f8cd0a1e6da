"""Rows from a member of a portable file, and all that can be wrong with them."""

import io
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pickout.gallery.changes.verification import no_area, row_faults
from pickout.gallery.intake.picture import LARGEST_SIDE
from pickout.gallery.portable.file import PortableFile
from pickout.gallery.portable.footer import check_plain
from pickout.gallery.portable.form import RowsMember, row_schema
from pickout.gallery.storage.columns import from_arrow, unpack_tokens
from pickout.gallery.storage.rows import Row

_AT_ONCE = 16
_NEEDED = ("id", "content", "root", "path", "width", "height", "thumbnail", "added", "vector")
"""Columns in which a value must stand."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_rows(portable: PortableFile, member: RowsMember) -> Iterator[Row]:
    """The rows of a member, with tokens and with the seals that stand there.

    Raises:
        GalleryDamaged: its bytes are not those that were written, or are no rows.
    """
    data = portable.rows(member)
    try:
        yield from _rows(data, member, portable.contents.model.dimension)
    except Exception as error:  # whatever pyarrow raises on hostile bytes
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise portable.damaged(f"{member.name}: holds no rows of a gallery ({first[:200]})") from None


def check_rows(portable: PortableFile, member: RowsMember) -> Iterator[Row]:
    """As `read_rows`, and every row is looked at.

    Raises:
        GalleryDamaged: as for `read_rows`, or a row is not as a gallery writes it.
    """
    dimension = portable.contents.model.dimension
    for number, row in enumerate(read_rows(portable, member)):
        for what in _faults(row, dimension):
            told = f"{member.name}, row {number} ({row.path[:200]}): {what}"
            raise portable.damaged(told)
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
        yield from _of_batch(batch)
    if count != member.rows:
        raise ValueError(f"{count} rows instead of {member.rows}")


def _of_batch(batch: pa.RecordBatch) -> Iterator[Row]:
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


def _faults(row: Row, dimension: int) -> Iterator[str]:
    """What is wrong with a row, in a few words; the cheap and the dangerous first."""
    path = PurePath(row.path)
    if "\0" in row.root + row.path or not PurePath(row.root).is_absolute():
        yield "its path is none that a gallery writes"
    elif path.is_absolute() or ".." in path.parts or not path.parts:
        yield "its path leads out of its folder"
    elif not _SHA256.fullmatch(row.content) or min(row.width, row.height) < 1:
        yield "its digest or size cannot be"
    elif not _are_texts(row.metadata.labels):
        yield "its labels are no texts"
    elif row.tokens is not None and 0 in row.tokens.shape:
        yield "its tokens are empty"
    elif no_area(row.metadata.box):
        yield f"its box {list(row.metadata.box or ())} has no area"
    else:
        try:
            with Image.open(io.BytesIO(row.thumbnail), formats=("JPEG",)) as image:
                large = max(image.size) > LARGEST_SIDE
        except Exception:  # Pillow's decoders raise almost any error on damaged data
            large = True
        if large:
            yield f"its thumbnail is no JPEG of at most {LARGEST_SIDE} pixels"
            return
        for fault in row_faults(row, row.tokens, dimension):
            yield fault.what.split(";")[0]


def _are_texts(labels: object) -> bool:
    """Whether labels, read from JSON that may hold anything, are texts by name."""
    return isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values())


def row_bytes(row: Row) -> int:
    """About how much memory a row takes."""
    tokens = 0 if row.tokens is None else row.tokens.nbytes
    return row.vector.nbytes + len(row.thumbnail) + tokens + len(os.fsencode(row.path)) + 500
