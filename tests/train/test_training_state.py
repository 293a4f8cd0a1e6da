import errno
import io
import os
import pickle
import random
import subprocess

import numpy as np
import pytest
import torch

from pickout.errors import StorageFull
from pickout.train.run_folder import Checkpoints, TrainingState, random_states, restore_random_states


def _state(epoch, size=8):
    generator = torch.Generator().manual_seed(epoch)
    return TrainingState(
        epoch=epoch,
        step=10 * epoch,
        method={"weight": torch.randn(size, generator=generator)},
        optimiser={
            "state": {0: {"step": torch.tensor(3.0)}},
            "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0]}],
        },
        scaler=None,
        random=[random_states(torch.device("cpu"))],
        best={"epoch": 1, "metrics": {"R@1": 50.0}},
        journal=123,
        data="abc",
        seconds=1.5,
    )


@pytest.fixture
def told():
    return []


@pytest.fixture
def checkpoints(tmp_path, told):
    return Checkpoints(tmp_path, keep=2, tell=told.append)


def test_the_newest_comes_back_as_it_was_saved(checkpoints):
    assert checkpoints.newest() is None
    checkpoints.save(_state(1))
    checkpoints.save(_state(2))
    back = checkpoints.newest()
    assert (back.epoch, back.step, back.best, back.optimiser) == (2, 20, _state(2).best, _state(2).optimiser)
    assert torch.equal(back.method["weight"], _state(2).method["weight"])


def test_only_the_newest_few_are_kept_also_past_9999_epochs(checkpoints):
    for epoch in (8, 9, 9999, 10000):
        checkpoints.save(_state(epoch))
    assert [path.name for path in checkpoints.files()] == ["epoch-9999.pt", "epoch-10000.pt"]


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_newest_gives_way_to_the_one_before(checkpoints, told, keep):
    checkpoints.save(_state(1))
    path = checkpoints.save(_state(2))
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * keep))
    assert checkpoints.newest().epoch == 1
    assert len(told) == 1
    assert path.name in told[0]
    assert "going back" in told[0]


def test_a_file_of_other_content_is_passed_over(checkpoints, told):
    checkpoints.save(_state(1))
    torch.save({"epoch": 5}, checkpoints.folder / "epoch-0005.pt")
    (checkpoints.folder / "epoch-0006.pt").write_text("not a checkpoint")
    assert checkpoints.newest().epoch == 1
    assert len(told) == 2


def test_a_hostile_checkpoint_runs_nothing(checkpoints, told, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    checkpoints.save(_state(1))
    torch.save(Hostile(), checkpoints.folder / "epoch-0002.pt")
    with (checkpoints.folder / "epoch-0003.pt").open("wb") as file:
        pickle.dump(Hostile(), file)
    assert checkpoints.newest().epoch == 1
    assert not (tmp_path / "owned").exists()


def test_what_a_kill_left_half_written_is_removed(checkpoints):
    checkpoints.save(_state(1))
    leftover = checkpoints.folder / ".epoch-0002.pt.abcd_123.pickout.part"
    leftover.write_bytes(b"half")
    assert checkpoints.newest().epoch == 1
    assert not leftover.exists()


def test_a_disk_that_fills_while_syncing_leaves_the_previous_checkpoint_whole(checkpoints, monkeypatch):
    checkpoints.save(_state(1))

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageFull, match=r"epoch-0002\.pt"):
            checkpoints.save(_state(2))
    assert [path.name for path in checkpoints.folder.iterdir()] == ["epoch-0001.pt"]
    assert checkpoints.newest().epoch == 1


def test_a_disk_that_fills_while_writing_leaves_the_previous_checkpoint_whole(tmp_path, told):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        checkpoints = Checkpoints(disk, keep=2, tell=told.append)
        checkpoints.save(_state(1))
        with pytest.raises(StorageFull, match=r"epoch-0002\.pt"):
            checkpoints.save(_state(2, size=200_000))
        assert [path.name for path in checkpoints.folder.iterdir()] == ["epoch-0001.pt"]
        assert checkpoints.newest().epoch == 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_write_that_fails_inside_pytorchs_writer_is_a_full_disk_too(checkpoints, monkeypatch):
    checkpoints.save(_state(1))
    monkeypatch.setattr("pickout.train.run_folder._Recorder.write", _fail_late())
    with pytest.raises(StorageFull, match=r"epoch-0002\.pt"):
        checkpoints.save(_state(2, size=100_000))
    assert [path.name for path in checkpoints.folder.iterdir()] == ["epoch-0001.pt"]


def _fail_late():
    written = 0

    def write(recorder, data):
        nonlocal written
        written += len(data)
        if written > 10_000:
            recorder.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise recorder.error
        return io.BufferedWriter.write(recorder, data)

    return write


def test_random_states_come_back_through_a_checkpoint(checkpoints):
    state = _state(1)
    draws = (random.random(), np.random.rand(3).tolist(), torch.rand(3).tolist())
    checkpoints.save(state)
    restore_random_states(checkpoints.newest().random[0], torch.device("cpu"))
    assert (random.random(), np.random.rand(3).tolist(), torch.rand(3).tolist()) == draws
