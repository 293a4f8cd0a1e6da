"""Tables of metadata as other programs write them, and the time in a picture."""

import io
import json
import struct
import zlib
from datetime import date, datetime

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from pickout.data.spreadsheet import read_spreadsheet
from pickout.errors import AnnotationError
from pickout.gallery.intake.metadata import MetadataTable, exif_time
from pickout.gallery.storage.rows import Metadata


def told_by(tmp_path, text, image="a.png"):
    (tmp_path / "table.csv").write_text(text)
    return MetadataTable(tmp_path / "table.csv", tmp_path).of(tmp_path / image)


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_column_with_a_data_frames_row_numbers_is_passed_over(tmp_path, name):
    table = tmp_path / "table.csv"
    table.write_text(f'{name},image,camera\n0,a.png,lobby\n1,b.png,"the ""yard"", north"\n')
    told = MetadataTable(table, tmp_path)
    assert told.of(tmp_path / "a.png").labels == {}
    assert told.of(tmp_path / "b.png").camera == 'the "yard", north'


def test_a_line_of_json_ends_only_where_the_line_ends(tmp_path):
    table = tmp_path / "table.jsonl"
    lines = [{"image": "a.png", "note": "first\u2028second\x85third"}, {"image": "b.png", "note": "plain"}]
    table.write_text("".join(json.dumps(line, ensure_ascii=False) + "\r\n" for line in lines), encoding="utf-8")
    told = MetadataTable(table, tmp_path)
    assert told.of(tmp_path / "a.png").labels == {"note": "first\u2028second\x85third"}
    assert told.of(tmp_path / "b.png").labels == {"note": "plain"}


def test_columns_are_known_in_capitals_and_by_their_other_names(tmp_path):
    head = " Image , CAMERA,Timestamp,Frame_ID,BBox,Track ID,Zone\n"
    told = told_by(tmp_path, head + "a.png,lobby,2026-03-01 10:00,7.0,5 6 7.0 8,3.0,north\n,,,,,,\n")
    assert told == Metadata(
        camera="lobby", time=datetime(2026, 3, 1, 10), frame=7, box=(5, 6, 7, 8), track="3", labels={"Zone": "north"}
    )
    assert MetadataTable(tmp_path / "table.csv", tmp_path).notes == (
        "column 'Timestamp' is read as time",
        "column 'Frame_ID' is read as frame",
        "column 'BBox' is read as box",
        "column 'Track ID' is read as track",
    )


def test_a_label_that_is_nearly_a_columns_name_stays_a_label_and_is_told(tmp_path):
    assert told_by(tmp_path, "image,timer,id\na.png,12,7\n").labels == {"timer": "12", "id": "7"}
    assert MetadataTable(tmp_path / "table.csv", tmp_path).notes == (
        "column 'timer' is taken as it is; call it time if it means that",
    )


def test_a_label_beside_the_column_that_it_is_like_is_not_told(tmp_path):
    assert told_by(tmp_path, "image,timer,time\na.png,12,2026-03-01\n").labels == {"timer": "12"}
    assert MetadataTable(tmp_path / "table.csv", tmp_path).notes == ()


@pytest.mark.parametrize("name", ["imge", "imag", "Image_"])
def test_a_table_without_images_tells_what_is_nearly_that(tmp_path, name):
    (tmp_path / "table.csv").write_text(f"{name},camera\na.png,lobby\n")
    if name == "Image_":  # a synonym
        assert MetadataTable(tmp_path / "table.csv", tmp_path).of(tmp_path / "a.png").camera == "lobby"
    else:
        with pytest.raises(AnnotationError, match=f"'image': no such column, but '{name}'; rename one that means it"):
            MetadataTable(tmp_path / "table.csv", tmp_path)


def test_another_name_beside_the_column_is_a_label_and_is_told(tmp_path):
    assert told_by(tmp_path, "image,cam,camera\na.png,x,y\n") == Metadata(camera="y", labels={"cam": "x"})
    assert MetadataTable(tmp_path / "table.csv", tmp_path).notes == (
        "column 'cam' is taken as it is, since camera is there too",
    )


@pytest.mark.parametrize("rows", [("a.png", "{root}/a.png"), ("a.png", "../{name}/a.png"), ("{root}/a.png", "./a.png")])
def test_one_file_told_differently_by_two_spellings_is_an_error(tmp_path, rows):
    first, second = (row.format(root=tmp_path, name=tmp_path.name) for row in rows)
    (tmp_path / "table.csv").write_text(f"image,camera\n{first},one\n{second},two\n")
    with pytest.raises(AnnotationError, match=r"are one file, told differently|stands in the table twice, differently"):
        MetadataTable(tmp_path / "table.csv", tmp_path).of(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text(f"image,camera\n{first},one\n{second},one\n")
    assert MetadataTable(tmp_path / "table.csv", tmp_path).of(tmp_path / "a.png").camera == "one"


def test_a_backslash_in_a_name_is_its_own_where_there_is_such_a_file(tmp_path):
    for name in ("c/a\\b.png", "c/a/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "table.csv").write_text("image,camera\nc/a\\b.png,name\n")
    table = MetadataTable(tmp_path / "table.csv", tmp_path)
    assert table.of(tmp_path / "c/a\\b.png").camera == "name" and table.of(tmp_path / "c/a/b.png") is None
    (tmp_path / "table.csv").write_text("image,camera\nc/a\\b.png,name\nc/a/b.png,folder\n")
    table = MetadataTable(tmp_path / "table.csv", tmp_path)
    assert [table.of(tmp_path / "c" / name).camera for name in ("a\\b.png", "a/b.png")] == ["name", "folder"]


COMPOSED, DECOMPOSED = "\u00e9.png", "e\u0301.png"


@pytest.mark.parametrize("written", [(COMPOSED,), (DECOMPOSED,), (COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
@pytest.mark.parametrize("there", [(COMPOSED,), (DECOMPOSED,), (COMPOSED, DECOMPOSED)])
def test_a_row_belongs_to_the_file_of_its_very_name_else_to_the_same_name_in_another_form(tmp_path, written, there):
    for name in there:
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "table.csv").write_text("image,camera\n" + "".join(f"{name},{name!a}\n" for name in written))
    table = MetadataTable(tmp_path / "table.csv", tmp_path)
    for name in there:
        expected = name if name in written else written[0] if len(there) == 1 else None
        told = table.of(tmp_path / name)
        assert (told and told.camera) == (expected and ascii(expected))


@pytest.mark.parametrize(
    "written", ["cam_a/../cam_a/1.png", "./cam_a//1.png", "../crops/cam_a/1.png", "cam_a\\1.png", "cam_a/./1.png"]
)
def test_a_path_may_lead_there_by_dots_and_slashes(tmp_path, written):
    (tmp_path / "table.csv").write_text(f"image,camera\n{written},lobby\n")
    root = tmp_path / "crops"
    table = MetadataTable(tmp_path / "table.csv", root)
    assert table.of(root / "cam_a" / "1.png").camera == "lobby"
    assert table.unasked() == [] and table.of(root / "1.png") is None


@pytest.mark.parametrize("missing", ["nan", "NaN", "None", "NaT", "<NA>", "#N/A", "  "])
def test_a_missing_value_tells_nothing(tmp_path, missing):
    head = "image,camera,time,frame,box,track,zone\n"
    assert told_by(tmp_path, head + "a.png" + f",{missing}" * 6 + "\n") == Metadata()


def test_whole_numbers_lose_the_zero_where_all_of_a_column_are_whole(tmp_path):
    head = "image,camera,floor,version\n"
    told = told_by(tmp_path, head + "a.png,3.0,2.0,1.0\nb.png,,,1.5\nc.png,4,1,2\n")
    assert (told.camera, told.labels) == ("3", {"floor": "2", "version": "1.0"})


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([0, 10**15], pa.timestamp("ms")),
        ([0, 2**63 - 5], pa.timestamp("ms")),
        ([0, 2**62], pa.timestamp("us", "UTC")),
        ([0, 2**31 - 1], pa.date32()),
        ([b"12:00", b"\xff"], pa.binary()),
    ],
)
def test_a_cell_of_parquet_that_cannot_be_told_is_named(tmp_path, cells, kind):
    parquet.write_table(
        pa.table({"image": ["a.png", "b.png"], "time": pa.array(cells, kind)}), tmp_path / "table.parquet"
    )
    with pytest.raises(AnnotationError, match=r"table.parquet, record 1, field 'time': cannot be read \("):
        MetadataTable(tmp_path / "table.parquet", tmp_path)


def test_parquet_tells_times_of_nanoseconds_and_dates(tmp_path):
    table = {
        "image": ["a.png", "b.png"],
        "time": pa.array([1772359200123456789, None], pa.timestamp("ns", "Europe/Berlin")),
        "bought": [date(2026, 3, 1), None],
        "Camera": [3.0, float("nan")],
        "box": [[1, 2, 3, 4], None],
    }
    parquet.write_table(pa.table(table), tmp_path / "table.parquet")
    told = MetadataTable(tmp_path / "table.parquet", tmp_path)
    assert told.of(tmp_path / "a.png") == Metadata(
        camera="3", time=datetime(2026, 3, 1, 10, 0, 0, 123456), box=(1, 2, 3, 4), labels={"bought": "2026-03-01"}
    )
    assert told.of(tmp_path / "b.png") == Metadata()


@pytest.mark.parametrize("image", ["./cam/é.png", "cam\\é.png", "cam//e\u0301.png", "cam/./é.png"])
@pytest.mark.parametrize("disk", ["cam/é.png", "cam/e\u0301.png"])
def test_a_path_is_known_under_each_of_its_spellings(tmp_path, image, disk):
    assert told_by(tmp_path, f"image,camera\n{image},hall\n", disk).camera == "hall"


def picture(taken=None, offset=None, *, changed=None, changed_offset=None, kind="JPEG"):
    exif = Image.Exif()
    block = exif.get_ifd(0x8769)
    for tag, value in ((0x9003, taken), (0x9011, offset), (0x9010, changed_offset)):
        if value is not None:
            block[tag] = value
    if changed is not None:
        exif[0x0132] = changed
    out = io.BytesIO()
    Image.new("RGB", (4, 8)).save(out, kind, exif=exif.tobytes())
    return out.getvalue()


@pytest.mark.parametrize(
    ("offset", "hour"),
    [("+02:00", 16), ("-05:00", 23), ("Z", 18), ("+00:00", 18), (None, 18), ("   :  ", 18), ("noon", 18), ("\0", 18)],
)
def test_the_offset_of_an_exif_time_is_applied(offset, hour):
    assert exif_time(picture("2025:12:24 18:30:00", offset)) == datetime(2025, 12, 24, hour, 30)


def test_each_exif_time_has_its_own_offset():
    changed = {"changed": "2025:12:24 18:30:00", "changed_offset": "+02:00"}
    assert exif_time(picture(**changed)) == datetime(2025, 12, 24, 16, 30)
    assert exif_time(picture("2025:12:24 10:00:00", **changed)) == datetime(2025, 12, 24, 10)
    assert exif_time(picture("2025:12:24 10:00:00", "+01:00", **changed)) == datetime(2025, 12, 24, 9)


def test_the_time_of_a_png_with_a_long_text_is_read():
    content = picture("2025:12:24 18:30:00", kind="PNG")
    data = b"Comment\0\0" + zlib.compress(b"x" * (3 << 20))
    text = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    assert exif_time(content[:33] + text + content[33:]) == datetime(2025, 12, 24, 18, 30)


@pytest.mark.parametrize("name", ["caption", "Captions"])
def test_a_table_with_a_row_for_each_caption_tells_of_its_images(tmp_path, name):
    table = tmp_path / "table.csv"
    table.write_text(f"image,{name},camera,top\na.png,a man in red,lobby,red\na.png,somebody in a red coat,lobby,red\n")
    told = MetadataTable(table, tmp_path)
    assert told.of(tmp_path / "a.png") == Metadata("lobby", labels={"top": "red"})
    assert any(f"column '{name}' is left out" in note for note in told.notes)
    table.write_text(f"image,{name},camera\na.png,a man in red,lobby\na.png,the same,yard\n")
    with pytest.raises(AnnotationError, match="twice, differently"):
        MetadataTable(table, tmp_path)


def test_blanks_that_belong_to_a_name_stay(tmp_path):
    told = told_by(tmp_path, "image,camera,top\n\u00a0a.png,\u00a0hall, red \n", "\u00a0a.png")
    assert told == Metadata("\u00a0hall", labels={"top": "red"})
    assert told_by(tmp_path, "image,camera\na.png,\u00a0\n") == Metadata()


def test_blanks_around_numbers_and_people_are_a_spreadsheets(tmp_path):
    told = told_by(tmp_path, "image,box,frame\na.png,\u00a012 40 64 192\u00a0,\u00a07\n")
    assert told == Metadata(box=(12, 40, 64, 192), frame=7)
    people = tmp_path / "people.csv"
    people.write_text("image,identity,split\na.png,7\u00a0,train\u00a0\nb.png,7,train\n")
    sheet = read_spreadsheet(people, ("image", "identity", "split"), others=False)
    assert [(row["identity"], row["split"]) for _, row in sheet.rows] == [("7", "train")] * 2
