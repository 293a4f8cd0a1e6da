"""`pickout adapt`, with the adapting itself replaced: which crops it gets, what it writes and says."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

import pickout.checkpoints.saved_model as bundle_module
import pickout.train.adaptation as adaptation_module
from pickout.cli.app import main
from pickout.errors import NothingFound
from pickout.gallery.gallery import Gallery
from pickout.train.adaptation import Adaptation

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "gallery"))

from colour_encoder import ColourEncoder


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    crops = tmp_path / "crops"
    crops.mkdir()
    for number in range(4):
        Image.new("RGB", (20, 60), (60 * number, 40, 200)).save(crops / f"{number}.png")
    made = Gallery.create(tmp_path / "g", ColourEncoder(), run="pickout-small")
    made.add(crops)
    return tmp_path / "g"


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    return int(stop.value.code or 0)


def test_the_gallerys_crops_make_a_new_file_beside_it(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, written = [], []
    encoder = ColourEncoder()
    monkeypatch.setattr("pickout.cli.model.load_model", lambda *_: encoder)
    monkeypatch.setattr(bundle_module, "write_bundle", lambda model, file: written.append((model, file)))

    def adapt(model: object, crops: list[Image.Image], settings: object) -> Adaptation:
        seen.extend(crops)
        return Adaptation(encoder, 3, 1, 40.0, 50.0, (2.0, 18.0))  # type: ignore[arg-type]

    monkeypatch.setattr(adaptation_module, "adapt", adapt)
    (gallery.parent / "crops" / "2.png").write_bytes(b"no picture any more")
    assert _run("adapt", gallery, "--json") == 0
    told = capsys.readouterr()
    facts = json.loads(told.out)
    assert len(seen) == 3 and "left out" in told.err
    assert written == [(encoder, gallery.parent / "g.adapted.safetensors")]
    assert (facts["before"], facts["after"], facts["gain"]) == (40.0, 50.0, [2.0, 18.0])
    assert _run("adapt", gallery) == 0
    assert "pickout gallery rebuild" in capsys.readouterr().out


def test_no_gain_is_exit_code_4_and_writes_nothing(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise NothingFound("the crops held back do not say that adapting helps; the model stays as it is")

    monkeypatch.setattr("pickout.cli.model.load_model", lambda *_: ColourEncoder())
    monkeypatch.setattr(adaptation_module, "adapt", refuse)
    assert _run("adapt", gallery) == 4
    assert "stays as it is" in capsys.readouterr().err
    assert not (gallery.parent / "g.adapted.safetensors").exists()
