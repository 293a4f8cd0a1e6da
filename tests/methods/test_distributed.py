"""Two processes with half a batch each give the losses and gradients of one process with the whole batch."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pickout.data.batching import Batch
from pickout.methods import METHODS

WORKER = Path(__file__).with_name("distributed_worker.py")
SETTINGS: dict[str, dict[str, Any]] = {
    "dual": {},
    "itself": {"local_dimension": 12, "hidden": 10, "selection_layers": [1, 2]},
    "fusion": {"queue": 16, "negative_group": 0, "exclude_equal_captions": True},
    "aga": {"queue": 16, "negative_group": 2, "enrich_probability": 0.7},
    "union": {
        "queue": 16,
        "negative_group": 2,
        "bank": {"local_dimension": 12, "hidden": 10, "selection_layers": [1, 2]},
    },
}


def start(name: str, rank: int, processes: int, folder: Path, wrapper: str) -> subprocess.Popen[str]:
    arguments = [name, rank, processes, folder / "meeting", folder / "given.pt", folder / f"out{rank}.pt", wrapper]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(
        [sys.executable, str(WORKER), *map(str, arguments)], stderr=subprocess.PIPE, text=True, env=environment
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a worker and say what it complained of; one that hangs is ended, so that no test inherits it."""
    try:
        return process.communicate(timeout=120)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[1] + "it hung"


def test_every_method_is_tried() -> None:
    assert SETTINGS.keys() == METHODS.keys()


@pytest.mark.parametrize("name", ["dual", "itself"])
def test_two_processes_with_shards_of_the_weights_equal_one(
    name: str, tmp_path: Path, make_batch: Callable[..., Batch]
) -> None:
    """Not the fusion models: `fully_shard` takes no parameter without axes, and their temperature is one."""
    test_two_processes_equal_one(name, tmp_path, make_batch, "fsdp")


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_two_processes_equal_one(
    name: str, tmp_path: Path, make_batch: Callable[..., Batch], wrapper: str = "ddp"
) -> None:
    batch = make_batch(6)
    identity = torch.tensor([0, 1, 0, 2, 3, 1])  # a person's pairs lie in different processes
    given = {"images": batch.images, "ids": batch.texts.ids, "identity": identity, "settings": SETTINGS}
    given |= {"second": make_batch(6, seed=1).images, "weak": batch.texts.ids.clone()}
    given["weak"][[0, 3]] = batch.texts.ids[[2, 5]]  # longer captions, in both processes
    given["replaced"] = torch.tensor([1, 0, 0, 1, 0, 0])
    torch.save(given, tmp_path / "given.pt")
    running = [start(name, rank, 2 if rank >= 0 else 1, tmp_path, wrapper) for rank in (-1, 0, 1)]
    complaints = [finish(process) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], complaints
    alone, first, second = (torch.load(tmp_path / f"out{rank}.pt", weights_only=True) for rank in (-1, 0, 1))
    for spread in (first, second):
        assert spread["terms"] == pytest.approx(alone["terms"], rel=1e-5, abs=1e-6)
        for key, gradient in alone["gradients"].items():
            rounding = 2e-6 * max(1.0, float(gradient.abs().max()))  # products of other sizes sum in another order
            torch.testing.assert_close(spread["gradients"][key], gradient, atol=rounding, rtol=1e-4, msg=key)
        for key, buffer in alone["buffers"].items():
            torch.testing.assert_close(spread["buffers"][key], buffer, atol=1e-6, rtol=1e-5, msg=key)
