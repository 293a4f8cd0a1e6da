"""The three published formats, read from small files, and each way such a file can be wrong."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pickout.data.integrity import check
from pickout.data.registry import DATASETS, open_data
from pickout.errors import AnnotationError, DataMissing, PickoutError, UsageError

from .conftest import cuhk_records

Write = Callable[..., Path]


def rstp_records() -> list[dict[str, Any]]:
    captions = ["A woman in a long grey coat.", "She walks to the left."]
    names = [("train", 0, "0000_c5_0022.jpg"), ("train", 0, "0000_c14_0031.jpg"), ("train", 1, "0001_c1_0001.jpg")]
    names += [("val", 3701, "3701_c7_0004.jpg"), ("test", 3901, "3901_c2_0001.jpg")]
    return [{"id": who, "img_path": name, "captions": captions, "split": split} for split, who, name in names]


def icfg_records() -> list[dict[str, Any]]:
    names = [("train", 0, "train/0000/0000_000_01_0303morning_0008_0.jpg"), ("train", 1, "test/0001/x.jpg")]
    names += [("test", 3102, "train/3102/3102_003_12_0302noon_0100_1.jpg")]
    return [
        {"split": split, "captions": ["A man."], "file_path": name, "processed_tokens": [["a"]], "id": who}
        for split, who, name in names
    ]


def test_cuhk_pedes_is_read(write_set: Write) -> None:
    root = write_set(cuhk_records())
    data = open_data("cuhk-pedes", root)
    assert data.name == "cuhk-pedes" and data.root == root
    assert list(data.splits) == ["train", "val", "test"]
    train = data.splits["train"]
    assert [record.identity for record in train.images] == [0, 1, 1]
    assert [record.camera for record in train.images] == ["cam_a", None, None]
    assert train.images[1].image == root / "imgs" / "train_query" / "p2_s3.jpg"
    assert [pair.caption for pair in train.pairs()][:2] == cuhk_records()[0]["captions"]
    assert [record.identity for record in data.splits["test"].images] == [12004, 12004]
    assert data.splits["val"].images[0].camera == "cam_b"
    assert data.splits["val"].images[0].time is None


@pytest.mark.parametrize("file", ["ICFG-PEDES.json", "ICFG_PEDES.json"])
def test_icfg_pedes_is_read_under_both_spellings(write_set: Write, file: str) -> None:
    root = write_set(icfg_records(), folder="ICFG-PEDES", file=file)
    data = open_data("icfg-pedes", root)
    assert list(data.splits) == ["train", "test"]
    assert [record.identity for record in data.splits["train"].images] == [0, 1]
    assert [record.camera for record in data.splits["train"].images] == ["c01", None]
    assert data.splits["test"].images[0].camera == "c12"
    assert data.splits["test"].images[0].identity == 3102


@pytest.mark.parametrize("images", ["imgs", "crops", "."])
def test_rstpreid_is_read_wherever_its_images_lie(write_set: Write, images: str) -> None:
    root = write_set(rstp_records(), folder="RSTPReid", file="data_captions.json", images=images, path_field="img_path")
    train = open_data("rstpreid", root).splits["train"]
    assert [record.camera for record in train.images] == ["c5", "c14", "c1"]
    assert all(record.image.is_file() and record.image.is_absolute() for record in train.images)


@pytest.mark.parametrize("name", ["cuhk-pedes", "street"])
def test_the_parent_folder_serves_as_well(write_set: Write, name: str) -> None:
    folder = {"cuhk-pedes": "CUHK-PEDES", "street": "street"}[name]
    root = write_set(cuhk_records(), folder=folder)
    assert open_data(name, root.parent).splits == open_data(name, root).splits


def test_a_relative_root_gives_absolute_paths(write_set: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_set(cuhk_records()).parent)
    assert open_data("cuhk-pedes", Path("CUHK-PEDES")).splits["train"].images[0].image.is_absolute()


def test_the_real_crops_are_read(shared: Path) -> None:
    data = open_data("rstpreid", shared / "intel-people")
    images = [record for split in data.splits.values() for record in split.images]
    assert len(images) == 65 and all(record.image.is_file() for record in images)
    assert {record.identity for record in data.splits["train"].images} == set(range(data.splits["train"].identities))


@given(people=st.lists(st.integers(0, 10**12), min_size=1, max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_training_identities_have_no_gaps_whatever_the_file_says(write_set: Write, people: list[int]) -> None:
    records = [{**cuhk_records()[0], "id": person} for person in people]
    train = open_data("cuhk-pedes", write_set(records)).splits["train"]
    identities = [record.identity for record in train.images]
    assert set(identities) == set(range(train.identities))
    for one, here in zip(people, identities, strict=True):
        for other, there in zip(people, identities, strict=True):
            assert (one < other) == (here < there)


WRONG: list[tuple[str, Any, str]] = [
    ("captions", "A man in a string.", "the string 'A man in a string.'; expected a list"),
    ("captions", ["A man.", 3], "expected a list of strings"),
    ("captions", None, "expected a list of strings"),
    ("id", "7", "expected a whole number"),
    ("id", 7.5, "expected a whole number"),
    ("id", True, "expected a whole number"),
    ("id", -1, "expected a whole number"),
    ("id", 2**70, "expected a whole number"),
    ("split", "dev", "'dev'; expected one of train, val, test"),
    ("split", ["train"], "expected one of"),
    ("file_path", "../../etc/passwd", "leads out of the image folder"),
    ("file_path", "/etc/passwd", "leads out of the image folder"),
    ("file_path", "a/../../b.jpg", "leads out of the image folder"),
    ("file_path", "", "expected the path"),
    ("file_path", 4, "expected the path"),
    ("file_path", "a\0.jpg", "no file name can have"),
    ("file_path", "a\ud800.jpg", "no file name can have"),
]


@pytest.mark.parametrize(("field", "value", "told"), WRONG)
def test_a_wrong_field_is_named_with_file_and_record(write_set: Write, field: str, value: Any, told: str) -> None:
    records = cuhk_records()
    records[3][field] = value
    root = write_set(records)
    with pytest.raises(AnnotationError) as caught:
        open_data("cuhk-pedes", root)
    error = caught.value
    assert (error.file, error.record, error.field) == (root / "reid_raw.json", 3, field)
    assert told in error.problem and str(error).startswith(f"{root / 'reid_raw.json'}, record 3, field '{field}': ")


@pytest.mark.parametrize("field", ["split", "id", "captions", "file_path"])
def test_a_missing_field_is_named(write_set: Write, field: str) -> None:
    records = cuhk_records()
    del records[1][field]
    with pytest.raises(AnnotationError, match=f"record 1, field '{field}': missing"):
        open_data("cuhk-pedes", write_set(records))


def test_a_record_of_another_shape_is_named(write_set: Write) -> None:
    with pytest.raises(AnnotationError, match=r"record 1: \['train', 3\]; expected an object"):
        open_data("cuhk-pedes", write_set([cuhk_records()[0], ["train", 3]]))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"train": []}', "expected a list with a record"),
        ('"text"', "expected a list"),
        ("3", "holds 3; expected a list"),
        ("[]", r"holds \[\]"),
        ("", "line 1, column 1 .*truncated"),
        ("[" * 100_000, "not usable JSON"),
        ("[" + "9" * 5000 + "]", "not usable JSON"),
        ('[{"id": 1, "split": "test", "id": 2}]', "the field 'id' stands twice in {'id': 2, .*; keep one"),
        ("[1,]", "not valid JSON at line 1"),
    ],
)
def test_a_file_of_the_wrong_shape_is_an_error(write_set: Write, content: str, told: str) -> None:
    with pytest.raises(AnnotationError, match=told) as caught:
        open_data("cuhk-pedes", write_set(content))
    assert caught.value.record is None


@given(share=st.floats(0.001, 0.999))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_truncated_json_names_the_place(write_set: Write, share: float) -> None:
    text = json.dumps(cuhk_records(), indent=1)
    cut = text[: max(1, int(share * len(text)))]
    with pytest.raises(AnnotationError, match=r"not valid JSON at line \d+, column \d+"):
        open_data("cuhk-pedes", write_set(cut))


def test_text_that_is_not_utf8_names_the_byte(write_set: Write) -> None:
    root = write_set(cuhk_records())
    file = root / "reid_raw.json"
    file.write_bytes(file.read_bytes().replace(b"A man", b"A m\xe4n", 1))
    with pytest.raises(AnnotationError, match=r"not UTF-8 text \(byte \d+\)"):
        open_data("cuhk-pedes", root)


def test_a_byte_order_mark_does_not_matter(write_set: Write) -> None:
    root = write_set(cuhk_records())
    file = root / "reid_raw.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(open_data("cuhk-pedes", root).splits["train"].images) == 3


def test_a_lone_surrogate_in_a_caption_is_replaced(write_set: Write) -> None:
    records = cuhk_records()
    records[0]["captions"] = ["A man \ud83d in red."]
    assert open_data("cuhk-pedes", write_set(records)).splits["train"].images[0].captions == ("A man \ufffd in red.",)


@pytest.mark.parametrize("name", ["cuhk-pedes", "icfg-pedes", "rstpreid"])
def test_a_missing_set_says_what_is_expected_and_where_it_can_be_had(tmp_path: Path, name: str) -> None:
    for root, state in (
        (tmp_path, "no annotation file here"),
        (tmp_path / "absent", "no such folder"),
        (tmp_path / ("x" * 5000), "no such folder"),
    ):
        with pytest.raises(DataMissing, match=state) as caught:
            open_data(name, root)
        assert DATASETS[name].layout in str(caught.value) and "https://github.com/" in str(caught.value)


def test_a_missing_image_folder_says_so(write_set: Write) -> None:
    root = write_set(json.dumps(cuhk_records()))
    (root / "imgs").rmdir()
    with pytest.raises(DataMissing, match=r"image folder imgs/ is missing"):
        open_data("cuhk-pedes", root)


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'cuhk-pedes'"):
        open_data("cuhk-pede", tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(field=st.sampled_from(["split", "id", "captions", "file_path"]), value=json_values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_value_in_any_field_is_read_or_named(write_set: Write, field: str, value: Any) -> None:
    records = cuhk_records()[:2]
    records[1][field] = value
    root = write_set(json.dumps(records))
    try:
        data = open_data("cuhk-pedes", root)
    except PickoutError as error:
        assert isinstance(error, AnnotationError) and (error.record, error.field) == (1, field)
    else:
        assert all(isinstance(caption, str) for split in data.splits.values() for caption in _captions(split))
        assert not any(isinstance(r.time, datetime) for split in data.splits.values() for r in split.images)


def _captions(split: Any) -> list[str]:
    return [pair.caption for pair in split.pairs()]


def test_backslashes_and_dots_in_paths_name_the_same_file(write_set: Write) -> None:
    records = cuhk_records()
    root = write_set(records)
    for record, path in zip(records, ["cam_a\\001.jpg", "./train_query/p2_s3.jpg"], strict=False):
        record["file_path"] = path
    (root / "reid_raw.json").write_text(json.dumps(records))
    images = open_data("cuhk-pedes", root).splits["train"].images
    assert all(record.image.is_file() for record in images) and images[0].camera == "cam_a"


def test_a_whole_number_that_a_data_frame_wrote_is_an_identity(write_set: Write) -> None:
    records = [{**record, "id": float(record["id"])} for record in cuhk_records()]
    assert open_data("cuhk-pedes", write_set(records)) == open_data("cuhk-pedes", write_set(cuhk_records()))


@pytest.mark.parametrize("path", ["..\\x.jpg", "C:\\imgs\\x.jpg", "\\\\server\\x.jpg", "c:x.jpg"])
def test_windows_paths_that_lead_out_are_refused(write_set: Write, path: str) -> None:
    records = cuhk_records()
    root = write_set(records)
    records[0]["file_path"] = path
    (root / "reid_raw.json").write_text(json.dumps(records))
    with pytest.raises(AnnotationError, match="leads out of the image folder"):
        open_data("cuhk-pedes", root)


@pytest.mark.parametrize(("disk", "told"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accents_are_found_in_the_form_that_the_disk_has(write_set: Write, disk: str, told: str) -> None:
    records = cuhk_records()
    root = write_set(records)
    file = root / "imgs" / normalize(disk, "café") / normalize(disk, "è.jpg")
    file.parent.mkdir()
    (root / "imgs" / "cam_a" / "001.jpg").rename(file)
    records[0]["file_path"] = normalize(told, "café/è.jpg")
    (root / "reid_raw.json").write_text(json.dumps(records))
    assert open_data("cuhk-pedes", root).splits["train"].images[0].image == file
    assert check("cuhk-pedes", root, decode=True).usable


@pytest.mark.parametrize(
    ("name", "file", "told"),
    [
        ("cuhk-pedes", "caption_all.json", "CUHK-PEDES's first release, which has no splits: take reid_raw.json"),
        ("icfg-pedes", "reid_raw.json", "but reid_raw.json: use the name cuhk-pedes"),
        ("rstpreid", "ICFG-PEDES.json", "use the name icfg-pedes"),
        ("street", "data_captions.json", "use the name rstpreid"),
        ("cuhk-pedes", "table.csv", "use the name table"),
        ("table", "reid_raw.json", "use the name cuhk-pedes"),
    ],
)
@pytest.mark.parametrize("by_file", [True, False])
def test_the_file_of_another_format_is_named_with_its_data_set(
    tmp_path: Path, name: str, file: str, told: str, by_file: bool
) -> None:
    (tmp_path / file).write_text("[]")
    with pytest.raises(DataMissing, match=told):
        open_data(name, tmp_path / file if by_file else tmp_path)


def test_the_annotation_file_itself_serves_as_root(write_set: Write) -> None:
    root = write_set(cuhk_records())
    assert open_data("cuhk-pedes", root / "reid_raw.json") == open_data("cuhk-pedes", root)


@pytest.mark.parametrize(
    ("name", "file", "records", "told"),
    [
        ("cuhk-pedes", "reid_raw.json", rstp_records(), "'file_path': missing; .*use the name rstpreid"),
        ("rstpreid", "data_captions.json", cuhk_records(), "'img_path': missing; .*use the name cuhk-pedes"),
        (
            "cuhk-pedes",
            "reid_raw.json",
            [{key: value for key, value in record.items() if key != "split"} for record in cuhk_records()],
            "'split': missing; a file without splits is CUHK-PEDES's first release",
        ),
    ],
)
def test_records_of_another_format_are_named_with_their_data_set(
    write_set: Write, name: str, file: str, records: Any, told: str
) -> None:
    with pytest.raises(AnnotationError, match=told):
        open_data(name, write_set(records, file=file))
