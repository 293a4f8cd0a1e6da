"""What a check finds in a data set."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pickout.data.data_set import Counts
from pickout.data.integrity import Finding, check, is_junk
from pickout.data.registry import DATASETS
from pickout.errors import UsageError

from .conftest import cuhk_records

Write = Callable[..., Path]


def found(root: Path, **options: Any) -> dict[str, Finding]:
    """Findings by kind, without those about the published counts, which a small set never meets."""
    report = check("street", root, **options)
    return {finding.kind: finding for finding in report.findings}


def test_a_whole_set_has_no_finding(write_set: Write) -> None:
    report = check("street", write_set(cuhk_records()), decode=True)
    assert report.findings == () and report.usable
    assert report.splits == {"train": Counts(2, 3, 6), "val": Counts(1, 1, 2), "test": Counts(1, 2, 4)}


def test_wrong_records_are_all_counted_by_field(write_set: Write) -> None:
    records = cuhk_records()
    records[0]["captions"] = records[2]["captions"] = "A string."
    records[4]["id"] = "x"
    root = write_set(records)
    findings = found(root)
    assert findings["annotation-captions"].count == 2 and findings["annotation-captions"].level == "error"
    assert findings["annotation-captions"].examples[1].startswith("record 2: the string 'A string.'")
    assert findings["annotation-id"].count == 1
    assert not check("street", root).usable


def test_missing_and_unreadable_images_make_it_unusable(write_set: Write) -> None:
    root = write_set(cuhk_records())
    (root / "imgs" / "cam_a" / "001.jpg").unlink()
    (root / "imgs" / "CUHK03" / "003.jpg").write_bytes(b"no image")
    findings = found(root, decode=True)
    assert findings["missing-images"].examples == ("cam_a/001.jpg",)
    assert findings["missing-images"].message.startswith("1 of 6 images are missing")
    assert findings["unreadable-images"].examples == ("CUHK03/003.jpg: not an image, or of an unknown format",)
    assert {finding.level for finding in findings.values()} == {"error"}
    assert "unreadable-images" not in found(root)


def test_a_folder_with_braces_in_its_name_is_told_as_it_is(write_set: Write, tmp_path: Path) -> None:
    root = tmp_path / "{x} {} {0!r}"
    write_set(cuhk_records()).rename(root)
    for image in (root / "imgs").rglob("*.jpg"):
        image.unlink()
    found = {finding.kind: finding.message for finding in check("street", root).findings}
    assert found["missing-images"].endswith(f"images are missing below {root / 'imgs'}")


def test_progress_counts_the_images(write_set: Write) -> None:
    calls: list[tuple[int, int]] = []
    check("street", write_set(cuhk_records()), decode=True, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(number, 6) for number in range(1, 7)]


def test_odd_captions_are_told(write_set: Write) -> None:
    records = cuhk_records()
    records[0]["captions"] = ["", "  "]
    records[1]["captions"] = []
    records[2]["captions"] = ["A man 穿着 red.", "A <b>bold</b> man.", "A \x07 man.", "A café’s owner — “Bob”."]
    records[3]["captions"] = ["The  SAME words."]
    records[4]["captions"] = ["the same words."]
    records[5]["captions"] = ["Twice, but one person.", "Twice, but one person."]
    findings = found(write_set(records))
    assert {kind: finding.count for kind, finding in findings.items()} == {
        "no-captions": 1,
        "empty-captions": 2,
        "junk-captions": 3,
        "repeated-captions": 1,
    }
    assert findings["repeated-captions"].examples == ("2 identities: the same words.",)
    assert all(example.isascii() for example in findings["junk-captions"].examples)
    assert check("street", write_set(records)).usable


def test_people_in_two_splits_and_images_listed_twice_are_told(write_set: Write) -> None:
    records = cuhk_records()
    records[3]["id"] = 2
    records[5]["file_path"] = records[4]["file_path"]
    findings = found(write_set(records))
    assert findings["shared-identities"].examples == ("2: train, val",)
    assert findings["repeated-images"].examples == ("test_query/p5.jpg: 2 times",)


def test_a_set_without_training_people_is_told(write_set: Write) -> None:
    assert "no-training" in found(write_set(cuhk_records()[3:]))


@pytest.mark.parametrize(("content", "kind"), [("[{]", "annotation"), ('{"a": 1}', "annotation"), ("[]", "annotation")])
def test_a_broken_file_is_a_finding_not_a_crash(write_set: Write, content: str, kind: str) -> None:
    report = check("street", write_set(content))
    assert [finding.kind for finding in report.findings] == [kind] and not report.usable and report.splits == {}


def test_a_missing_folder_is_a_finding_that_says_where_to_ask(tmp_path: Path) -> None:
    report = check("icfg-pedes", tmp_path)
    assert report.findings[0].kind == "missing-data" and "SSAN" in report.findings[0].message
    with pytest.raises(UsageError):
        check("nothing", tmp_path)


def full_size(name: str, captions_more: int = 0) -> list[dict[str, Any]]:
    """Records as many as published, all showing one file."""
    records = []
    first = 0
    for split, counts in DATASETS[name].published.items():
        for number in range(counts.images):
            records.append(
                {"split": split, "id": first + number % counts.identities, "captions": [], "img_path": "1.jpg"}
            )
        for number in range(counts.captions + (captions_more if split == "train" else 0)):
            records[len(records) - 1 - number % counts.images]["captions"].append(f"A man {split} {number}")
        first += counts.identities
    return records


@pytest.mark.parametrize(("more", "told"), [(0, None), (-40, "37,010 captions")])
def test_counts_are_held_against_the_published_ones(write_set: Write, more: int, told: str | None) -> None:
    records = json.dumps(full_size("rstpreid", more))
    root = write_set(records, folder="RSTPReid", file="data_captions.json", path_field="img_path")
    (root / "imgs" / "1.jpg").write_bytes(b"x")
    report = check("rstpreid", root)
    counts = [finding.message for finding in report.findings if finding.kind == "counts"]
    assert len(counts) == (told is not None)
    assert report.usable and all(told is not None and told in message for message in counts)
    shutil.rmtree(root)


def test_assumptions_of_a_table_are_told(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("image,caption\n1.jpg,A man.\n")
    (tmp_path / "1.jpg").write_bytes(b"x")
    findings = check("table", tmp_path).findings
    assert [finding.message.split(":")[0] for finding in findings] == ["no identity column", "no split column"]


def test_a_file_name_that_no_system_takes_is_missing(write_set: Write) -> None:
    records = cuhk_records()
    records[0]["file_path"] = "x" * 5000 + ".jpg"
    root = write_set(json.dumps(records))
    assert found(root)["missing-images"].count == 6


@pytest.mark.parametrize(
    "caption", ["A man with a café bag, 100% “red” – yes…", "It's £5 & €3; a T-shirt/vest!", "ñandú Łódź"]
)
def test_ordinary_captions_are_no_junk(caption: str) -> None:
    assert not is_junk(caption)


@pytest.mark.parametrize("caption", ["红衣", "a \ufffd b", "see https://x.y", "x{y}", "&nbsp;man", "tab\x00", "😀"])
def test_foreign_signs_and_code_are_junk(caption: str) -> None:
    assert is_junk(caption)


def test_every_registered_set_says_where_it_can_be_had() -> None:
    assert all(reader.name == name and reader.request for name, reader in DATASETS.items())
