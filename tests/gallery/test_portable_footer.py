"""The end of a Parquet file, read before a library is given the file."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pickout.gallery.portable.members import check_plain


def write(**how):
    buffer = io.BytesIO()
    table = pa.table({"a": ["x", None, "y"] * 50, "b": pa.array([[1], [2, 3], None] * 50, pa.list_(pa.int32()))})
    pq.write_table(table, buffer, **{"compression": "none", "use_dictionary": False, **how})
    return buffer.getvalue()


@pytest.mark.parametrize("rows", [1, 1000])
def test_a_plain_file_passes(rows):
    check_plain(write(row_group_size=rows))


@pytest.mark.parametrize(
    "how",
    [
        {"compression": "zstd"},
        {"compression": {"a": "gzip"}},
        {"compression": {"b.list.element": "snappy"}},
        {"use_dictionary": True},
        {"column_encoding": {"a": "DELTA_BYTE_ARRAY"}},
    ],
)
def test_a_packed_column_is_refused(how):
    with pytest.raises(ValueError, match="is compressed"):
        check_plain(write(**how))


def test_a_table_without_columns_or_a_text_is_refused():
    buffer = io.BytesIO()
    pq.write_table(pa.table({}), buffer)
    for data in (buffer.getvalue(), b"", b"PAR1", b"PAR1" * 2, b"PAR1" + bytes(20) + b"PAR1", b"PAR1\0\0\0\xffPAR1"):
        with pytest.raises(ValueError, match=r"no table|its end|is compressed"):
            check_plain(data)


def test_a_codec_that_is_none_is_refused_and_not_given_to_the_library():
    """Asked for such a codec's name, pyarrow ends the process."""
    whole, packed = write(), write(compression="gzip")
    length = int.from_bytes(whole[-8:-4], "little")
    one, other = whole[-8 - length :], packed[-8 - length :]
    places = [at for at, (a, b) in enumerate(zip(one, other, strict=True)) if (a, b) == (0, 4)]
    assert places
    for at in places:
        for codec in (2, 64, 127):
            changed = bytearray(one)
            changed[at] = codec
            with pytest.raises(ValueError, match=r"is compressed|its end"):
                check_plain(whole[: -8 - length] + bytes(changed))


def test_any_end_at_all_is_read_or_refused():
    data, generator = write(), np.random.default_rng(6)
    length = int.from_bytes(data[-8:-4], "little")
    refused = 0
    for _ in range(2000):
        changed = bytearray(data)
        for place in generator.integers(len(data) - 8 - length, len(data), generator.integers(1, 5)):
            changed[place] = generator.integers(256)
        try:
            check_plain(bytes(changed))
        except ValueError:
            refused += 1
    assert refused > 200
    for kind in (0x19, 0x1C):  # lists in lists and structures in structures, without end
        deep = bytes([kind]) * 10**5
        with pytest.raises(ValueError, match="its end"):
            check_plain(b"PAR1" + deep + len(deep).to_bytes(4, "little") + b"PAR1")
