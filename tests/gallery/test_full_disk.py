"""A full disk: a clear error, and what was committed stays. On a real small file system where the machine lets us."""

import os
import subprocess

import numpy as np
import pytest
from colour_encoder import ColourEncoder
from PIL import Image

from pickout.errors import StorageFull
from pickout.gallery.gallery import Gallery
from pickout.gallery.ingest import IngestSettings
from pickout.gallery.rebuild import unfinished_rebuild


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB, and a function that enlarges it."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("this machine does not let us mount a small file system")
    yield folder, lambda: subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
    subprocess.run(["umount", str(folder)], check=True)


def noisy_crops(root, count):
    root.mkdir()
    generator = np.random.default_rng(1)
    for number in range(count):
        pixels = generator.integers(0, 256, (200, 100, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number:03d}.png")


def test_a_full_disk_keeps_committed_rows_and_the_run_goes_on_with_more_space(tmp_path, small_disk, encoder):
    disk, enlarge = small_disk
    noisy_crops(tmp_path / "crops", 200)
    settings = IngestSettings(batch=8, commit=16)
    gallery = Gallery.create(disk / "g", encoder)
    with pytest.raises(StorageFull, match="no space left") as caught:
        gallery.add(tmp_path / "crops", settings=settings)
    assert str(disk) in str(caught.value)
    kept = Gallery.open(disk / "g", encoder)
    committed = kept.count()
    assert 0 < committed < 200
    assert len(kept.rows(known.id for known in kept._store.known())) == committed
    enlarge()
    report = kept.add(tmp_path / "crops", settings=settings)
    assert (report.unchanged, report.added, kept.count()) == (committed, 200 - committed, 200)


def test_a_full_disk_stops_a_change_of_model_which_goes_on_with_more_space(tmp_path, small_disk, encoder):
    disk, enlarge = small_disk
    noisy_crops(tmp_path / "crops", 50)
    settings = IngestSettings(batch=8, commit=8)
    gallery = Gallery.create(disk / "g", encoder)
    gallery.add(tmp_path / "crops", settings=settings)
    before = [(hit.path, hit.score) for hit in gallery.search("teal", top=50)]
    with pytest.raises(StorageFull, match="no space left"):
        gallery.rebuild(ColourEncoder("other"), settings=settings)
    begun = unfinished_rebuild(gallery.path)
    assert begun is not None and 0 < begun.done < 50
    assert Gallery.open(disk / "g", encoder).count() == 50
    enlarge()
    report = gallery.rebuild(ColourEncoder("other"), settings=settings)
    assert (report.resumed, report.rows) == (begun.done, 50)
    assert [(hit.path, hit.score) for hit in gallery.search("teal", top=50)] == before


def test_a_search_that_cannot_be_recorded_for_lack_of_space_gives_no_result(small_disk, crops, encoder):
    disk, enlarge = small_disk
    gallery = Gallery.create(disk / "g", encoder)
    gallery.add(crops)
    (disk / "filler").write_bytes(bytes(_free(disk)))
    with pytest.raises(StorageFull, match=r"audit\.jsonl"):
        for _ in range(200):
            gallery.search("a teal jacket " * 100)
    enlarge()
    assert gallery.search("a teal jacket")


def test_making_a_gallery_on_a_full_disk_is_an_error_and_can_be_done_again(small_disk, crops, encoder):
    disk, enlarge = small_disk
    (disk / "filler").write_bytes(bytes(_free(disk)))
    with pytest.raises(StorageFull):
        Gallery.create(disk / "g", encoder)
    enlarge()
    assert Gallery.create(disk / "g", encoder).add(crops).added == 6


def _free(folder):
    status = os.statvfs(folder)
    return status.f_bavail * status.f_bsize
