"""Erased crops stay erased, by path and by content, and nothing of what they showed is kept for that."""

import json
import os
import shutil

import pytest
from colour_encoder import ColourEncoder
from test_erasure import rows_by_path, traces

from pickout.errors import GalleryDamaged
from pickout.gallery.audit.log import AUDIT
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.left_out import SUPPRESSION, read_suppression
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.storage.rows import Metadata
from pickout.gallery.storage.store import Store

NAME = "cam_a/0001_c1.png"


@pytest.fixture
def erased(gallery):
    """The gallery without one of the six, and the row that it had."""
    row = rows_by_path(gallery)[NAME]
    gallery.erase([row.id])
    return row


def test_an_erased_crop_does_not_come_back_and_is_counted(gallery, crops, erased, encoder):
    encoded = encoder.encoded
    for opened in (gallery, Gallery.open(gallery.path, encoder)):
        report = opened.add(crops)
        assert (report.found, report.erased, report.added, report.unchanged) == (6, 1, 0, 5)
    assert encoder.encoded == encoded and traces(gallery.path, erased) == [] and gallery.count() == 5


@pytest.mark.parametrize("how", ["other bytes", "damaged", "a link"])
def test_its_path_stays_erased_whatever_lies_there(gallery, crops, draw, erased, how):
    (crops / NAME).rename(crops / "elsewhere.bin")
    if how == "other bytes":
        draw(crops / NAME, "red", "red", "red", shade=60)
    elif how == "damaged":
        (crops / NAME).write_bytes(b"no picture")
    else:
        (crops / NAME).symlink_to(crops / "0006.png")
    report = gallery.add(crops)
    assert (report.erased, report.added, report.quarantined) == (1, 0, 0)
    assert traces(gallery.path, erased) == [] and gallery.quarantined() == []


@pytest.mark.parametrize("name", ["moved.png", "cam_b/copy.png"])
def test_its_bytes_stay_erased_wherever_they_lie(gallery, crops, erased, name):
    (crops / NAME).rename(crops / name)
    report = gallery.add(crops)
    assert (report.erased, report.added) == (1, 0) and traces(gallery.path, erased) == []
    assert gallery.add(crops.parent).erased == 1  # also when a folder above is indexed


def test_it_comes_back_when_that_is_said_which_is_audited_and_then_stays(gallery, crops, erased):
    report = gallery.add(crops, again=True)
    assert (report.erased, report.added) == (0, 1) and rows_by_path(gallery)[NAME].content == erased.content
    lines = [json.loads(line) for line in (gallery.path / AUDIT).read_text().splitlines()]
    assert [(line["change"], line["rows"]) for line in lines] == [("erase", 1), ("again", 1), ("index", 1)]
    assert read_suppression(gallery.path).crops == ()
    gallery.remove([erased.id])
    assert gallery.add(crops).added == 1  # it is no erased crop any more


def test_saying_again_of_one_folder_leaves_the_crops_of_others_erased(gallery, crops, erased):
    other = rows_by_path(gallery)["cam_b/0003_c2.png"]
    gallery.erase([other.id])
    assert gallery.add(crops / "cam_a", again=True).added == 1
    report = gallery.add(crops)
    assert (report.erased, report.added) == (1, 0) and traces(gallery.path, other) == []


def test_a_row_of_the_same_bytes_that_was_not_erased_stays_and_can_be_told_more(gallery, crops, draw, tmp_path):
    shutil.copy(crops / NAME, crops / "copy.png")
    gallery.add(crops)
    gallery.erase([rows_by_path(gallery)[NAME].id])
    table = tmp_path / "table.csv"
    table.write_text("image,camera\ncopy.png,yard\n")
    report = gallery.add(crops, table=table)
    assert (report.erased, report.updated, report.unchanged) == (1, 1, 5)
    assert rows_by_path(gallery)["copy.png"].metadata.camera == "yard"
    draw(crops / "0006.png", "red", "red", "blue", shade=70)
    (crops / "cam_b/0004_c2.png").write_bytes((crops / NAME).read_bytes())  # a row whose file gets the erased bytes
    report = gallery.add(crops, again=False)
    assert (report.erased, report.updated) == (2, 1)


def test_a_crop_that_is_erased_while_a_run_has_it_in_hand_does_not_arrive(tmp_path, crops, encoder, draw):
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(crops / "cam_a")
    row = rows_by_path(gallery)["0001_c1.png"]
    draw(crops / "cam_a/0001_c1.png", "red", "red", "red", shade=61)  # changed, so that the run writes its row
    shutil.copy(crops / "cam_a/0002_c1.png", crops / "copy.png")

    class Meanwhile(ColourEncoder):
        erased = False

        def encode_images(self, images):
            if not self.erased:
                self.erased = True
                other = Gallery.open(gallery.path)
                other.erase([row.id, rows_by_path(other)["0002_c1.png"].id])
            return super().encode_images(images)

    report = gallery.add(crops, Meanwhile(), settings=IngestSettings(commit=100))
    assert report.erased == 2 and traces(gallery.path, row) == []
    assert sorted(rows_by_path(gallery)) == ["0006.png", "cam_b/0003_c2.png", "cam_b/0004_c2.png", "cam_c/0005_c3.png"]
    assert gallery.add(crops).erased == 3


@pytest.mark.parametrize("step", ["store", "searches", "quarantine"])
def test_an_erasure_that_is_killed_anywhere_is_remembered_once_it_is_finished(gallery, crops, monkeypatch, step):
    import pickout.gallery.changes.edits as module

    row = rows_by_path(gallery)[NAME]

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if step == "store":
            patch.setattr(Store, "erase", killed)
        else:
            patch.setattr(module, {"searches": "_forget_searches", "quarantine": "update_suppression"}[step], killed)
        gallery.erase([row.id])
    report = gallery.add(crops)
    assert (report.erased, report.added) == (1, 0) and traces(gallery.path, row) == []


def test_the_list_holds_keyed_digests_and_nothing_else(gallery, erased, tmp_path, crops, encoder):
    text = (gallery.path / SUPPRESSION).read_text()
    told = json.loads(text)
    assert set(told) == {"format", "key", "crops"} and len(told["crops"]) == 1
    for sign in (erased.id, erased.content, erased.path, os.fsencode(erased.path).hex()):
        assert sign not in text and sign[:12] not in text
    other = Gallery.create(tmp_path / "other", encoder)
    other.add(crops)
    other.erase([erased.id])
    assert json.loads((other.path / SUPPRESSION).read_text())["crops"] != told["crops"]


def test_what_has_no_row_is_not_put_on_the_list(gallery, erased):
    gallery.erase([erased.id, "0" * 32])
    gallery.remove([rows_by_path(gallery)["0006.png"].id])
    gallery.erase([])
    assert len(read_suppression(gallery.path).crops) == 1


def test_a_removed_crop_is_no_erased_one(gallery, crops):
    gallery.remove([rows_by_path(gallery)[NAME].id])
    assert gallery.add(crops).added == 1


@pytest.mark.parametrize(
    "garbage", ["{", "[]", '{"format": 2, "key": "", "crops": []}', '{"key": "zz", "crops": ["../x"]}', "[" * 100_000]
)
def test_a_garbled_list_is_named_with_what_deleting_it_means(gallery, crops, erased, garbage):
    (gallery.path / SUPPRESSION).write_text(garbage)
    with pytest.raises(GalleryDamaged, match=r"suppression\.json: .*come back"):
        gallery.add(crops)
    assert [SUPPRESSION in fault.what for fault in verify(gallery.path)] == [True]
    (gallery.path / SUPPRESSION).unlink()
    assert gallery.add(crops).added == 1


def test_retention_is_not_escaped(gallery, crops, tmp_path):
    """Erased by its time; were it indexed again without its table it would have none, and never be erased again."""
    from datetime import datetime

    from pickout.gallery.search.filters import Where

    gallery.update(gallery.choose([NAME]), Metadata(time=datetime(2026, 3, 1, 12), camera="lobby"))
    past = Where(before=datetime(2026, 4, 1))
    assert gallery.erase(gallery.choose(where=past)).rows == 1
    gallery.add(crops)
    assert gallery.choose(where=past) == [] and NAME not in rows_by_path(gallery)
    assert (crops / NAME).exists()  # the picture itself is not the gallery's to delete


@pytest.mark.parametrize("text", ["{}", '{"format": 1}', "[]", '{"format": 1, "crops": []}'])
def test_a_list_without_its_parts_is_no_empty_list(gallery, crops, erased, text):
    (gallery.path / SUPPRESSION).write_text(text)
    with pytest.raises(GalleryDamaged, match=r"suppression\.json"):
        gallery.add(crops)
    assert gallery.count() == 5
