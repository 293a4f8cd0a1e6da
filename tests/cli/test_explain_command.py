"""`pickout explain` as it is typed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pickout.checkpoints.saved_model import save_model
from pickout.cli.app import main
from pickout.data.transforms import ImageSettings
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.synthetic.street import StreetSettings, draw_street
from pickout.text.build import train_tokenizer

SENTENCE = "a woman in a red jacket and blue jeans"
TINY = {"width": 16, "layers": 2, "heads": 2, "embedding": 12}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    people = {"identities": 1, "val_identities": 2, "test_identities": 2}
    settings = StreetSettings(**people, images=1, cameras=1, height=96, width=32)
    return draw_street(settings, tmp_path_factory.mktemp("street") / "drawn", workers=1)


@pytest.fixture
def run(tmp_path: Path, street: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = train_tokenizer([SENTENCE], 300, 48)
    settings = ModelSettings(
        method={"name": "dual"},
        image=ImageSettings(height=32, width=16),
        vision=VisionSettings(patch=8, stride=8, **TINY),
        text=TextSettings(**TINY),
    )
    folder = tmp_path / "run"
    save_model(folder, build_model(settings, tokenizer, 0), tokenizer, settings, identities=0)
    (folder / "recipe.toml").write_text(f'[data]\nname = "street"\nroot = "{street}"\n')
    return folder


@pytest.fixture
def fusing(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = train_tokenizer([SENTENCE], 300, 48)
    settings = ModelSettings(
        method={"name": "aga"},
        image=ImageSettings(height=32, width=16),
        vision=VisionSettings(kind="vit", patch=8, stride=8, **TINY),
        text=TextSettings(kind="bert", fusion_layers=2, positions=48, **TINY),
    )
    folder = tmp_path / "fusing"
    save_model(folder, build_model(settings, tokenizer, 0), tokenizer, settings, identities=0)
    return folder


@pytest.fixture
def crop(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 20, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "crop.png")
    return tmp_path / "crop.png"


def call(*arguments: object) -> int:
    try:
        main(["explain", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_model_as_first_word_is_explained(run, crop, capsys):
    assert call(run, crop, SENTENCE) == 0
    printed = capsys.readouterr().out
    assert "jacket" in printed
    assert "not measured for this model" in printed
    assert "does not say that the score" in printed


def test_json_is_one_line_and_show_is_the_same_command(run, crop, capsys):
    assert call(run, crop, SENTENCE, "--json") == 0
    first = capsys.readouterr().out
    assert call("show", run, crop, SENTENCE, "--json") == 0
    assert capsys.readouterr().out == first
    assert first.count("\n") == 1
    assert [word["text"] for word in json.loads(first)["words"]] == SENTENCE.split()


def test_a_page_and_a_folder_are_written(run, crop, tmp_path, capsys):
    assert call(run, crop, SENTENCE, "--html", tmp_path / "why.html", "--out", tmp_path / "why") == 0
    assert (tmp_path / "why.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == [
        "arrays.npz", "explanation.json", "overlay.png", "sheet.png",
    ]  # fmt: skip
    assert np.load(tmp_path / "why" / "arrays.npz")["word_patches"].shape == (9, 4, 2)
    with Image.open(tmp_path / "why" / "overlay.png") as picture:
        assert picture.size == (20, 48)


def test_a_measurement_is_kept_and_decides_what_is_shown(run, crop, capsys):
    assert call("measure", run, "--set", "people=2", "--set", "bootstrap.resamples=50") == 0
    assert "95 % intervals" in capsys.readouterr().out
    kept = json.loads((run / "explain.json").read_text())
    assert call(run, crop, SENTENCE, "--json") == 0
    shown = json.loads(capsys.readouterr().out)["shown"]
    assert {target: shown[target]["way"] for target in shown} == {target: kept["shown"][target] for target in shown}
    assert all(shown[target]["measured"] for target in shown)


def test_another_split_is_measured_beside_and_decides_nothing(run, capsys):
    assert (
        call("measure", run, "--split", "test", "--set", "people=2", "--set", "bootstrap.resamples=20", "--json") == 0
    )
    assert json.loads(capsys.readouterr().out)["split"] == "test"
    assert (run / "explain-test.json").is_file()
    assert not (run / "explain.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("{run}", "{crop}", ""), 2, "describe a person"),
        (("{run}", "{crop}", "red", "--way", "magic"), 2, "unknown way"),
        (("{run}", "{run}/none.png", "red"), 3, "no such file"),
        (("{run}", "{run}/model.toml", "red"), 3, "not an image"),
        (("{run}/none", "{crop}", "red"), 3, "no such file or folder"),
        (("{run}", "{crop}", "red", "--html", "{run}"), 2, "cannot be written"),
        (("{run}", "{crop}", "red", "--out", "{crop}"), 2, "cannot be written"),
        (("measure", "{run}", "--split", "tset"), 2, "no split"),
        (("measure", "{run}", "--split", "train"), 3, "fewer than two people"),
        (("measure", "{run}", "--set", "pepole=3"), 3, "people"),
        (("measure", "{run}", "steet"), 2, "street"),
        (("{run}", "{crop}"), 2, ""),
    ],
)
def test_bad_input_is_one_line_and_a_code(run, crop, capsys, arguments, code, told):
    assert call(*(word.format(run=run, crop=crop) for word in arguments)) == code
    error = capsys.readouterr().err
    assert told in error.replace("\n", " ")
    assert "Traceback" not in error


def test_a_sentence_of_a_hundred_thousand_letters_is_explained_as_far_as_it_is_read(run, crop, tmp_path, capsys):
    assert call(run, crop, "red jacket " * 9000, "--way", "left_out", "--html", tmp_path / "why.html") == 0
    assert "words lie beyond what the model reads" in capsys.readouterr().out
    assert (tmp_path / "why.html").stat().st_size < 150_000


def test_a_damaged_measurement_is_named(run, crop, capsys):
    (run / "explain.json").write_text("{")
    assert call(run, crop, SENTENCE) == 3
    assert str(run / "explain.json") in capsys.readouterr().err


def test_a_words_look_is_told_layer_by_layer(fusing, crop, tmp_path, capsys):
    assert call("word", fusing, crop, SENTENCE, "Jacket", "--out", tmp_path / "look.png") == 0
    printed = capsys.readouterr().out
    assert "layer 2: most at row" in printed
    assert "not measured for this model" in printed
    with Image.open(tmp_path / "look.png") as picture:
        assert picture.width > 400
    assert call("word", fusing, crop, SENTENCE, "jacket", "--visible", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["hidden"] is False
    assert np.array(told["layers"]["1"]).shape == (4, 2)


def test_enrichment_is_told_piece_by_piece(fusing, crop, capsys):
    assert call("enrich", fusing, crop, SENTENCE) == 0
    printed = capsys.readouterr().out
    assert "jacket" in printed
    assert "no momentum twin" in printed
    assert call("enrich", fusing, crop, SENTENCE, "--json") == 0
    pieces = json.loads(capsys.readouterr().out)["pieces"]
    assert sum(piece["probability"] for piece in pieces) == pytest.approx(0.15 * len(pieces), rel=0.01)
    assert any(piece["candidates"] for piece in pieces)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("word", "{fusing}", "{crop}", "a red jacket", "coat"), 2, "it reads: a red jacket"),
        (("word", "{run}", "{crop}", "a red jacket", "red"), 2, "give a run of fusion, aga or union"),
        (("enrich", "{run}", "{crop}", "a red jacket"), 2, "give a run of fusion, aga or union"),
        (("enrich", "{fusing}", "{crop}", "..."), 2, "describe a person"),
        (("word", "{fusing}", "{crop}", "red", "red", "--out", "{fusing}"), 2, "cannot be written"),
    ],
)
def test_bad_words_are_one_line_and_a_code(run, fusing, crop, capsys, arguments, code, told):
    assert call(*(word.format(run=run, fusing=fusing, crop=crop) for word in arguments)) == code
    assert told in capsys.readouterr().err.replace("\n", " ")


@pytest.fixture
def gallery(run, street, tmp_path) -> Path:
    with pytest.raises(SystemExit):
        main(["index", str(street / "imgs"), "--model", str(run), "--out", str(tmp_path / "g")])
    return tmp_path / "g"


def search(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["search", *map(str, arguments)])
    return int(stopped.value.code or 0)


def test_a_search_explains_its_candidates_on_its_page(gallery, tmp_path):
    assert search(gallery, SENTENCE, "--top", 3, "--html", tmp_path / "found.html", "--explain") == 0
    page = (tmp_path / "found.html").read_text()
    assert page.count("<summary>why</summary>") == 3
    assert page.count('for="why2x1"') == 1
    assert "default-src 'none'" in page
    assert search(gallery, SENTENCE, "--top", 3, "--html", tmp_path / "plain.html") == 0
    assert "<summary>" not in (tmp_path / "plain.html").read_text()


def test_a_crop_that_has_moved_is_explained_by_its_thumbnail(gallery, street, tmp_path):
    moved = street.with_name("moved")
    street.rename(moved)
    try:
        assert search(gallery, SENTENCE, "--top", 1, "--html", tmp_path / "found.html", "--explain") == 0
    finally:
        moved.rename(street)
    assert "<summary>why</summary>" in (tmp_path / "found.html").read_text()


@pytest.mark.parametrize("arguments", [(SENTENCE, "--explain"), ("--image", "{crop}", "--html", "x.html", "--explain")])
def test_reasons_need_a_sentence_and_a_page(gallery, crop, capsys, arguments):
    assert search(gallery, *(word.format(crop=crop) for word in arguments)) == 2
    assert "give a sentence and --html" in capsys.readouterr().err


def picture_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(2**24)) > 20
        return picture.size


def test_raw_guesses_with_the_original_and_the_five_leading_words_are_told_and_drawn(fusing, crop, tmp_path, capsys):
    assert call("enrich", fusing, crop, SENTENCE, "--out", tmp_path / "guesses.png") == 0
    printed = capsys.readouterr().out
    assert "attention is highest on: " in printed
    assert "*jacket" in printed.replace("\n", "").replace(" ", "")
    assert picture_of(tmp_path / "guesses.png")[0] > 1000
    assert call("enrich", fusing, crop, SENTENCE, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["attention"]) == 5
    for piece in told["pieces"]:
        assert [guess["text"] for guess in piece["guesses"] if guess["original"]] == [piece["text"]]
        assert piece["rank"] >= 1


def test_random_and_guided_masks_stand_side_by_side(fusing, crop, tmp_path, capsys):
    assert call("masks", fusing, crop, SENTENCE, "--draws", 3, "--out", tmp_path / "masks.png") == 0
    printed = capsys.readouterr().out
    assert printed.count("random masks:") == printed.count("guided masks:") == 1
    assert printed.count("\n  ") == 6
    wide, high = picture_of(tmp_path / "masks.png")
    assert wide > 1.5 * high
    assert call("masks", fusing, crop, SENTENCE, "--draws", 3, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["words"] == SENTENCE.split()
    assert len(told["random"]["hidden"]) == len(told["guided"]["hidden"]) == 3
    assert told["random"]["probability"] == [0.15] * 9
    assert call("masks", fusing, crop, SENTENCE, "--draws", 3, "--json") == 0
    assert json.loads(capsys.readouterr().out) == told


def test_the_share_of_empty_words_is_told_for_the_first_sentences_of_a_split(fusing, street, capsys):
    assert call("vacuous", fusing, "street", street, "--sentences", 3, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["data"], told["split"], told["sentences"]) == ("street", "test", 3)
    assert 0 < told["random"]["expected"] < 1
    assert call("vacuous", fusing, "street", street, "--sentences", 3) == 0
    printed = capsys.readouterr().out
    assert f"random: {told['random']['counted']:.1%} of the masked pieces are empty words" in printed
    assert "the first 3 sentences of street, test" in printed


def test_entropy_by_layer_is_told_and_drawn(run, tmp_path, capsys):
    assert call("entropy", run, "--pairs", 2, "--out", tmp_path / "entropy.png") == 0
    assert "nats by layer, mean of 2 pairs" in capsys.readouterr().out
    picture_of(tmp_path / "entropy.png")
    assert call("entropy", run, "--pairs", 2, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["images"]) == len(told["captions"]) == 2
    assert max(told["images"]) <= np.log(9) + 1e-3


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("masks", "{run}", "{crop}", "a red jacket"), 2, "give a run of fusion, aga or union"),
        (("vacuous", "{run}"), 2, "give a run of fusion, aga or union"),
        (("vacuous", "{fusing}"), 2, "name the data set"),
        (("vacuous", "{fusing}", "street", "{crop}"), 3, ""),
        (("entropy", "{run}", "--split", "tset"), 2, "no split 'tset'"),
        (("entropy", "{run}", "--pairs", "0"), 2, ""),
        (("entropy", "{fusing}"), 2, "name the data set"),
        (("enrich", "{fusing}", "{crop}", "a red jacket", "--out", "{fusing}"), 2, "cannot be written"),
    ],
)
def test_bad_figures_are_one_line_and_a_code(run, fusing, crop, capsys, arguments, code, told):
    assert call(*(word.format(run=run, fusing=fusing, crop=crop) for word in arguments)) == code
    error = capsys.readouterr().err
    assert told in error.replace("\n", " ")
    assert "Traceback" not in error
