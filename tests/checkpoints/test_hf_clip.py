import json
import warnings
from pathlib import Path

import pytest
import torch
from tiny_clip import CONTEXT, EMBEDDING, MERGES, VOCABULARY, WIDTH, save_pth

import pickout
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointUnknown
from pickout.shapes import AttentionRequest, TokenBatch


@pytest.fixture(scope="module")
def hf_clip() -> object:
    """A CLIP of `transformers` with random weights, attention computed openly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
        torch.manual_seed(0)
        tower = {"num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH}
        special = {"bos_token_id": VOCABULARY - 2, "eos_token_id": VOCABULARY - 1, "pad_token_id": 0}
        config = transformers.CLIPConfig(
            vision_config={**tower, "image_size": 48, "patch_size": 16},
            text_config={**tower, **special, "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT},
            projection_dim=EMBEDDING,
            attn_implementation="eager",
        )
        model = transformers.CLIPModel(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        return model


@pytest.fixture
def hf_folder(hf_clip: object, tmp_path: Path) -> Path:
    folder = tmp_path / "hf"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hf_clip.save_pretrained(folder)
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]))
    return folder


def test_a_hugging_face_clip_computes_what_transformers_computes(hf_clip: object, hf_folder: Path) -> None:
    loaded = pickout.load(hf_folder, precision="fp32")
    assert loaded.report.format == "Hugging Face CLIP"
    loaded.report.require_complete()
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    ids = torch.from_numpy(loaded.tokenizer.encode(["a red hat", "he's blue blue"]))
    texts = TokenBatch(ids, torch.from_numpy(loaded.tokenizer.mask(ids.numpy())))
    asked = AttentionRequest(rows="all", maps="all")
    with torch.no_grad():
        theirs = hf_clip.vision_model(images, output_attentions=True)
        their_words = hf_clip.text_model(ids, output_attentions=True)
        image_tokens = hf_clip.visual_projection(hf_clip.vision_model.post_layernorm(theirs.last_hidden_state))
        text_tokens = hf_clip.text_projection(their_words.last_hidden_state)
        pooled = hf_clip.text_projection(their_words.pooler_output)
        ours, our_words = loaded.method.vision(images, asked), loaded.method.text(texts, asked)
    torch.testing.assert_close(ours.tokens, image_tokens, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(our_words.tokens, text_tokens, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(our_words.summary, pooled, atol=1e-5, rtol=1e-5)
    for out, attentions in ((ours, theirs.attentions), (our_words, their_words.attentions)):
        for layer, attention in enumerate(attentions, start=1):
            mean = attention.mean(1)
            torch.testing.assert_close(out.trace.maps[layer], mean, atol=1e-5, rtol=0)
            rows = mean[torch.arange(2), out.trace.query]
            torch.testing.assert_close(out.trace.rows[layer], rows, atol=1e-5, rtol=0)


def test_gradients_equal_those_of_transformers(hf_clip: object, hf_folder: Path) -> None:
    loaded = pickout.load(hf_folder, precision="fp32")
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    hf_clip.zero_grad()
    hf_clip.visual_projection(hf_clip.vision_model(images).pooler_output).square().sum().backward()
    loaded.method.vision(images, AttentionRequest(rows="all")).summary.square().sum().backward()
    theirs = hf_clip.vision_model.embeddings.patch_embedding.weight.grad
    torch.testing.assert_close(loaded.method.vision.patches.weight.grad, theirs, atol=1e-6, rtol=1e-4)


def test_a_pickled_folder_and_a_bare_file_give_the_same_model(hf_clip: object, hf_folder: Path) -> None:
    first = pickout.load(hf_folder).fingerprint
    assert pickout.load(hf_folder / "model.safetensors").fingerprint == first
    (hf_folder / "model.safetensors").unlink()
    save_pth(hf_folder / "pytorch_model.bin", hf_clip.state_dict())
    assert pickout.load(hf_folder).fingerprint == first


def test_merges_are_read_from_a_tokenizer_json_too(hf_folder: Path) -> None:
    first = pickout.load(hf_folder).fingerprint
    (hf_folder / "merges.txt").unlink()
    pairs = [pair.split(" ") for pair in MERGES]
    (hf_folder / "tokenizer.json").write_text(json.dumps({"model": {"merges": pairs}}))
    assert pickout.load(hf_folder).fingerprint == first
    (hf_folder / "tokenizer.json").write_text(json.dumps({"model": []}))
    with pytest.raises(CheckpointError, match="cannot be read as CLIP's merges"):
        pickout.load(hf_folder)


def change_config(folder: Path, part: str | None, key: str, value: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (config[part] if part else config)[key] = value
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("part", "key", "value", "error", "message"),
    [
        (None, "model_type", "siglip", CheckpointUnknown, "looks like a Hugging Face 'siglip' model"),
        ("vision_config", "hidden_act", "relu", CheckpointError, "cannot be computed"),
        ("text_config", "layer_norm_eps", 1e-6, CheckpointError, "cannot be computed"),
        ("vision_config", "image_size", 64, CheckpointMismatch, "9 patches of 16x16, which is no grid of 64x64"),
        ("vision_config", "image_size", "big", CheckpointError, "not a readable config"),
    ],
)
def test_a_config_of_something_else_is_refused(
    hf_folder: Path, part: str | None, key: str, value: object, error: type[Exception], message: str
) -> None:
    change_config(hf_folder, part, key, value)
    with pytest.raises(error, match=message):
        pickout.load(hf_folder)


def test_a_hugging_face_file_without_its_config_is_told(hf_folder: Path) -> None:
    (hf_folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json: no such file"):
        pickout.load(hf_folder / "model.safetensors")


def test_a_folder_without_weights_is_told(hf_folder: Path) -> None:
    (hf_folder / "model.safetensors").rename(hf_folder / "model-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError, match="several parts"):
        pickout.load(hf_folder)
    (hf_folder / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no model\.safetensors or pytorch_model\.bin"):
        pickout.load(hf_folder)
