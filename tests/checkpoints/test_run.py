import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import pickout
from pickout.checkpoints import saved_model as run_module
from pickout.checkpoints.loaded_model import described
from pickout.checkpoints.saved_model import save_model
from pickout.data.transforms import ImageSettings
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointTruncated, RecipeError, StorageFull
from pickout.methods import METHODS, MethodEntry
from pickout.methods.base import Method
from pickout.methods.dual import Dual, DualSettings
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.towers import TextSettings
from pickout.text.build import train_tokenizer
from pickout.text.tokenizer import Tokenizer

CROPS = [Image.fromarray(np.random.default_rng(i).integers(0, 255, (60, 25, 3), np.uint8)) for i in range(5)]
SENTENCES = ["a red hat", "blue", "", "he's in a very long sentence with many more words than fit into the context"]


@pytest.fixture
def run(tmp_path: Path, method: Method, tokenizer: Tokenizer, settings: ModelSettings) -> Path:
    folder = tmp_path / "run"
    save_model(folder, method, tokenizer, settings, identities=5)
    return folder


def test_a_saved_model_comes_back_with_every_tensor(run: Path, method: Method) -> None:
    loaded = pickout.load(run, precision="fp32")
    assert loaded.name == "run" and loaded.identities == 5 and loaded.dimension == 36
    theirs = loaded.method.state_dict()
    assert theirs.keys() == method.state_dict().keys()
    for key, tensor in method.state_dict().items():
        assert torch.equal(theirs[key], tensor), key
    loaded.report.require_complete()
    assert len(loaded.report.loaded) == len(theirs)


def test_pictures_and_sentences_become_unit_vectors(run: Path) -> None:
    loaded = pickout.load(run, precision="fp32")
    images, texts = loaded.encode_images(CROPS), loaded.encode_texts(SENTENCES)
    assert images.shape == (5, 36) and texts.shape == (4, 36)
    assert images.dtype == texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([images, texts]), axis=1), 1, atol=1e-6)
    assert loaded.encode_images([]).shape == (0, 36) and loaded.encode_texts([]).shape == (0, 36)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_pictures_of_any_mode_are_taken(run: Path, mode: str) -> None:
    loaded = pickout.load(run, precision="fp32")
    converted = CROPS[0].convert(mode)
    np.testing.assert_allclose(
        loaded.encode_images([converted]), loaded.encode_images([converted.convert("RGB")]), atol=1e-6
    )


def test_batches_give_what_single_items_give(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = pickout.load(run, precision="fp32")
    whole = loaded.encode_images(CROPS), loaded.encode_texts(SENTENCES)
    monkeypatch.setattr("pickout.checkpoints.loaded_model.BATCH", 2)
    np.testing.assert_allclose(loaded.encode_images(CROPS), whole[0], atol=1e-6)
    np.testing.assert_allclose(loaded.encode_texts(SENTENCES), whole[1], atol=1e-6)
    singles = np.concatenate([loaded.encode_images([crop]) for crop in CROPS])
    np.testing.assert_allclose(singles, whole[0], atol=1e-6)


def test_bfloat16_stays_near_float32(run: Path) -> None:
    exact, fast = pickout.load(run, precision="fp32"), pickout.load(run, precision="bf16")
    assert fast.precision == "bf16"
    assert (exact.encode_images(CROPS) * fast.encode_images(CROPS)).sum(1).min() > 0.99


def test_a_learned_pooling_comes_back_too(tmp_path: Path, tokenizer: Tokenizer, settings: ModelSettings) -> None:
    settings = settings.model_copy(update={"method": {**settings.method, "pool": "gpo", "id_terms": False}})
    torch.manual_seed(9)
    method = build_model(settings, tokenizer, identities=0).eval()
    save_model(tmp_path / "gpo", method, tokenizer, settings, identities=0)
    loaded = pickout.load(tmp_path / "gpo", precision="fp32")
    images = torch.randn(3, 3, 48, 16)
    with torch.no_grad():
        assert torch.equal(loaded.method.encode_images(images).embedding, method.encode_images(images).embedding)


class WithTable(Dual):
    """A method that computes a table when it is built and does not save it."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.register_buffer("table", torch.arange(4.0), persistent=False)


def test_buffers_that_are_not_saved_are_computed_again(
    tmp_path: Path, tokenizer: Tokenizer, settings: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "with-table", MethodEntry(DualSettings, WithTable))
    settings = settings.model_copy(update={"method": {"name": "with-table"}})
    method = build_model(settings, tokenizer, identities=3)
    save_model(tmp_path / "table", method, tokenizer, settings, identities=3)
    loaded = pickout.load(tmp_path / "table").method
    assert torch.equal(loaded.table, torch.arange(4.0))
    assert all(torch.equal(tensor, method.state_dict()[key]) for key, tensor in loaded.state_dict().items())


def test_the_fingerprint_tells_weights_settings_and_tokenizer_apart(
    run: Path, tmp_path: Path, method: Method, tokenizer: Tokenizer, settings: ModelSettings
) -> None:
    first = pickout.load(run).fingerprint
    assert len(first) == 12 and first == pickout.load(run).fingerprint
    save_model(tmp_path / "copy", method, tokenizer, settings, identities=5, name="another name")
    assert pickout.load(tmp_path / "copy").fingerprint == first
    other = settings.model_copy(update={"method": {**settings.method, "fusion_weight": 0.4}})
    save_model(tmp_path / "settings", method, tokenizer, other, identities=5)
    with torch.no_grad():
        next(method.parameters()).view(-1)[0] += 1e-6
    save_model(tmp_path / "weights", method, tokenizer, settings, identities=5)
    changed = {pickout.load(tmp_path / name).fingerprint for name in ("settings", "weights")}
    assert len(changed | {first}) == 3


def test_defaults_of_the_method_are_written_out(run: Path) -> None:
    text = (run / "model.toml").read_text()
    assert "eval_ratio = 0.4" in text and "fusion_weight = 0.5" in text
    assert "bpe_simple_vocab" not in text


def test_other_weights_can_be_saved_in_place_of_the_methods(
    tmp_path: Path, method: Method, tokenizer: Tokenizer, settings: ModelSettings
) -> None:
    average = {key: torch.zeros_like(tensor) for key, tensor in method.state_dict().items()}
    save_model(tmp_path / "average", method, tokenizer, settings, identities=5, state=average)
    assert not any(tensor.any() for tensor in load_file(tmp_path / "average" / "model.safetensors").values())


def test_the_weight_file_of_a_run_loads_the_run(run: Path, tmp_path: Path) -> None:
    assert pickout.load(run / "model.safetensors").fingerprint == pickout.load(run).fingerprint
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((run / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"weights of a run; model.toml and tokenizer.json belong beside"):
        pickout.load(alone)


@pytest.mark.parametrize("name", ["model.toml", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        pickout.load(run)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_weights_are_told(run: Path, keep: int) -> None:
    file = run / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointTruncated, match=r"model\.safetensors"):
        pickout.load(run)


@pytest.mark.parametrize("name", ["model.toml", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[]"])
def test_damaged_settings_and_tokenizers_are_told(run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        pickout.load(run)


def test_a_tokenizer_of_another_size_is_refused(run: Path) -> None:
    header = {}
    save_file(load_file(run / "model.safetensors"), run / "model.safetensors", header)
    other = train_tokenizer(["a red hat", "blue"], vocabulary_size=300, context=16)
    (run / "tokenizer.json").write_text(other.to_json())
    with pytest.raises(CheckpointMismatch, match="the text tower knows 523 tokens, the tokenizer"):
        pickout.load(run)


def test_a_tokenizer_of_the_same_size_but_other_pieces_is_refused(run: Path) -> None:
    content = json.loads((run / "tokenizer.json").read_text())
    vocabulary = content["backend"]["model"]["vocab"]
    vocabulary["!"], vocabulary['"'] = vocabulary['"'], vocabulary["!"]
    (run / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointMismatch, match="not the tokenizer that"):
        pickout.load(run)


def test_weights_of_another_model_are_refused_with_a_key_report(run: Path) -> None:
    file = run / "model.safetensors"
    tensors = load_file(file)
    tensors["vision.positions"] = torch.zeros(5, 32)
    tensors["surprise"] = tensors.pop("text.positions")
    save_file(tensors, file)
    with pytest.raises(CheckpointMismatch) as caught:
        pickout.load(run)
    message = str(caught.value)
    assert "1 missing: text.positions" in message
    assert "1 left over: surprise" in message
    assert "vision.positions ((5, 32), expected (13, 32))" in message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "itself"', 'name = "itsself"', "unknown method 'itsself' \\(did you mean 'itself'"),
        ("format = 1", "format = 2", "layout 2, this Pickout reads 1"),
        ("local_dimension = 24", "local_dimension = 25", "of another shape"),
        ("eval_ratio", "eval_ration", "did you mean 'eval_ratio'"),
        ("identities = 5", "identities = -1", "identities"),
    ],
)
def test_settings_that_fit_nothing_are_told(run: Path, old: str, new: str, message: str) -> None:
    file = run / "model.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(CheckpointError, match=message):
        pickout.load(run)


def test_weights_with_holes_are_told(run: Path) -> None:
    file = run / "model.safetensors"
    tensors = load_file(file)
    tensors["vision.norm_out.weight"][3] = float("nan")
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"vision\.norm_out\.weight \(not finite\)"):
        pickout.load(run)


def test_a_full_disk_leaves_the_weights_before_it(
    run: Path, method: Method, tokenizer: Tokenizer, settings: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "model.safetensors").read_bytes()

    def full(*_: object) -> None:
        raise run_module.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(run_module, "save_file", full)
    with pytest.raises(StorageFull, match=r"model\.safetensors: no space left"):
        save_model(run, method, tokenizer, settings, identities=5)
    assert (run / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == ["model.safetensors", "model.toml", "tokenizer.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": {}}, "missing key 'method.name'"),
        ({"method": {"name": "dual", "margin": "wide"}}, "method.margin"),
        ({"text": {"embedding": 13}}, "must be equal"),
        ({"image": {"height": 8, "width": 8}, "vision": {"patch": 9}}, "smaller than one patch"),
        ({"vision": {"heads": 5}}, "cannot be split into 5 heads"),
    ],
)
def test_a_model_that_cannot_be_built_is_a_recipe_error(
    settings: ModelSettings, tokenizer: Tokenizer, change: dict[str, dict[str, object]], message: str
) -> None:
    parts = {}
    for key, values in change.items():
        part = getattr(settings, key)
        parts[key] = values if key == "method" else part.model_copy(update=values)
    with pytest.raises(RecipeError, match=message):
        build_model(settings.model_copy(update=parts), tokenizer, 5, source="test.toml")


def test_settings_that_came_later_leave_old_fingerprints_alone(settings: ModelSettings) -> None:
    """Galleries of a model would else be refused after an update of Pickout."""
    told = described(settings)
    for later in ("resample", 'kind = "clip"\nwidth', "fusion_layers", "dropout", "cleaning", "words"):
        assert later not in told
    changed = settings.model_copy(update={"image": ImageSettings(resample="bicubic")})
    assert 'resample = "bicubic"' in described(changed)
    bert = settings.model_copy(update={"text": TextSettings(kind="bert")})
    assert "fusion_layers = 6" in described(bert) and 'kind = "bert"' in described(bert)
