"""Portable files that are damaged or made by someone who means harm: a clear error, and nothing written."""

import hashlib
import io
import json
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from test_portable import LookingEncoder, facts

from pickout.errors import DataMissing, GalleryDamaged, GalleryError, GalleryModelMismatch, PickoutError, UsageError
from pickout.gallery.gallery import Gallery
from pickout.gallery.portable.reader import import_gallery
from pickout.gallery.storage.rows import row_id, row_schema, row_seal, to_arrow

ROWS = "rows-000000.parquet"


@pytest.fixture
def source(tmp_path, crops):
    made = Gallery.create(tmp_path / "source.gallery", LookingEncoder())
    made.add(crops)
    return made


@pytest.fixture
def whole(tmp_path, source):
    """An export with pictures."""
    source.export(tmp_path / "whole.pickout", crops=True)
    return tmp_path / "whole.pickout"


@pytest.fixture
def rows(source):
    """The rows of the gallery with tokens, by name of their file."""
    ids = [known.id for known in source._store.known()]
    tokens = source._store.fetch_tokens(ids)
    return [replace(row, tokens=tokens[row.id]) for row in source.rows(ids).values()]


@pytest.fixture
def refused(tmp_path):
    """refused(file, words): the import fails with these words, names the file and writes nothing."""

    def check(file, match, kind=GalleryDamaged):
        with pytest.raises(kind, match=match) as caught:
            import_gallery(file, tmp_path / "target.gallery", crops_to=tmp_path / "pictures")
        assert file.name in str(caught.value) and ";" in str(caught.value)
        assert not (tmp_path / "target.gallery").exists() and not (tmp_path / "pictures").exists()

    return check


def members_of(file):
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(file, members, /, **told):
    """Write an archive of these members, given as name or ZipInfo and bytes; `told` changes export.json."""
    if told:
        members = {**members, "export.json": json.dumps({**json.loads(members["export.json"]), **told})}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file


def with_table(file, whole, table, **how):
    """An archive whose rows are `table`, with the right hash and count: only the rows themselves are wrong."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **{"compression": "none", "use_dictionary": False, "write_statistics": False, **how})
    data = buffer.getvalue()
    member = {"name": ROWS, "rows": table.num_rows, "sha256": hashlib.sha256(data).hexdigest()}
    return pack(file, {**members_of(whole), ROWS: data}, rows=table.num_rows, members=[member])


def with_rows(file, whole, rows):
    return with_table(file, whole, to_arrow(rows, row_schema(10)))


def test_what_is_no_archive_or_not_all_of_one_is_refused(tmp_path, whole, refused):
    data = whole.read_bytes()
    for number, content in enumerate((b"", b"PK", b"text" * 100, data[:-1], data[: len(data) // 2], data + b"x")):
        file = tmp_path / f"{number}.pickout"
        file.write_bytes(content)
        refused(file, "is no export of a gallery, or not all of it")
    with zipfile.ZipFile(tmp_path / "other.pickout", "w"):
        pass
    refused(tmp_path / "other.pickout", "is no export of a gallery")
    refused(tmp_path / "none.pickout", "no such file", DataMissing)
    (tmp_path / "folder.pickout").mkdir()
    refused(tmp_path / "folder.pickout", "cannot be read", DataMissing)


def test_any_changed_byte_is_told_or_harmless(tmp_path, whole, source):
    """Damage anywhere gives an error of ours, or rows that are as they were: never other rows, nor a traceback."""
    data, before = whole.read_bytes(), facts(source)
    generator = np.random.default_rng(5)
    told = 0
    for number, place in enumerate(generator.integers(0, len(data), 60)):
        file = tmp_path / f"{number}.pickout"
        file.write_bytes(data[:place] + bytes([data[place] ^ 1 << number % 8]) + data[place + 1 :])
        try:
            import_gallery(file, tmp_path / f"{number}.gallery")
        except PickoutError as error:
            told += 1
            assert file.name in str(error) and not (tmp_path / f"{number}.gallery").exists()
        else:
            assert facts(Gallery.open(tmp_path / f"{number}.gallery")) == before
    assert told > 40


def test_members_that_are_missing_changed_or_too_many_are_refused(tmp_path, whole, refused):
    members = members_of(whole)
    crop = next(name for name in members if name.startswith("crops/"))
    file = tmp_path / "a.pickout"
    for gone, words in ((ROWS, f"{ROWS} is missing"), ("export.json", "is no export"), (crop, "other pictures")):
        refused(pack(file, {name: data for name, data in members.items() if name != gone}), words)
    refused(pack(file, {**members, "rows-000001.parquet": b""}), "rows-000001.parquet is not listed")
    refused(pack(file, {**members, f"crops/{'0' * 64}.png": b""}), "other pictures")
    refused(pack(file, {**members, ROWS: members[ROWS][:-1] + b"x"}), "is not as it was written")
    refused(pack(file, {**members, crop: members[crop] + b"x"}), "crops/.*is not as it was written")
    refused(pack(file, {**members, "readme.txt": b"hello"}), "holds 'readme.txt', which no export holds")


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "crops/../../evil.png", "crops/evil.png", "crops/"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, whole, refused, name):
    refused(pack(tmp_path / "a.pickout", {**members_of(whole), name: b"evil"}), "which no export holds")
    assert not list(tmp_path.glob("**/evil*"))


def test_links_compressed_and_encrypted_members_are_refused(tmp_path, whole, refused):
    members = members_of(whole)
    crop = next(name for name in members if name.startswith("crops/"))
    rest = {name: data for name, data in members.items() if name != crop}
    link = zipfile.ZipInfo(crop)
    link.external_attr = 0o120777 << 16
    refused(pack(tmp_path / "link.pickout", {**rest, link: b"/etc/passwd"}), "is a link")
    small = zipfile.ZipInfo(crop)
    small.compress_type = zipfile.ZIP_DEFLATED
    refused(pack(tmp_path / "bomb.pickout", {**rest, small: bytes(10**7)}), "is compressed, which no export does")
    data = whole.read_bytes()
    start = data.index(b"PK\1\2")
    secret = tmp_path / "secret.pickout"
    secret.write_bytes(data[: start + 8] + b"\1\0" + data[start + 10 :])
    refused(secret, "encrypted")


def test_claims_that_cannot_be_are_refused_before_memory_is_taken(tmp_path, whole, refused):
    data, members = whole.read_bytes(), members_of(whole)
    file, start = tmp_path / "a.pickout", data.index(b"PK\1\2")
    ten = struct.pack("<L", 4 * 10**9)
    file.write_bytes(data[: start + 20] + ten + ten + data[start + 28 :])
    refused(file, "claims 4000000000 bytes, more than")
    file.write_bytes(data[:-10] + struct.pack("<L", 2**32 - 1) + data[-6:])
    refused(file, "is no export of a gallery, or not all of it .*directory")
    with file.open("wb") as stream:  # nothing but a hole, and the end of an archive whose directory it is
        stream.seek(3 * 2**27)
        stream.write(b"PK\5\6" + struct.pack("<8xLLH", 3 * 2**27, 0, 0))
    refused(file, "its directory claims 402653184 bytes")
    refused(pack(file, members, rows=10**15), "contradicts itself about its 1000000000000000 rows")
    refused(pack(file, members, rows=-1), "rows: .*greater than or equal to 0")
    listed = json.loads(members["export.json"])
    refused(pack(file, members, members=[{**listed["members"][0], "rows": 10**9}], rows=10**9), "members.0.rows")
    refused(pack(file, members, members=[{**listed["members"][0], "rows": 7}], rows=7), "6 rows instead of 7")
    refused(pack(file, members, members=listed["members"] * 2, rows=12), "contradicts itself")
    for dimension in (10**9, 0):
        refused(pack(file, members, model={**listed["model"], "dimension": dimension}), r"model\.dimension: ")
    for told in ({"name": "\x1b[2J"}, {"run": "a" * 5000}):
        refused(pack(file, members, model={**listed["model"], **told}), "tells of a model that cannot be")
    refused(pack(file, {**members, "export.json": b"[" * 10**6}), "export.json: the file")


def test_two_members_that_share_bytes_are_refused(tmp_path, whole, refused):
    """Many names for the same bytes would let more come out than the file has."""
    with zipfile.ZipFile(whole) as archive:
        entries = archive.infolist()
    big = next(entry for entry in entries if entry.filename == ROWS)
    file = tmp_path / "a.pickout"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(ROWS, bytes(big.file_size))
        for number in range(5):
            twin = zipfile.ZipInfo(f"rows-00000{number + 1}.parquet")
            twin.file_size = twin.compress_size = big.file_size
            twin.header_offset, twin.CRC = 0, 0
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
        archive._didModify = True
    refused(file, "claim more bytes than the file has")


def test_another_format_is_told_as_such_also_when_its_fields_are_unknown(tmp_path, whole, refused):
    members = members_of(whole)
    file = tmp_path / "a.pickout"
    refused(pack(file, members, format=2), "format 2, this version of Pickout knows format 1", GalleryError)
    refused(pack(file, members, format=3, more="fields"), "format 3", GalleryError)
    refused(pack(file, members, more="fields"), "export.json: more")
    refused(pack(file, members, format="one"), "export.json: format")


def test_tables_that_are_no_galleries_are_refused(tmp_path, whole, rows, refused):
    file, table = tmp_path / "a.pickout", to_arrow(rows, row_schema(10))
    members = members_of(whole)
    junk = {"name": ROWS, "rows": 6, "sha256": hashlib.sha256(b"PAR1junkPAR1").hexdigest()}
    refused(pack(file, {**members, ROWS: b"PAR1junkPAR1"}, members=[junk]), "holds no rows of a gallery")
    refused(with_table(file, whole, table.drop_columns(["seal"])), "other columns")
    refused(with_table(file, whole, to_arrow([_longer(row) for row in rows], row_schema(11))), "other columns")
    refused(with_table(file, whole, table, compression="zstd"), "is compressed")
    refused(with_table(file, whole, table, use_dictionary=True), "is compressed")
    empty = pa.nulls(6, pa.string())
    place = table.schema.get_field_index("id")
    refused(with_table(file, whole, table.set_column(place, table.schema.field("id"), empty)), "without value")
    place = table.schema.get_field_index("labels")
    for text, words in (("{", "holds no rows"), ("[1]", "no texts"), ('{"a": 1}', "no texts"), ("null", "no texts")):
        wrong = table.set_column(place, table.schema.field("labels"), pa.array([text] * 6))
        refused(with_table(file, whole, wrong), words)
    place = table.schema.get_field_index("box")
    column = pa.array([[1, 2]] * 6, pa.list_(pa.int32()))
    refused(with_table(file, whole, table.set_column(place, table.schema.field("box"), column)), "no box|holds no rows")
    place = table.schema.get_field_index("tokens")
    for data in (b"", b"12345678", np.array([2, 3], "<u4").tobytes() + bytes(11), b"\xff" * 8):
        column = pa.array([data] * 6, pa.large_binary())
        wrong = table.set_column(place, table.schema.field("tokens"), column)
        refused(with_table(file, whole, wrong), "holds no rows")


def test_a_column_is_what_its_pages_hold_whatever_the_end_of_the_file_says(tmp_path, whole, rows, refused):
    """Codecs, known and unknown, with sizes that pretend there is none; and nulls that take no bytes in the file."""
    table = to_arrow(rows, row_schema(10))
    place = table.schema.get_field_index("thumbnail")
    large = table.set_column(place, table.schema.field("thumbnail"), pa.array([bytes(10**6)] * 6))
    plain = _end(with_table(tmp_path / "plain.pickout", whole, large))
    assert plain.count(b"thumbnail\x15\0") == 1
    for codec in ("gzip", "snappy", "zstd", "brotli", "lz4"):
        packed = with_table(tmp_path / f"{codec}.pickout", whole, large, compression=codec)
        refused(with_end(packed, whole, plain), "a column is compressed")
    end = _end(with_rows(tmp_path / "a.pickout", whole, rows))
    head, codec, tail = end.partition(b"thumbnail\x15\0")
    for other in (4, 64, 127):
        changed = head + codec[:-1] + bytes([other]) + tail
        refused(with_end(with_rows(tmp_path / "b.pickout", whole, rows), whole, changed), "holds no rows")
    place = table.schema.get_field_index("box")
    for boxes in ([[None] * 10**6] + [None] * 5, [[1] * 40] * 6):
        wide = table.set_column(place, table.schema.field("box"), pa.array(boxes, pa.list_(pa.int32())))
        refused(with_table(tmp_path / "c.pickout", whole, wide), "a column is compressed")
    end = _end(tmp_path / "plain.pickout")
    refused(with_end(with_table(tmp_path / "d.pickout", whole, wide), whole, end), "holds no rows")


def _end(file):
    """The end of an export's rows, in which Parquet tells of its columns."""
    data = members_of(file)[ROWS]
    return data[-8 - int.from_bytes(data[-8:-4], "little") : -8]


def with_end(file, whole, end):
    """The archive with another end to its rows."""
    data = members_of(file)[ROWS]
    length = int.from_bytes(data[-8:-4], "little")
    data = data[: -8 - length] + end + len(end).to_bytes(4, "little") + b"PAR1"
    member = {"name": ROWS, "rows": 6, "sha256": hashlib.sha256(data).hexdigest()}
    return pack(file, {**members_of(whole), ROWS: data}, rows=6, members=[member])


def test_rows_that_no_gallery_writes_are_refused(tmp_path, whole, rows, refused):
    """Each is sealed and hashed as if it were right, but one has another seal."""
    file, good = tmp_path / "a.pickout", rows[1:]

    def check(row, match, *, seal=None):
        table = to_arrow([*good, row], row_schema(10))
        if seal is not None:
            place = table.schema.get_field_index("seal")
            table = table.set_column(place, "seal", pa.array([*table["seal"].to_pylist()[:-1], seal], pa.binary()))
        refused(with_table(file, whole, table), match)

    first = rows[0]
    check(first, r"row 5 \(.*\): its row was changed by other hands", seal=bytes(16))
    for value in (np.nan, np.inf, 0.5):
        check(replace(first, vector=first.vector * np.float32(value)), "its vector is none of 10 numbers and length 1")
    check(replace(first, path="other.png"), "its row has the id of another path")
    check(_at(first, "/crops", "../secret.png"), "its path leads out of its folder")
    check(_at(first, "/crops", "/secret.png"), "its path leads out of its folder")
    check(_at(first, "crops", "a.png"), "its path is none that a gallery writes")
    check(_at(first, "/crops", "a\0.png"), "its path is none that a gallery writes")
    check(replace(first, content="x" * 64), "its digest or size cannot be")
    check(replace(first, width=-1), "its digest or size cannot be")
    check(replace(first, thumbnail=b"no picture"), "its thumbnail is no JPEG")
    check(replace(first, thumbnail=_jpeg(9000)), "its thumbnail is no JPEG of at most")
    check(replace(first, metadata=replace(first.metadata, box=(1, 2, 3))), "its box is no box")
    check(replace(first, tokens=np.zeros((3, 4), np.uint16)), r"tokens of shape \(3, 4\), expected \(2, 9\)")
    check(replace(first, tokens=np.zeros((0, 4), np.uint16)), "its tokens are empty")
    check(good[0], "1 of its rows have an id that another row has")


def test_tokens_of_another_shape_than_the_gallerys_are_refused(tmp_path, whole, rows, source):
    changed = [replace(row, tokens=np.zeros((3, 4), np.uint16)) for row in rows]
    before = facts(source)
    with pytest.raises(GalleryDamaged, match=r"tokens of shape \(3, 4\), expected \(2, 9\)"):
        import_gallery(with_rows(tmp_path / "a.pickout", whole, changed), source.path)
    assert facts(source) == before


def test_a_length_or_fingerprint_of_another_model_is_refused(tmp_path, whole, source):
    model = json.loads(members_of(whole)["export.json"])["model"]
    for told in ({"dimension": 11}, {"fingerprint": "ab" * 32}):
        file = pack(tmp_path / "a.pickout", members_of(whole), model={**model, **told})
        with pytest.raises(GalleryModelMismatch, match=r"a\.pickout"):
            import_gallery(file, source.path)


def test_a_file_that_is_in_the_way_of_a_picture_is_not_replaced(tmp_path, whole, rows):
    pictures = tmp_path / "pictures"
    first = rows[0]
    mine = pictures / f"{first.content}-{first.id}.png"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(GalleryError, match="is another file than the one to put there"):
        import_gallery(whole, tmp_path / "target.gallery", crops_to=pictures)
    mine.unlink()
    outside = tmp_path / "outside.png"
    mine.symlink_to(outside)
    with pytest.raises(GalleryError, match="is no ordinary file"):
        import_gallery(whole, tmp_path / "target.gallery", crops_to=pictures)
    assert not outside.exists()
    (tmp_path / "plain").write_text("")
    for place in (tmp_path / "plain", tmp_path / "plain" / "below", tmp_path / "target.gallery" / "pictures"):
        with pytest.raises(UsageError, match=r"for the pictures$"):
            import_gallery(whole, tmp_path / "target.gallery", crops_to=place)


def _longer(row):
    return replace(row, vector=np.append(row.vector, np.float32(0)))


def _at(row, root, path):
    changed = replace(row, root=root, path=path)
    return replace(changed, id=row_id(changed.file))


def _jpeg(side):
    buffer = io.BytesIO()
    Image.new("L", (side, 8)).save(buffer, format="JPEG")
    return buffer.getvalue()


def test_the_rows_of_these_tests_are_right_but_for_what_is_changed(tmp_path, whole, rows, source):
    assert all(row.seal == row_seal(row) for row in rows)
    import_gallery(with_rows(tmp_path / "a.pickout", whole, rows), tmp_path / "target.gallery")
    assert facts(Gallery.open(tmp_path / "target.gallery")) == facts(source)
