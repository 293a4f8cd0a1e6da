"""Parquet files of strangers: what their pages claim is held against what a table may take before it is unpacked."""

from collections.abc import Iterator
from typing import Any, NamedTuple

_LARGEST, _PER_BYTE = 2**29, 100  # bytes that any table may take, and a larger one for each byte of its file
_CELL = 64  # bytes that a cell takes at least, once it is a Python value
_HEADS = {0: 5, 2: 7, 3: 8}  # a page's kind, and the number of the field that tells more of it
_PREFIXES = 7  # the encoding DELTA_BYTE_ARRAY: a text repeats the one before it, so a page grows beyond its bytes


class Page(NamedTuple):
    """What the head of a page says; what the end of the file says of the same may be false."""

    kind: int  # 0 and 3: values, 2: a dictionary
    unpacked: int  # bytes
    packed: int  # bytes as they lie in the file
    values: int
    encoding: int


def read_pages(data: Any, column: Any) -> Iterator[Page]:
    """The pages of a `ColumnChunkMetaData`, as they are read. An error of any kind where they lie outside the file."""
    at = min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
    left = column.num_values
    while left > 0:
        head, at = _struct(data, at)
        about = head[_HEADS[head[1]]]
        page = Page(head[1], head[2], head[3], about[1], about[4 if head[1] == 3 else 2])
        if not all(0 <= number < 2**31 for number in page) or not 0 < (at := at + page.packed) <= len(data):
            raise ValueError("a page lies outside of the file")
        left -= page.values if page.kind != 2 else 0
        yield page


def read_table(data: Any) -> Any:
    """The table in a file's bytes; a ValueError, before that is taken, where it would fill the memory."""
    import pyarrow as pa
    from pyarrow import parquet

    allowed = max(_LARGEST, _PER_BYTE * len(data))
    facts = parquet.ParquetFile(pa.py_buffer(data))
    metadata, schema = facts.metadata, facts.schema
    columns = [schema.column(number) for number in range(metadata.num_columns)]
    _within(_CELL * metadata.num_rows * len(columns), allowed)
    taken = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for number, column in enumerate(columns):
            for page in read_pages(data, group.column(number)):
                if page.encoding == _PREFIXES:
                    raise ValueError(f"column {column.path} is written with DELTA_BYTE_ARRAY; write it without")
                taken += page.unpacked + page.values * (_CELL + max(column.length, 0))
                _within(taken, allowed)
    # A text of a dictionary is held once, however many cells have it, until it is known how many those are.
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    file, parts = parquet.ParquetFile(pa.py_buffer(data), read_dictionary=texts), []
    leaves = [leaf for field in file.schema_arrow for leaf in _leaves(field.type) if pa.types.is_dictionary(leaf)]
    if sum(str(leaf.value_type) in ("string", "binary") for leaf in leaves) < len(texts):
        kinds = ", ".join(f"{field.name[:40]} {str(field.type)[:40]}" for field in facts.schema_arrow)
        raise ValueError(f"a column is of a kind that is not read; write it as text: {kinds[:200]}")
    for group in range(metadata.num_row_groups):  # one by one: pyarrow cannot join nested columns of several
        part = file.read_row_group(group)
        taken += sum(_repeated(chunk) for column in part.columns for chunk in column.chunks)
        _within(taken, allowed)
        for number, column in enumerate(part.columns):
            if pa.types.is_dictionary(column.type):
                part = part.set_column(number, part.column_names[number], column.cast(column.type.value_type))
        parts.append(part)
    return pa.concat_tables(parts) if parts else facts.schema_arrow.empty_table()


def _leaves(kind: Any) -> Iterator[Any]:
    """The types of the values that a nested type is made of."""
    if not kind.num_fields:
        yield kind
    for number in range(kind.num_fields):
        yield from _leaves(kind.field(number).type)


def _within(taken: int, allowed: int) -> None:
    if taken > allowed:
        why = f"unpacked it would take {taken:,} bytes or more, more than the {allowed:,} allowed"
        raise ValueError(f"{why}; give it as CSV")


def _repeated(array: Any) -> int:
    """Bytes of all cells' texts, each counted as often as it stands there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, pa.DictionaryArray):
        lengths = pc.binary_length(array.dictionary) if len(array.dictionary) else pa.array([], pa.int64())
        return pc.sum(lengths.cast(pa.int64()).take(array.indices)).as_py() or 0
    if isinstance(array, pa.StructArray):
        return sum(map(_repeated, array.flatten()))
    return _repeated(array.values) if hasattr(array, "values") else 0


def _struct(data: Any, at: int) -> tuple[dict[int, Any], int]:
    """A struct of Thrift's compact protocol by the fields' numbers, and where it ends."""
    fields, number = dict[int, Any](), 0
    while head := data[at]:
        if not head >> 4:
            raise ValueError("the head of a page cannot be read")  # numbers of its fields are below 16
        number += head >> 4
        fields[number], at = _value(data, at + 1, head & 15)
    return fields, at + 1


def _value(data: Any, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true, false
        return kind == 1, at
    if kind == 12:
        return _struct(data, at)
    if kind not in (4, 5, 6, 8):  # whole numbers, bytes; the head of a page has no others
        raise ValueError("the head of a page cannot be read")
    number, shift = 0, 0
    while True:
        number, shift, at = number | (data[at] & 127) << shift, shift + 7, at + 1
        if data[at - 1] < 128:
            break
        if shift > 63:  # a number has ten bytes at most; a long row of them would take for ever
            raise ValueError("the head of a page cannot be read")
    if kind == 8:
        return None, at + number
    return number >> 1 ^ -(number & 1), at
