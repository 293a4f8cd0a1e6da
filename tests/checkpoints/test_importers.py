import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_clip import CONTEXT, EMBEDDING, MERGES, VOCABULARY, WIDTH, openai_state, random_tensors
from torch import Tensor

import pickout
from pickout.checkpoints.importing import import_file
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointUnknown
from pickout.methods.itself import Itself
from pickout.shapes import AttentionRequest, TokenBatch

CROP = Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 30, 3), np.uint8))
GRAB, HIDDEN, CLASSES = 20, 10, 7


def save_pth(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def itself_heads(branches: tuple[str, str] = ("global", "grab")) -> dict[str, Tensor]:
    """What an official file holds besides the trunk; shapes of a small model."""
    whole, part = branches
    shapes: dict[str, tuple[int, ...]] = {}
    for branch, width in ((whole, EMBEDDING), (part, GRAB)):
        for kind in ("classifier", "classifier_id"):
            shapes |= {f"{kind}_{branch}.weight": (CLASSES, width), f"{kind}_{branch}.bias": (CLASSES,)}
        shapes |= {f"mlp_{branch}.0.weight": (width, 2 * width), f"mlp_{branch}.0.bias": (width,)}
        shapes |= {f"mlp_{branch}.1.weight": (width,), f"mlp_{branch}.1.bias": (width,)}
    return random_tensors(shapes, seed=1) | grab_layers()


def grab_layers() -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "visul_emb_layer.fc.weight": (GRAB, EMBEDDING),
        "visul_emb_layer.fc.bias": (GRAB,),
    }
    counts: dict[str, Tensor] = {}
    for layer in ("visul_emb_layer", "texual_emb_layer"):
        for key, width in (("linear", GRAB), ("mlp.layers.0", HIDDEN)):
            shapes |= {f"{layer}.{key}.weight": (width, EMBEDDING), f"{layer}.{key}.bias": (width,)}
        shapes |= {f"{layer}.mlp.layers.1.weight": (GRAB, HIDDEN), f"{layer}.mlp.layers.1.bias": (GRAB,)}
        for number, width in ((0, HIDDEN), (1, GRAB)):
            for key in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{layer}.mlp.bns.{number}.{key}"] = (width,)
            counts[f"{layer}.mlp.bns.{number}.num_batches_tracked"] = torch.tensor(3)
    tensors = random_tensors(shapes, seed=2)
    return {key: tensor.abs() + 0.1 if "var" in key else tensor for key, tensor in tensors.items()} | counts


def trunk(patches: int = 12) -> dict[str, Tensor]:
    """A CLIP of twelve layers as IRRA keeps it: no temperature, a prefix."""
    return {f"base_model.{key}": tensor for key, tensor in openai_state(patches, layers=12).items()}


def irra_heads() -> dict[str, Tensor]:
    names = ("cross_attn.in_proj_weight", "cross_modal_transformer.resblocks.0.ln_1.weight", "ln_pre_t.weight")
    names += ("ln_pre_i.bias", "ln_post.weight", "mlm_head.dense.weight", "mlm_head.fc.bias", "classifier.weight")
    return {name: torch.zeros(2) for name in names}


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
    assert (loaded.image_settings.height, loaded.image_settings.width) == (48, 48)
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
    assert loaded.image_settings.height == 96
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
        ({"visual.ln_post.weight": None}, "1 missing: vision.norm_out.weight"),
        ({"extra.weight": torch.zeros(2)}, "1 left over: extra.weight"),
        ({"visual.ln_pre.bias": torch.zeros(3)}, r"vision.norm_in.bias \(\(3,\), expected \(64,\)\)"),
        ({"transformer.resblocks.1.attn.in_proj_weight": None}, "missing: text.transformer.layers.1.attention"),
        ({"positional_embedding": None}, "nothing usable for text.positions"),
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
    with pytest.raises(CheckpointError, match="bpe_simple_vocab_16e6.txt.gz .* beside|pickout weights get"):
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


# --- the lineage's files -----------------------------------------------------------------------------------------------


def test_an_official_itself_file(tmp_path: Path, merges: Path) -> None:
    heads = itself_heads()
    content = {"model": trunk() | heads, "optimizer": {"state": {}}, "scheduler": {"last_epoch": 3}, "epoch": 60}
    loaded = pickout.load(save_pth(tmp_path / "best.pth", content), precision="fp32")
    assert isinstance(loaded.method, Itself)
    assert loaded.report.format == "ITSELF" and loaded.identities == CLASSES - 1
    assert (loaded.image_settings.height, loaded.image_settings.width) == (96, 32)
    assert loaded.dimension == EMBEDDING + GRAB
    reasons = loaded.report.ignored
    assert {"visul_emb_layer.linear.weight", "texual_emb_layer.mlp.bns.1.running_var", "optimizer"} <= set(reasons)
    assert "texual_emb_layer.linear.weight" not in reasons
    own = loaded.method.state_dict()
    assert torch.equal(own["image_head.adapter.shortcut.weight"], heads["visul_emb_layer.fc.weight"])
    assert torch.equal(own["text_head.adapter.shortcut.weight"], heads["texual_emb_layer.linear.weight"])
    assert torch.equal(own["text_head.adapter.norm.running_var"], heads["texual_emb_layer.mlp.bns.0.running_var"])
    assert torch.equal(own["image_head.adapter.norm.num_batches_tracked"], torch.tensor(3))
    assert torch.equal(own["local_objective.heads.fusion.weight"], heads["mlp_grab.0.weight"])
    assert torch.equal(own["global_objective.heads.identity_classifier.bias"], heads["classifier_id_global.bias"])
    assert loaded.settings.method["mismatch_class"] == "batch_max_plus_one"
    assert loaded.encode_images([CROP]).shape == (1, EMBEDDING + GRAB)


def test_the_older_branch_names_of_itself_are_known(tmp_path: Path, merges: Path) -> None:
    new = save_pth(tmp_path / "new.pth", {"model": trunk() | itself_heads()})
    old = save_pth(tmp_path / "old.pth", {"model": trunk() | itself_heads(("bge", "tse"))})
    assert pickout.load(old).fingerprint == pickout.load(new).fingerprint


def test_the_global_baseline_of_itself(tmp_path: Path, merges: Path) -> None:
    heads = {key: tensor for key, tensor in itself_heads().items() if "_global" in key}
    loaded = pickout.load(save_pth(tmp_path / "baseline.pth", {"model": trunk() | heads}))
    assert loaded.report.format == "the global baseline of ITSELF"
    assert loaded.settings.method["name"] == "dual" and loaded.identities == CLASSES - 1


def test_an_official_rde_file(tmp_path: Path, merges: Path) -> None:
    loaded = pickout.load(save_pth(tmp_path / "rde.pth", {"model": trunk() | grab_layers()}))
    assert loaded.report.format == "RDE" and loaded.identities == 0
    assert loaded.settings.method["eval_ratio"] == 0.3 and loaded.settings.method["budget"] == "off"
    assert loaded.encode_texts(["a red hat"]).shape == (1, EMBEDDING + GRAB)


def test_an_official_irra_file(tmp_path: Path, merges: Path) -> None:
    heads = irra_heads()
    loaded = pickout.load(save_pth(tmp_path / "irra.pth", {"model": trunk() | heads}))
    assert loaded.report.format == "IRRA" and loaded.dimension == EMBEDDING
    assert set(loaded.report.ignored) == set(heads)
    assert loaded.settings.method["alignment"] == "sdm"
    assert "masked-word branch" in loaded.report.summary()


def test_a_release_with_an_unknown_head_is_refused(tmp_path: Path, merges: Path) -> None:
    path = save_pth(tmp_path / "odd.pth", {"model": trunk() | itself_heads() | {"prototypes": torch.zeros(3)}})
    with pytest.raises(CheckpointMismatch, match="1 left over: prototypes"):
        pickout.load(path)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("visul_emb_layer.mlp.layers.1.weight", "local branch are incomplete"),
        ("texual_emb_layer.mlp.bns.0.running_mean", "1 missing: text_head.adapter.norm.running_mean"),
        ("classifier_grab.weight", "1 missing: local_objective.heads.pair_classifier.weight"),
    ],
)
def test_a_release_with_a_hole_is_refused(tmp_path: Path, merges: Path, missing: str, message: str) -> None:
    model = trunk() | itself_heads()
    del model[missing]
    with pytest.raises(CheckpointMismatch, match=message):
        pickout.load(save_pth(tmp_path / "hole.pth", {"model": model}))


def test_classifiers_that_disagree_are_refused(tmp_path: Path, merges: Path) -> None:
    model = trunk() | itself_heads() | {"classifier_global.weight": torch.zeros(9, EMBEDDING)}
    with pytest.raises(CheckpointMismatch, match=r"\[7, 9\] outputs"):
        pickout.load(save_pth(tmp_path / "odd.pth", {"model": model}))


@pytest.mark.parametrize(
    ("patches", "size", "stride"),
    [(192, (384, 128), 16), (128, (256, 128), 16), (196, (224, 224), 16), (310, (384, 128), 12)],
)
def test_the_image_size_is_told_by_the_position_table(
    tmp_path: Path, patches: int, size: tuple[int, int], stride: int
) -> None:
    path = tmp_path / "sizes.safetensors"
    save_file({f"base_model.{key}": tensor for key, tensor in openai_state(patches).items()}, path)
    imported = import_file(path)
    assert imported.image == size and imported.vision.stride == stride


# --- Hugging Face ------------------------------------------------------------------------------------------------------


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
    assert loaded.report.format == "Hugging Face CLIP" and loaded.report.complete
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
    with pytest.raises(CheckpointError, match="not a Hugging Face byte-pair tokenizer"):
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
