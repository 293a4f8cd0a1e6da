"""Names are kept as they are, found in either of Unicode's forms, and made fit for a terminal only when shown."""

import json
import os
import unicodedata

import pytest

from pickout.errors import UsageError
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.search.filters import Where
from pickout.gallery.search.query import Query

ODD = ["Hall\u00a0A", "Hall A", "Hall\u3000A", "Hall\u200bA", "Hall\tA", "Hall\x1b[31mA", "Caf\u00e9", "\u202eA"]


@pytest.fixture
def odd(tmp_path, encoder, draw):
    """A crop in each of folders whose names differ in what can hardly be seen."""
    for shade, name in enumerate(ODD):
        draw(tmp_path / "crops" / name / "1.png", shade=shade)
    made = Gallery.create(tmp_path / "g", encoder)
    made.add(tmp_path / "crops", camera_from=CameraFrom.FOLDER)
    return made


def test_each_camera_is_one_of_its_own_and_can_be_selected(odd):
    assert set(odd.cameras()) == set(ODD)
    for name in ODD:
        (hit,) = odd.search("teal jacket", where=Where(cameras=[name]))
        assert hit.camera == name
        assert len(odd.search("teal jacket", where=Where(not_cameras=[name]))) == len(ODD) - 1


def test_a_table_keeps_names_as_they_are(tmp_path, gallery, crops):
    table = tmp_path / "t.csv"
    table.write_text("image,camera,track,place\n0006.png,Hall\u00a0A,t\u3000 1,north\u00a0west\n", encoding="utf-8")
    gallery.add(crops, table=table)
    where = Where(cameras=["Hall\u00a0A"], tracks=["t\u3000 1"], labels={"place": "north\u00a0west"})
    assert [hit.path for hit in gallery.search("green", where=where)] == ["0006.png"]


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_either_form_of_a_letter_finds_cameras_labels_and_crops(tmp_path, encoder, draw, stored, asked):
    kept, said = unicodedata.normalize(stored, "Caf\u00e9"), unicodedata.normalize(asked, "Caf\u00e9")
    draw(tmp_path / "crops" / kept / f"{kept}.png")
    draw(tmp_path / "crops" / "other" / "2.png", shade=1)
    table = tmp_path / "t.csv"
    table.write_text(f"image,{kept}\n{kept}/{kept}.png,{kept}\n", encoding="utf-8")
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(tmp_path / "crops", camera_from=CameraFrom.FOLDER, table=table)
    for where in (Where(cameras=[said]), Where(labels={said: said}), Where(not_cameras=["other"])):
        (hit,) = gallery.search("teal", where=where)
        # A table's reader composes the names of its columns; what stands below them is kept as it is.
        assert hit.camera == kept and hit.metadata.labels == {unicodedata.normalize("NFC", kept): kept}
    assert [hit.camera for hit in gallery.search("teal", where=Where(not_labels={said: said}))] == ["other"]
    for name in (f"{said}.png", f"{said}/{said}.png", str(tmp_path / "crops" / said / f"{said}.png"), f"{said}/*"):
        assert gallery.choose([name]) == [hit.id]
    assert gallery.ask(Query(more_like=[f"{said}.png"])).hits[0].id == hit.id
    with pytest.raises(UsageError, match="both asked for and ruled out"):
        Where(cameras=[kept], not_cameras=[said])


def test_a_folder_whose_name_is_no_unicode_is_a_camera_that_can_be_typed(tmp_path, encoder, draw):
    for shade, name in enumerate((b"caf\xe9", b"caf\xe8")):
        draw(tmp_path / "crops" / os.fsdecode(name) / "1.png", shade=shade)
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(tmp_path / "crops", camera_from=CameraFrom.FOLDER)
    assert gallery.cameras() == ("caf\\udce8", "caf\\udce9")
    assert len(gallery.search("teal", where=Where(cameras=["caf\\udce9"]))) == 1


@pytest.mark.parametrize("name", ["a\u00a0b.png", "a\u3000b.png", "a\nb.png", "a\x1bb.png", os.fsdecode(b"a\xe9b.png")])
def test_a_saved_search_for_an_odd_picture_runs_and_goes_with_its_crop(tmp_path, encoder, draw, name):
    picture = draw(tmp_path / "crops" / name)
    draw(tmp_path / "crops" / "other.png", shade=1)
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(tmp_path / "crops")
    gallery.saved.save("by picture", Query(images=[picture]))
    gallery.saved.save("by crop", Query(more_like=[name]))
    gallery.saved.save("other", Query(more_like=["other.png"]))
    for search in gallery.saved.all():
        assert len(gallery.ask(search.parts()[0]).hits) == 2
    json.loads((gallery.path / "searches.json").read_text())
    assert gallery.erase(gallery.choose([name])).searches == ("by crop", "by picture")
    assert [search.name for search in gallery.saved.all()] == ["other"]


@pytest.mark.parametrize("way", ["as it is", "link", "link to it all", "dots", "relative", "relative link"])
def test_the_path_that_was_given_to_index_names_its_crops(tmp_path, monkeypatch, encoder, crops, way):
    (tmp_path / "link").symlink_to(crops)
    (tmp_path / "up").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    root = {
        "as it is": crops,
        "link": tmp_path / "link",
        "link to it all": tmp_path / "up" / "link",
        "dots": tmp_path / "crops" / "cam_a" / ".." / ".." / "crops",
        "relative": "crops",
        "relative link": "up/link/../crops",
    }[way]
    gallery = Gallery.create(tmp_path / "g", encoder)
    gallery.add(root)
    crop = f"{root}/cam_a/0001_c1.png"
    (identifier,) = gallery.choose([crop])
    assert gallery.choose([f"{root}/cam_a/0001*"]) == [identifier]
    assert gallery.ask(Query(more_like=[crop])).hits[0].id == identifier
    gallery.saved.save("it", Query(images=[crop]))
    assert gallery.erase([identifier]).searches == ("it",)


@pytest.mark.parametrize("name", ["", ".", "..", "/", "no\0thing", "\ud800", "cam_a/../cam_b/0001_c1.png", "x" * 5000])
def test_names_of_no_crop_are_usage_errors(gallery, name):
    with pytest.raises(UsageError, match="no crop"):
        gallery.choose([name])
    with pytest.raises(UsageError, match="no crop"):
        gallery.ask(Query(more_like=[name]))


def test_a_gallery_that_was_opened_by_a_relative_path_goes_on_after_a_change_of_folder(
    tmp_path, monkeypatch, encoder, crops
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    made = Gallery.create("people.gallery", encoder)
    made.add("crops")
    opened = Gallery.open("people.gallery", encoder)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(opened.search("teal jacket")) == 6
    opened.erase(opened.choose(["0006.png"]))
    assert made.count() == 5 and list((tmp_path / "elsewhere").iterdir()) == []
