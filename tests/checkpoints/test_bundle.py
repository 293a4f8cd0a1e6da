import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import pickout
from pickout.checkpoints import saved_model
from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.saved_model import Bits, is_bundle, write_bundle
from pickout.checkpoints.weight_file import KeyReport, safetensors_header
from pickout.data.transforms import ImageSettings
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointTruncated, PickoutError, StorageFull
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.text.build import wordpiece_tokenizer
from pickout.text.tokenizer import TokenizerSettings

LETTERS = [f"{mark}{letter}" for mark in ("", "##") for letter in "abcdefghijklmnopqrstuvwxyz"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, "red", "coat", "teal"]
SENTENCES = ["red coats", "teal coat", "a hat"]


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = wordpiece_tokenizer(tmp_path / "vocab.txt", 16)
    settings = ModelSettings(
        method={"name": "dual", "pair_loss": False, "id_terms": False},
        image=ImageSettings(height=64, width=32),
        vision=VisionSettings(kind="lite0", width=32, layers=1, heads=2, embedding=16),
        text=TextSettings(kind="sentence", width=192, layers=1, heads=2, embedding=16, fusion_layers=1),
        tokenizer=TokenizerSettings(kind="wordpiece", context=16),
    )
    torch.manual_seed(0)
    return LoadedModel(
        name="whole",
        method=build_model(settings, tokenizer, 0),
        tokenizer=tokenizer,
        settings=settings,
        identities=0,
        report=KeyReport(source="x", format="x", loaded=()),
        precision="fp32",
    )


@pytest.mark.parametrize(("bits", "least"), [("float16", 0.9999), ("int8", 0.98)])
def test_one_file_holds_the_whole_model(model: LoadedModel, tmp_path: Path, bits: Bits, least: float) -> None:
    file = tmp_path / "whole.safetensors"
    write_bundle(model, file, bits)
    loaded = pickout.load(file, precision="fp32")
    assert loaded.name == "whole" and is_bundle(file)
    same = (loaded.encode_texts(SENTENCES) * model.encode_texts(SENTENCES)).sum(axis=1)
    assert same.min() > least
    write_bundle(loaded, tmp_path / "again.safetensors", bits)
    assert pickout.load(tmp_path / "again.safetensors").fingerprint == loaded.fingerprint
    whole = sum(tensor.numel() for tensor in model.method.state_dict().values())
    assert file.stat().st_size < whole * {"float16": 2.6, "int8": 2.0}[bits] + 60_000


def test_a_full_disk_leaves_the_file_before_it(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise saved_model.SafetensorError("I/O error: No space left on device (os error 28)")

    file = tmp_path / "whole.safetensors"
    file.write_bytes(b"before")
    monkeypatch.setattr(saved_model, "save_file", full)
    with pytest.raises(StorageFull, match=r"whole\.safetensors: no space left"):
        write_bundle(model, file)
    assert file.read_bytes() == b"before" and not list(tmp_path.glob(".*"))


def test_the_list_of_learnt_words_goes_along(model: LoadedModel, tmp_path: Path) -> None:
    file = tmp_path / "whole.safetensors"
    write_bundle(model, file)
    assert pickout.load(file).learnt is None and not (tmp_path / "whole.safetensors.words.txt").exists()
    (tmp_path / "whole.safetensors.words.txt").write_text("coat\nred\n")
    loaded = pickout.load(file)
    assert loaded.familiarity("a red coat with a tattoo").unknown == ("tattoo",)
    write_bundle(loaded, tmp_path / "again.safetensors")
    assert pickout.load(tmp_path / "again.safetensors").learnt == {"coat", "red"}
    (tmp_path / "again.safetensors.words.txt").write_bytes(b"\xff\xfe coat")
    with pytest.raises(CheckpointError, match=r"again\.safetensors\.words\.txt: the list of .* cannot be read"):
        pickout.load(tmp_path / "again.safetensors").familiarity("a red coat")


def test_a_damaged_or_later_file_is_told(model: LoadedModel, tmp_path: Path) -> None:
    file = tmp_path / "whole.safetensors"
    write_bundle(model, file)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointTruncated):
        pickout.load(file)
    file.write_bytes(content.replace(b'"pickout_bundle":"1"', b'"pickout_bundle":"9"'))
    with pytest.raises(CheckpointError, match="layout 9"):
        pickout.load(file)
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="leave both out"):
        pickout.load(file, image=(64, 32))


def test_a_missing_tensor_is_named(model: LoadedModel, tmp_path: Path) -> None:
    file = tmp_path / "whole.safetensors"
    write_bundle(model, file)
    tensors = load_file(file)
    header = json.loads(file.read_bytes()[8 : 8 + int.from_bytes(file.read_bytes()[:8], "little")])["__metadata__"]
    del tensors["vision.branches.0.narrow.bias"]
    save_file(tensors, file, header)
    with pytest.raises(CheckpointMismatch, match=r"vision\.branches\.0\.narrow\.bias"):
        pickout.load(file)


_NORM, _ROWS = "text.trunk.0.attention.norm.weight", "text.trunk.0.feed_forward.widen.weight"


@pytest.mark.parametrize(
    ("key", "change"),
    [
        *(
            (_NORM, lambda held, kind=kind: held.to(kind))
            for kind in (torch.int16, torch.uint8, torch.bool, torch.int64)
        ),
        (_NORM, lambda held: held.to(torch.int8)),  # without a scale
        (_ROWS + ".scale", None),
        (_ROWS + ".scale", lambda held: held.to(torch.int32)),
        (_ROWS + ".scale", lambda held: held.to(torch.float64)),
        (_ROWS + ".scale", lambda held: held.view(2, -1)),
        (_ROWS + ".scale", lambda held: held[1:].clone()),
    ],
)
def test_numbers_of_another_kind_are_refused_with_their_key(
    model: LoadedModel, tmp_path: Path, key: str, change: Callable[[Tensor], Tensor] | None
) -> None:
    file = tmp_path / "whole.safetensors"
    write_bundle(model, file)
    tensors, header = load_file(file), safetensors_header(file)
    held = tensors.pop(key)
    if change is not None:
        tensors[key] = change(held)
    save_file(tensors, file, header)
    with pytest.raises(CheckpointError, match=rf"whole\.safetensors: '{re.escape(key.removesuffix('.scale'))}' holds"):
        pickout.load(file)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": None}, "its header has no 'model'"),
        ({"tokenizer": None}, "its header has no 'tokenizer'"),
        ({"model": "{"}, "header 'model' is no JSON"),
        ({"model": "[" * 100_000}, "header 'model' is no JSON"),
        ({"model": "1" * 5_000}, "header 'model' is no JSON"),
        ({"model": "[]"}, "header 'model'"),
        ({"tokenizer": "{"}, "whole.safetensors"),
    ],
)
def test_a_header_that_tells_no_model_is_told(
    model: LoadedModel, tmp_path: Path, change: dict[str, str | None], told: str
) -> None:
    file = tmp_path / "whole.safetensors"
    write_bundle(model, file)
    header = {key: text for key, text in {**safetensors_header(file), **change}.items() if text is not None}
    save_file(load_file(file), file, header)
    with pytest.raises(PickoutError, match=told):
        pickout.load(file)
