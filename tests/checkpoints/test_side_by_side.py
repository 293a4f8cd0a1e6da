"""The script that makes the shipped model: runs whose trained layers stand side by side in one."""

import importlib.util
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import pickout
from pickout.checkpoints.saved_model import save_model, write_bundle
from pickout.checkpoints.sentence_encoder import DEFAULT_FILE
from pickout.methods.model import build_model


@pytest.fixture
def script(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("pickout_small", repository / "models" / "pickout_small.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_runs_side_by_side_are_one_model_of_both(script: ModuleType, tmp_path: Path) -> None:
    shipped = pickout.load(DEFAULT_FILE)
    half: dict[str, Any] = {"embedding": shipped.settings.vision.embedding // 2}
    settings = shipped.settings.model_copy(
        update={
            "vision": shipped.settings.vision.model_copy(update={**half, "branches": 1}),
            "text": shipped.settings.text.model_copy(update=half),
        }
    )
    runs = [tmp_path / "run-1", tmp_path / "run-2"]
    torch.manual_seed(0)
    method = build_model(settings, shipped.tokenizer, 0)
    for seed, run in enumerate(runs):
        own = deepcopy(method)
        with torch.no_grad():
            for name, parameter in own.named_parameters():
                if ".branches.0." in name:
                    parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
        save_model(run, own, shipped.tokenizer, settings, identities=0)
    write_bundle(script.side_by_side(runs), tmp_path / "both.safetensors", "float16")
    both, parts = pickout.load(tmp_path / "both.safetensors"), [pickout.load(run) for run in runs]
    sentences = ["a woman in a teal jacket", "a man with a backpack"]
    own = np.concatenate([part.encode_texts(sentences) for part in parts], axis=1) / np.sqrt(2)
    assert both.dimension == shipped.dimension == own.shape[1]
    np.testing.assert_allclose(both.encode_texts(sentences), own, atol=5e-3)


def test_runs_whose_frozen_parts_differ_are_refused(script: ModuleType, tmp_path: Path) -> None:
    shipped = pickout.load(DEFAULT_FILE)
    for seed in (1, 2):
        torch.manual_seed(seed)
        method = build_model(shipped.settings, shipped.tokenizer, 0)
        save_model(tmp_path / f"run-{seed}", method, shipped.tokenizer, shipped.settings, identities=0)
    with pytest.raises(SystemExit, match="must share their features"):
        script.side_by_side([tmp_path / "run-1", tmp_path / "run-2"])
