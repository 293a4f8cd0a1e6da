"""Tiny models of every kind on disk, made by the tests."""

import gzip
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))

from local_hub import Hub, local_hub
from tiny_albef import WORDS
from tiny_clip import CONTEXT, MERGES

from pickout.checkpoints import hub as transfer
from pickout.data.transforms import ImageSettings
from pickout.methods.base import Method
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.text.build import clip_tokenizer
from pickout.text.tokenizer import Tokenizer


@pytest.fixture
def merges(tmp_path: Path) -> Path:
    """CLIP's merges file, small, in the folder of the test."""
    file = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    file.write_bytes(gzip.compress(("#version: test\n" + "\n".join(MERGES) + "\n").encode()))
    return file


@pytest.fixture
def tokenizer(merges: Path) -> Tokenizer:
    return clip_tokenizer(merges, CONTEXT)


@pytest.fixture
def settings() -> ModelSettings:
    """A small ITSELF."""
    return ModelSettings(
        method={"name": "itself", "selection_layers": [1, 2], "local_dimension": 24, "hidden": 8},
        image=ImageSettings(height=48, width=16),
        vision=VisionSettings(patch=8, stride=8, width=32, layers=2, heads=2, embedding=12),
        text=TextSettings(width=32, layers=2, heads=2, embedding=12),
    )


@pytest.fixture
def method(settings: ModelSettings, tokenizer: Tokenizer) -> Method:
    torch.manual_seed(7)
    return build_model(settings, tokenizer, identities=5).eval()


@pytest.fixture(autouse=True)
def nothing_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests away from the user's own weights."""
    monkeypatch.setenv("PICKOUT_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a state dict as the programs of ALBEF's family do, with a vocabulary beside it."""

    def save(state: dict[str, torch.Tensor], name: str = "model.pth", **beside: object) -> Path:
        (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".safetensors":
            save_file({key: tensor.clone() for key, tensor in state.items()}, path)
        else:
            torch.save({"model": state, **beside}, path)
        return path

    return save


REPOSITORY = "owner/name"
SMALL = b'{"model_type": "clip"}'
LARGE = np.random.default_rng(0).bytes(300_000)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    with local_hub({f"{REPOSITORY}/config.json": SMALL, f"{REPOSITORY}/model.safetensors": LARGE}) as hub:
        yield hub
