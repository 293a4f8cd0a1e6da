"""What is held stays, whichever way it would go: removed, erased, pruned, changed, rebuilt or imported over."""

import json
from datetime import datetime

import pytest
from colour_encoder import ColourEncoder

from pickout.errors import GalleryDamaged, GalleryError, NotThere, UsageError
from pickout.gallery.changes.retention import KeepRule
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.portable.reader import import_gallery
from pickout.gallery.search.filters import Where
from pickout.gallery.storage import lock
from pickout.gallery.storage.rows import Metadata
from pickout.gallery.storage.store import Store


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
    with pytest.raises(NotThere, match=r"no hold of this id; there are [0-9a-f]{8}, [0-9a-f]{8}"):
        told.retention.lift("nope")


def test_a_hold_by_filters_names_what_it_kept_only_once_a_change_could_let_go_of_it(told, held):
    file = told.path / "retention.json"
    assert [len(hold["crops"]) for hold in json.loads(file.read_text())["holds"]] == [1, 0]
    told.update(held[1:2], Metadata(camera="away"))
    assert [hold["crops"] for hold in json.loads(file.read_text())["holds"]] == [held[:1], held[1:2]]


@pytest.mark.parametrize("change", ["remove", "erase", "update", "index", "prune", "import"])
def test_a_hold_that_is_set_while_a_change_waits_for_the_lock_counts(told, crops, tmp_path, draw, monkeypatch, change):
    """The change has looked at everything but the lock when somebody's hold is acknowledged."""
    told.export(tmp_path / "all.pickout")
    ids = told.choose(where=Where(cameras=["cam_b"]))
    told.update(ids, Metadata(labels={"since": "later"}))
    if change == "index":
        draw(crops / "cam_b/0003_c2.png", top="white", shade=99)
    if change == "prune":
        (crops / "cam_b/0003_c2.png").unlink()
    before, locked, held = told.rows(ids), lock.locked, []

    def hold_first(file, *rest):
        if file.name == lock.LOCK and not held:
            held.append(True)
            other = Gallery.open(told.path)
            other.retention.hold("case 9", where=Where(cameras=["cam_b"]))
        return locked(file, *rest)

    monkeypatch.setattr(lock, "locked", hold_first)
    if change in ("remove", "erase"):
        with pytest.raises(UsageError, match="2 of these crops are held"):
            getattr(told, change)(ids)
    elif change == "update":
        told.update(ids, Metadata(camera="elsewhere"))
    elif change == "import":
        import_gallery(tmp_path / "all.pickout", told.path, replace_rows=True)
    else:
        report = told.add(crops, prune=change == "prune", camera_from=CameraFrom.FOLDER)
        assert (report.quarantined, report.held) == ((1, 0) if change == "index" else (0, 1))
    assert held and told.retention.held(ids) == set(ids)
    after = told.rows(ids)
    assert {key: row.content for key, row in after.items()} == {key: row.content for key, row in before.items()}
    assert all(row.metadata.labels == {"since": "later"} for row in after.values())


@pytest.mark.parametrize("named", ["0" * 32, ["cam_a/0001_c1.png"], ["0" * 32], ["A" * 32], [1]])
def test_a_hold_of_what_is_no_crop_is_refused(told, named):
    with pytest.raises(UsageError):
        told.retention.hold("case", crops=named)
    assert told.retention.kept.holds == ()


def test_how_many_crops_a_hold_keeps_is_counted(told, held):
    told.retention.hold("nobody yet", where=Where(cameras=["gone"]))
    assert list(told.retention.counts().values()) == [1, 2, 0]


@pytest.mark.parametrize("change", ["remove", "erase", "update"])
def test_a_link_to_rules_that_are_not_there_switches_nothing_off(told, held, tmp_path, change):
    file = told.path / "retention.json"
    file.rename(tmp_path / "rules.json")
    file.symlink_to(tmp_path / "rules.json")
    rest = (Metadata(camera="x"),) if change == "update" else ()
    if change != "update":
        with pytest.raises(UsageError, match="held"):
            getattr(told, change)(held, *rest)
    (tmp_path / "rules.json").unlink()
    with pytest.raises(GalleryDamaged, match=r"retention.json: is a link to what is not there"):
        getattr(told, change)(held, *rest)
    assert told.count() == 6
    assert [fault.what for fault in verify(told.path) if "link to what is not there" in fault.what]


@pytest.mark.parametrize("garbled", ['{"holdz": []}', "[]", "", "\x00", '{"rules": [{"days": 0, "camera": ""}]}'])
def test_verify_names_garbled_rules(told, garbled):
    (told.path / "retention.json").write_text(garbled)
    assert any("retention.json" in fault.what for fault in verify(told.path))


def test_new_crops_are_added_beside_a_hold_by_filters_without_reading_every_row(told, crops, draw, monkeypatch):
    told.retention.hold("case", where=Where(cameras=["cam_b"]))
    whole, real = [], Store.resident
    monkeypatch.setattr(Store, "resident", lambda *given, **how: whole.append(1) or real(*given, **how))
    for number in range(4):
        draw(crops / f"new{number}.png", shade=150 + number)
    told.add(crops, settings=IngestSettings(commit=1))
    assert told.count() == 10 and not whole
