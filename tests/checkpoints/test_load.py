import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pickout
from pickout.checkpoints.loaded_model import choose_precision
from pickout.checkpoints.source import load
from pickout.errors import CheckpointError, UsageError


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, pickout; assert 'torch' not in sys.modules; pickout.load; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        pickout.lode  # noqa: B018


def test_a_path_where_nothing_is_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="did you mean 'clip-vit-base-patch16'"):
        load("clip-vit-base-patch-16")
    with pytest.raises(CheckpointError, match="no such file or folder"):
        load(tmp_path / "nothing")


def test_weights_that_were_not_fetched_say_how() -> None:
    with pytest.raises(CheckpointError, match="run `pickout weights get clip-vit-base-patch16`"):
        load("clip-vit-base-patch16")


def test_a_folder_that_is_no_run_says_what_it_holds(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(CheckpointError, match=r"neither a run .* it is empty"):
        load(folder)
    (folder / "photo.jpg").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"it holds photo\.jpg"):
        load(folder)


@pytest.mark.parametrize("device", ["gpu", "cuda:64", "cuda:-3"])
def test_a_device_that_is_not_there_is_a_usage_error(device: str) -> None:
    from pickout.checkpoints.loaded_model import choose_device

    with pytest.raises(UsageError, match=device):
        choose_device(device)


def test_precision_follows_the_machine_unless_told() -> None:
    cpu = torch.device("cpu")
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    assert choose_precision("auto", cpu) == ("bf16" if native else "fp32")
    assert choose_precision("fp32", cpu) == "fp32"
    with pytest.raises(UsageError, match="precision 'fp8'"):
        choose_precision("fp8", cpu)
