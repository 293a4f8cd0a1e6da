"""`pickout gallery rebuild`: words, exit codes, output."""

import json

import pytest
from colour_encoder import ColourEncoder

from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.report import IngestSettings
from tests.gallery.conftest import draw_crop


@pytest.fixture
def gallery(tmp_path):
    for shade in range(6):
        draw_crop(tmp_path / "crops" / f"{shade}.png", shade=shade)
    made = Gallery.create(tmp_path / "people.gallery", ColourEncoder("first"), run="/runs/first")
    made.add(tmp_path / "crops")
    return made.path


@pytest.fixture
def run(run):
    return lambda *arguments: run("gallery", *arguments)


def interrupt(gallery, crops_first):
    """Leave a rebuild for `second` behind that was stopped by Ctrl-C."""
    calls = []

    def delay():
        calls.append(1)
        if len(calls) > crops_first:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Gallery.open(gallery).rebuild(
            ColourEncoder("second", delay=delay), run="second", settings=IngestSettings(batch=1, commit=1)
        )


def test_another_model_in_words_and_as_json(run, gallery):
    code, out, _ = run("rebuild", gallery, "--model", "second")
    assert code == 0 and f"{gallery}: 6 crops, now of second, in " in out
    code, out, _ = run("rebuild", gallery, "--model", "third", "--json", "--set", "batch=2")
    told = json.loads(out)
    assert code == 0 and (told["rows"], told["encoded"], told["model"], told["dropped"]) == (6, 6, "third", 0)
    told = json.loads(run("info", gallery, "--json")[1])
    assert (told["model"], told["run"], told["rebuild"]) == ("third", "third", None)


def test_info_tells_of_a_begun_rebuild_and_the_same_command_goes_on(run, gallery):
    assert "rebuild: none" in run("info", gallery)[1]
    interrupt(gallery, 4)
    told = json.loads(run("info", gallery, "--json")[1])
    assert told["model"] == "first"
    assert (told["rebuild"]["model"], told["rebuild"]["done"], told["rebuild"]["rows"]) == ("second", 4, 6)
    assert "from second, 4 of 6 rows; run it again to go on" in run("info", gallery)[1]
    code, _, error = run("rebuild", gallery, "--model", "third")
    assert code == 3 and "--model second" in error and "--restart" in error
    code, out, _ = run("rebuild", gallery, "--model", "second")
    assert code == 0 and "6 crops, now of second, 4 were there from before" in out


def test_ctrl_c_is_told_in_one_line(run, gallery, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("pickout.cli.model.load_model", lambda model, device: ColourEncoder(model, delay=interrupted))
    code, _, error = run("rebuild", gallery, "--model", "second")
    assert code == 130 and error.endswith("error: interrupted; run the same command again to go on where it can\n")
    assert Gallery.open(gallery, ColourEncoder("first")).count() == 6


def test_lost_crops_are_refused_or_left_out_on_request(run, gallery, tmp_path):
    (tmp_path / "crops" / "0.png").unlink()
    code, _, error = run("rebuild", gallery, "--model", "second")
    assert code == 3 and "1 of 6 crops cannot be encoded again" in error and "0.png: is not there any more" in error
    code, out, _ = run("rebuild", gallery, "--model", "second", "--drop-missing")
    assert code == 0 and "5 crops, now of second" in out and "1 crops were left out; see" in out


def test_wrong_words_and_a_wrong_folder_have_their_exit_codes(run, gallery, tmp_path):
    assert run("rebuild", gallery, "--model", "first")[0] == 2
    assert run("rebuild", gallery)[0] == 2
    assert run("rebuild", gallery, "--model", "second", "--set", "batch=0")[0] == 3
    assert run("rebuild", tmp_path / "nothing", "--model", "second")[0] == 3
