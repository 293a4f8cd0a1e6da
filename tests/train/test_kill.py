"""A true process, killed without warning at moments drawn at random, and started again until it is done."""

import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from pickout.train.recipe import find_recipe, load_recipe
from pickout.train.run_folder import read_journal
from pickout.train.training import train

_PICKOUT = [sys.executable, "-c", "from pickout.cli.app import main; main()"]

pytestmark = pytest.mark.timeout(1200)


def _command(out, overrides):
    sets = [word for pair in overrides for word in ("--set", pair)]
    return [*_PICKOUT, "train", "smoke", "--out", str(out), "--device", "cpu", *sets]


def _start(out, overrides):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(_command(out, overrides), env=environment, stderr=subprocess.PIPE, text=True)


def _wait_for(process, happened):
    """Poll until the run did something, or is done; minutes only on a machine that is busy with much else."""
    deadline = time.monotonic() + 400
    while process.poll() is None and not happened():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def _finish(out, overrides):
    """Train to the end in this process, with one thread as the killed ones have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return train(load_recipe(find_recipe("smoke"), overrides), out, device="cpu")
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def overrides(tmp_path_factory, blocks):
    street = blocks(tmp_path_factory.mktemp("street"))
    sizes = ["model.image.height=32", "model.image.width=16", "model.vision.layers=3"]
    return [f"data.root={street}", *sizes, "schedule.epochs=8", "data.cache=false", "data.workers=1"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, overrides):
    out = tmp_path_factory.mktemp("runs") / "whole"
    _finish(out, overrides)
    return out


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_with_bit_equal_weights(whole, tmp_path, overrides):
    cut, chance, moments = tmp_path / "cut", random.Random(7), []
    wanted = [
        lambda: (cut / "recipe.toml").exists(),
        lambda: any(cut.glob("**/.*.pickout.part")) and any(cut.glob("checkpoints/*.pt")),
        lambda: any(cut.glob("checkpoints/.*.pickout.part")) and (cut / "checkpoints" / "epoch-0004.pt").exists(),
    ]
    for happened in wanted:
        process = _start(cut, overrides)
        _wait_for(process, happened)
        time.sleep(chance.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        # Not communicate: the data worker holds the pipe until it notices that its parent is gone.
        process.wait(timeout=200)
        process.stderr.close()
        moments.append(process.returncode)
    assert moments.count(-signal.SIGKILL) >= 2, "most kills must come before the run is done"
    _finish(cut, overrides)

    one, two = load_file(whole / "model.safetensors"), load_file(cut / "model.safetensors")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    states = [torch.load(run / "checkpoints" / "epoch-0008.pt", weights_only=True) for run in (whole, cut)]
    assert all(torch.equal(states[0]["method"][name], states[1]["method"][name]) for name in states[0]["method"])
    assert str(states[0]["optimiser"]) == str(states[1]["optimiser"])
    losses = [
        [(line["step"], line["loss"]) for line in read_journal(run / "metrics.jsonl") if line["event"] == "step"]
        for run in (whole, cut)
    ]
    assert losses[0] == losses[1], "no step is missing, none comes twice"
    assert not list(cut.glob("checkpoints/.*.pickout.part"))


def test_a_request_to_terminate_ends_the_run_with_one_line_and_the_run_goes_on(whole, tmp_path, overrides):
    process = _start(tmp_path / "cut", overrides)
    _wait_for(process, lambda: (tmp_path / "cut" / "checkpoints" / "epoch-0002.pt").exists())
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=200)
    assert process.returncode == 130
    newest = max((tmp_path / "cut" / "checkpoints").glob("epoch-*.pt")).stem[-1]
    assert re.search(rf"stopped in epoch \d+; the same command goes on after epoch {newest}\n", told)
    assert "Traceback" not in told
    assert not list((tmp_path / "cut").glob("**/.*.pickout.part"))
    _finish(tmp_path / "cut", overrides)
    one, two = load_file(whole / "model.safetensors"), load_file(tmp_path / "cut" / "model.safetensors")
    assert all(torch.equal(one[name], two[name]) for name in one)
