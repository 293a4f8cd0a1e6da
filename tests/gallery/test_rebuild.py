"""A change of model: built beside the old table, gone on with after a kill, swapped at the end."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from colour_encoder import ColourEncoder
from test_erasure import rows_by_path, traces
from test_tokens import LookingEncoder

from pickout.data.data_set import Split
from pickout.errors import GalleryDamaged, GalleryError, GalleryModelMismatch, UsageError
from pickout.gallery.audit.log import AUDIT
from pickout.gallery.changes.rebuild import REBUILDING, Rebuilding
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.storage.lock import locked
from pickout.gallery.storage.rows import Metadata, row_seal
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import REBUILD, read_manifest
from tests.gallery.conftest import draw_crop

SCRIPT = Path(__file__).parent / "rebuild_in_process.py"
SMALL = IngestSettings(batch=2, commit=2, threads=2)


class WideEncoder(ColourEncoder):
    """Another model: the same colours in another order, among more numbers."""

    dimension = 14

    def __init__(self, name="wide", **rest):
        super().__init__(name, **rest)

    def encode_images(self, images):
        return wider(super().encode_images(images))

    def encode_texts(self, texts):
        return wider(super().encode_texts(texts))


def wider(vectors):
    return np.concatenate([np.zeros((len(vectors), 4), np.float32), vectors[:, ::-1]], axis=1)


class MeanwhileEncoder(WideEncoder):
    """Does one thing each time it is asked for vectors, as another process might."""

    def __init__(self, *things):
        super().__init__(delay=self._do)
        self._things = list(things)

    def _do(self):
        if self._things:
            self._things.pop(0)()


@pytest.fixture
def told(gallery, crops):
    """The six people, with cameras by folder."""
    gallery.add(crops, camera_from=CameraFrom.FOLDER)
    return gallery


def facts(gallery):
    """All that a gallery's rows hold, but the time when they were written."""
    rows = rows_by_path(gallery)
    tokens = gallery._store.fetch_tokens(row.id for row in rows.values())
    for path, row in rows.items():
        assert row.seal == row_seal(row, tokens.get(row.id)), path
    assert len(rows) == gallery.count()
    return {
        path: (
            *(row.id, row.content, row.root, row.width, row.height, row.metadata, row.thumbnail),
            row.vector.tolist(),
            tokens[row.id].tolist() if row.id in tokens else None,
        )
        for path, row in rows.items()
    }


def fresh(folder, encoder, crops):
    """A gallery that was made with `encoder` from the beginning."""
    made = Gallery.create(folder, encoder)
    made.add(crops, camera_from=CameraFrom.FOLDER)
    return made


def is_clean(gallery):
    """Whether nothing is left of the old model's table, and nothing is wrong."""
    tables = [folder.stem for folder in gallery.path.glob("*.lance")]
    return (
        tables == [gallery.manifest.table] and not (gallery.path / REBUILD).exists() and not list(verify(gallery.path))
    )


@pytest.mark.parametrize("model", [WideEncoder, lambda: LookingEncoder("looking")])
def test_a_rebuilt_gallery_is_as_if_it_had_always_had_the_model(told, tmp_path, crops, model):
    before = {path: row.added for path, row in rows_by_path(told).items()}
    seen = []
    report = told.rebuild(model(), run="/runs/new", settings=SMALL, on_progress=seen.append)
    assert (report.rows, report.encoded, report.resumed, report.dropped) == (6, 6, 0, ())
    assert (seen[-1].done, seen[-1].total, seen[-1].quarantined) == (6, 6, 0)
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    again = Gallery.open(told.path, model())
    expected = fresh(tmp_path / "fresh", model(), crops)
    assert facts(again) == facts(told) == facts(expected)
    assert {path: row.added for path, row in rows_by_path(again).items()} == before
    assert [hit.path for hit in again.search("teal", top=6)] == [hit.path for hit in expected.search("teal", top=6)]
    assert again.manifest.model.run == "/runs/new" and again.manifest.created == read_manifest(told.path).created
    assert is_clean(again)
    assert json.loads((told.path / AUDIT).read_text().splitlines()[-2])["change"] == "rebuild"


def test_back_and_forth_gives_the_first_gallery_again(told, encoder):
    before = facts(told)
    told.rebuild(WideEncoder())
    told.rebuild(encoder)
    assert facts(told) == before and is_clean(told)


def test_an_empty_gallery_changes_its_model_too(tmp_path, encoder, crops):
    empty = Gallery.create(tmp_path / "empty", encoder)
    assert empty.rebuild(WideEncoder()).rows == 0
    assert empty.add(crops).added == 6 and is_clean(empty)


def test_equal_bytes_at_two_paths_are_two_rows(told, crops):
    shutil.copy(crops / "0006.png", crops / "copy.png")
    told.add(crops)
    told.rebuild(WideEncoder())
    rows = rows_by_path(told)
    assert len(rows) == 7 and (rows["copy.png"].vector == rows["0006.png"].vector).all()


def test_the_same_model_is_nothing_to_do(told, encoder):
    with pytest.raises(UsageError, match=r"is of this model already \(colour .*nothing to do"):
        told.rebuild(encoder)


def test_readers_that_are_open_notice_the_swap(told, encoder):
    searching, looking = Gallery.open(told.path, encoder), Gallery.open(told.path)
    searching.search("teal")
    assert looking.count() == 6
    told.rebuild(WideEncoder())
    assert looking.count() == 6 and looking.manifest.model.name == "wide"
    with pytest.raises(GalleryModelMismatch, match="wide"):
        searching.search("teal")
    searching.use(WideEncoder())
    assert len(searching.search("teal")) == 6


@pytest.fixture
def swapping(told, monkeypatch):
    """swapping(name): the next call of this method of the store finds that another process has swapped the tables."""

    def set_up(name):
        whole, calls = getattr(Store, name), []

        def swap_first(self, *arguments):
            calls.append(name)
            if len(calls) == 1:
                Gallery.open(told.path).rebuild(WideEncoder())
            return whole(self, *arguments)

        monkeypatch.setattr(Store, name, swap_first)

    return set_up


@pytest.mark.parametrize("reading", ["resident", "fetch"])
def test_a_search_whose_table_goes_while_it_reads_names_the_new_model(told, encoder, swapping, reading):
    searching = Gallery.open(told.path, encoder)
    swapping(reading)
    with pytest.raises(GalleryModelMismatch, match="wide"):
        searching.search("teal")


def test_without_a_model_a_reader_goes_on_with_the_new_table(told, swapping):
    looking = Gallery.open(told.path)
    swapping("resident")
    assert looking.cameras() == ("cam_a", "cam_b", "cam_c")
    assert looking.manifest.model.name == "wide"


def test_until_the_swap_the_gallery_is_searched_with_its_own_model(told, encoder):
    reader = Gallery.open(told.path, encoder)
    before = [(hit.path, hit.score) for hit in reader.search("teal", top=6)]
    seen = []

    def look():
        seen.append([(hit.path, hit.score) for hit in reader.search("teal", top=6)])

    told.rebuild(MeanwhileEncoder(look, look, look), settings=SMALL)
    assert seen == [before] * 3


class Stop(Exception):
    """Stands for anything that ends a process."""


def stop():
    raise Stop


def test_an_interrupted_rebuild_goes_on_and_encodes_nothing_twice(told, tmp_path, crops):
    before = facts(told)
    with pytest.raises(Stop):
        told.rebuild(MeanwhileEncoder(lambda: None, lambda: None, stop), settings=SMALL)
    assert facts(told) == before
    begun = told.about()["rebuild"]
    assert (begun["model"], begun["done"]) == ("wide", 4)
    assert list(verify(told.path)) == []
    report = told.rebuild(WideEncoder(), settings=SMALL)
    assert (report.resumed, report.encoded, report.rows) == (4, 2, 6)
    assert facts(told) == facts(fresh(tmp_path / "fresh", WideEncoder(), crops)) and is_clean(told)
    assert told.about()["rebuild"] is None


def test_a_begun_rebuild_for_another_model_is_refused_until_it_is_thrown_away(told):
    with pytest.raises(Stop):
        told.rebuild(MeanwhileEncoder(lambda: None, stop), settings=SMALL, run="/runs/wide")
    third = WideEncoder("third")
    with pytest.raises(GalleryModelMismatch, match=r"wide .*third .*--model /runs/wide.*--restart"):
        told.rebuild(third)
    report = told.rebuild(third, restart=True)
    assert (report.resumed, report.encoded) == (0, 6)
    assert told.manifest.model.name == "third" and is_clean(told)


def test_a_damaged_begun_table_can_be_thrown_away(told):
    with pytest.raises(Stop):
        told.rebuild(MeanwhileEncoder(lambda: None, stop), settings=SMALL)
    shutil.rmtree(told.path / f"{read_manifest(told.path, REBUILD).table}.lance" / "_versions")
    for use in (lambda: told.rebuild(WideEncoder()), told.about):
        with pytest.raises(GalleryDamaged, match=r"cannot be used; .*--restart, or delete rebuild\.json"):
            use()
    assert told.rebuild(WideEncoder(), restart=True).rows == 6 and is_clean(told)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 9}'])
def test_a_garbled_note_of_a_rebuild_is_told_to_be_deleted_and_no_gallery_thrown_away(told, text):
    (told.path / REBUILD).write_text(text)
    for use in (told.about, lambda: told.rebuild(WideEncoder())):
        with pytest.raises(GalleryDamaged, match=r"rebuild\.json: .*; delete it, and begin the rebuild again"):
            use()


def test_a_begun_rebuild_is_given_up_by_deleting_its_file(told, encoder):
    with pytest.raises(Stop):
        told.rebuild(MeanwhileEncoder(lambda: None, stop), settings=SMALL)
    assert len(list(told.path.glob("*.lance"))) == 2
    (told.path / REBUILD).unlink()
    told.compact()
    assert is_clean(told) and told.about()["rebuild"] is None and told.manifest.model.name == "colour"


def test_two_rebuilds_at_once_are_refused(told):
    with locked(told.path / REBUILDING, 0, ""), pytest.raises(GalleryError, match="another process is rebuilding"):
        told.rebuild(WideEncoder())


def test_a_calibration_goes_with_the_old_model(told, encoder):
    fit = {"means": [0, 0], "deviations": [1, 1], "weights": [0, 1, 1]}
    level = {"size": 6, "best": fit, "behind": fit, "absent": [0.5]}
    numbers = dict.fromkeys(("identities", "searches"), 9) | dict.fromkeys(("ece", "ece_best"), 0.0)
    numbers |= {"ece_interval": [0, 0], "ece_best_interval": [0, 0], "present_answered": 0.5}
    numbers |= {"absent_answered": 0.0, "present_right": 1.0, "bins": []}
    about = {
        "format": 2,
        "model": encoder.fingerprint,
        "data": "drawn",
        "made": "2026-01-01T00:00:00",
        "crops": 6,
        "shift": 0.0,
    }
    about |= {"identities": 9, "searches": 9, "present": 0.5, "second_look": False, "floor": 0.0}
    (told.path / "calibration.json").write_text(json.dumps({**about, "levels": [level], "check": numbers}))
    (told.path / "calibration.png").write_bytes(b"a picture")
    assert told.ask("teal").verdict is not None
    report = told.rebuild(WideEncoder())
    assert report.uncalibrated and not list(told.path.glob("calibration*"))
    assert told.ask("teal").verdict is None
    assert not told.rebuild(encoder).uncalibrated


def test_a_calibration_that_a_rebuild_overtook_is_not_kept(told, encoder, monkeypatch):
    def overtaken(*_):
        Gallery.open(told.path).rebuild(WideEncoder())

    monkeypatch.setattr("pickout.gallery.gallery.calibrate", overtaken)
    with pytest.raises(GalleryModelMismatch, match="wide"):
        Gallery.open(told.path, encoder).calibrate(Split("drawn", "val", ()))
    assert not list(told.path.glob("calibration*"))


def other(told):
    """The gallery as another process has it open."""
    return Gallery.open(told.path, ColourEncoder())


def test_what_is_added_removed_and_updated_meanwhile_arrives(told, tmp_path, crops, draw):
    def add():
        draw(crops / "cam_d/0007.png", "white", "blue", "red", shade=70)
        draw(crops / "0006.png", "grey", "grey", "grey", shade=71)
        assert other(told).add(crops, camera_from=CameraFrom.FOLDER).updated == 1

    def remove():
        other(told).remove(other(told).choose(["cam_a/*"]))

    def update():
        other(told).update(other(told).choose(["cam_b/*"]), Metadata(track="t1", labels={"hat": "red"}))
        (crops / "cam_a/0001_c1.png").unlink()
        (crops / "cam_a/0002_c1.png").unlink()

    model = MeanwhileEncoder(add, remove, update)
    told.rebuild(model, settings=SMALL)
    expected = fresh(tmp_path / "fresh", WideEncoder(), crops)
    expected.update(expected.choose(["cam_b/*"]), Metadata(track="t1", labels={"hat": "red"}))
    assert facts(told) == facts(expected) and is_clean(told)
    assert set(facts(told)) == {
        "0006.png",
        "cam_b/0003_c2.png",
        "cam_b/0004_c2.png",
        "cam_c/0005_c3.png",
        "cam_d/0007.png",
    }


@pytest.mark.parametrize("moment", range(6))
def test_what_is_erased_meanwhile_does_not_come_back(told, moment):
    rows = rows_by_path(told)
    gone = [rows.pop("cam_a/0001_c1.png"), rows.pop("0006.png")]

    def erase():
        other(told).erase([row.id for row in gone])
        assert [traces(told.path, row) for row in gone] == [[], []]

    model = MeanwhileEncoder(*[lambda: None] * moment, erase)
    told.rebuild(model, settings=IngestSettings(batch=1, commit=4, threads=2))
    assert set(facts(told)) == set(rows)
    assert [traces(told.path, row) for row in gone] == [[], []]
    assert is_clean(told)


def test_what_changes_just_before_the_lock_is_taken_arrives_too(told, crops, draw, monkeypatch):
    whole, calls, erased = Rebuilding._difference, [], rows_by_path(told)["0006.png"]

    def then_changed(self):
        found = whole(self)
        calls.append(len(found))
        if len(calls) == 2:
            draw(crops / "0007.png", shade=70)
            (crops / "0006.png").unlink()
            other(told).add(crops)
            other(told).erase([erased.id])
        return found

    monkeypatch.setattr(Rebuilding, "_difference", then_changed)
    told.rebuild(WideEncoder())
    assert calls == [6, 0, 1]
    assert "0007.png" in facts(told) and len(facts(told)) == 6
    assert traces(told.path, erased) == [] and is_clean(told)


def test_an_indexing_run_that_is_going_on_during_the_swap_stops_with_a_word(told, crops, draw):
    draw(crops / "0007.png", shade=70)
    slow = ColourEncoder(delay=lambda: Gallery.open(told.path).rebuild(WideEncoder()))
    with pytest.raises(GalleryModelMismatch, match="rebuilt with another model meanwhile"):
        Gallery.open(told.path, slow).add(crops)
    opened = Gallery.open(told.path, WideEncoder())
    assert opened.count() == 6 and opened.add(crops).added == 1 and is_clean(opened)


def test_an_erasure_takes_what_was_removed_or_replaced_from_the_begun_table_too(told, crops, draw):
    with pytest.raises(Stop):
        told.rebuild(MeanwhileEncoder(*[lambda: None] * 5, stop), settings=IngestSettings(batch=1, commit=1))
    before = rows_by_path(told)
    begun = Store(told.path, 14, read_manifest(told.path, REBUILD).table)
    have = [path for path, row in before.items() if row.id in dict(begun.marks())]
    removed, replaced, erased = (before[path] for path in have[:3])
    built = begun.fetch(row.id for row in (removed, replaced, erased))
    told.remove([removed.id])
    draw(replaced.file, "grey", "olive", "red", shade=90)
    removed.file.unlink()
    told.add(crops)
    marks = dict(told._store.marks())
    assert {each for each, mark in begun.marks() if marks.get(each) != mark} == {removed.id, replaced.id}
    told.erase([erased.id])
    for row in (removed, erased):
        assert traces(told.path, row) == traces(told.path, built[row.id]) == []
    kinds = {trace.split(": ")[1] for trace in traces(told.path, built[replaced.id]) + traces(told.path, replaced)}
    assert kinds == {"id", "path"}
    assert begun.count() == 2
    report = told.rebuild(WideEncoder())
    assert (report.rows, report.resumed) == (4, 2) and is_clean(told)


def test_crops_that_cannot_be_read_are_named_and_the_gallery_stays(told, crops, draw, encoder):
    before = facts(told)
    (crops / "0006.png").rename(crops / "elsewhere.bin")
    draw(crops / "cam_a/0001_c1.png", "red", "red", "red", shade=80)
    with pytest.raises(GalleryError, match=r"2 of 6 crops cannot be .*0006\.png: is not there any more") as caught:
        told.rebuild(WideEncoder())
    assert "0001_c1.png: has changed since it was indexed" in str(caught.value)
    assert "--drop-missing" in str(caught.value)
    assert facts(Gallery.open(told.path, encoder)) == before
    assert [entry.file.name for entry in told.quarantined()] == ["0006.png", "0001_c1.png"]
    (crops / "elsewhere.bin").rename(crops / "0006.png")
    told.add(crops)
    report = told.rebuild(WideEncoder())
    assert (report.resumed, report.encoded, report.dropped) == (4, 2, ()) and is_clean(told)
    assert told.quarantined() == []


def test_a_crop_that_is_back_leaves_the_quarantine_list(told, crops):
    (crops / "0006.png").rename(crops / "elsewhere.bin")
    with pytest.raises(GalleryError, match="1 of 6 crops"):
        told.rebuild(WideEncoder())
    (crops / "elsewhere.bin").rename(crops / "0006.png")
    assert [entry.file.name for entry in told.quarantined()] == ["0006.png"]
    assert told.rebuild(WideEncoder()).rows == 6 and told.quarantined() == []


def test_a_crop_that_is_indexed_again_after_it_was_found_lost_arrives(told, crops, draw):
    lost = next(iter(told._store.files()))[1]  # the first that is read
    lost.unlink()

    def index_again():
        draw(lost, "grey", "olive", "red", shade=90)
        other(told).add(crops)

    model = MeanwhileEncoder(*[lambda: None] * 4, index_again)
    report = told.rebuild(model, settings=IngestSettings(batch=1, commit=1, threads=1))
    assert (report.rows, report.dropped) == (6, ()) and told.quarantined() == []


def test_they_can_be_left_out_and_stand_on_the_quarantine_list(told, crops):
    (crops / "0006.png").unlink()
    report = told.rebuild(WideEncoder(), drop_missing=True)
    assert [(entry.file.name, entry.reason) for entry in report.dropped] == [("0006.png", "is not there any more")]
    assert told.quarantined() == list(report.dropped) and told.count() == report.rows == 5
    changes = [json.loads(line) for line in (told.path / AUDIT).read_text().splitlines()]
    assert [(line["change"], line["rows"]) for line in changes][-2:] == [("remove", 1), ("rebuild", 5)]
    assert is_clean(told)


@pytest.mark.parametrize("error", [errno.EACCES, errno.ESTALE, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP])
def test_crops_in_a_folder_that_cannot_be_read_are_named_and_can_be_left_out(told, crops, failing, error):
    failing(crops / "cam_a", error)
    reason = f"cannot be read: {os.strerror(error)}"
    with pytest.raises(GalleryError, match=rf"2 of 6 crops .*0001_c1\.png: {reason}"):
        told.rebuild(WideEncoder())
    assert [(entry.file.name, entry.reason) for entry in told.quarantined()] == [
        ("0001_c1.png", reason),
        ("0002_c1.png", reason),
    ]
    report = told.rebuild(WideEncoder(), drop_missing=True)
    assert (report.rows, len(report.dropped)) == (4, 2) and told.quarantined() == list(report.dropped)


def test_a_crop_that_was_brought_and_then_changed_and_lost_is_not_kept_as_it_was(told, crops, draw):
    def change():
        draw(crops / "0006.png", "grey", "grey", "grey", shade=71)
        other(told).add(crops)
        (crops / "0006.png").unlink()

    model = MeanwhileEncoder(*[lambda: None] * 5, change)
    report = told.rebuild(model, settings=IngestSettings(batch=1, commit=1, threads=1), drop_missing=True)
    assert [entry.file.name for entry in report.dropped] == ["0006.png"]
    assert "0006.png" not in facts(told) and is_clean(told)


def test_a_disk_that_is_not_mounted_drops_nothing(told, crops):
    crops.rename(crops.with_name("moved"))
    with pytest.raises(GalleryError, match=r"6 of 6 crops .* and 3 more\)\. None could be read: is a disk not mounted"):
        told.rebuild(WideEncoder(), drop_missing=True)
    assert told.count() == 6


def test_a_model_that_gives_no_finite_vector_loses_no_row_silently(told):
    class Broken(WideEncoder):
        def encode_images(self, images):
            return np.full((len(images), 14), np.nan, np.float32)

    with pytest.raises(GalleryError, match="gave no finite vector"):
        told.rebuild(Broken())


MOMENTS = {
    "the new table has no name yet": (6, False),
    "nothing is brought": (6, False),
    "within the second commit": (4, False),
    "before the swap": (0, False),
    "after the swap": (0, True),
    "the old table half gone": (0, True),
    "the old table gone": (0, True),
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """For each moment, a gallery of six crops whose rebuild was killed then. The processes run side by side."""
    root = tmp_path_factory.mktemp("killed")
    for shade in range(6):
        draw_crop(root / "crops" / f"{shade}.png", top=("teal", "red", "olive")[shade % 3], shade=shade)
    whole = Gallery.create(root / "whole", ColourEncoder())
    whole.add(root / "crops")
    processes = []
    for number, moment in enumerate(MOMENTS):
        shutil.copytree(whole.path, root / str(number))
        command = [sys.executable, str(SCRIPT), str(root / str(number)), moment]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == -9, errors
    return {moment: root / str(number) for number, moment in enumerate(MOMENTS)}, facts(whole)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_9_at_any_moment_leaves_a_gallery_and_the_same_command_goes_on(killed, moment, tmp_path):
    (galleries, before), (left, swapped) = killed, MOMENTS[moment]
    model, copy = ColourEncoder("other"), shutil.copytree(galleries[moment], tmp_path / "g")
    opened = Gallery.open(copy, model if swapped else ColourEncoder())
    assert facts(opened) == before and len(opened.search("teal", top=9)) == 6
    report = opened.rebuild(model)
    assert (report.rows, report.encoded, report.resumed) == (6, left, 6 - left)
    assert facts(opened) == before and is_clean(opened)
    assert opened.manifest.model.name == "other"


def test_after_a_kill_behind_the_swap_any_change_clears_the_old_table_away(killed, tmp_path):
    shutil.copytree(killed[0]["after the swap"], tmp_path / "g")
    opened = Gallery.open(tmp_path / "g", ColourEncoder("other"))
    assert not is_clean(opened)
    opened.remove(opened.choose(["0.png"]))
    assert opened.count() == 5 and is_clean(opened)
