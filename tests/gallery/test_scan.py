"""Which files below a folder are taken for crops, and what is said of the others."""

import io

import pytest
from PIL import Image

from pickout.errors import DataMissing
from pickout.gallery.intake.scan import Scan, count_images


def picture(kind="PNG"):
    out = io.BytesIO()
    Image.new("RGB", (4, 8), "teal").save(out, kind)
    return out.getvalue()


def write(root, *names, content=None):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture() if content is None else content)


def scanned(root, *exclude):
    scan = Scan(root, exclude)
    return [str(file.relative_to(root)) for file in scan.files()], dict(scan.passed_over)


def test_every_ending_of_a_jpeg_is_an_image_in_any_case(tmp_path):
    names = ["a.JPG", "b.jpeg", "c.jfif", "d.JPE", "e.jif"]
    write(tmp_path, *names, content=picture("JPEG"))
    assert scanned(tmp_path) == (names, {})


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_picture_without_an_ending_or_with_a_number_is_found(tmp_path, kind):
    write(tmp_path, "0001", "crop.0002", content=picture(kind))
    write(tmp_path, "Makefile", "notes.0003", content=b"no picture")
    assert scanned(tmp_path) == (["0001", "crop.0002"], {"without an ending": 1, ".0003": 1})


def test_what_is_passed_over_is_counted_by_its_kind(tmp_path):
    write(tmp_path, "a.png", "b.heic", "c.HEIC", "labels.txt", ".hidden.png", ".cache/d.png", "sub/.DS_Store")
    (tmp_path / "linked.png").symlink_to(tmp_path / "sub")
    found, passed = scanned(tmp_path)
    assert found == ["a.png"]
    assert passed == {".heic": 2, ".txt": 1, "names that begin with a dot": 3, "links to folders": 1}


@pytest.mark.parametrize(
    "folder", ["#recycle", "$RECYCLE.BIN", "@eaDir", "@Recycle", "lost+found", "__MACOSX", "System Volume Information"]
)
def test_recycle_bins_and_thumbnails_of_storage_boxes_are_passed_over(tmp_path, folder):
    write(tmp_path, "a.png", f"{folder}/b.png", f"cam/{folder}/c.png/SYNOPHOTO_THUMB_XL.jpg")
    assert scanned(tmp_path) == (["a.png"], {f"{folder}/": 2})
    assert count_images(tmp_path) == 1


@pytest.mark.parametrize("folder", [".Trash-1000", ".thumbnails", ".Trashes"])
def test_hidden_recycle_bins_are_passed_over(tmp_path, folder):
    write(tmp_path, "a.png", f"{folder}/b.png")
    assert scanned(tmp_path) == (["a.png"], {"names that begin with a dot": 1})


def test_pickouts_own_pictures_are_passed_over_where_they_lie_beside_their_numbers(tmp_path):
    write(tmp_path, "people.gallery/calibration.png", "run/evaluations/x/cmc.png", "calibration.png", "cmc.png")
    write(tmp_path, "people.gallery/gallery.json", "run/evaluations/x/report.json", content=b"{}")
    found, passed = scanned(tmp_path)
    assert found == ["calibration.png", "cmc.png"]
    assert passed == {"Pickout's own pictures": 2, ".json": 2}


def test_patterns_exclude_files_and_folders_by_name_and_path(tmp_path):
    write(tmp_path, "a.png", "a_mask.png", "thumbs/b.png", "cam/thumbs/c.png", "cam/d.png", "old/cam/e.png")
    found, passed = scanned(tmp_path, "*_mask.png", "thumbs/", "old/cam", "nothing")
    assert found == ["a.png", "cam/d.png"]
    assert passed == {
        "excluded by '*_mask.png'": 1,
        "excluded by 'thumbs'": 2,
        "excluded by 'old/cam'": 1,
        "excluded by 'nothing'": 0,
    }
    assert count_images(tmp_path, ["*.png"]) == 0


def test_a_folder_that_is_named_itself_is_read_whatever_it_is_called(tmp_path):
    write(tmp_path, "@eaDir/a.png")
    assert scanned(tmp_path / "@eaDir") == (["a.png"], {})
    with pytest.raises(DataMissing, match="no such folder"):
        count_images(tmp_path / "nowhere")


def test_a_link_that_leads_in_a_circle_is_told_by_reading_it_and_one_to_a_folder_counted(tmp_path):
    write(tmp_path, "a.png", "cam/b.png")
    for name, target in (
        ("loop", "loop"),
        ("c.png", "c.png"),
        ("notes.txt", "notes.txt"),
        ("there", "cam"),
        ("d.png", "cam"),
    ):
        (tmp_path / name).symlink_to(target)
    assert scanned(tmp_path) == (["a.png", "c.png", "cam/b.png", "loop"], {"links to folders": 2, ".txt": 1})
