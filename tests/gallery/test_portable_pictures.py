"""Exports with the original pictures; imports that are killed or run out of space."""

import os
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from test_full_disk import noisy_crops, small_disk  # noqa: F401
from test_portable import LookingEncoder, facts

from pickout.errors import GalleryDamaged, StorageFull, UsageError
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.picture import digest
from pickout.gallery.portable.reader import import_gallery
from pickout.gallery.storage.rows import row_id
from pickout.gallery.storage.tables import MANIFEST

SCRIPT = Path(__file__).parent / "import_in_process.py"


def everything_but_place(gallery):
    """Rows by content, less what depends on where their files lie: root, path, id and seal."""
    return sorted((row[0], *row[3:9]) for row in facts(gallery).values())


@pytest.fixture
def looking(tmp_path, crops):
    made = Gallery.create(tmp_path / "people.gallery", LookingEncoder())
    (crops / "copy.PNG").write_bytes((crops / "0006.png").read_bytes())
    made.add(crops)
    return made


def test_pictures_come_along_and_their_rows_belong_to_them(tmp_path, looking, crops):
    report = looking.export(tmp_path / "people.pickout", crops=True)
    assert (report.rows, report.pictures, report.missing) == (7, 6, 0)  # equal bytes are kept once
    pictures = tmp_path / "out" / "pictures"
    done = import_gallery(tmp_path / "people.pickout", tmp_path / "copy.gallery", crops_to=pictures)
    assert (done.added, done.pictures) == (7, 7)
    copy = Gallery.open(tmp_path / "copy.gallery", LookingEncoder())
    for crop in list(crops.rglob("*.png")):
        crop.unlink()
    rows = copy.rows(facts(copy))
    assert len(rows) == 7
    for identifier, row in rows.items():
        assert row.file.parent == pictures and row_id(row.file) == identifier == row.id
        assert digest(row.file.read_bytes()) == row.content
        assert row.file.name.startswith(row.content)
    assert everything_but_place(copy) == everything_but_place(looking)
    assert list(verify(copy.path, files=True)) == []
    assert sorted(file.name for file in pictures.iterdir()) == sorted(row.path for row in rows.values())
    assert [hit.score for hit in copy.search("a teal jacket")] == [hit.score for hit in looking.search("a teal jacket")]
    again = import_gallery(tmp_path / "people.pickout", copy.path, crops_to=pictures)
    assert (again.unchanged, again.pictures) == (7, 0)
    added = copy.add(pictures)  # indexing that folder finds nothing new
    assert (added.unchanged, added.added) == (7, 0)


def test_a_picture_that_is_gone_or_has_changed_is_left_out_and_its_row_keeps_its_path(tmp_path, looking, crops, draw):
    (crops / "cam_a/0001_c1.png").unlink()
    draw(crops / "cam_a/0002_c1.png", top="white", shade=250)
    report = looking.export(tmp_path / "people.pickout", crops=True)
    assert (report.rows, report.pictures, report.missing) == (7, 4, 2)
    done = import_gallery(tmp_path / "people.pickout", tmp_path / "copy.gallery", crops_to=tmp_path / "pictures")
    assert (done.added, done.pictures) == (7, 5)
    copy = Gallery.open(tmp_path / "copy.gallery", LookingEncoder())
    kept = [row.file for row in copy.rows(facts(copy)).values() if row.file.parent != tmp_path / "pictures"]
    assert sorted(kept) == [crops / "cam_a/0001_c1.png", crops / "cam_a/0002_c1.png"]
    assert list(verify(copy.path)) == []


def test_pictures_that_were_not_exported_cannot_be_asked_for(tmp_path, looking):
    looking.export(tmp_path / "people.pickout")
    with pytest.raises(UsageError, match="holds no pictures; export with --crops"):
        import_gallery(tmp_path / "people.pickout", tmp_path / "copy.gallery", crops_to=tmp_path / "pictures")
    assert not (tmp_path / "copy.gallery").exists()


def test_a_damaged_picture_is_told_before_anything_is_written(tmp_path, looking, crops):
    file = tmp_path / "people.pickout"
    looking.export(file, crops=True)
    with zipfile.ZipFile(file) as archive:
        entry = next(each for each in archive.infolist() if each.filename.startswith("crops/"))
    data = bytearray(file.read_bytes())
    data[entry.header_offset + 30 + len(entry.filename) + 40] ^= 1
    file.write_bytes(data)
    with pytest.raises(GalleryDamaged, match=rf"people\.pickout: {entry.filename}"):
        import_gallery(file, tmp_path / "copy.gallery")
    assert not (tmp_path / "copy.gallery").exists()


def start(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_kill_9_leaves_whole_rows_and_the_same_import_completes_them(tmp_path, draw):
    for shade in range(60):
        draw(
            tmp_path / "many" / f"{shade:03d}.png", top=("teal", "red", "olive")[shade % 3], shade=shade, size=(12, 36)
        )
    source = Gallery.create(tmp_path / "source.gallery", LookingEncoder())
    source.add(tmp_path / "many")
    source.export(tmp_path / "people.pickout", crops=True)
    whole = tmp_path / "whole.gallery"
    import_gallery(tmp_path / "people.pickout", whole, crops_to=tmp_path / "pictures")
    expected, before = facts(Gallery.open(whole)), {}
    generator = random.Random(20261122)
    target = tmp_path / "killed.gallery"
    for commits in (1, 2, 4):
        process = start(tmp_path / "people.pickout", target, tmp_path / "pictures", 0.01)
        for _ in range(commits):
            assert process.stdout.readline() == "commit\n"
        time.sleep(generator.uniform(0, 0.03))
        process.kill()
        process.communicate()
        assert (target / MANIFEST).exists()
        after = facts(Gallery.open(target))
        assert before.items() <= after.items() <= expected.items()
        before = after
    assert len(before) < 60
    process = start(tmp_path / "people.pickout", target, tmp_path / "pictures", 0)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    added, unchanged, replaced, kept = map(int, out.splitlines()[-1].split())
    assert (added + unchanged, unchanged, replaced, kept) == (60, len(before), 0, 0)
    assert facts(Gallery.open(target)) == expected and list(verify(target, files=True)) == []


def test_a_full_disk_stops_export_and_import_and_both_can_be_done_again(tmp_path, small_disk, monkeypatch):  # noqa: F811
    disk, enlarge = small_disk
    noisy_crops(tmp_path / "crops", 100)
    source = Gallery.create(tmp_path / "source.gallery", LookingEncoder())
    source.add(tmp_path / "crops")
    with pytest.raises(StorageFull, match=r"people\.pickout: no space left"):
        source.export(disk / "people.pickout", crops=True)
    assert list(disk.iterdir()) == []
    source.export(tmp_path / "people.pickout", crops=True)
    monkeypatch.setattr("pickout.gallery.portable.reader._COMMIT_ROWS", 8)
    with pytest.raises(StorageFull, match="no space left") as caught:
        import_gallery(tmp_path / "people.pickout", disk / "copy.gallery", crops_to=disk / "pictures")
    assert str(disk) in str(caught.value)
    copy = Gallery.open(disk / "copy.gallery")
    committed = copy.count()
    assert 0 < committed < 100 and len(facts(copy)) == committed
    enlarge()
    done = import_gallery(tmp_path / "people.pickout", disk / "copy.gallery", crops_to=disk / "pictures")
    assert (done.added, done.unchanged) == (100 - committed, committed)
    assert everything_but_place(copy) == everything_but_place(source) and list(verify(copy.path, files=True)) == []
