"""The LanceDB store: whole rows, any file name, clear damage."""

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pickout.errors import GalleryDamaged, StorageFull
from pickout.gallery.storage.memory import NO_TIME
from pickout.gallery.storage.rows import Known, Metadata, Row, row_id
from pickout.gallery.storage.store import KEEP_NONE, Store

NOON = datetime(2026, 3, 1, 12, 0, 0, 250)


def row(name, *, root="/crops", vector=(1, 0, 0, 0), **metadata):
    file = Path(root) / name
    return Row(
        id=row_id(file),
        content=row_id(file) * 2,
        root=root,
        path=name,
        vector=np.asarray(vector, dtype=np.float32),
        width=12,
        height=34,
        metadata=Metadata(**metadata),
        thumbnail=b"\xff\xd8jpeg\x00",
        added=datetime(2026, 1, 1, 1, 1, 1),
    )


def equal(first, second):
    parts = ("id", "content", "root", "path", "width", "height", "metadata", "thumbnail", "added")
    return all(getattr(first, part) == getattr(second, part) for part in parts) and np.array_equal(
        first.vector, second.vector
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, 4, create=True)


def test_a_row_comes_back_whole(store):
    first = row("a.jpg", camera="lobby", time=NOON, labels={"track": "7", "note": 'say "it"'})
    second = row("b.jpg", vector=(0, 1, 0, 0))
    store.put([first, second])
    found = store.fetch([first.id, second.id, "0" * 32])
    assert set(found) == {first.id, second.id}
    assert equal(found[first.id], first)
    assert equal(found[second.id], second)


def test_put_replaces_the_row_of_equal_id(store):
    store.put([row("a.jpg", camera="lobby"), row("b.jpg")])
    store.put([row("a.jpg", camera="yard"), row("c.jpg")])
    assert store.count() == 3
    assert {known.metadata.camera for known in store.known()} == {None, "yard"}


@pytest.mark.parametrize(
    "name",
    [
        b"caf\xe9.jpg",
        b"new\nline.jpg",
        b"quote'\".jpg",
        "snow ☃ 雪.jpg".encode(),
        b"-rf.jpg",
        b"<script>.jpg",
        b"\x1b[31m",
    ],
)
def test_any_file_name_survives(store, name):
    name = os.fsdecode(name)
    store.put([row(name)])
    assert [file for _, file in store.files()] == [Path("/crops") / name]
    assert store.fetch([row(name).id])[row(name).id].path == name


def test_remove_takes_rows_away_and_ignores_unknown_ids(store):
    store.put([row("a.jpg"), row("b.jpg")])
    store.remove([row("a.jpg").id, "f" * 32])
    assert [known.id for known in store.known()] == [row("b.jpg").id]
    store.remove([])
    assert store.count() == 1


def test_more_ids_than_one_query_takes(store):
    rows = [row(f"{number}.jpg") for number in range(2500)]
    store.put(rows)
    assert len(store.fetch(each.id for each in rows)) == 2500
    store.remove(each.id for each in rows[1:])
    assert store.count() == 1


def test_known_tells_content_and_metadata(store):
    store.put([row("a.jpg", camera="lobby", time=NOON, labels={"track": "7"})])
    assert list(store.known()) == [
        Known(row("a.jpg").id, row("a.jpg").content, Metadata("lobby", NOON, {"track": "7"}))
    ]


def test_the_resident_columns_hold_every_row_in_one_order(store):
    store.put([row("z.jpg", vector=(0, 0, 1, 0), camera="yard", time=NOON), row("m.jpg", vector=(0, 1, 0, 0))])
    store.put([row("a.jpg", vector=(1, 0, 0, 0), camera="lobby"), row("a.jpg", root="/b", vector=(0, 0, 0, 1))])
    resident = store.resident()
    assert resident.facets["camera"].names == ("lobby", "yard")
    by_id = {identifier.decode(): position for position, identifier in enumerate(resident.ids)}
    for name, root, axis, camera in (("z.jpg", "/crops", 2, 1), ("m.jpg", "/crops", 1, -1), ("a.jpg", "/b", 3, -1)):
        position = by_id[row(name, root=root).id]
        assert resident.vectors.array[position].argmax() == axis
        assert resident.facets["camera"].positions[position] == camera
    assert resident.times[by_id[row("z.jpg").id]] == np.datetime64(NOON)
    assert np.isnat(resident.times[by_id[row("m.jpg").id]])
    assert np.isnat(NO_TIME)
    ordered = [resident.ids[position].decode() for position in np.argsort(resident.order)]
    assert ordered == [row(name, root=root).id for root, name in
                       (("/b", "a.jpg"), ("/crops", "a.jpg"), ("/crops", "m.jpg"), ("/crops", "z.jpg"))]  # fmt: skip


def test_an_empty_store_has_empty_columns(store):
    resident = store.resident()
    assert resident.vectors.array.shape == (0, 4)
    assert len(resident.ids) == len(resident.order) == 0
    assert resident.facets["camera"].names == ()


def test_another_opening_of_the_same_folder_sees_each_change(store, tmp_path):
    other = Store(tmp_path, 4)
    before = other.version()
    store.put([row("a.jpg")])
    assert other.count() == 1
    assert other.version() > before


def test_compaction_changes_no_row(store):
    for number in range(12):
        store.put([row(f"{number}.jpg", camera=f"c{number}")])
    before = sorted(store.known(), key=lambda known: known.id)
    store.compact()
    assert sorted(store.known(), key=lambda known: known.id) == before
    assert store.resident().vectors.array.shape == (12, 4)


def test_tidying_merges_what_is_worth_it_and_leaves_a_large_piece_alone(store, tmp_path):
    data = tmp_path / "crops.lance" / "data"
    store.tidy()
    store.put([row(f"{number}.jpg") for number in range(100)])
    (large,) = data.iterdir()
    for number in range(100, 124):
        store.put([row(f"{number}.jpg")])
    store.tidy(KEEP_NONE)
    assert large.exists() and len(list(data.iterdir())) == 25
    store.put([row("124.jpg")])
    store.tidy(KEEP_NONE)
    assert store.read(lambda table: table.stats()["fragment_stats"]["num_fragments"]) == 1
    time.sleep(0.1)  # old versions go by their age, and a machine's clock may be set back a little meanwhile
    store.compact(KEEP_NONE)
    assert not large.exists() and len(list(data.iterdir())) == 1
    assert store.count() == 125


def test_a_folder_without_table_is_damaged(tmp_path):
    with pytest.raises(GalleryDamaged, match="put the folder back"):
        Store(tmp_path, 4)


def test_a_table_of_other_dimension_is_damaged(store, tmp_path):
    with pytest.raises(GalleryDamaged, match="other columns"):
        Store(tmp_path, 5)


def test_missing_and_garbled_table_files_are_damage_not_a_traceback(store, tmp_path):
    store.put([row("a.jpg")])
    for data in (tmp_path / "crops.lance" / "data").iterdir():
        data.unlink()
    with pytest.raises(GalleryDamaged, match="cannot be used"):
        Store(tmp_path, 4).resident()
    for manifest in (tmp_path / "crops.lance" / "_versions").iterdir():
        manifest.write_bytes(b"junk")
    with pytest.raises(GalleryDamaged, match="cannot be used"):
        Store(tmp_path, 4)
    shutil.rmtree(tmp_path / "crops.lance")
    with pytest.raises(GalleryDamaged, match="cannot be used"):
        Store(tmp_path, 4)


def test_lancedbs_words_for_a_full_disk_become_storage_full(store, monkeypatch):
    def full(*_):
        raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28), writer.rs:258:9")

    monkeypatch.setattr(store._table, "merge_insert", full)
    with pytest.raises(StorageFull, match="rows written before are whole"):
        store.put([row("a.jpg")])


def test_times_are_kept_to_the_microsecond_and_with_an_offset_turned_into_utc():
    from pickout.gallery.storage.rows import parse_time, without_zone

    assert parse_time("2026-03-01T14:30:00+02:00") == datetime(2026, 3, 1, 12, 30)
    assert parse_time("2026-03-01") == datetime(2026, 3, 1)
    assert without_zone(datetime(2026, 3, 1, 1, tzinfo=UTC)) == datetime(2026, 3, 1, 1)


def test_files_below_a_folder_are_all_told(store):
    for root, name in (("/crops", "a/1.jpg"), ("/crops/a", "2.jpg"), ("/crops/ab", "3.jpg"), ("/", "crops/a/4.jpg")):
        store.put([row(name, root=root)])
    found = {str(file) for _, file in store.files(Path("/crops/a"))}
    assert {"/crops/a/1.jpg", "/crops/a/2.jpg", "/crops/a/4.jpg"} <= found and "/crops/ab/3.jpg" not in found
    assert len(list(store.files())) == len(list(store.files(Path("/")))) == 4
