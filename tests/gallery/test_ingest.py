"""From a folder to rows: idempotent, resumable, each content encoded once, nothing lost."""

import os
import shutil
from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from pickout.errors import AnnotationError, DataMissing, GalleryModelMismatch, StorageFull
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.storage.rows import row_id
from pickout.gallery.storage.store import Store


@pytest.fixture(params=["few files", "many files"], autouse=True)
def size(request, monkeypatch):
    """A run asks for the rows that concern few files, and reads what all rows are for many: both do the same."""
    if request.param == "many files":
        monkeypatch.setattr("pickout.gallery.intake.ingest._FEW", 0)


def rows_of(gallery):
    store = Store(gallery.path, gallery.manifest.model.dimension)
    found = store.fetch(known.id for known in store.known())
    return {row.path: row for row in found.values()}


def facts(gallery):
    return {
        name: (row.id, row.content, row.vector.tolist(), row.width, row.height, row.metadata, row.thumbnail)
        for name, row in rows_of(gallery).items()
    }


def test_every_crop_becomes_a_row_with_path_size_vector_and_thumbnail(gallery, crops, encoder):
    rows = rows_of(gallery)
    assert sorted(rows) == sorted(str(path.relative_to(crops)) for path in crops.rglob("*.png"))
    row = rows["cam_a/0001_c1.png"]
    assert (row.width, row.height) == (24, 72)
    assert row.root == str(crops)
    assert row.file == crops / "cam_a/0001_c1.png"
    assert np.array_equal(row.vector, encoder.encode_images([Image.open(row.file)])[0])
    assert row.thumbnail.startswith(b"\xff\xd8")


def test_indexing_again_encodes_nothing_and_changes_nothing(gallery, crops, encoder):
    before, encoded, version = facts(gallery), encoder.encoded, gallery._store.version()
    report = gallery.add(crops)
    assert (report.added, report.updated, report.unchanged, report.encoded) == (0, 0, 6, 0)
    assert encoder.encoded == encoded
    assert facts(gallery) == before
    assert gallery._store.version() == version


def test_only_new_and_changed_files_are_encoded(gallery, crops, encoder, draw):
    draw(crops / "cam_d/new.png", top="yellow")
    draw(crops / "0006.png", top="red", shade=99)
    before = rows_of(gallery)
    report = gallery.add(crops)
    assert (report.added, report.updated, report.unchanged, report.encoded) == (1, 1, 5, 2)
    after = rows_of(gallery)
    assert after["0006.png"].id == before["0006.png"].id
    assert after["0006.png"].content != before["0006.png"].content
    assert not np.array_equal(after["0006.png"].vector, before["0006.png"].vector)


def test_equal_bytes_at_several_paths_are_several_rows_encoded_once(tmp_path, encoder, draw):
    root = tmp_path / "crops"
    draw(root / "first.png")
    for name in ("a/copy.png", "b/copy.png", "c.png"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / "first.png", root / name)
    gallery = Gallery.create(tmp_path / "g", encoder)
    assert gallery.add(root, settings=IngestSettings(batch=2, commit=1)).added == 4
    assert encoder.encoded == 1
    shutil.copy(root / "first.png", root / "later.png")
    report = gallery.add(root)
    assert (report.added, report.encoded) == (1, 0)
    rows = rows_of(gallery)
    assert len({row.id for row in rows.values()}) == 5
    assert len({row.vector.tobytes() for row in rows.values()}) == 1


def test_a_moved_folder_is_not_encoded_again(gallery, crops, tmp_path, encoder):
    encoded = encoder.encoded
    crops.rename(tmp_path / "moved")
    report = gallery.add(tmp_path / "moved")
    assert (report.added, report.encoded) == (6, 0)
    assert encoder.encoded == encoded


def test_a_folder_indexed_again_from_above_or_below_makes_no_second_row(gallery, crops):
    assert gallery.add(crops / "cam_a").unchanged == 2
    assert gallery.add(crops.parent).unchanged == 6
    assert gallery.count() == 6


@pytest.mark.parametrize(("batch", "commit", "threads"), [(1, 1, 1), (2, 3, 4), (64, 1000, 2)])
def test_batches_commits_and_threads_change_no_row(gallery, crops, tmp_path, encoder, batch, commit, threads):
    other = Gallery.create(tmp_path / "other", encoder)
    other.add(crops, settings=IngestSettings(batch=batch, commit=commit, threads=threads, compact_every=2))
    assert facts(other) == facts(gallery)


def test_pruning_touches_only_rows_below_the_folder(gallery, crops, tmp_path, draw):
    draw(tmp_path / "elsewhere/1.png", shade=200)
    gallery.add(tmp_path / "elsewhere")
    shutil.rmtree(crops)
    report = gallery.add(tmp_path / "elsewhere", prune=True)
    assert (report.vanished, gallery.count()) == (0, 7)


def test_an_empty_or_missing_folder_is_refused_and_prunes_nothing(gallery, crops, tmp_path):
    shutil.rmtree(crops)
    with pytest.raises(DataMissing, match="no such folder"):
        gallery.add(crops, prune=True)
    crops.mkdir()
    with pytest.raises(DataMissing, match="holds no image"):
        gallery.add(crops, prune=True)
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(DataMissing, match="is a file"):
        gallery.add(tmp_path / "file.txt")
    assert gallery.count() == 6


def test_hidden_files_other_files_and_linked_folders_are_passed_over(tmp_path, encoder, draw):
    root = tmp_path / "crops"
    draw(root / "a.png")
    draw(root / ".hidden.png", shade=1)
    draw(root / ".cache/b.png", shade=2)
    (root / "notes.txt").write_text("no image")
    (root / "folder.png").mkdir()
    (root / "circle").symlink_to(root)
    (root / "link.png").symlink_to(root / "a.png")
    gallery = Gallery.create(tmp_path / "g", encoder)
    assert gallery.add(root).found == 2
    assert sorted(rows_of(gallery)) == ["a.png", "link.png"]


def test_hostile_file_names_are_indexed(tmp_path, encoder, draw):
    root = tmp_path / "crops"
    names = [
        b"caf\xe9.png",
        b"line\nfeed.png",
        b"'; DROP TABLE crops; --.png",
        b"<img src=x>.png",
        b"\x1b[2J.png",
        b" .png",
    ]
    for shade, name in enumerate(names):
        draw(root / os.fsdecode(name), shade=shade)
    gallery = Gallery.create(tmp_path / "g", encoder)
    assert gallery.add(root).added == len(names)
    assert gallery.add(root).unchanged == len(names)
    assert sorted(map(os.fsencode, rows_of(gallery))) == sorted(names)
    hits = gallery.search("a teal jacket")
    assert {os.fsencode(hit.path) for hit in hits} == set(names)
    assert all(hit.file.is_file() for hit in hits)


def test_a_batch_with_nan_vectors_quarantines_those_images_only(tmp_path, draw):
    from colour_encoder import ColourEncoder

    class Broken(ColourEncoder):
        def encode_images(self, images):
            vectors = super().encode_images(images)
            vectors[[image.getpixel((0, 0))[0] == 3 for image in images]] = np.nan
            return vectors

    for shade in range(5):
        draw(tmp_path / f"crops/{shade}.png", shade=shade)
    gallery = Gallery.create(tmp_path / "g", Broken())
    report = gallery.add(tmp_path / "crops")
    assert (report.added, report.quarantined) == (4, 1)
    assert [(entry.file.name, entry.reason) for entry in gallery.quarantined()] == [
        ("3.png", "the model gave no finite vector")
    ]


def test_camera_comes_from_folder_or_name(tmp_path, crops, encoder):
    by_folder = Gallery.create(tmp_path / "folder", encoder)
    by_folder.add(crops, camera_from=CameraFrom.FOLDER)
    assert by_folder.cameras() == ("cam_a", "cam_b", "cam_c")
    by_name = Gallery.create(tmp_path / "name", encoder)
    by_name.add(crops, camera_from=CameraFrom.NAME)
    assert by_name.cameras() == ("c1", "c2", "c3")
    assert rows_of(by_name)["0006.png"].metadata.camera is None


def test_metadata_told_later_is_added_without_encoding_and_what_is_not_told_stays(gallery, crops, tmp_path, encoder):
    encoded = encoder.encoded
    table = tmp_path / "table.csv"
    table.write_text("image,camera,time,track\ncam_a/0001_c1.png,lobby,2026-03-01T12:00,7\n0006.png,yard,,\n")
    report = gallery.add(crops, table=table)
    assert (report.updated, report.unchanged, report.untold, encoder.encoded) == (2, 4, 4, encoded)
    assert report.notes == []
    rows = rows_of(gallery)
    assert rows["cam_a/0001_c1.png"].metadata.time == datetime(2026, 3, 1, 12)
    assert rows["cam_a/0001_c1.png"].metadata.track == "7"
    assert rows["cam_a/0001_c1.png"].metadata.labels == {}
    assert gallery.add(crops).unchanged == 6
    assert gallery.add(crops, table=table).unchanged == 6
    table.write_text("image,camera\ncam_a/0001_c1.png,hall\n")
    assert gallery.add(crops, table=table).updated == 1
    changed = rows_of(gallery)["cam_a/0001_c1.png"].metadata
    assert (changed.camera, changed.time, changed.track) == ("hall", datetime(2026, 3, 1, 12), "7")


def test_the_time_comes_from_exif_unless_a_table_tells(tmp_path, encoder, draw):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2025:12:24 18:30:00"
    for shade, name in enumerate(("a.jpg", "b.jpg")):
        draw(tmp_path / "crops" / name, shade=shade * 60, exif=exif)
    shutil.copy(tmp_path / "crops/a.jpg", tmp_path / "crops/copy.jpg")
    (tmp_path / "table.jsonl").write_text('{"image": "b.jpg", "time": "2026-01-01T00:00:00Z"}\n')
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(tmp_path / "crops", table=tmp_path / "table.jsonl")
    times = {name: row.metadata.time for name, row in rows_of(gallery).items()}
    assert times == {
        "a.jpg": datetime(2025, 12, 24, 18, 30),
        "b.jpg": datetime(2026, 1, 1),
        "copy.jpg": datetime(2025, 12, 24, 18, 30),
    }


def test_progress_reaches_the_total(gallery, crops):
    seen = []
    gallery.add(crops, on_progress=seen.append)
    assert [(step.done, step.total) for step in seen][-1] == (6, 6)
    assert all(before.done <= after.done for before, after in pairwise(seen))


def test_another_model_is_refused_in_plain_words(gallery, crops):
    from colour_encoder import ColourEncoder

    other = ColourEncoder("itself", fingerprint="91ab" * 16)
    for attempt in (
        lambda: gallery.add(crops, other),
        lambda: gallery.search("a teal jacket", encoder=other),
        lambda: Gallery.open(gallery.path, other),
        lambda: Gallery.create(gallery.path, other),
    ):
        with pytest.raises(GalleryModelMismatch) as caught:
            attempt()
        own = gallery.manifest.model.fingerprint[:8]
        assert f"the gallery was built with run {own} (colour), this run is 91ab91ab (itself)" in str(caught.value)
    assert gallery.count() == 6


def test_a_failing_commit_keeps_earlier_ones_and_the_next_run_goes_on(tmp_path, crops, encoder, monkeypatch):
    gallery = Gallery.create(tmp_path / "g", encoder)
    put, calls = Store.put, []

    def put_twice(self, rows):
        calls.append(len(rows))
        if len(calls) > 2:
            raise StorageFull("full")
        put(self, rows)

    monkeypatch.setattr(Store, "put", put_twice)
    with pytest.raises(StorageFull):
        gallery.add(crops, settings=IngestSettings(batch=2, commit=2))
    monkeypatch.undo()
    assert gallery.count() == 4
    report = gallery.add(crops)
    assert (report.added, report.unchanged, report.encoded) == (2, 4, 2)


def test_a_row_removed_by_another_process_meanwhile_is_encoded_afresh(tmp_path, encoder, draw):
    root = tmp_path / "crops"
    draw(root / "a.png")
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(root)
    shutil.copy(root / "a.png", root / "b.png")
    other = Store(gallery.path, encoder.dimension)
    known = Store.known

    def known_then_removed(self, *asked, **by):
        yield from list(known(self, *asked, **by))
        if not by:
            other.remove([row_id(root / "a.png")])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "known", known_then_removed)
        assert gallery.add(root).encoded == 1
    assert sorted(rows_of(gallery)) == ["b.png"]
    assert gallery.add(root).added == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("place,camera\na.jpg,x\n", "'image': no such column; found place, camera"),
        ("", "'image': no such column; found none"),
        ("image,Image\na.jpg,x\n", "'image' and 'Image' both mean image"),
        ("image,zone,Zone\na.jpg,x,y\n", "'zone': a column of this name stands in the header twice"),
        ("image,box\na.jpg,5 5 0 0\n", "record 0, field 'box': .*width and height must be 1 or more"),
        ("image,box\na.jpg,5 5 10 -1\n", "record 0, field 'box': .*width and height must be 1 or more"),
        ("image,time\na.jpg,noon\n", r"record 0, field 'time': 'noon' is no date"),
        ("image,camera\na.jpg,x\n,y\n", r"record 1, field 'image': missing"),
        ("image,camera\na.jpg,x\na.jpg,y\n", "twice, differently"),
        ("image,box\na.jpg,5 5 0 0\n", "record 0, field 'box': .*must be 1 or more"),
        ("image,box\na.jpg,5 5 7 -1\n", "record 0, field 'box': .*must be 1 or more"),
        ("image,box\na.jpg,5 5 7\n", "record 0, field 'box': .*expected left, top"),
        ("image,camera\na.jpg,x,y\n", "record 0: 3 cells; the header has 2"),
        ('image,camera\n"a.jpg,x\n', "not valid CSV"),
    ],
)
def test_a_wrong_csv_table_names_file_record_and_field(gallery, crops, tmp_path, text, problem):
    table = tmp_path / "table.csv"
    table.write_text(text)
    with pytest.raises(AnnotationError, match=problem) as caught:
        gallery.add(crops, table=table)
    assert str(table) in str(caught.value)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"image": "a.jpg"}\n[1]\n', r"record 1: \[1\]; expected an object"),
        (b'{"image": "a.jpg"\n', "record 0: not valid JSON"),
        (b'{"camera": "x"}\n', "field 'image': no such column; found camera"),
        (b'{"image": null, "camera": "x"}\n', "record 0, field 'image': missing"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[" * 100_000, "record 0: not valid JSON"),
    ],
)
def test_a_wrong_json_table_names_file_and_record(gallery, crops, tmp_path, data, problem):
    table = tmp_path / "table.jsonl"
    table.write_bytes(data)
    with pytest.raises(AnnotationError, match=problem):
        gallery.add(crops, table=table)
    with pytest.raises(DataMissing, match="no such table"):
        gallery.add(crops, table=tmp_path / "nowhere.csv")


def test_a_table_may_name_absolute_paths_and_spreadsheet_files(gallery, crops, tmp_path):
    table = tmp_path / "table.csv"
    table.write_bytes(
        b"\xef\xbb\xbfimage,camera\r\n" + os.fsencode(crops / "0006.png") + b",yard\r\n.\\cam_a\\0001_c1.png,hall\r\n"
    )
    assert gallery.add(crops, table=table).updated == 2
    assert gallery.cameras() == ("hall", "yard")


def test_rows_of_a_table_that_name_no_crop_are_counted_and_the_first_is_named(gallery, crops, tmp_path):
    table = tmp_path / "table.csv"
    told = ["0006.png,lobby", "0OO6.png,yard", "../other/0006.png,yard", "/etc/passwd,yard"]
    table.write_text("\n".join(["image,camera", *told]))
    notes = gallery.add(crops, table=table).notes
    assert notes == [f"{table}: 3 rows name no image below {crops}, the first '0OO6.png'"]
    table.write_text(f"image,camera\n{crops}/0006.png,lobby\n")
    assert gallery.add(crops, table=table).notes == []
