"""A full disk: a clear error, and what was committed stays. On a real small file system where the machine lets us."""

import os
import subprocess

import numpy as np
import pytest
from colour_encoder import ColourEncoder
from PIL import Image

from pickout.errors import GalleryDamaged, GalleryError, StorageFull
from pickout.gallery.changes.edits import unfinished
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.portable.reader import import_gallery
from pickout.gallery.storage.rows import Metadata


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
    yield folder, lambda size="64m": subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
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
    done = gallery.about()["rebuild"]["done"]
    assert 0 < done < 50
    assert Gallery.open(disk / "g", encoder).count() == 50
    enlarge()
    report = gallery.rebuild(ColourEncoder("other"), settings=settings)
    assert (report.resumed, report.rows) == (done, 50)
    assert [(hit.path, hit.score) for hit in gallery.search("teal", top=50)] == before


def test_a_search_that_cannot_be_recorded_for_lack_of_space_gives_no_result(small_disk, crops, encoder):
    disk, enlarge = small_disk
    gallery = Gallery.create(disk / "g", encoder)
    gallery.add(crops)
    (disk / "filler").write_bytes(bytes(_free(disk)))
    with pytest.raises(StorageFull, match=r"audit"):
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


def change_of(name, gallery, crops, draw, number):
    """One change of the gallery that needs some space, different each time."""
    ids = _ids(gallery)
    if name == "add":
        draw(crops / f"new{number}.png", shade=number)
        gallery.add(crops)
    elif name == "update":
        gallery.update(ids, Metadata(labels={"seen": str(number)}))
    elif name == "compact":
        gallery.compact()
    elif name == "rebuild":
        gallery.rebuild(ColourEncoder("second"))
    elif name == "import":
        import_gallery(another(crops.parent, draw, number), gallery.path)
    else:
        getattr(gallery, name)(ids[:1])


def another(folder, draw, number):
    """An export of rows that the gallery does not have."""
    file, crops = folder / f"{number}.pickout", folder / f"others{number}"
    draw(crops / "other.png", shade=number)
    other = Gallery.create(folder / f"{number}.gallery", ColourEncoder())
    other.add(crops)
    other.export(file)
    return file


def rows_of(gallery):
    return {row.path: (row.content, row.metadata, row.seal) for row in gallery.rows(_ids(gallery)).values()}


@pytest.mark.parametrize("name", ["add", "update", "remove", "erase", "compact", "import"])
def test_a_change_without_enough_space_is_an_error_and_leaves_whole_rows_wherever_it_ran_out(
    small_disk, crops, draw, encoder, name
):
    """One page of space more with each try, so that it runs out at every place in turn, until the change succeeds."""
    disk, enlarge = small_disk
    enlarge("8m")
    for number in range(6, 20):
        draw(crops / f"{number:04d}.png", shade=number)
    gallery = Gallery.create(disk / "g", encoder)
    gallery.add(crops)
    gallery.update(_ids(gallery)[::2], Metadata(track="t"))  # something to merge
    failures = 0
    for pages in range(200):
        gallery = Gallery.open(disk / "g", encoder)
        before = rows_of(gallery)
        (disk / "filler").write_bytes(bytes(_free(disk) - pages * 4096))
        try:
            change_of(name, gallery, crops, draw, pages)
        except StorageFull as error:
            failures += 1
            assert str(disk) in str(error)
        else:
            break
        finally:
            (disk / "filler").unlink()
        again = Gallery.open(disk / "g", encoder)
        after = rows_of(again)
        changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
        assert name == "update" or len(changed) <= 1
        again.remove([])  # finishes what was begun
        assert list(verify(disk / "g")) == []
    assert failures > 1


def test_erasing_on_a_full_disk_is_completed_by_the_next_try(small_disk, crops, encoder):
    disk, enlarge = small_disk
    gallery = Gallery.create(disk / "g", encoder)
    gallery.add(crops)
    (ident,) = gallery.choose(["0006.png"])
    row = gallery.rows([ident])[ident]
    (disk / "filler").write_bytes(bytes(_free(disk) - 8192))
    with pytest.raises(StorageFull):
        gallery.erase([ident])
    assert gallery.count() == 6 and unfinished(disk / "g") == [ident]
    with pytest.raises(StorageFull):  # the next change goes on with it, and has no space for it either
        gallery.compact()
    enlarge()
    (disk / "filler").unlink()
    gallery.erase([ident])
    assert gallery.count() == 5 and unfinished(disk / "g") == []
    signs = (row.id.encode(), row.thumbnail[-120:], row.vector.tobytes(), b"0006.png")
    texts = b"".join(file.read_bytes() for file in (disk / "g").rglob("*") if file.is_file())
    assert not any(sign in texts for sign in signs)


@pytest.mark.parametrize("name", ["add", "update", "remove", "erase", "compact", "rebuild", "import"])
def test_a_change_of_a_gallery_that_may_only_be_read_is_an_error_and_changes_nothing(
    small_disk, crops, draw, encoder, name
):
    disk, _ = small_disk
    gallery = Gallery.create(disk / "g", encoder)
    gallery.add(crops)
    before = rows_of(gallery)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(GalleryError, match=r"may not be written to|cannot be written to") as caught:
        change_of(name, Gallery.open(disk / "g", encoder), crops, draw, 1)
    assert not isinstance(caught.value, GalleryDamaged)
    assert rows_of(Gallery.open(disk / "g")) == before


def _ids(gallery):
    return sorted(known.id for known in gallery._store.known())


def _free(folder):
    status = os.statvfs(folder)
    return status.f_bavail * status.f_bsize
