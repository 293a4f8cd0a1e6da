"""Bad files: one line each, no traceback, no row lost."""

import errno
import io
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pickout.errors import GalleryDamaged
from pickout.gallery.gallery import Gallery


def picture(mode="RGB", size=(20, 60), **save):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, **save)
    return buffer.getvalue()


def bomb():
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def torture(root):
    """Bad files, then odd but good ones."""
    whole = picture(format="JPEG", size=(64, 200))
    bad = {
        "zero.jpg": b"",
        "text.jpg": b"this is no picture",
        "html.png": b"<html><body>404</body></html>",
        "truncated.jpg": whole[: len(whole) // 2],
        "header_only.png": picture(format="PNG")[:20],
        "bomb.png": bomb(),
        "vector.jpg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "zeros.gif": bytes(5000),
    }
    frames = [Image.new("RGB", (20, 60), colour) for colour in ("red", "blue")]
    animated = io.BytesIO()
    frames[0].save(animated, format="GIF", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = io.BytesIO()
    Image.fromarray((np.arange(1200, dtype=np.uint16) * 50).reshape(60, 20)).save(deep, format="PNG")
    good = {
        "animated.gif": animated.getvalue(),
        "cmyk.jpg": picture("CMYK", format="JPEG"),
        "deep.png": deep.getvalue(),
        "palette.png": picture("P", format="PNG"),
        "alpha.png": picture("RGBA", format="PNG"),
        "rotated.jpg": picture(size=(60, 20), format="JPEG", exif=exif),
        "one_pixel.png": picture(size=(1, 1), format="PNG"),
        "thin.png": picture(size=(2000, 1), format="PNG"),
        "photo.jpg": picture(size=(4000, 3000), format="JPEG"),
        "jpeg_called.png": picture(size=(21, 61), format="JPEG"),
    }
    root.mkdir(parents=True)
    for name, data in {**bad, **good}.items():
        (root / name).write_bytes(data)
    (root / "dangling.jpg").symlink_to(root / "nowhere.jpg")
    (root / "circle.jpg").symlink_to(root / "circle.jpg")
    os.mkfifo(root / "pipe.jpg")
    return sorted([*bad, "dangling.jpg", "circle.jpg", "pipe.jpg"]), sorted(good)


def test_torture_images_end_as_rows_or_as_one_quarantine_line_each(tmp_path, encoder):
    root = tmp_path / "crops"
    bad, good = torture(root)
    gallery = Gallery.create(tmp_path / "g", encoder)
    report = gallery.add(root)
    assert (report.added, report.quarantined) == (len(good), len(bad))
    listed = gallery.quarantined()
    assert [entry.file.name for entry in listed] == bad
    assert all(0 < len(entry.reason) < 200 and "\n" not in entry.reason for entry in listed)
    reasons = {entry.file.name: entry.reason for entry in listed}
    assert reasons["dangling.jpg"] == "broken link"
    assert "symbolic links" in reasons["circle.jpg"]
    assert reasons["pipe.jpg"] == "not an ordinary file"
    assert "empty" in reasons["zero.jpg"]
    assert "bomb" in reasons["bomb.png"]
    hits = {hit.path: hit for hit in gallery.search("a red top", top=100)}
    assert sorted(hits) == good
    assert (hits["rotated.jpg"].width, hits["rotated.jpg"].height) == (20, 60)
    assert (hits["photo.jpg"].width, hits["photo.jpg"].height) == (4000, 3000)
    assert all(max(Image.open(io.BytesIO(hit.thumbnail)).size) <= 320 for hit in hits.values())


def test_the_list_is_the_same_after_a_second_run_and_shrinks_when_files_are_mended(tmp_path, encoder, draw):
    root = tmp_path / "crops"
    bad, good = torture(root)
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(root)
    before = (gallery.path / "quarantine.jsonl").read_bytes()
    report = gallery.add(root)
    assert (report.quarantined, report.unchanged) == (len(bad), len(good))
    assert (gallery.path / "quarantine.jsonl").read_bytes() == before
    draw(root / "zero.jpg", shade=9)
    (root / "text.jpg").unlink()
    assert gallery.add(root).added == 1
    assert [entry.file.name for entry in gallery.quarantined()] == [
        name for name in bad if name not in ("zero.jpg", "text.jpg")
    ]


def test_a_crop_that_became_unreadable_keeps_its_row(gallery, crops):
    (crops / "0006.png").write_bytes(b"overwritten by a fool")
    report = gallery.add(crops, prune=True)
    assert (report.quarantined, report.unchanged, gallery.count()) == (1, 5, 6)
    assert [entry.file for entry in gallery.quarantined()] == [crops / "0006.png"]


def test_two_folders_share_one_list(tmp_path, encoder):
    torture(tmp_path / "one")
    torture(tmp_path / "two")
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(tmp_path / "one")
    first = len(gallery.quarantined())
    gallery.add(tmp_path / "two")
    assert len(gallery.quarantined()) == 2 * first


def test_a_folder_that_cannot_be_read_is_a_line_not_a_stop(tmp_path, encoder, draw, monkeypatch):
    root = tmp_path / "crops"
    draw(root / "a/1.png", shade=1)
    draw(root / "locked/2.png", shade=2)
    draw(root / "z/3.png", shade=3)
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    gallery = Gallery.create(tmp_path / "g", encoder)
    assert gallery.add(root).added == 2
    assert [(entry.file.name, entry.reason) for entry in gallery.quarantined()] == [("locked", "folder cannot be read")]


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_folder_that_was_mended_leaves_the_list_and_what_lies_below_is_told_again(
    tmp_path, encoder, draw, failing, error
):
    root = tmp_path / "crops"
    draw(root / "a/1.png", shade=1)
    draw(root / "locked/2.png", shade=2)
    (root / "locked/bad.png").write_bytes(b"no picture")
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(root)
    assert [entry.file.name for entry in gallery.quarantined()] == ["bad.png"]
    failing(root / "locked", error)
    for _ in range(2):
        assert gallery.add(root).quarantined == 1
        assert [entry.file.name for entry in gallery.quarantined()] == ["locked", "bad.png"]
    failing(root / "locked", None)
    gallery.add(root)
    assert [entry.file.name for entry in gallery.quarantined()] == ["bad.png"]
    draw(root / "locked/bad.png", shade=3)
    gallery.add(root)
    assert gallery.quarantined() == []


def test_files_of_a_folder_without_execute_permission_are_announced_and_stay_on_the_list(
    tmp_path, encoder, draw, monkeypatch
):
    """The folder's names can be read, its files cannot even be looked at."""
    root = tmp_path / "crops"
    draw(root / "a/1.png", shade=1)
    draw(root / "dim/2.png", shade=2)
    for call in ("stat", "lstat"):
        real = getattr(os, call)

        def dim(path, *, real=real, **options):
            if "/dim/" in os.fsdecode(path):
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, **options)

        monkeypatch.setattr(os, call, dim)
    gallery = Gallery.create(tmp_path / "g", encoder)
    for _ in range(2):
        report = gallery.add(root, prune=True)
        assert report.quarantined == 1
        assert [(entry.file.name, entry.reason) for entry in gallery.quarantined()] == [
            ("2.png", "cannot be read: Permission denied")
        ]


def test_paths_longer_than_the_system_takes_are_announced_and_stay_on_the_list(tmp_path, encoder, draw):
    root = tmp_path / "crops"
    draw(root / "a.png")
    here = Path.cwd()
    try:  # a deep folder can be made step by step, but not be reached by its whole path
        os.chdir(root)
        for _ in range(25):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        shutil.copy(root / "a.png", "deep.png")
    finally:
        os.chdir(here)
    gallery = Gallery.create(tmp_path / "g", encoder)
    for _ in range(2):
        report = gallery.add(root, prune=True)
        assert (report.found, report.quarantined) == (2, 1)
        (entry,) = gallery.quarantined()
        assert entry.reason == "cannot be read: File name too long" and len(str(entry.file)) > 4000


def test_a_line_of_another_folder_stays(tmp_path, encoder, draw):
    for name in ("one", "two"):
        draw(tmp_path / name / "good.png")
        (tmp_path / name / "bad.png").write_bytes(b"no picture")
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(tmp_path / "one")
    (tmp_path / "one/bad.png").unlink()
    gallery.add(tmp_path / "two")
    assert len(gallery.quarantined()) == 2
    gallery.add(tmp_path / "one")
    assert [entry.file.parent.name for entry in gallery.quarantined()] == ["two"]


def test_folders_that_lie_deeper_than_calls_may_are_searched(tmp_path, encoder, draw):
    folder = tmp_path / "crops"
    folder.mkdir()
    for _ in range(600):  # two calls a folder would be more than Python allows; pytest's own, one a folder, are not
        folder = folder / "d"
        folder.mkdir()
    file = draw(folder / "deep.png")
    gallery = Gallery.create(tmp_path / "g", encoder)
    assert gallery.add(tmp_path / "crops").added == 1
    assert [hit.file for hit in gallery.search("a red top")] == [file]


@pytest.mark.parametrize(
    "garbage", [b"{not json\n", b'{"file": 3}\n', b"[]\n", b"\xff\xfe\n", pytest.param(b"[" * 100_000, id="deep")]
)
def test_a_garbled_list_says_how_to_mend_it(gallery, crops, garbage):
    (gallery.path / "quarantine.jsonl").write_bytes(garbage)
    with pytest.raises(GalleryDamaged, match="line 1 is garbled; delete the file"):
        gallery.add(crops)
