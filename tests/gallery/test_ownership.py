"""A gallery is its owner's alone, and touches nothing that is not its own."""

import fcntl
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from colour_encoder import ColourEncoder

from pickout.errors import GalleryDamaged, GalleryError
from pickout.gallery.gallery import Gallery
from pickout.gallery.portable.reader import import_gallery
from pickout.gallery.search.query import Query
from pickout.gallery.storage.lock import writing


def mode(file):
    return stat.S_IMODE(file.lstat().st_mode)


def of_everybody(folder):
    """Files that somebody else could open: readable to others, below folders that others may enter."""
    if mode(folder) & 0o077 == 0:
        return []
    return [file for file in folder.rglob("*") if file.is_file() and mode(file) & 0o077]


@pytest.fixture
def full(gallery, crops):
    """A gallery with every file that a session leaves."""
    (crops / "bad.jpg").write_bytes(b"no picture")
    gallery.add(crops)
    gallery.saved.save("mine", Query(["a coat"]))
    gallery.search("teal")
    return gallery


def test_everything_in_a_gallery_is_for_its_owner_alone(full):
    assert mode(full.path) == 0o700 and of_everybody(full.path) == []
    ours = [file for file in full.path.iterdir() if file.is_file()]
    assert {file.name for file in ours} >= {"gallery.json", "quarantine.jsonl", "searches.json", "audit.jsonl", ".lock"}
    assert {mode(file) for file in ours} == {0o600}


def test_an_imported_gallery_and_an_empty_folder_that_was_there_become_the_owners_too(full, tmp_path):
    full.export(tmp_path / "e")
    (tmp_path / "there").mkdir(mode=0o755)
    for name in ("there", "new"):
        import_gallery(tmp_path / "e", tmp_path / name)
        assert mode(tmp_path / name) == 0o700


def test_a_folder_that_is_opened_to_a_group_gives_the_group_what_is_written_later(full):
    full.path.chmod(0o2770)
    full.saved.save("another", Query(["a hat"]))
    (full.path / "audit.jsonl").unlink()
    full.search("teal")
    assert mode(full.path / "searches.json") == 0o640  # less the umask's 022
    assert mode(full.path / "audit.jsonl") == 0o640
    assert mode(full.path / "gallery.json") == 0o600  # as it was


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_nobody_else_can_read_a_gallery_or_open_its_lock(encoder, crops):
    code = (
        "import os, sys\nos.setgid(65534); os.setuid(65534)\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        os.open(name, os.O_RDONLY)\n    except PermissionError:\n        continue\n"
        "    print(name)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        Path(folder, "open").write_text("for everybody")
        made = Gallery.create(Path(folder, "g"), encoder)
        made.add(crops)
        names = [str(file) for file in Path(folder).rglob("*") if file.is_file()]
        told = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert len(names) > 5 and told.stdout.split() == [f"{folder}/open"]


def test_the_lock_of_an_earlier_version_is_closed_to_others_by_the_next_writer(gallery):
    lock = gallery.path / ".lock"
    lock.chmod(0o644)
    with writing(gallery.path):
        assert mode(lock) == 0o600


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_lock_that_is_no_file_of_its_own_is_refused(gallery, tmp_path, kind):
    lock = gallery.path / ".lock"
    lock.unlink()
    {"link": lambda: lock.symlink_to(tmp_path / "made"), "pipe": lambda: os.mkfifo(lock), "folder": lock.mkdir}[kind]()
    with pytest.raises(GalleryError, match=r"\.lock: is a link or no ordinary file"):
        gallery.remove(gallery.choose(["0006.png"]))
    assert gallery.count() == 6 and not (tmp_path / "made").exists()


def test_a_lock_that_a_reader_holds_is_waited_for(gallery, monkeypatch):
    monkeypatch.setattr("pickout.gallery.storage.lock.PATIENCE", 0.1)
    with (gallery.path / ".lock").open() as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        with pytest.raises(GalleryError, match="try again later"), writing(gallery.path):
            pass


OTHERS = [
    "crops-old.lance",
    "crops-20260301.lance",
    "crops_backup.lance",
    "crops-2026.lance",
    "crops-0123456789.lance",
    "crops.lance.bak",
]
HALVES = [".film.mp4.part", ".x.part", ".gallery.json.abcdefgh.part", "notes.pickout.part", ".a.ABCDEFGH.pickout.part"]


def test_what_somebody_put_into_the_folder_stays(gallery):
    for name in OTHERS:
        (gallery.path / name).mkdir()
        (gallery.path / name / "mine").write_text("mine")
    for name in HALVES:
        (gallery.path / name).write_text("mine")
    (gallery.path / "crops-a1234567.lance").symlink_to(gallery.path / OTHERS[0])
    gallery.remove(gallery.choose(["0006.png"]))
    gallery.erase(gallery.choose(["cam_a/*"]))
    gallery.rebuild(ColourEncoder("other"))
    assert all((gallery.path / name / "mine").read_text() == "mine" for name in OTHERS)
    assert all((gallery.path / name).read_text() == "mine" for name in HALVES)


def test_a_refused_folder_is_left_as_it_was(tmp_path, encoder):
    folder = tmp_path / "photos"
    folder.mkdir(mode=0o755)
    (folder / "me.jpg").write_bytes(b"mine")
    with pytest.raises(GalleryError, match="holds other files"):
        Gallery.create(folder, encoder)
    assert [file.name for file in folder.iterdir()] == ["me.jpg"] and mode(folder) == 0o755


@pytest.mark.parametrize("path", ["s3:/bucket/g", "s3://bucket/g", "file:/x", "file:///x", "memory:/", "gs:/b"])
def test_an_address_is_no_path_of_a_gallery(tmp_path, monkeypatch, encoder, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GalleryError, match="is an address; a gallery is a folder"):
        Gallery.create(path, encoder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%20b", "c:d", "s3:", "a b\u00a0c", "*"])
def test_a_folder_may_be_called_anything_else(tmp_path, monkeypatch, encoder, crops, name):
    monkeypatch.chdir(tmp_path)
    Gallery.create(name, encoder).add(crops)
    assert len(Gallery.open(name, encoder).search("teal")) == 6
    assert (tmp_path / name / "crops.lance").is_dir()


@pytest.mark.parametrize("dimension", [0, -1, 2**16 + 1, 2**31, 2**63, 10**30])
def test_a_dimension_that_cannot_be_is_damage(gallery, dimension):
    manifest = gallery.path / "gallery.json"
    manifest.write_text(manifest.read_text().replace('"dimension": 10', f'"dimension": {dimension}'))
    with pytest.raises(GalleryDamaged, match=r"gallery\.json: model\.dimension"):
        Gallery.open(gallery.path)
