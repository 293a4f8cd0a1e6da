from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_clip import EMBEDDING, openai_state, random_tensors, save_pth
from torch import Tensor

import pickout
from pickout.checkpoints.source import import_file
from pickout.checkpoints.starting_weights import initialise
from pickout.data.transforms import ImageSettings
from pickout.errors import CheckpointMismatch, CheckpointUnknown
from pickout.methods.itself import Itself
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.text.tokenizer import Tokenizer

CROP = Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 30, 3), np.uint8))
GRAB, HIDDEN, CLASSES = 20, 10, 7


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


def test_an_official_itself_file(tmp_path: Path, merges: Path) -> None:
    heads = itself_heads()
    content = {"model": trunk() | heads, "optimizer": {"state": {}}, "scheduler": {"last_epoch": 3}, "epoch": 60}
    loaded = pickout.load(save_pth(tmp_path / "best.pth", content), precision="fp32")
    assert isinstance(loaded.method, Itself)
    assert loaded.report.format == "ITSELF" and loaded.identities == CLASSES - 1
    assert (loaded.settings.image.height, loaded.settings.image.width) == (96, 32)
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
        ("texual_emb_layer.mlp.bns.0.running_mean", "1 missing: texual_emb_layer.mlp.bns.0.running_mean"),
        ("classifier_grab.weight", "1 missing: classifier_grab.weight"),
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
    image = imported.settings.image
    assert (image.height, image.width) == size and imported.settings.vision.stride == stride


def sized(tmp_path: Path, patches: int) -> Path:
    path = tmp_path / "sizes.safetensors"
    save_file(trunk(patches), path)
    return path


@pytest.mark.parametrize(
    ("patches", "stated", "resized"),
    [
        (192, (256, 192), None),
        (192, (384, 128), None),
        (192, (128, 384), None),
        (128, (128, 256), None),
        (96, (192, 128), None),
        (192, (224, 224), "resized from 24x8 to 14x14 patches (bilinear)"),
        (196, (448, 112), "resized from 14x14 to 28x7 patches (bilinear)"),
    ],
)
def test_a_stated_size_corrects_the_guess_and_resizes_only_what_is_known(
    tmp_path: Path, merges: Path, patches: int, stated: tuple[int, int], resized: str | None
) -> None:
    model = pickout.load(sized(tmp_path, patches), image=stated)
    assert (model.settings.image.height, model.settings.image.width) == stated
    assert model.report.resized.get("vision.positions") == resized


def test_a_training_at_another_size_of_as_many_patches_takes_the_table_as_it_is(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    file = trunk(192)
    settings = ModelSettings(
        method={"name": "dual"},
        image=ImageSettings(height=256, width=192),
        vision=VisionSettings(width=64, layers=12, heads=1, embedding=EMBEDDING),
        text=TextSettings(width=64, layers=12, heads=1, embedding=EMBEDDING),
    )
    method = build_model(settings, tokenizer, identities=5)
    report = initialise(method, sized(tmp_path, 192))
    assert not report.resized
    assert torch.equal(method.state_dict()["vision.positions"], file["base_model.visual.positional_embedding"])


@pytest.mark.parametrize("key", ["visual.conv1.weight", "visual.proj", "token_embedding.weight"])
@pytest.mark.parametrize("prefix", ["base_model.", ""])
def test_a_file_without_one_telling_key_says_what_it_nearly_is(
    tmp_path: Path, merges: Path, prefix: str, key: str
) -> None:
    model = {prefix + name: tensor for name, tensor in openai_state(12, layers=12).items()}
    del model[prefix + key]
    what = "an official ITSELF, RDE or IRRA file" if prefix else "an OpenAI CLIP"
    with pytest.raises(CheckpointUnknown, match=f"it is nearly {what}, but lacks {prefix}{key}"):
        pickout.load(save_pth(tmp_path / "model.pth", model))


@pytest.mark.parametrize(
    "key",
    ["base_model.ln_final.bias", "base_model.visual.transformer.resblocks.7.attn.in_proj_weight", "mlp_grab.0.bias"],
)
def test_what_is_missing_is_named_as_the_file_would_name_it(tmp_path: Path, merges: Path, key: str) -> None:
    model = trunk() | itself_heads()
    del model[key]
    with pytest.raises(CheckpointMismatch, match=f"1 missing: {key}"):
        pickout.load(save_pth(tmp_path / "model.pth", {"model": model}))


@pytest.mark.parametrize(
    "key",
    [
        *("mlm_head.surprise", "mlm_head.weight.surprise", "cross_attn.bias", "classifier.weight.more"),
        *("cross_modal_transformer.resblocks.0.secret.weight", "visul_emb_layer.linear.weight.surprise"),
        *("base_model.logit_scale.more", "base_model.visual.transformer.resblocks.01.ln_1.weight"),
        "base_model.transformer.resblocks.٣.ln_1.weight",
    ],
)
def test_unknown_keys_below_ignored_parts_are_left_over(tmp_path: Path, merges: Path, key: str) -> None:
    path = save_pth(tmp_path / "odd.pth", {"model": trunk() | irra_heads() | {key: torch.zeros(2)}})
    with pytest.raises(CheckpointMismatch, match=f"1 left over: {key}"):
        pickout.load(path)


def test_branches_of_both_clean_ups_together_are_refused(tmp_path: Path, merges: Path) -> None:
    model = trunk() | itself_heads() | {"classifier_bge.weight": torch.zeros(CLASSES, EMBEDDING)}
    with pytest.raises(CheckpointMismatch):
        pickout.load(save_pth(tmp_path / "both.pth", {"model": model}))
