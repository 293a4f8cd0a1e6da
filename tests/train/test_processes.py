"""The same run with one and with two processes under torchrun."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from pickout.train.run_folder import read_journal
from pickout.train.training import train

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="PyTorch was built without distributed")


def _train_in_two(out, overrides):
    sets = [word for pair in overrides for word in ("--set", pair)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["train", "smoke", "--out", str(out), "--device", "cpu", *sets]
    program = out.parent / "program.py"
    program.write_text("from pickout.cli.app import main\nmain()\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, str(program), *command], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr


def _lines(out):
    return [line for line in read_journal(out / "metrics.jsonl") if line["event"] in ("step", "epoch")]


_FUSION = [
    "model.vision.kind=vit",
    "model.vision.activation=gelu",
    "model.text.kind=bert",
    "model.text.fusion_layers=2",
    "model.text.dropout=0.0",
    "model.tokenizer.closing=false",
    "model.tokenizer.cleaning=albef",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ('{name = "dual"}', []),
        (
            '{name = "itself", selection_layers = [1, 2], local_dimension = 32, hidden = 16}',
            ["model.method.budget_duration=10 steps"],
        ),
        ('{name = "aga", queue = 12, candidates = 5}', _FUSION),
    ],
    ids=["dual", "itself", "aga"],
)
def test_one_and_two_processes_have_equal_losses_and_measures(tmp_path, recipe, overrides, method, changes):
    """With `aga` also the second look, which the processes share, is in the measures."""
    changes = [f"model.method={method}", *changes]
    train(recipe(*changes), tmp_path / "one", device="cpu")
    _train_in_two(tmp_path / "two", [*overrides, *changes])
    one, two = _lines(tmp_path / "one"), _lines(tmp_path / "two")
    assert [line["step"] for line in one] == [line["step"] for line in two]
    for alone, shared in zip(one, two, strict=True):
        assert shared["loss"] == pytest.approx(alone["loss"], rel=1e-6, abs=1e-6)
        for key in alone.keys() & {"terms", "logs", "metrics"}:
            assert shared[key] == pytest.approx(alone[key], rel=1e-5, abs=1e-6)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name in weights[0]:
        if ".adapter.inner.bias" in name or ".adapter.norm.running_mean" in name:
            # Batch statistics take this bias off again: its gradient is rounding noise, and the mean follows it.
            continue
        torch.testing.assert_close(weights[1][name], weights[0][name], rtol=1e-3, atol=1e-5)
