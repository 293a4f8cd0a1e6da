import json
import os
import socket
import subprocess
import sys
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
from pickout.text.build import train_tokenizer

WORDS = ["red", "green", "blue", "striped", "long", "short", "dark", "light"]
TINY = {"width": 32, "layers": 2, "heads": 2, "embedding": 24}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 images of 20 people in CUHK-PEDES's format, more than one batch of captions."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    (folder / "imgs").mkdir()
    records = []
    for number in range(70):
        pixels = generator.integers(0, 256, (32, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "imgs" / f"{number}.png")
        captions = [" ".join(generator.choice(WORDS, 6)) for _ in range(2)]
        split, identity = ("train", 1 + number) if number < 6 else (("val", "test")[number % 2], 7 + number % 20)
        record = {"split": split, "captions": captions, "file_path": f"{number}.png", "id": identity}
        records.append({**record, "processed_tokens": [caption.split() for caption in captions]})
    (folder / "reid_raw.json").write_text(json.dumps(records))
    return folder


def make_run(folder: Path, root: Path, **method: object) -> Path:
    torch.manual_seed(0)
    tokenizer = train_tokenizer([" ".join(WORDS)], 300, 16)
    settings = ModelSettings(
        method=method,
        image=ImageSettings(height=32, width=16),
        vision=VisionSettings(patch=8, stride=8, **TINY),
        text=TextSettings(**TINY),
    )
    save_model(folder, build_model(settings, tokenizer, 6), tokenizer, settings, identities=6)
    (folder / "recipe.toml").write_text(f'[data]\nname = "cuhk-pedes"\nroot = "{root}"\n[train]\nselect = "val"\n')
    return folder


@pytest.fixture
def run(tmp_path: Path, root: Path) -> Path:
    return make_run(tmp_path / "run", root, name="dual")


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in ("evaluate", *arguments)])
    return int(end.value.code or 0)


QUICK = ("--set", "bootstrap.resamples=20", "--device", "cpu")


def test_a_run_is_evaluated_on_the_validation_split_of_its_own_data(run: Path, root: Path, capsys):
    assert call(run, *QUICK, "--json") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert out.count("\n") == 1
    assert err == ""
    assert report["schema"] == "pickout.evaluation/1"
    assert (report["data"], report["split"], report["root"]) == ("cuhk-pedes", "val", str(root))
    assert (report["images"], report["captions"]) == (32, 64)
    assert report["trained_on"] == "cuhk-pedes"
    assert report["epoch_selected_on"] == "val"
    low, high = report["text_to_image"]["intervals"]["R@1"]
    assert low <= report["text_to_image"]["R@1"] <= high
    assert not (run / "evaluations.jsonl").exists()


def test_the_table_the_report_and_the_plot_are_written(run: Path, capsys):
    assert call(run, "--split", "test", *QUICK) == 0
    out = capsys.readouterr().out
    folder = run / "evaluations" / "cuhk-pedes-test"
    assert "text → image" in out
    assert "own captions" in out
    assert "seed 0" in out
    assert json.loads((folder / "report.json").read_text())["split"] == "test"
    with Image.open(folder / "cmc.png") as plot:
        assert plot.size == (1080, 720)
    assert len((run / "evaluations.jsonl").read_text().splitlines()) == 1


def test_out_chooses_the_folder(run: Path, tmp_path: Path):
    assert call(run, "--out", tmp_path / "elsewhere", *QUICK, "--json") == 0
    assert (tmp_path / "elsewhere" / "report.json").is_file()
    assert not (run / "evaluations").exists()


def test_the_paper_protocol_selects_on_test_and_says_so(tmp_path: Path, root: Path, capsys):
    run = make_run(tmp_path / "itself", root, name="itself", selection_layers=[1, 2])
    assert call(run, "--protocol", "paper", *QUICK) == 0
    assert "selected on test" in capsys.readouterr().out
    report = json.loads((run / "evaluations" / "cuhk-pedes-test-paper" / "report.json").read_text())
    assert report["protocol"] == "paper"
    assert report["sweep"]["label"] == "selected on test"
    assert len(report["sweep"]["rows"]) == 13
    half = next(row for row in report["sweep"]["rows"] if row["global_weight"] == 0.5)
    assert half["R@1"] == report["text_to_image"]["R@1"]


def test_another_data_set_than_the_run_s_is_labelled(run: Path, root: Path, capsys):
    assert call(run, "street", root, *QUICK, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["data"] == "street"
    assert "across data sets: the model was trained on cuhk-pedes" in report["notes"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--split", "dev"), 3, "no split 'dev'; it has train, val, test"),
        (("--set", "bootstrap.resample=3"), 3, "did you mean 'resamples'"),
        (("--set", "bootstrap.level=95"), 3, "'bootstrap.level' = 95"),
        (("cuhk-pede",), 2, "did you mean 'cuhk-pedes'"),
        (("--device", "toaster"), 2, "toaster"),
        (("--protocol", "wishful"), 2, "wishful"),
    ],
)
def test_wrong_words_end_with_one_line_and_the_right_code(run: Path, capsys, arguments, code: int, words: str):
    assert call(run, *arguments) == code
    err = capsys.readouterr().err
    assert words in " ".join(err.split())
    assert "Traceback" not in err


def test_what_the_reader_of_a_table_assumed_is_said(run: Path, root: Path, capsys):
    rows = json.loads((root / "reid_raw.json").read_text())
    lines = [f"imgs/{row['file_path']},{caption},Val" for row in rows[:6] for caption in row["captions"]]
    (root / "table.csv").write_text("\n".join(["Img_Path,Sentence,SET", *lines]))
    assert call(run, "table", root, *QUICK, "--json") == 0
    said, told = capsys.readouterr()
    assert json.loads(said)["images"] == len({line.split(",")[0] for line in lines})
    for words in ("'Img_Path' is read as image", "'Sentence' is read as caption", "no identity column: each image"):
        assert words in told


def test_a_run_that_is_not_there_is_bad_input(tmp_path: Path, capsys):
    assert call(tmp_path / "nothing", "cuhk-pedes") == 3
    assert "nothing" in capsys.readouterr().err


def test_without_a_recipe_the_data_must_be_named(run: Path, capsys):
    (run / "recipe.toml").unlink()
    assert call(run, "--device", "cpu") == 2
    assert "name the data set" in capsys.readouterr().err


def test_two_processes_report_the_numbers_of_one(run: Path, capsys):
    arguments = ["evaluate", str(run), *QUICK, "--set", "batch=8", "--json"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = f"from pickout.cli.app import main; main({arguments!r})"
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "error::UserWarning:pickout", "-c", code],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": str(torch.get_num_threads())},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert said[1] == ""
    assert call(*arguments[1:]) == 0
    one, two = json.loads(capsys.readouterr().out), json.loads(said[0])
    assert (one.pop("processes"), two.pop("processes")) == (1, 2)
    for report in (one, two):
        del report["seconds"], report["date"]
    assert one == two
