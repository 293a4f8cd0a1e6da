import json
import subprocess
import sys

import pytest
from PIL import Image

from pickout.cli.app import main


@pytest.fixture
def street(tmp_path):
    """Four people in one colour each, in the format of CUHK-PEDES."""
    rows = []
    for pid, colour in enumerate(["red", "green", "blue", "white", "red", "blue"], start=1):
        for number in range(2):
            path = tmp_path / "street" / "imgs" / f"cam_{number}" / f"{pid}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 32), colour).save(path)
            split = "train" if pid <= 4 else "val"
            name = f"cam_{number}/{pid}.png"
            rows.append({"split": split, "captions": [f"a {colour} coat"], "file_path": name, "id": pid})
    (tmp_path / "street" / "reid_raw.json").write_text(json.dumps(rows))
    return tmp_path / "street"


@pytest.fixture
def words(street, tmp_path):
    """The command's words for a run of seconds."""
    sets = [f"data.root={street}", "model.image.height=32", "sampler.batch=8", "schedule.epochs=2"]
    sets = [word for pair in sets for word in ("--set", pair)]
    return ["train", "smoke", "--out", str(tmp_path / "run"), "--device", "cpu", *sets]


def _run(words, capsys):
    try:
        main(words)
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    return code, capsys.readouterr()


def test_a_run_tells_each_epoch_and_which_was_kept_on_standard_error(words, capsys):
    code, told = _run(words, capsys)
    assert code == 0
    assert told.out == ""
    lines = told.err.splitlines()
    assert sum(line.startswith("epoch ") and "left)" in line for line in lines) == 2
    assert "of 2 kept, selected on val" in lines[-1]
    assert "R@1" in lines[-1]


def test_with_json_every_line_is_an_object_and_the_last_is_the_summary(words, capsys, tmp_path):
    code, told = _run([*words, "--json"], capsys)
    assert (code, told.err) == (0, "")
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert [line["event"] for line in lines if line["event"] != "message"] == ["start", "epoch", "epoch", "done"]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert {**summary, "event": "done"} == lines[-1]
    _, again = _run([*words, "--json"], capsys)
    assert json.loads(again.out.splitlines()[-1]) == lines[-1]


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--set", "optim.learning_rat=1"], "did you mean 'learning_rate'?"),
        (["--set", "seed"], "expected key.path=value"),
        (["--set", "train.precision=fp16"], "needs a GPU"),
        (["--set", "data.root=/nowhere"], "/nowhere"),
        (["--set", "data.name=stret"], "did you mean 'street'?"),
        (["--set", "train.initial=/no/such.pt"], "/no/such.pt"),
    ],
)
def test_bad_input_is_one_line_and_no_traceback(words, extra, told, capsys):
    code, shown = _run([*words, *extra], capsys)
    assert code in (2, 3)
    errors = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert told in errors[0]
    assert "Traceback" not in shown.err


def test_an_unknown_recipe_names_the_nearest(capsys, tmp_path):
    code, shown = _run(["train", "smoek", "--out", str(tmp_path / "run")], capsys)
    assert code == 3
    assert "did you mean 'smoke'?" in shown.err
    assert not (tmp_path / "run").exists()


def test_help_loads_no_torch():
    program = "import sys; from pickout.cli.app import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass\n"
    done = subprocess.run(
        [sys.executable, "-c", program + "assert 'torch' not in sys.modules"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--out" in done.stdout
