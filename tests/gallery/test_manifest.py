"""A gallery's folder: made whole or not at all; damage is told in plain words."""

import json

import pytest

from pickout.errors import GalleryDamaged, GalleryError, GalleryMissing
from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.tables import MANIFEST, read_manifest


def test_the_manifest_remembers_the_model(tmp_path, encoder):
    gallery = Gallery.create(tmp_path / "g", encoder, run="/runs/demo")
    model = read_manifest(gallery.path).model
    assert (model.name, model.fingerprint, model.dimension, model.run) == (
        "colour",
        encoder.fingerprint,
        10,
        "/runs/demo",
    )
    assert json.loads((gallery.path / MANIFEST).read_text())["format"] == 2


def test_creating_again_opens_and_keeps_what_is_there(gallery, encoder):
    assert Gallery.create(gallery.path, encoder).count() == 6


def test_nothing_there_is_gallery_missing(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(GalleryMissing, match="pickout index"):
            Gallery.open(path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(GalleryMissing):
        Gallery.open(tmp_path / "file")


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": 1}', b"[" * 100_000])
def test_a_garbled_manifest_is_damage_that_names_the_file(gallery, garbage):
    (gallery.path / MANIFEST).write_bytes(garbage)
    with pytest.raises(GalleryDamaged, match=r"gallery\.json.*backup"):
        Gallery.open(gallery.path)


def test_an_unknown_key_or_format_is_damage_not_a_guess(gallery):
    file = gallery.path / MANIFEST
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, "format": 99}))
    with pytest.raises(GalleryDamaged, match="format 99, this version of Pickout knows formats up to 2"):
        Gallery.open(gallery.path)
    file.write_text(json.dumps({**values, "surprise": 1}))
    with pytest.raises(GalleryDamaged, match="surprise"):
        Gallery.open(gallery.path)
    values["model"]["dimension"] = 11
    file.write_text(json.dumps(values))
    with pytest.raises(GalleryDamaged, match="other columns"):
        Gallery.open(gallery.path)


def test_a_lost_manifest_does_not_let_rows_be_overwritten(gallery, encoder):
    (gallery.path / MANIFEST).unlink()
    with pytest.raises(GalleryDamaged, match=r"holds crops but no gallery\.json"):
        Gallery.create(gallery.path, encoder)


def test_a_folder_with_other_files_is_refused(tmp_path, encoder):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(GalleryError, match=r"is no gallery and holds other files \(thesis\.tex"):
        Gallery.create(tmp_path, encoder)
    with pytest.raises(GalleryError, match="is a file"):
        Gallery.create(tmp_path / "thesis.tex", encoder)
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.startswith(".")] == ["thesis.tex"]


def test_a_creation_that_was_killed_before_its_manifest_is_finished_by_the_next(tmp_path, encoder, monkeypatch, crops):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pickout.gallery.storage.tables.write_manifest", killed)
    with pytest.raises(KeyboardInterrupt):
        Gallery.create(tmp_path / "g", encoder)
    monkeypatch.undo()
    with pytest.raises(GalleryMissing):
        Gallery.open(tmp_path / "g")
    assert Gallery.create(tmp_path / "g", encoder).add(crops).added == 6
