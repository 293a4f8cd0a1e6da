"""What is held stays, whichever way it would go: removed, erased, pruned, changed, rebuilt or imported over."""

import json
from datetime import datetime

import pytest
from colour_encoder import ColourEncoder

from pickout.errors import GalleryError, NotThere, UsageError
from pickout.gallery.changes.retention import KeepRule
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.portable.reader import import_gallery
from pickout.gallery.search.filters import Where
from pickout.gallery.storage.rows import Metadata


@pytest.fixture
def told(tmp_path, encoder, crops):
    """The six people, each with the camera of its folder."""
    made = Gallery.create(tmp_path / "people.gallery", encoder)
    made.add(crops, camera_from=CameraFrom.FOLDER)
    return made


@pytest.fixture
def held(told):
    """A hold by name on one crop of `cam_a`, and one by filter on `cam_b`; the three ids."""
    told.retention.hold("case 7", crops=told.choose(["0001_c1.png"]))
    told.retention.hold("case 8", where=Where(cameras=["cam_b"]))
    return told.choose(["0001_c1.png", "0003_c2.png", "0004_c2.png"])


def names(gallery):
    return sorted(file.name for file in gallery.files())


@pytest.mark.parametrize("change", ["remove", "erase"])
def test_what_is_held_is_neither_removed_nor_erased_and_the_holds_are_named(told, held, change):
    with pytest.raises(
        UsageError, match=r"3 of these crops are held \([0-9a-f]{8}: case 7, [0-9a-f]{8}: case 8\); lift"
    ):
        getattr(told, change)(told.choose(["*.png"]))
    assert told.count() == 6
    assert getattr(told, change)([each for each in told.choose(["*.png"]) if each not in held]).rows == 3


@pytest.mark.parametrize("folders", [False, True])
def test_what_is_held_is_not_pruned(told, held, crops, folders):
    for name in ("cam_a/0001_c1.png", "cam_a/0002_c1.png", "cam_b/0003_c2.png", "cam_b/0004_c2.png"):
        (crops / name).unlink()
    report = told.add(crops, prune=True, prune_folders=folders, camera_from=CameraFrom.FOLDER)
    assert (report.pruned, report.held) == ((1, 3) if folders else (0, 0))  # both folders have lost all their files
    assert names(told) == ["0001_c1.png", *([] if folders else ["0002_c1.png"]), *names(told)[-4:]]
    assert set(held) <= set(told.rows(held))


def test_what_is_held_is_not_pruned_from_a_folder_that_has_other_files(told, held, crops):
    for name in ("cam_a/0001_c1.png", "cam_b/0003_c2.png"):
        (crops / name).unlink()
    report = told.add(crops, prune=True, camera_from=CameraFrom.FOLDER)
    assert (report.vanished, report.pruned, report.held) == (2, 0, 2)
    assert set(held) <= set(told.rows(held))


@pytest.mark.parametrize(
    "told_of", [Metadata(camera="other"), Metadata(time=datetime(2020, 1, 1)), Metadata(labels={"a": "b"})]
)
def test_no_change_of_what_is_known_takes_a_crop_out_of_a_hold(told, crops, told_of, tmp_path):
    told.update(told.choose(["*.png"]), Metadata(time=datetime(2026, 3, 1), labels={"a": "c"}))
    for where in (Where(cameras=["cam_b"]), Where(after=datetime(2026, 1, 1)), Where(labels={"a": "c"})):
        told.retention.hold("case", where=where)
    ids = told.choose(["*.png"])
    told.update(ids, told_of)
    assert told.retention.held(ids) == set(ids)
    with pytest.raises(UsageError, match="held"):
        told.erase(ids[:1])


def test_a_table_takes_no_crop_out_of_a_hold(told, held, crops, tmp_path):
    (tmp_path / "table.csv").write_text("image,camera\ncam_b/0003_c2.png,away\n0006.png,away\n")
    assert told.add(crops, table=tmp_path / "table.csv", camera_from=CameraFrom.FOLDER).updated == 2
    assert told.retention.held(told.choose(where=Where(cameras=["away"]))) == {held[1]}


def test_another_picture_does_not_take_the_place_of_one_that_is_held(told, held, crops, draw):
    before = told.rows(held)
    for name in ("cam_a/0001_c1.png", "cam_a/0002_c1.png", "cam_b/0003_c2.png"):
        draw(crops / name, top="white", shade=99)
    report = told.add(crops, camera_from=CameraFrom.FOLDER)
    assert (report.updated, report.quarantined) == (1, 2)
    assert {entry.file.name for entry in told.quarantined()} == {"0001_c1.png", "0003_c2.png"}
    assert all("is held" in entry.reason for entry in told.quarantined())
    assert {key: row.content for key, row in told.rows(held).items()} == {
        key: row.content for key, row in before.items()
    }
    assert told.add(crops, camera_from=CameraFrom.FOLDER).quarantined == 2, "told again, and not forgotten"
    for hold in told.retention.kept.holds:
        told.retention.lift(hold.id)
    report = told.add(crops, camera_from=CameraFrom.FOLDER)
    assert (report.updated, report.quarantined, told.quarantined()) == (2, 0, [])


def test_a_rebuild_does_not_leave_out_what_is_held(told, held, crops):
    (crops / "cam_b/0003_c2.png").unlink()
    (crops / "cam_a/0002_c1.png").unlink()
    with pytest.raises(GalleryError, match="1 of the 2 crops that cannot be encoded again are held"):
        told.rebuild(ColourEncoder("another"), drop_missing=True)
    assert told.count() == 6
    told.retention.lift(told.retention.kept.holds[1].id)
    assert len(told.rebuild(ColourEncoder("another"), drop_missing=True).dropped) == 2


def test_an_import_does_not_replace_what_is_held(told, held, crops, tmp_path, draw):
    told.export(tmp_path / "earlier.pickout")
    told.update(told.choose(["*.png"]), Metadata(camera="later"))
    report = import_gallery(tmp_path / "earlier.pickout", told.path, replace_rows=True)
    assert (report.replaced, report.kept) == (3, 3)
    assert {row.metadata.camera for row in told.rows(held).values()} == {"later"}
    assert told.retention.held(told.choose(["*.png"])) == set(held)


def test_names_that_no_crop_has_any_more_switch_no_hold_and_no_rule_off(told):
    told.update(told.choose(["*.png"]), Metadata(time=datetime(2026, 1, 1)))
    told.retention.hold("case", where=Where(cameras=["cam_b", "gone"]))
    told.retention.hold("case", where=Where(labels={"colour": ["red"]}))
    told.retention.set_rules([KeepRule(days=1), KeepRule(camera="gone", days=9999)])
    due = told.retention.due(datetime(2026, 2, 1))
    assert (len(due.erase), due.held, due.undated) == (4, 2, 0)


@pytest.mark.parametrize(("stored", "ruled"), [("é", "e\u0301"), ("e\u0301", "é")])
def test_a_camera_is_the_same_in_either_form_of_unicode(told, stored, ruled):
    told.update(told.choose(["0006.png", "0005_c3.png"]), Metadata(camera=stored, time=datetime(2026, 1, 1)))
    told.retention.set_rules([KeepRule(camera=ruled, days=3)])
    assert len(told.retention.due(datetime(2026, 2, 1)).erase) == 2
    told.retention.set_rules([KeepRule(camera=ruled, days=9999), KeepRule(days=1)])
    assert told.retention.due(datetime(2026, 2, 1)).erase == ()
    with pytest.raises(UsageError, match="two rules for one camera"):
        told.retention.set_rules([KeepRule(camera=ruled, days=1), KeepRule(camera=stored, days=2)])


def test_what_was_removed_before_it_could_be_held_is_no_error(told, held):
    told.retention.keep(["0" * 32])
    told.retention.refuse_held(["0" * 32])
    with pytest.raises(NotThere, match=r"no hold has the id 'nope'; there are [0-9a-f]{8}, [0-9a-f]{8}"):
        told.retention.lift("nope")


def test_a_hold_by_filters_names_what_it_kept_only_once_a_change_could_let_go_of_it(told, held):
    file = told.path / "retention.json"
    assert [len(hold["crops"]) for hold in json.loads(file.read_text())["holds"]] == [1, 0]
    told.update(held[1:2], Metadata(camera="away"))
    assert [hold["crops"] for hold in json.loads(file.read_text())["holds"]] == [held[:1], held[1:2]]
