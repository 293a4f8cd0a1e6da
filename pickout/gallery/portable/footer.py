"""What a Parquet file says about its columns, read before any library is given the file.

A footer is a structure in Thrift's compact protocol. Libraries end the whole process on some values that are none, and
unpack whatever is packed; so what matters is read here first, in a few lines that take nothing on trust.
"""

import struct
from typing import Any

_MAGIC = b"PAR1"
_LARGEST = 2**20
_DEEPEST = 12
_UNCOMPRESSED = 0
_PLAIN, _RLE = 0, 3
_FIXED = {3: 1, 7: 8}
"""Bytes of a number that is not packed, by type: one byte, and a floating-point number."""


def check_plain(data: bytes) -> None:
    """Refuse a Parquet file with a column that is compressed, has a dictionary, is encrypted or lies elsewhere.

    Raises:
        ValueError: it is none, or has such a column.
    """
    if data[:4] != _MAGIC or data[-4:] != _MAGIC or len(data) < 12:
        raise ValueError("no table")
    length = struct.unpack("<L", data[-8:-4])[0]
    if length > min(_LARGEST, len(data) - 12):
        raise ValueError(f"its end claims {length} bytes")
    try:
        told = _Footer(data[-8 - length : -8]).structure()
        chunks = [chunk for group in told.get(4, []) for chunk in group[1]]
        plain = all(_is_plain(chunk) for chunk in chunks)
    except (IndexError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("its end is garbled") from None
    if not plain or not chunks:
        raise ValueError("a column is compressed, or not there")


def _is_plain(chunk: dict[int, Any]) -> bool:
    """Whether a column's description (fields: 1 file, 3 facts, 8 and 9 encryption) is one that an export writes.

    Of the facts: 2 encodings, 4 codec, 11 place of a dictionary.
    """
    facts = chunk[3]
    return (
        not chunk.keys() & {1, 8, 9}
        and facts[4] == _UNCOMPRESSED
        and set(facts[2]) <= {_PLAIN, _RLE}
        and 11 not in facts
    )


class _Footer:
    """Reads values one after another; past the end is an IndexError.

    Args:
        data: the footer.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._depth = data, 0, 0

    def structure(self) -> dict[int, Any]:
        """A structure's values by number of the field."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("its end is too deep")
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            field = field + step if step else self._signed()
            if field in found:
                raise ValueError("its end says something twice")
            found[field] = kind == 1 if kind in (1, 2) else self._value(kind)
        self._depth -= 1
        return found

    def _value(self, kind: int) -> Any:
        if kind in (4, 5, 6):
            return self._signed()
        if kind in (1, 2, *_FIXED):
            return self._bytes(_FIXED.get(kind, 1))
        if kind == 8:
            return self._bytes(self._number())
        if kind in (9, 10):
            return self._list()
        if kind == 12:
            return self.structure()
        raise ValueError(f"its end has a value of kind {kind}")

    def _list(self) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._number()
        return [self._value(head & 15) for _ in range(count)]

    def _signed(self) -> int:
        number = self._number()
        return number >> 1 ^ -(number & 1)

    def _number(self) -> int:
        number, shift = 0, 0
        while shift < 64:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
        raise ValueError("its end has a number that is too long")

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise IndexError
        self._at += count
        return self._data[self._at - count : self._at]
