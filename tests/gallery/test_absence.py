"""Pruning: only "not found" is gone, and a folder without any of its files may be a disk that is not mounted."""

import errno
import json
import os
import shutil

import pytest
from colour_encoder import ColourEncoder

from pickout.errors import DataMissing
from pickout.gallery.audit.log import AUDIT
from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.rows import Metadata

FAILURES = [errno.EACCES, errno.EPERM, errno.ESTALE, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP, errno.ETIMEDOUT]


def paths(gallery):
    return sorted(row.path for row in gallery.rows(known.id for known in gallery._store.known()).values())


def facts(gallery):
    rows = gallery.rows(known.id for known in gallery._store.known()).values()
    return {row.path: (row.metadata, row.vector.tolist(), row.added) for row in rows}


def counts(report):
    return report.vanished, report.deserted, report.unseen, report.pruned


def changes(gallery):
    return [(line["change"], line["rows"]) for line in map(json.loads, (gallery.path / AUDIT).read_text().splitlines())]


@pytest.fixture
def told(gallery):
    """The six people, with what indexing again could not bring back."""
    gallery.update(gallery.choose(["*"]), Metadata(camera="lobby", labels={"seen": "twice"}))
    return gallery


def test_a_file_that_is_gone_from_a_folder_that_has_others_is_counted_then_pruned_and_audited(told, crops):
    (crops / "0006.png").unlink()
    (crops / "cam_a/0001_c1.png").unlink()
    assert counts(told.add(crops)) == (2, 0, 0, 0) and told.count() == 6
    assert counts(told.add(crops, prune=True)) == (2, 0, 0, 2)
    assert paths(told) == ["cam_a/0002_c1.png", "cam_b/0003_c2.png", "cam_b/0004_c2.png", "cam_c/0005_c3.png"]
    assert changes(told) == [("update", 6), ("prune", 2)]
    assert counts(told.add(crops, prune=True)) == (0, 0, 0, 0) and len(changes(told)) == 2


@pytest.mark.parametrize("how", ["missing", "empty", "a file", "only new files", "only hidden files"])
def test_a_folder_that_is_gone_or_empty_as_a_whole_keeps_its_rows_until_that_is_said(told, crops, draw, how):
    before = facts(told)
    shutil.rmtree(crops / "cam_a")
    if how == "a file":
        (crops / "cam_a").write_text("no folder")
    elif how != "missing":
        (crops / "cam_a").mkdir()
    if how == "only new files":  # a camera that goes on writing below the mount point
        draw(crops / "cam_a/new.png", shade=77)
    if how == "only hidden files":
        (crops / "cam_a/.mounted").write_text("")
    for _ in range(2):
        report = told.add(crops, prune=True)
        assert report.pruned == 0 and {path: facts(told)[path] for path in before} == before
        if how == "only new files":
            break  # from the next run on they are files of the gallery like others
        assert (report.vanished, report.deserted, report.folders) == (0, 2, (str(crops / "cam_a"),))
    if how != "only new files":
        assert told.add(crops, prune_folders=True).pruned == 2
        assert [change for change, _ in changes(told)] == ["update", "prune"] and told.count() == 4


def test_the_outermost_folder_is_named_and_what_lies_deeper_counts_for_it(told, crops, draw):
    for day in ("1", "2"):
        draw(crops / f"cam_d/{day}/a.png", shade=100 + int(day))
    told.add(crops)
    (crops / "cam_d").rename(crops.parent / "unmounted")
    report = told.add(crops, prune=True)
    assert counts(report) == (0, 2, 0, 0) and report.folders == (str(crops / "cam_d"),)
    (crops.parent / "unmounted").rename(crops / "cam_d")
    shutil.rmtree(crops / "cam_d/2")
    report = told.add(crops, prune=True)
    assert counts(report) == (0, 1, 0, 0) and report.folders == (str(crops / "cam_d/2"),)


def test_all_files_of_the_folder_replaced_by_others_prune_nothing_without_a_word(told, crops, draw):
    shutil.rmtree(crops)
    draw(crops / "other.png", shade=50)
    report = told.add(crops, prune=True)
    assert counts(report) == (0, 6, 0, 0) and report.folders == (str(crops),)
    shutil.rmtree(crops)
    draw(crops / "another.png", shade=51)
    assert told.add(crops, prune_folders=True).pruned == 7 and paths(told) == ["another.png"]


@pytest.mark.parametrize("error", FAILURES)
@pytest.mark.parametrize("word", ["prune", "prune_folders"])
def test_rows_below_a_folder_that_fails_stay_whatever_fails(told, crops, failing, error, word):
    before = facts(told)
    (crops / "0006.png").unlink()
    failing(crops / "cam_a", error)
    report = told.add(crops, **{word: True})
    del before["0006.png"]
    assert counts(report) == (1, 0, 2, 1) and facts(told) == before
    failing(crops / "cam_a", None)
    assert told.add(crops, prune=True).unchanged == 5 and facts(told) == before


def test_a_folder_whose_names_cannot_be_read_prunes_nothing_though_its_files_are_not_found(told, crops, failing):
    """A failing disk may say "not found" of a file, and fail where its folder is read."""
    failing(crops / "cam_a", errno.EIO)
    (crops / "cam_a/0001_c1.png").unlink()
    lstat = os.lstat

    def not_found(path, **options):
        if "cam_a/" in str(path):
            raise FileNotFoundError(errno.ENOENT, "No such file")
        return lstat(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "lstat", not_found)
        assert counts(told.add(crops, prune_folders=True)) == (0, 0, 2, 0)
    assert told.count() == 6


@pytest.mark.parametrize("word", ["prune", "prune_folders"])
@pytest.mark.parametrize("what", ["cam_a", ""])
def test_a_folder_that_goes_away_while_the_run_is_in_it_loses_no_row(told, crops, draw, tmp_path, what, word):
    before = facts(told)
    draw(crops / "zzz/new.png", shade=90)  # comes last, when the others have been read

    class Renaming(ColourEncoder):
        def encode_images(self, images):
            (crops / what).rename(tmp_path / "away")
            return super().encode_images(images)

    report = told.add(crops, Renaming(), **{word: True})
    assert report.pruned == 0 and report.deserted + report.unseen >= (2 if what else 6)
    assert {path: facts(told)[path] for path in before} == before
    (tmp_path / "away").rename(crops / what)
    assert told.add(crops).unchanged == 7


@pytest.mark.parametrize("moment", range(1, 7))
def test_a_folder_that_goes_away_while_its_rows_are_looked_for_loses_no_row(told, crops, tmp_path, moment):
    """Renamed at any of the looks: those before found their files, those after did not."""
    lstat, looks = os.lstat, 0

    def renaming(path, **options):
        nonlocal looks
        if str(path).startswith(str(crops / "cam_b")):
            looks += 1
            if looks == moment and (crops / "cam_b").exists():
                (crops / "cam_b").rename(tmp_path / "away")
        return lstat(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "lstat", renaming)
        report = told.add(crops, prune_folders=True)
    assert report.pruned == 0 and told.count() == 6


def test_a_path_longer_than_the_system_takes_is_not_gone(told, crops):
    (row,) = told.rows(told.choose(["0006.png"])).values()
    from dataclasses import replace

    from pickout.gallery.storage.rows import row_id

    path = "/".join(["d" * 200] * 25) + "/0006.png"
    told._store.put([replace(row, id=row_id(crops / path), path=path)])
    assert counts(told.add(crops, prune=True)) == (0, 0, 1, 0) and told.count() == 7


def test_an_empty_or_missing_folder_is_an_error_whatever_is_said(told, crops):
    shutil.rmtree(crops)
    for word in ("prune", "prune_folders"):
        with pytest.raises(DataMissing, match="no such folder"):
            told.add(crops, **{word: True})
    crops.mkdir()
    with pytest.raises(DataMissing, match="holds no image"):
        told.add(crops, prune_folders=True)
    assert told.count() == 6


def test_rows_of_other_folders_are_never_looked_for(told, crops, tmp_path, draw, encoder):
    draw(tmp_path / "elsewhere/1.png", shade=200)
    shutil.rmtree(crops)
    assert counts(told.add(tmp_path / "elsewhere", prune_folders=True)) == (0, 0, 0, 0)
    assert Gallery.open(told.path, encoder).count() == 7
