"""Parquet tables that unpack to far more than their files: refused by what their pages say, before memory goes up."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pickout.data.parquet import _value, read_pages, read_table
from pickout.data.spreadsheet import read_spreadsheet
from pickout.errors import AnnotationError

MANY = 20_000_000
FEW = pa.array(np.zeros(2000, np.int32))


def same(text: str) -> pa.DictionaryArray:
    """2,000 cells of one text, which a file holds once."""
    return pa.DictionaryArray.from_arrays(FEW, [text])


BOMBS = {
    "nulls": {"image": lambda: pa.nulls(MANY)},
    "text without value": {"image": lambda: pa.nulls(MANY, pa.string())},
    "one text": {"image": lambda: same("x" * 2_000_000)},
    "one number": {"image": lambda: pa.array(np.zeros(MANY, np.int8))},
    "one cell of many": {"box": lambda: pa.ListArray.from_arrays([0, MANY], pa.array(np.zeros(MANY, np.int8)))},
    "one cell of texts": {"caption": lambda: pa.ListArray.from_arrays([0, 2000], same("y" * 500_000))},
    "a struct of texts": {"caption": lambda: pa.StructArray.from_arrays([same("y" * 500_000)], ["text"])},
    "bytes of one length": {"image": lambda: pa.array([bytes(100_000)] * 6000, pa.binary(100_000))},
}
PLAIN = {
    "plain": {"use_dictionary": False},
    "second version": {"use_dictionary": False, "data_page_version": "2.0"},
    "prefixes": {"use_dictionary": False, "column_encoding": {"image": "DELTA_BYTE_ARRAY"}},
}
READ = """
import resource, sys
from pathlib import Path
from pickout.data.spreadsheet import read_spreadsheet
from pickout.errors import AnnotationError
import pyarrow.parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_spreadsheet(Path(sys.argv[1]), ("image",), others=True)
except AnnotationError as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, error)
"""


def refused(file: Path) -> str:
    """The error of reading a table, in a process of its own whose memory does not go up by more than 200 MB."""
    assert file.stat().st_size < 5e6
    done = subprocess.run([sys.executable, "-c", READ, str(file)], check=True, capture_output=True, text=True)
    megabytes, _, error = done.stdout.partition(" ")
    assert int(megabytes) < 200
    return error


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_that_unpacks_to_very_much_is_an_error(tmp_path: Path, bomb: str) -> None:
    file = tmp_path / "table.parquet"
    parquet.write_table(pa.table({name: make() for name, make in BOMBS[bomb].items()}), file, compression="zstd")
    assert "more than the 536,870,912 allowed; give it as CSV" in refused(file)


@pytest.mark.parametrize("nested", [False, True])
def test_a_kind_whose_texts_cannot_be_counted_is_an_error(tmp_path: Path, nested: bool) -> None:
    file = tmp_path / "table.parquet"
    column: pa.Array = pa.ExtensionArray.from_storage(pa.json_(), pa.array(['"' + "x" * 900 + '"'] * 200_000))
    if nested:
        column = pa.StructArray.from_arrays([column], ["dictionary<values=string, indices=int32, ordered=0>"])
    parquet.write_table(pa.table({"image": column}), file, compression="zstd")
    assert "of a kind that is not read; write it as text: image" in refused(file)


@pytest.mark.parametrize("kind", PLAIN)
def test_pages_that_are_compressed_or_share_prefixes_are_bounded(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "table.parquet"
    parquet.write_table(pa.table({"image": ["a" * 5000] * 120_000}), file, compression="zstd", **PLAIN[kind])
    assert ("DELTA_BYTE_ARRAY" if kind == "prefixes" else "536,870,912 allowed") in refused(file)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_an_honest_table_is_read_as_it_is(tmp_path: Path, codec: str, version: str) -> None:
    rows = 3000
    table = pa.table(
        {
            "image": [f"{number:05d}.jpg" for number in range(rows)],
            "camera": pa.array(["lobby", None, "yard"] * (rows // 3)).dictionary_encode(),
            "caption": [["a man", "a man in red"], [], None] * (rows // 3),
            "box": [[1, 2, 3, 4]] * rows,
            "share": pa.array([0.25, None, 1.0] * (rows // 3)),
            "facts": [{"a": "b"}] * rows,
            "kind": pa.array([1, 2, None] * (rows // 3)).dictionary_encode(),
            "large": pa.array(["a", None, "b"] * (rows // 3), pa.large_string()),
            "view": pa.array(["a", None, "b"] * (rows // 3), pa.string_view()),
            "bytes": pa.array([b"a", None, b"b"] * (rows // 3)),
        }
    )
    file = tmp_path / "table.parquet"
    parquet.write_table(table, file, compression=codec, data_page_version=version, row_group_size=1000)
    assert read_table(file.read_bytes()).to_pylist() == table.to_pylist()
    sheet = read_spreadsheet(file, ("image", "caption"), others=True)
    assert [row["image"] for _, row in sheet.rows] == table["image"].to_pylist()


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"image": pa.array([], pa.string())}), tmp_path / "table.parquet")
    assert read_spreadsheet(tmp_path / "table.parquet", ("image",), others=True).rows == []


@pytest.mark.parametrize(
    "head",
    [
        b"\x05\x02\x00\x15\x02\x15\x02\x2c\x15\x02\x15\x00\x00\x00",  # a field's number written the long way
        b"\x15\x00\x15\x02\x15\x7f\x2c\x15\x02\x15\x00\x00\x00",  # more bytes than there are
        b"\x15\x00\x15\x02\x15\x01\x2c\x15\x02\x15\x00\x00\x00",  # fewer than none
        b"\x15\x00\x15\x02\x15\x02\x2c\x15\xff\xff\xff\xff\xff\xff\x01\x15\x00\x00\x00",  # values beyond 32 bits
        b"\x15\x06\x15\x02\x15\x02\x2c\x15\x02\x15\x00\x00\x00",  # of the second version, without what that tells
        b"\x15",
        b"",
    ],
)
def test_heads_of_pages_that_could_be_read_in_two_ways_are_errors(head: bytes) -> None:
    column = SimpleNamespace(data_page_offset=0, dictionary_page_offset=None, num_values=1)
    with pytest.raises((ValueError, LookupError)):
        list(read_pages(head, column))


def test_a_damaged_file_is_an_error_or_another_table(tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    parquet.write_table(pa.table({"image": ["1.jpg"] * 100}), file)
    data = file.read_bytes()
    for cut in range(0, len(data), 7):
        file.write_bytes(data[:cut])
        with pytest.raises(AnnotationError, match="not a readable Parquet file"):
            read_spreadsheet(file, ("image",), others=True)
        file.write_bytes(data[:cut] + bytes([data[cut] ^ 255]) + data[cut + 1 :])
        with suppress(AnnotationError):
            read_spreadsheet(file, ("image",), others=True)


@pytest.mark.parametrize("kind", [5, 8])
def test_a_number_without_end_is_refused_at_once(kind: int) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        _value(b"\xff" * 1_000_000, 0, kind)
    assert _value(b"\xfe" + b"\xff" * 8 + b"\x01", 0, 6)[0] == 2**63 - 1
