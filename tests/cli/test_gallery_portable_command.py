"""`pickout gallery export` and `import`: words, exit codes, output."""

import json

import pytest
from colour_encoder import ColourEncoder
from conftest import draw_crop

from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom


@pytest.fixture
def gallery(tmp_path):
    for shade, name in enumerate(("lobby/1.png", "lobby/2.png", "yard/3.png")):
        draw_crop(tmp_path / "crops" / name, shade=shade)
    made = Gallery.create(tmp_path / "people.gallery", ColourEncoder(), run="/runs/demo")
    made.add(tmp_path / "crops", camera_from=CameraFrom.FOLDER)
    return made.path


@pytest.fixture
def run(run):
    return lambda *arguments: run("gallery", *arguments)


def test_a_gallery_goes_out_and_comes_in_with_its_pictures(run, gallery, tmp_path):
    file = tmp_path / "people.pickout"
    code, out, _ = run("export", gallery, file, "--crops", "--json")
    assert code == 0
    assert json.loads(out) == {"file": str(file), "rows": 3, "pictures": 3, "missing": 0, "bytes": file.stat().st_size}
    code, out, _ = run("import", file, tmp_path / "copy.gallery", "--crops-to", tmp_path / "copied", "--json")
    told = json.loads(out)
    assert code == 0 and (told["rows"], told["added"], told["pictures"]) == (3, 3, 3)
    assert len(list((tmp_path / "copied").iterdir())) == 3
    assert json.loads(run("info", tmp_path / "copy.gallery", "--json")[1])["run"] == "/runs/demo"
    assert run("verify", tmp_path / "copy.gallery", "--files")[0] == 0


def test_filters_choose_what_goes_out_and_words_tell_it(run, gallery, tmp_path):
    code, out, error = run("export", gallery, tmp_path / "a.pickout", "--camera", "lobby", "--crop", "*/1.png")
    assert code == 0 and "rows: 1" in out and error.strip() == ""
    (tmp_path / "crops/yard/3.png").unlink()
    code, out, _ = run("export", gallery, tmp_path / "b.pickout", "--camera", "yard", "--crops")
    assert code == 0 and "missing: 1" in out and "gone or have changed" in out
    assert run("import", tmp_path / "b.pickout", tmp_path / "copy.gallery")[1].splitlines()[2] == "added: 1"


def test_wrong_words_and_bad_files_have_their_exit_codes(run, gallery, tmp_path):
    assert run("export", gallery, tmp_path / "a.pickout", "--camera", "hall")[0] == 2
    assert run("export", gallery, tmp_path / "a.pickout", "--crop", "yard/*", "--camera", "lobby")[0] == 4
    assert run("export", gallery, tmp_path / "a.pickout")[0] == 0
    code, _, error = run("export", gallery, tmp_path / "a.pickout")
    assert code == 2 and "--force" in error
    assert run("export", gallery, tmp_path / "a.pickout", "--force")[0] == 0
    code, _, error = run("import", tmp_path / "none.pickout", tmp_path / "copy.gallery")
    assert code == 3 and "no such file" in error
    code, _, error = run("import", tmp_path / "crops/lobby/1.png", tmp_path / "copy.gallery")
    assert code == 3 and "is no export of a gallery" in error and not (tmp_path / "copy.gallery").exists()
    code, _, error = run("import", tmp_path / "a.pickout", tmp_path / "copy.gallery", "--crops-to", tmp_path / "x")
    assert code == 2 and "holds no pictures" in error
