from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_clip import CONTEXT, EMBEDDING, MERGES, VOCABULARY, openai_state, save_pth
from torch import Tensor

import pickout
from pickout.errors import CheckpointError, CheckpointMismatch

CROP = Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 30, 3), np.uint8))


@pytest.fixture
def openai_file(tmp_path: Path, merges: Path) -> Path:
    path = tmp_path / "clip.safetensors"
    state = {key: tensor.half() for key, tensor in openai_state().items()}
    save_file({**state, "logit_scale": torch.tensor(4.6)}, path)
    return path


def test_an_openai_state_dict_in_half_precision(openai_file: Path) -> None:
    loaded = pickout.load(openai_file, precision="fp32")
    assert loaded.report.format == "OpenAI CLIP" and loaded.name == "clip"
    assert set(loaded.report.ignored) == {"logit_scale"} and not loaded.report.resized
    assert (loaded.settings.image.height, loaded.settings.image.width) == (48, 48)
    assert loaded.dimension == EMBEDDING
    state = openai_state()
    own = loaded.method.state_dict()
    assert all(tensor.dtype == torch.float32 for tensor in own.values())
    torch.testing.assert_close(own["vision.projection.weight"], state["visual.proj"].half().float().T)
    torch.testing.assert_close(
        own["text.transformer.layers.1.feed_forward.narrow.bias"],
        state["transformer.resblocks.1.mlp.c_proj.bias"].half().float(),
    )
    assert loaded.encode_images([CROP]).shape == (1, EMBEDDING)
    assert loaded.encode_texts(["a red hat"]).shape == (1, EMBEDDING)


def test_another_image_size_resizes_the_position_table_and_says_so(openai_file: Path) -> None:
    loaded = pickout.load(openai_file, image=(96, 32))
    assert loaded.report.resized == {"vision.positions": "resized from 3x3 to 6x2 patches (bilinear)"}
    assert loaded.settings.image.height == 96
    assert "resized from 3x3" in loaded.report.summary()
    with pytest.raises(CheckpointMismatch, match="smaller than one patch"):
        pickout.load(openai_file, image=(96, 8))


def test_a_pth_file_gives_the_same_model_as_its_safetensors(openai_file: Path) -> None:
    state = {key: tensor.half() for key, tensor in openai_state().items()}
    wrapped = save_pth(openai_file.with_suffix(".pth"), {"state_dict": {f"module.{k}": v for k, v in state.items()}})
    assert pickout.load(wrapped).fingerprint == pickout.load(openai_file).fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visual.ln_post.weight": None}, "1 missing: visual.ln_post.weight"),
        ({"extra.weight": torch.zeros(2)}, "1 left over: extra.weight"),
        ({"visual.ln_pre.bias": torch.zeros(3)}, r"visual.ln_pre.bias \(\(3,\), expected \(64,\)\)"),
        ({"transformer.resblocks.1.attn.in_proj_weight": None}, "missing: transformer.resblocks.1.attn.in_proj_weight"),
        ({"positional_embedding": None}, "nothing usable for positional_embedding"),
        ({"text_projection": torch.zeros(64, 8)}, "vision.embedding = 16 and text.embedding = 8 must be equal"),
        ({"visual.positional_embedding": torch.zeros(12, 64)}, "11 patches of 16x16, which is no grid"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused(
    tmp_path: Path, merges: Path, change: dict[str, Tensor | None], message: str
) -> None:
    state = {**openai_state(), **change}
    path = tmp_path / "odd.safetensors"
    save_file({key: tensor for key, tensor in state.items() if tensor is not None}, path)
    with pytest.raises(CheckpointMismatch, match=message):
        pickout.load(path)


def test_without_merges_the_remedy_is_named(openai_file: Path, merges: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    merges.rename(elsewhere / "merges.gz")
    with pytest.raises(CheckpointError, match=r"put bpe_simple_vocab_16e6\.txt\.gz .* weights get"):
        pickout.load(openai_file)
    assert pickout.load(openai_file, tokenizer=elsewhere / "merges.gz").tokenizer.context == CONTEXT


def test_merges_of_fetched_weights_serve_other_files(openai_file: Path, merges: Path, nothing_downloaded: Path) -> None:
    fetched = nothing_downloaded / "clip-vit-base-patch16"
    fetched.mkdir(parents=True)
    merges.unlink()
    (fetched / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]))
    assert pickout.load(openai_file).tokenizer.vocabulary_size == VOCABULARY


def test_merges_of_another_clip_are_refused(openai_file: Path, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer.txt"
    fewer.write_text("\n".join(["#version: 0.2", *MERGES[:4]]))
    with pytest.raises(CheckpointMismatch, match="the text tower knows 523 tokens, the tokenizer 518"):
        pickout.load(openai_file, tokenizer=fewer)
