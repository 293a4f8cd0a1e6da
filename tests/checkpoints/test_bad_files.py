import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_clip import openai_state

import pickout
from pickout.checkpoints.weight_file import read_weights
from pickout.errors import CheckpointError, CheckpointTruncated, CheckpointUnknown, CheckpointUnsafe


class Hostile:
    """Unpickled freely, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("form", ["torch", "legacy", "plain", "text", "bare"])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path, form: str) -> None:
    trace, path = tmp_path / "trace", tmp_path / "model.pth"
    content = {"model": {"visual.proj": torch.zeros(2)}, "more": Hostile(trace)}
    if form in ("plain", "text", "bare"):
        protocol = 4 if form == "plain" else 0
        path.write_bytes(pickle.dumps(Hostile(trace) if form == "bare" else content, protocol=protocol))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(CheckpointUnsafe, match="refused, loading it could run a program") as caught:
        pickout.load(path)
    assert not trace.exists()
    assert "safetensors" in str(caught.value)
    torch.load(path, weights_only=False) if form in ("torch", "legacy") else pickle.loads(path.read_bytes())
    assert trace.exists(), "the pickle was not hostile, so the test showed nothing"


def test_the_class_that_a_pickle_asks_for_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"model": {"a": torch.zeros(1)}, "path": zipfile.ZipFile}, path)
    with pytest.raises(CheckpointUnsafe, match=r"it asks for 'zipfile\.ZipFile'"):
        read_weights(path)


def test_a_torchscript_archive_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ViT-B-16.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("ViT-B-16/data.pkl", "ViT-B-16/constants.pkl", "ViT-B-16/code/__torch__.py", "ViT-B-16/version"):
            archive.writestr(name, b"")
    with pytest.raises(CheckpointUnsafe, match=r"TorchScript archive.*pickout weights get clip-vit-base-patch16"):
        pickout.load(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.9, 0.999])
def test_a_truncated_pickle_is_told(tmp_path: Path, zipped: bool, part: float) -> None:
    path = tmp_path / "model.pth"
    torch.save(openai_state(), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(CheckpointTruncated, match=r"model\.pth"):
        pickout.load(path)


@pytest.mark.parametrize("part", [0.001, 0.3, 0.999])
def test_a_truncated_safetensors_file_is_told(tmp_path: Path, part: float) -> None:
    path = tmp_path / "model.safetensors"
    save_file(openai_state(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(CheckpointTruncated, match=r"model\.safetensors"):
        pickout.load(path)


def test_flipped_bytes_in_a_header_are_told(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(openai_state(), path)
    content = bytearray(path.read_bytes())
    content[20:24] = b'"}{"'
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointTruncated, match="damaged safetensors"):
        pickout.load(path)


@pytest.mark.parametrize(
    ("content", "looks_like"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
        (b"<!doctype html><html>Not found", "a web page"),
        (b"\x1f\x8b\x08\x00" + bytes(30), "a gzip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(30), "an HDF5 file"),
        (b"GGUF" + bytes(30), "a GGUF file"),
        (b"just some words", "data beginning b'just some words'"),
        (bytes(range(1, 30)), "data beginning b"),
    ],
)
@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_a_file_of_another_kind_says_what_it_looks_like(
    tmp_path: Path, name: str, content: bytes, looks_like: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointUnknown, match=f"{name}: not a weight file: it looks like {looks_like}"):
        pickout.load(path)


@pytest.mark.parametrize(
    ("keys", "looks_like"),
    [
        (("x.embeddings.word_embeddings.weight", "x.encoder.layer.0.attention.self.query.weight"), "a BERT"),
        (("conv1.weight", "layer1.0.conv1.weight", "layer4.2.bn3.bias", "fc.weight"), "a torchvision ResNet"),
        (("visual.attnpool.c_proj.weight", "visual.layer1.0.conv1.weight"), "a CLIP with a ResNet image tower"),
        (("text_encoder.bert.embeddings.x", "visual_encoder.cls_token"), "a model of the ALBEF or BLIP families"),
        (("blocks.0.attn.qkv.weight", "patch_embed.proj.weight"), "a timm or DINO vision transformer"),
        (("vision_model.encoder.layers.0.mlp.fc1.weight",), "the image half of a Hugging Face CLIP"),
        (("net.0.weight", "net.0.bias"), "a state dict of 2 tensors beginning with net.0.bias, net.0.weight"),
    ],
)
def test_a_state_dict_of_another_model_says_what_it_looks_like(
    tmp_path: Path, keys: tuple[str, ...], looks_like: str
) -> None:
    path = tmp_path / "model.safetensors"
    save_file({key: torch.zeros(2) for key in keys}, path)
    with pytest.raises(CheckpointUnknown, match=f"no importer knows this file; it looks like {looks_like}"):
        pickout.load(path)


@pytest.mark.parametrize(
    ("content", "looks_like"),
    [
        ({"state": {0: {"exp_avg": torch.zeros(1)}}, "param_groups": []}, "the state of a training"),
        ({"epoch": 3, "step": 9, "method": {}, "optimiser": {}}, "give the run's folder"),
        ({"hello": 1, "world": 2}, "a mapping with the keys hello, world"),
        ({}, r"a mapping with the keys \(none\)"),
        (torch.zeros(3), "a single tensor"),
        ([1, 2], "a Python list"),
    ],
)
def test_a_pickle_without_a_state_dict_says_what_it_holds(tmp_path: Path, content: object, looks_like: str) -> None:
    path = tmp_path / "model.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointUnknown, match=looks_like):
        pickout.load(path)


def test_an_empty_file_and_an_unreadable_one_are_told(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.touch()
    with pytest.raises(CheckpointTruncated, match="empty"):
        read_weights(path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_weights(tmp_path / "nothing.pth")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_weights(tmp_path)
