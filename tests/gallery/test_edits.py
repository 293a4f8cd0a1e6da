"""Crops chosen, removed, erased and told more about; a gallery read through."""

import json
import random
import shutil
from datetime import date, datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import Image

from pickout.errors import UsageError
from pickout.gallery.audit.log import AUDIT
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.filters import Where
from pickout.gallery.search.query import Query
from pickout.gallery.storage.rows import Metadata
from pickout.gallery.storage.store import FROM_BACKUP, Store


@pytest.fixture
def told(gallery, crops):
    """The six people, with cameras by folder and one track."""
    from pickout.gallery.intake.metadata import CameraFrom

    gallery.add(crops, camera_from=CameraFrom.FOLDER)
    (gallery.path / AUDIT).unlink()
    return gallery


def paths(gallery, ids):
    rows = gallery.rows(ids)
    return [rows[identifier].path for identifier in ids]


def audit_of(gallery):
    return [json.loads(line) for line in (gallery.path / AUDIT).read_text().splitlines()]


def test_crops_are_chosen_by_filter_id_path_and_pattern(told, crops):
    by_camera = told.choose(where=Where(cameras=["cam_b"]))
    assert paths(told, by_camera) == ["cam_b/0003_c2.png", "cam_b/0004_c2.png"]
    assert told.choose([by_camera[0]]) == by_camera[:1]
    assert paths(told, told.choose(["0006.png"])) == ["0006.png"]
    assert paths(told, told.choose([str(crops / "cam_a/0001_c1.png"), "cam_c/*"])) == [
        "cam_a/0001_c1.png",
        "cam_c/0005_c3.png",
    ]
    assert told.choose(["cam_a/*"], Where(cameras=["cam_b"])) == []


def test_brackets_and_stars_in_a_name_are_letters_first(tmp_path, encoder, draw):
    for shade, name in enumerate(("a[1].png", "a1.png", "b*.png", "b2.png", "new\nline.png", "in/a1.png")):
        draw(tmp_path / "odd" / name, shade=shade)
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(tmp_path / "odd")
    assert paths(gallery, gallery.choose(["a[1].png"])) == ["a[1].png"]
    assert paths(gallery, gallery.choose(["b*.png"])) == ["b*.png"]
    assert paths(gallery, gallery.choose(["b?.png"])) == ["b*.png", "b2.png"]
    assert paths(gallery, gallery.choose(["*[1].png"])) == ["a[1].png"]
    assert paths(gallery, gallery.choose(["new\nline.png"])) == ["new\nline.png"]
    assert paths(gallery, gallery.choose(["a1.png"])) == ["a1.png", "in/a1.png"]


def test_choosing_everything_or_nothing_known_is_refused(told):
    with pytest.raises(UsageError, match="every crop would be meant"):
        told.choose()
    with pytest.raises(UsageError, match=r"'0007\.png': no crop has this id or path"):
        told.choose(["0007.png"])
    with pytest.raises(UsageError, match="unknown camera 'hall'"):
        told.choose(where=Where(cameras=["hall"]))


def test_one_text_instead_of_a_list_is_refused_not_taken_letter_by_letter(told, tmp_path):
    (ident,) = told.choose(["0006.png"])
    for change in (told.choose, told.remove, told.erase, lambda ids: told.update(ids, Metadata(track="t"))):
        with pytest.raises(UsageError, match=r"(crops|ids) = '.*': expected (Sequence|Collection)\[str\]"):
            change(ident)
    with pytest.raises(UsageError, match=r"(crops|ids) = '.*': expected (Sequence|Collection)\[str\]"):
        told.export(tmp_path / "one.pickout", ident)
    assert told.count() == 6 and not (told.path / AUDIT).exists() and not (tmp_path / "one.pickout").exists()


def test_a_change_counts_the_rows_that_it_changed(told):
    ids = [*told.choose(["0006.png"]), "0" * 32]
    assert told.update(ids, Metadata(track="t")).rows == 1
    assert told.remove(ids).rows == 1 and told.count() == 5
    assert told.remove(ids).rows == 0 and told.erase(ids).rows == 0 and told.update(ids, Metadata(track="t")).rows == 0


@pytest.mark.parametrize(
    "wrong",
    [
        Metadata(frame=10**20),
        pytest.param(Metadata(frame=10**5000), id="5,000 digits"),
        Metadata(frame=1.0),
        Metadata(frame="7"),
        Metadata(frame=True),
        Metadata(box=(0, 0, 2**31, 1)),
        Metadata(box=(1, 2, 3)),
        Metadata(box=(1, 2, 3, 4, 5)),
        Metadata(box=(5, 5, 0, 0)),
        Metadata(box=(5, 5, 10, -1)),
        Metadata(box=(1, 2, 3, None)),
        Metadata(box=(1, 2, 3, 4.5)),
        Metadata(box="1234"),
        Metadata(box=7),
        Metadata(camera=7),
        Metadata(camera=b"lobby"),
        Metadata(camera="a\ud800b"),
        Metadata(track=["t"]),
        Metadata(video=float("nan")),
        Metadata(labels={"seen": 2}),
        Metadata(labels={"seen": None}),
        Metadata(labels={"seen": "\udfff"}),
        Metadata(labels={3: "three"}),
        Metadata(labels={"\ud800": "x"}),
        Metadata(labels=[("seen", "twice")]),
        Metadata(time="2026-03-01"),
        Metadata(time=date(2026, 3, 1)),
        Metadata(time=np.datetime64("2026-03-01")),
        {"camera": "lobby"},
        None,
    ],
    ids=lambda wrong: ascii(wrong)[:90],
)
def test_metadata_that_no_row_can_hold_is_refused_before_anything_is_written(told, wrong):
    ids = told.choose(["0006.png"])
    with pytest.raises(UsageError):
        told.update(ids, wrong)
    assert not (told.path / AUDIT).exists() and list(verify(told.path)) == []
    assert len(told.search("a teal jacket")) == 6


def test_metadata_is_written_as_it_will_be_read(told):
    ids = told.choose(["0006.png"])
    late = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    told.update(
        ids, Metadata(time=late, frame=np.int64(7), box=np.array([1, 2, 3, 4]), labels={"\u3000": "", "é": "x"})
    )
    (row,) = told.rows(ids).values()
    early = datetime(2026, 3, 1, 10, 0, 0, 5)
    assert row.metadata == Metadata(None, early, {"\u3000": "", "é": "x"}, None, 7, (1, 2, 3, 4))
    assert list(verify(told.path)) == [] and len(told.search("a teal jacket")) == 6


@pytest.mark.parametrize(
    "wrong",
    [5, None, b"0" * 32, ["0" * 32], 1.5, "", "\ud800", "a" * 31 + "\udc80", "x" * 32, "A" * 32, "0" * 33, "' OR 1=1"],
)
def test_what_is_no_id_is_refused_before_anything_is_written(told, wrong):
    (ident,) = told.choose(["0006.png"])
    for change in (told.remove, told.erase, lambda ids: told.update(ids, Metadata(track="t"))):
        with pytest.raises(UsageError, match="no crop's id"):
            change([ident, wrong])
    assert sorted(file.name for file in told.path.iterdir() if file.suffix == ".json") == ["gallery.json"]
    assert not (told.path / AUDIT).exists() and told.count() == 6 and list(verify(told.path)) == []
    assert told.erase(each for each in [ident]).rows == 1


def test_removed_crops_are_found_no_more_and_the_audit_tells_how_many(told, encoder):
    change = told.remove(told.choose(where=Where(cameras=["cam_b"])))
    assert change.rows == 2 and told.count() == 4
    assert not any(hit.path.startswith("cam_b") for hit in Gallery.open(told.path, encoder).search("olive", top=9))
    line = audit_of(told)[-2]
    assert (line["change"], line["rows"]) == ("remove", 2) and set(line) == {"time", "user", "change", "rows"}


def test_erasing_takes_quarantine_lines_and_searches_that_name_the_crop(told, crops, encoder):
    (ident,) = told.choose(["0006.png"])
    (other,) = told.choose(["cam_a/0001_c1.png"])
    told.saved.save("like him", Query(["a man"], more_like=[ident]))
    told.saved.save("like her", Query(["a woman"], more_like=[other]))
    (crops / "0006.png").write_bytes(b"broken")
    told.add(crops)
    assert [entry.file.name for entry in told.quarantined()] == ["0006.png"]
    change = told.erase([ident])
    assert (change.rows, change.searches) == (1, ("like him",))
    assert told.quarantined() == [] and [search.name for search in told.saved.all()] == ["like her"]
    texts = b"".join(file.read_bytes() for file in told.path.rglob("*") if file.is_file())
    assert b"0006.png" not in texts and ident.encode() not in texts


def test_telling_more_encodes_nothing_and_keeps_the_rest(told, encoder):
    encoded, ids = encoder.encoded, told.choose(["cam_a/*"])
    before = {row.id: row for row in told.rows(ids).values()}
    told.update(ids, Metadata(track="t1", labels={"seen": "twice"}))
    for identifier, row in told.rows(ids).items():
        assert (row.metadata.camera, row.metadata.track, row.metadata.labels) == ("cam_a", "t1", {"seen": "twice"})
        assert np.array_equal(row.vector, before[identifier].vector)
        assert row.thumbnail == before[identifier].thumbnail
    assert encoder.encoded == encoded
    assert len(told.search("teal", where=Where(tracks=["t1"]))) == 2


def test_compacting_changes_no_row(told):
    before = {row.id: row.vector.tolist() for row in told.rows(known.id for known in told._store.known()).values()}
    told.compact()
    after = {row.id: row.vector.tolist() for row in told.rows(known.id for known in told._store.known()).values()}
    assert before == after


def test_a_whole_gallery_has_no_fault(told):
    seen = []
    assert list(verify(told.path, files=True, on_progress=lambda *at: seen.append(at))) == []
    assert seen[-1] == (6, 6)


def test_changed_and_missing_crops_are_named_when_asked(told, crops):
    Image.new("RGB", (20, 60), (1, 2, 3)).save(crops / "0006.png")
    (crops / "cam_a/0001_c1.png").unlink()
    assert list(verify(told.path)) == []
    faults = {fault.file.name: fault.what for fault in verify(told.path, files=True)}
    assert "changed since it was indexed" in faults["0006.png"]
    assert "not there any more" in faults["0001_c1.png"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("gallery.json", "{", "gallery.json"),
        ("quarantine.jsonl", "{\n", "line 1 is garbled"),
        ("searches.json", "[{]", "searches.json"),
        ("erasing.json", '["00"]', "erasure was interrupted"),
        ("audit.jsonl", '{"time": "now"}\n{"ti', "the last line is garbled"),
        ("calibration.json", "[]", "calibration.json"),
        *(
            pytest.param(name, "[" * 100_000, name, id=f"deep {name}")
            for name in ("quarantine.jsonl", "erasing.json", "audit.jsonl")
        ),
        (".gallery.json.abcd_123.pickout.part", "", "left over from an interrupted write"),
    ],
)
def test_files_changed_by_hand_are_named(told, name, content, what):
    (told.path / name).write_text(content)
    faults = list(verify(told.path))
    assert len(faults) == 1 and (what in faults[0].what or what in str(faults[0].file))
    assert set(faults[0].as_json()) == {"file", "what"}


@pytest.mark.parametrize("hint", ["[]", "null", '{"version": []}', pytest.param("[" * 100_000, id="deep")])
def test_a_hint_of_the_newest_version_that_says_nothing_stops_nothing(told, hint):
    (told.path / "crops.lance" / "_versions" / "latest_version_hint.json").write_text(hint)
    assert list(verify(told.path)) == []


def test_table_files_that_are_gone_or_damaged_are_a_fault_not_a_traceback(told):
    data = sorted((told.path / "crops.lance" / "data").iterdir())[0]
    data.write_bytes(data.read_bytes()[:50])
    assert list(verify(told.path))
    data.unlink()
    assert list(verify(told.path))


def test_any_changed_bit_of_the_rows_is_named_or_harmless(told):
    """Damage of the table's files gives a fault, or rows that are as they were: never other rows, nor a traceback."""
    before = {row.id: row.seal for row in told.rows(known.id for known in told._store.known()).values()}
    generator = random.Random(4)
    files = sorted((told.path / "crops.lance" / "data").iterdir())
    named = 0
    for _ in range(6):
        file = generator.choice(files)
        whole = file.read_bytes()
        place = generator.randrange(len(whole))
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        faults = list(verify(told.path))
        named += bool(faults)
        if not faults:
            store = Store(told.path, told.manifest.model.dimension)
            assert {row.id: row.seal for row in store.fetch(before).values()} == before
        file.write_bytes(whole)
    assert named > 1


def test_one_number_of_a_vector_changed_by_hand_is_named(told):
    (ident,) = told.choose(["0006.png"])
    vector = told.rows([ident])[ident].vector
    changed = vector.copy()
    changed[0] = np.nextafter(changed[0], 2, dtype=np.float32)
    for file in (told.path / "crops.lance" / "data").iterdir():
        file.write_bytes(file.read_bytes().replace(vector.tobytes(), changed.tobytes()))
    faults = list(verify(told.path))
    assert [(fault.file.name, "other hands" in fault.what) for fault in faults] == [("0006.png", True)]


def test_an_edited_manifest_and_a_table_without_its_newest_version_are_named(told):
    manifest = told.path / "gallery.json"
    whole = manifest.read_text()
    manifest.write_text(whole.replace('"colour"', '"other"'))
    assert [fault.what for fault in verify(told.path)] == ["was changed by hand; put it back " + FROM_BACKUP]
    manifest.write_text(whole)
    told.remove(told.choose(["0006.png"]))
    min((told.path / "crops.lance" / "_versions").glob("*.manifest")).unlink()  # they count downwards
    assert ["newest version are gone" in fault.what for fault in verify(told.path)] == [True]


@pytest.mark.parametrize("half", [b"", b'{"version":'])
def test_half_a_hint_of_the_newest_version_is_no_fault(told, half):
    """The library does not write it as a whole; a full disk or a kill leaves half."""
    (told.path / "crops.lance" / "_versions" / "latest_version_hint.json").write_bytes(half)
    assert list(verify(told.path)) == []
    told.remove(told.choose(["0006.png"]))
    assert told.count() == 5 and list(verify(told.path)) == []


def test_wrong_vectors_and_thumbnails_are_named(told):
    from dataclasses import replace

    rows = list(told.rows(known.id for known in told._store.known()).values())
    store = Store(told.path, len(rows[0].vector))
    store.put([replace(rows[0], vector=rows[0].vector * 2), replace(rows[1], thumbnail=b"no picture")])
    faults = {fault.file: fault.what for fault in verify(told.path)}
    assert "(but 2)" in faults[rows[0].file]
    assert "thumbnail" in faults[rows[1].file]


def test_tables_of_an_abandoned_rebuild_and_tokens_of_two_shapes_are_named(told):
    from dataclasses import replace

    shutil.copytree(told.path / "crops.lance", told.path / "crops-a123abcd.lance")
    shutil.copytree(told.path / "crops.lance", told.path / "crops-old.lance")
    assert [(each.file.name, each.what[:31]) for each in verify(told.path)] == [
        ("crops-a123abcd.lance", "left over from another model; a")
    ]
    rows = list(told.rows(known.id for known in told._store.known()).values())
    tokens = [np.zeros(shape, np.uint16) for shape in ((2, 9), (3, 9))]
    with_tokens = [replace(row, tokens=own, seal=None) for row, own in zip(rows, tokens, strict=False)]
    Store(told.path, len(rows[0].vector)).put(with_tokens)
    told.remove([])
    assert [each.what for each in verify(told.path)] == [
        "tokens of 2 shapes [(2, 9), (3, 9)]; index again into a new folder"
    ]
    assert (told.path / "crops-old.lance").exists()


def test_what_is_known_can_be_taken_back(gallery):
    ids = gallery.choose(["0006.png", "0005_c3.png"])
    gallery.update(ids, Metadata(camera="x", time=datetime(2026, 1, 1), labels={"hat": "red", "shoe": "blue"}))
    gallery.update(ids, Metadata(labels={"hat": "green"}), forget=["camera", "shoe", "nothing"])
    for row in gallery.rows(ids).values():
        assert row.metadata == Metadata(time=datetime(2026, 1, 1), labels={"hat": "green"})


def test_a_crop_is_named_also_where_the_current_folder_is_gone(gallery, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert len(gallery.choose(["0001_c1.png"])) == 1
    with pytest.raises(UsageError, match="no crop has this id or path"):
        gallery.choose(["cam_a/none.png"])
