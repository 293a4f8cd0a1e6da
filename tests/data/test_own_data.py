"""Own data as CSV, JSON lines or Parquet."""

import csv
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pickout.data.own_data import TABLE
from pickout.data.registry import open_data
from pickout.errors import AnnotationError, DataMissing, PickoutError

FIRST = {"image": "a/1.jpg", "identity": 7, "camera": "lobby", "time": "2024-05-31T17:45:00", "split": "train"}
SECOND = {"image": "a/2.jpg", "identity": 9, "camera": "door", "time": "2024-05-31T18:00:00+00:00", "split": "train"}
THIRD = {"image": "b/3.jpg", "identity": 4, "camera": "", "time": "", "split": "test"}
ROWS: list[dict[str, Any]] = [
    {**FIRST, "caption": 'A man, in "red".'},
    {**FIRST, "caption": "He carries a bag."},
    {**SECOND, "caption": "A woman."},
    {**THIRD, "caption": ""},
]


def write(folder: Path, rows: list[dict[str, Any]], kind: str = "csv") -> Path:
    file = folder / f"table.{kind}"
    if kind == "csv":
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")
    else:
        parquet.write_table(pa.Table.from_pylist(rows), file)
    return file


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("by_file", [True, False])
def test_each_kind_of_table_gives_the_same_data(tmp_path: Path, kind: str, by_file: bool) -> None:
    file = write(tmp_path, ROWS, kind)
    data = open_data("table", file if by_file else tmp_path)
    one, two = data.splits["train"].images
    assert one.image == tmp_path / "a" / "1.jpg" and one.identity == 0 and two.identity == 1
    assert one.captions == ('A man, in "red".', "He carries a bag.")
    assert (one.camera, one.time) == ("lobby", datetime(2024, 5, 31, 17, 45))
    assert two.time == datetime(2024, 5, 31, 18, tzinfo=UTC)
    (three,) = data.splits["test"].images
    assert (three.identity, three.captions, three.camera, three.time) == (4, (), None, None)


def test_parquet_times_and_nulls_are_taken_as_they_are(tmp_path: Path) -> None:
    rows = [{"image": "1.jpg", "caption": None, "identity": 1, "camera": 3, "time": datetime(2024, 1, 2, 3, 4, 5)}]
    write(tmp_path, rows, "parquet")
    (record,) = open_data("table", tmp_path).splits["train"].images
    assert (record.captions, record.camera, record.time) == ((), "3", datetime(2024, 1, 2, 3, 4, 5))


def test_bytes_in_a_parquet_column_are_text_or_an_error(tmp_path: Path) -> None:
    write(tmp_path, [{"image": "1.jpg", "camera": "Höhe".encode()}, {"image": "2.jpg", "camera": None}], "parquet")
    assert [record.camera for record in open_data("table", tmp_path).splits["train"].images] == ["Höhe", None]
    write(tmp_path, [{"image": "1.jpg", "camera": b"\xff"}], "parquet")
    with pytest.raises(PickoutError, match=r"record 0, field 'camera': cannot be read .*utf-8"):
        open_data("table", tmp_path)


def test_identities_may_be_names_beside_numbers(tmp_path: Path) -> None:
    people = ["12", "anna", "berta", "anna", 3]
    rows = [{"image": f"{n}.jpg", "identity": who, "split": "test"} for n, who in enumerate(people)]
    write(tmp_path, rows)
    assert [record.identity for record in open_data("table", tmp_path).splits["test"].images] == [12, 13, 14, 13, 3]


def test_without_identity_and_split_each_image_is_a_person_to_train_on(tmp_path: Path) -> None:
    write(tmp_path, [{"image": name, "caption": "A man."} for name in ("1.jpg", "2.jpg", "1.jpg")])
    train = open_data("table", tmp_path).splits["train"]
    assert [record.identity for record in train.images] == [0, 1]
    assert train.images[0].captions == ("A man.", "A man.")
    assert [note.split(":")[0] for note in TABLE.read(tmp_path).notes] == ["no identity column", "no split column"]


WRONG: list[tuple[str, Any, str]] = [
    ("image", "", "expected the path"),
    ("image", "../x.jpg", "leads out"),
    ("image", "/x.jpg", "leads out"),
    ("identity", "", "expected a name or a whole number"),
    ("time", "yesterday", "expected a time like"),
    ("split", "dev", "expected one of"),
]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(("field", "value", "told"), WRONG)
def test_a_wrong_cell_is_named(tmp_path: Path, kind: str, field: str, value: Any, told: str) -> None:
    rows = [{**row, "identity": str(row["identity"])} for row in ROWS]
    rows[2][field] = value
    file = write(tmp_path, rows, kind)
    with pytest.raises(AnnotationError, match=told) as caught:
        open_data("table", tmp_path)
    assert (caught.value.file, caught.value.record, caught.value.field) == (file, 2, field)


@pytest.mark.parametrize(("field", "value"), [("caption", 3), ("identity", 1.5), ("camera", True), ("time", 12)])
def test_a_value_of_the_wrong_type_is_named(tmp_path: Path, field: str, value: Any) -> None:
    write(tmp_path, [{**ROWS[0], field: value}], "jsonl")
    with pytest.raises(AnnotationError, match=f"record 0, field '{field}'"):
        open_data("table", tmp_path)


@pytest.mark.parametrize(("field", "value"), [("identity", 8), ("split", "test"), ("camera", "roof")])
def test_rows_of_one_image_must_agree(tmp_path: Path, field: str, value: Any) -> None:
    write(tmp_path, [ROWS[0], {**ROWS[1], field: value}])
    with pytest.raises(AnnotationError, match=f"record 1, field '{field}': .*record 0 gives the same image"):
        open_data("table", tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("table.csv", b"image;caption\n1.jpg;x\n", "no such column; found image;caption .*commas"),
        ("table.csv", b"", "no such column; found none"),
        ("table.csv", b"image,caption\n", "holds no row"),
        ("table.csv", b'image,caption\n1.jpg,"open\n', "not valid CSV at line"),
        ("table.csv", b"image,caption\n1.jpg\n", "record 0: 1 cells; the header has 2"),
        ("table.csv", b"image,caption\n1.jpg,\xff\n", "not UTF-8 text"),
        ("table.csv", b"image,caption\n1.jpg," + b"x" * 200_000 + b"\n", "not valid CSV at line"),
        ("table.jsonl", b'{"image": "1.jpg"}\n{"image": \n', "record 1: not valid JSON"),
        ("table.jsonl", b"[1]\n", r"record 0: \[1\]; expected an object"),
        ("table.jsonl", b"", "no such column"),
        ("table.parquet", b"PAR1 no", "not a readable Parquet file"),
        ("table.parquet", b"", "not a readable Parquet file"),
    ],
)
def test_a_damaged_table_is_an_error_that_names_it(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnnotationError, match=told) as caught:
        open_data("table", tmp_path)
    assert caught.value.file == tmp_path / name


def test_a_spreadsheets_csv_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes("\ufeffimage, caption\r\n1.jpg,Ein Mann mit Hüten\r\n".encode())
    assert open_data("table", tmp_path).splits["train"].images[0].captions == ("Ein Mann mit Hüten",)


def test_where_no_table_or_two_are_the_expected_form_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"table\.csv or table\.jsonl"):
        open_data("table", tmp_path)
    with pytest.raises(DataMissing, match="no such file or folder"):
        open_data("table", tmp_path / "absent")
    with pytest.raises(DataMissing, match="no such file or folder"):
        open_data("table", tmp_path / ("x" * 5000))
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataMissing, match=r"a table ends in \.csv"):
        open_data("table", tmp_path / "notes.txt")
    write(tmp_path, ROWS)
    write(tmp_path, ROWS, "jsonl")
    with pytest.raises(DataMissing, match="give the path of the one you mean"):
        open_data("table", tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(content=st.text(st.sampled_from('image,caption\n"identity\r0a./;é\0'), max_size=60))
def test_any_csv_is_read_or_refused_in_words(tmp_path: Path, content: str) -> None:
    (tmp_path / "table.csv").write_text("image,identity\n" + content, encoding="utf-8", newline="")
    try:
        open_data("table", tmp_path)
    except PickoutError as error:
        assert "table.csv" in str(error)


def train_of(folder: Path, text: str) -> Any:
    (folder / "table.csv").write_bytes(text.encode())
    return open_data("table", folder)


@pytest.mark.parametrize(
    "header",
    ["Image,CAPTION,Identity,Split", "img_path,Captions,person_id,SET", " Image Path , text,Person ID,subset\t"],
)
def test_a_header_is_read_in_capitals_under_other_names_and_with_blanks(tmp_path: Path, header: str) -> None:
    data = train_of(
        tmp_path, f"\ufeff\n,,,\n{header}\n1.jpg,A man.,7,Train\n2.jpg,A man.,7,train\n3.jpg,A boy.,8,TEST\n"
    )
    assert [record.identity for record in data.splits["train"].images] == [0, 0]
    assert [record.identity for record in data.splits["test"].images] == [8]
    assert data.splits["train"].images[0].captions == ("A man.",)
    assert all("is read as" in note for note in data.notes)


def test_a_synonym_gives_way_to_the_name_itself(tmp_path: Path) -> None:
    data = train_of(tmp_path, "id,image,identity,split\n1,a.jpg,5,train\n2,b.jpg,5,train\n")
    assert data.splits["train"].identities == 1 and data.notes == ()


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("image,Image,identity", "'image' and 'Image' both mean image"),
        ("image,person_id,pid", "'person_id' and 'pid' both mean identity"),
        ("image,note,Note", "'note': a column of this name stands in the header twice"),
        ("image,identty,split", "'identity': no such column, but 'identty'"),
        ("image,identity,spilt", "'split': no such column, but 'spilt'"),
    ],
)
def test_a_header_that_leaves_a_doubt_is_an_error(tmp_path: Path, header: str, told: str) -> None:
    with pytest.raises(AnnotationError, match=told):
        train_of(tmp_path, f"{header}\n1.jpg,1,2\n")


def test_a_field_told_twice_in_json_lines_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "table.jsonl").write_text('{"image": "1.jpg"}\n{"Image": "2.jpg"}\n')
    with pytest.raises(AnnotationError, match="both mean image"):
        open_data("table", tmp_path)


@pytest.mark.parametrize(
    "twice", ['"identity": 1, "image": "2.jpg", "identity": 2', '"image": "2.jpg", "image": "2.jpg"']
)
def test_a_record_that_tells_a_field_twice_is_an_error(tmp_path: Path, twice: str) -> None:
    field = twice.split('"')[1]
    (tmp_path / "table.jsonl").write_text('{"image": "1.jpg", "identity": 1}\n{' + twice + "}\n")
    with pytest.raises(AnnotationError, match=f"record 1: .*the field '{field}' stands twice in .*; keep one"):
        open_data("table", tmp_path)


def test_values_as_a_data_frame_writes_them(tmp_path: Path) -> None:
    head = "Unnamed: 0,image,caption,identity,camera,time,split\n"
    rows = "0,1.jpg,A man.,12.0,3.0,2024-05-31 17:45:00.123456789,train\n1,2.jpg,nan,12,NaN,NaT,train\n"
    last = "2,3.jpg,None,anna,<NA>,#N/A,train\n,,,,,,\n,,,,,,\n"
    train = train_of(tmp_path, head + rows + last).splits["train"]
    assert [record.identity for record in train.images] == [0, 0, 1]
    assert [record.camera for record in train.images] == ["3", None, None]
    assert [record.captions for record in train.images] == [("A man.",), (), ()]
    assert [record.time for record in train.images] == [datetime(2024, 5, 31, 17, 45, 0, 123456), None, None]


@pytest.mark.parametrize("missing", ["nan", "NaN", "NAN", "Null", "None", "NaT", "<NA>", "#N/A", "null", "", "  "])
def test_an_identity_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    with pytest.raises(AnnotationError, match="record 0, field 'identity'"):
        train_of(tmp_path, f"image,identity\n1.jpg,{missing}\n")


def test_parquet_of_a_data_frame_is_read(tmp_path: Path) -> None:
    table = pa.table(
        {
            "image": ["1.jpg", "2.jpg", "3.jpg"],
            "Identity": pa.array([7.0, 7.0, 9.0]),
            "camera": pa.array([float("nan"), 3.0, None]),
            "time": pa.array([1717177500123456789, None, None], pa.timestamp("ns")),
            "caption": [["A man.", "He walks."], [], None],
        }
    )
    parquet.write_table(table, tmp_path / "table.parquet")
    train = open_data("table", tmp_path).splits["train"]
    assert [(record.identity, record.camera) for record in train.images] == [(0, None), (0, "3"), (1, None)]
    assert train.images[0].time == datetime(2024, 5, 31, 17, 45, 0, 123456)
    assert [record.captions for record in train.images] == [("A man.", "He walks."), (), ()]


def test_a_date_in_parquet_is_its_midnight(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"image": ["1.jpg"], "time": [date(2024, 5, 31)]}), tmp_path / "table.parquet")
    assert open_data("table", tmp_path).splits["train"].images[0].time == datetime(2024, 5, 31)


def test_one_image_under_several_spellings_is_one_person(tmp_path: Path) -> None:
    spellings = ["imgs/0.jpg", "./imgs/0.jpg", "imgs//0.jpg", "imgs\\0.jpg", "imgs/é.jpg", "imgs/e\u0301.jpg"]
    data = train_of(tmp_path, "image,caption\n" + "".join(f"{name},A man.\n" for name in spellings))
    assert [len(record.captions) for record in data.splits["train"].images] == [4, 2]


def test_people_and_cameras_are_one_in_both_forms_of_an_accent(tmp_path: Path) -> None:
    rows = "1.jpg,Zoë,Café\n2.jpg,Zoe\u0308,Cafe\u0301\n"
    train = train_of(tmp_path, "image,identity,camera\n" + rows).splits["train"]
    assert train.identities == 1 and train.images[0].camera == train.images[1].camera
