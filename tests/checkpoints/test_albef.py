"""Files of the ALBEF family, in the names of the released programs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import pickout
from pickout.checkpoints import imported as sizes
from pickout.checkpoints.albef import is_albef, translate
from pickout.checkpoints.bert_vit import is_bert, is_vit
from pickout.checkpoints.importing import import_file
from pickout.checkpoints.initial import initialise
from pickout.checkpoints.loaded import LoadedModel
from pickout.data.transforms import ImageSettings
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointTruncated, CheckpointUnknown, CheckpointUnsafe
from pickout.methods.fusion_model import FusionModel
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.text import TextSettings
from pickout.nn.vision import VisionSettings
from pickout.text.vocabulary import SpecialTokens, read_vocabulary

WORDS = ["[PAD]", "[CLS]", "[MASK]", "[UNK]", "[SEP]", *(f"w{n}" for n in range(195))]
SKIPPED = ("idx_queue", "prd_head", "mrtd_head")
"""What ALBEF's pre-training file does not have of RaSa's."""


@pytest.fixture(autouse=True)
def narrow_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded towers have heads of 16 channels; files cannot tell."""
    monkeypatch.setattr(sizes, "HEAD_WIDTH", 16)


@pytest.fixture
def rasa(shared: Path) -> dict[str, Tensor]:
    return load_file(shared / "golden/rasa-tiny/weights.safetensors")


@pytest.fixture
def recorded(shared: Path) -> dict[str, Tensor]:
    return load_file(shared / "golden/rasa-tiny/io.safetensors")


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a state dict as the programs do, with a vocabulary beside it."""

    def save(state: dict[str, Tensor], name: str = "model.pth", **beside: object) -> Path:
        (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
        path = tmp_path / name
        if path.suffix == ".safetensors":
            save_file({key: tensor.clone() for key, tensor in state.items()}, path)
        else:
            torch.save({"model": state, **beside}, path)
        return path

    return save


class Facts:
    """What a model must know of the recorded tokenizer."""

    vocabulary_size, context = 200, 16
    special = SpecialTokens(padding=0, start=1, end=None, mask=2)
    vocabulary = read_vocabulary("wordpiece", tuple(WORDS), special)


def fresh(method: str = "fusion", *, side: int = 64, queue: int = 24, **changes: object) -> FusionModel:
    torch.manual_seed(3)
    vision = {"width": 32, "layers": 2, "heads": 2, "embedding": 16} | changes
    built = build_model(
        ModelSettings(
            method={"name": method, "queue": queue},
            image=ImageSettings(height=side, width=side, resample="bicubic"),
            vision=VisionSettings(kind="vit", activation="gelu", **vision),
            text=TextSettings(
                kind="bert", width=32, layers=2, fusion_layers=2, heads=2, embedding=16, feed_forward=64, positions=32
            ),
        ),
        Facts(),
        identities=5,
    )
    assert isinstance(built, FusionModel)
    return built


def test_families_are_told_apart(rasa: dict[str, Tensor]) -> None:
    bert = {key.removeprefix("text_encoder."): v for key, v in rasa.items() if key.startswith("text_encoder.bert.")}
    plain = {key: tensor for key, tensor in bert.items() if "crossattention" not in key}
    vit = {key.removeprefix("visual_encoder."): v for key, v in rasa.items() if key.startswith("visual_encoder.")}
    assert [is_albef(rasa), is_bert(rasa), is_vit(rasa)] == [True, False, False]
    assert [is_albef(plain), is_bert(plain), is_vit(plain)] == [False, True, False]
    assert [is_albef(vit), is_bert(vit), is_vit(vit)] == [False, False, True]
    every = {key.replace("layer.2.cross", "layer.0.cross"): tensor for key, tensor in rasa.items()}
    assert not is_albef(every)  # BLIP looks at the image in every layer


def test_a_rasa_file_gives_every_number_that_was_recorded(
    rasa: dict[str, Tensor], recorded: dict[str, Tensor], write: Write
) -> None:
    model = pickout.load(write(rasa, optimizer={"state": {}}, epoch=3, config={"a": 1}), precision="fp32")
    assert isinstance(model, LoadedModel) and model.report.format == "RaSa"
    assert not model.report.missing and not model.report.left_over
    assert model.report.ignored["epoch"].startswith("training state")
    unused = {key for key, why in model.report.ignored.items() if why == "needed in training only"}
    assert {"image_queue", "queue_pointer", "relation_head.bias", "momentum.vision.class_token"} <= unused
    texts, mask = recorded["text2_ids"], recorded["text2_mask"].bool()
    with torch.inference_mode():
        images = model.method.encode_images(recorded["image1"])
        read = model.method.encode_texts(pickout.shapes.TokenBatch(texts, mask), trace=True)
        scores = model.method.match(images, read)
    torch.testing.assert_close(images.embedding, recorded["image_feat"], atol=1e-5, rtol=0)
    torch.testing.assert_close(read.embedding, recorded["text_feat"], atol=1e-5, rtol=0)
    torch.testing.assert_close(scores, recorded["itm_logits"][:, 1], atol=1e-5, rtol=0)
    assert (model.tokenizer.context, model.tokenizer.special.end, model.tokenizer.cleaning) == (32, None, "albef")
    assert model.settings.image.resample == "bicubic" and model.candidates == 128


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_albefs_file_lacks_nothing_that_a_model_in_use_has(rasa: dict[str, Tensor], write: Write, name: str) -> None:
    albef = {key: tensor for key, tensor in rasa.items() if not key.startswith(SKIPPED)}
    model = pickout.load(write(albef, name), precision="fp32", image=(96, 96))
    assert model.report.format == "ALBEF" and model.report.complete
    assert model.report.resized == {"vision.positions": "resized from 4x4 to 6x6 patches (bicubic)"}
    assert model.encode_texts(["w1 w2", ""]).shape == (2, 16)


def test_training_starts_from_albef_with_new_heads_alone_fresh(rasa: dict[str, Tensor], write: Write) -> None:
    albef = {key: tensor for key, tensor in rasa.items() if not key.startswith(SKIPPED)}
    method = fresh(side=96)
    report = initialise(method, write(albef))
    heads = {f"{head}_head.{kind}" for head in ("relation", "replaced") for kind in ("weight", "bias")}
    assert set(report.fresh) == heads | {"identity_queue"}
    assert set(report.resized) == {"vision.positions", "momentum.vision.positions"}
    state = method.state_dict()
    assert torch.equal(state["image_queue"], rasa["image_queue"]) and (state["identity_queue"] == -100).all()
    assert torch.equal(state["momentum.text_projection.weight"], rasa["text_proj_m.weight"])
    assert state["temperature"] == rasa["temp"]


def test_training_goes_on_from_rasa_with_nothing_fresh(rasa: dict[str, Tensor], write: Write) -> None:
    method = fresh("aga")
    report = initialise(method, write(rasa))
    assert not report.fresh and not report.left_over and set(report.loaded) == set(method.state_dict())
    random = initialise(fresh("aga"), write(rasa), queues="random")
    assert set(random.fresh) == {"image_queue", "text_queue", "identity_queue", "queue_pointer"}
    other = initialise(fresh("aga", queue=8), write(rasa))
    assert {"image_queue", "text_queue", "identity_queue"} <= set(other.fresh)


def test_a_file_without_a_twin_makes_one(rasa: dict[str, Tensor], write: Write) -> None:
    alone = {key: tensor for key, tensor in rasa.items() if "_m." not in key}
    method = fresh()
    report = initialise(method, write(alone))
    assert report.fresh["momentum.vision.class_token"] == "copied from the trained part"
    state = method.state_dict()
    for key, tensor in state.items():
        if key.startswith("momentum."):
            assert torch.equal(tensor, state[key.removeprefix("momentum.")]), key


def test_bert_and_a_vision_transformer_start_a_model_together(rasa: dict[str, Tensor], write: Write) -> None:
    bert = {key.removeprefix("text_encoder."): v for key, v in rasa.items() if key.startswith("text_encoder.")}
    bert = {key: tensor for key, tensor in bert.items() if "crossattention" not in key}
    vit = {key.removeprefix("visual_encoder."): v for key, v in rasa.items() if key.startswith("visual_encoder.")}
    vit["head.weight"] = torch.ones(3, 32)
    paths = write(bert, "bert.safetensors"), write(vit, "vit.pth")
    method = fresh()
    before = method.state_dict()["text.fusion.0.cross.project_memory.weight"].clone()
    report = initialise(method, paths)
    assert report.format == "BERT and a vision transformer"
    assert report.ignored["head.weight"] == "a classifier of other images"
    state = method.state_dict()
    assert torch.equal(state["text.fusion.0.cross.project_memory.weight"], before)
    assert report.fresh["text.fusion.1.cross.norm.bias"] == "BERT looks at no image"
    assert torch.equal(
        state["text.fusion.1.feed_forward.widen.bias"], bert["bert.encoder.layer.3.intermediate.dense.bias"]
    )
    assert torch.equal(state["word_head.bias"], bert["cls.predictions.bias"])
    assert torch.equal(state["momentum.vision.positions"], rasa["visual_encoder.pos_embed"][0])
    with pytest.raises(CheckpointMismatch, match=r"missing: vision\."):
        initialise(fresh(), paths[:1])
    for path in paths:
        with pytest.raises(CheckpointUnknown, match=r"half of a fusion model.*train\.initial"):
            pickout.load(path)


def test_a_run_starts_another(rasa: dict[str, Tensor], write: Write, tmp_path: Path) -> None:
    first = fresh()
    initialise(first, write(rasa))
    from pickout.checkpoints.run import load_run, save_model
    from pickout.text.wordpiece import wordpiece_tokenizer

    tokenizer = wordpiece_tokenizer(tmp_path / "vocab.txt", context=16, closing=False, cleaning="albef", words=50)
    settings = ModelSettings(
        method={"name": "fusion", "queue": 24},
        image=ImageSettings(height=64, width=64),
        vision=VisionSettings(kind="vit", activation="gelu", width=32, layers=2, heads=2, embedding=16),
        text=TextSettings(
            kind="bert", width=32, layers=2, fusion_layers=2, heads=2, embedding=16, feed_forward=64, positions=32
        ),
    )
    save_model(tmp_path / "run", first, tokenizer, settings, identities=5)
    saved = load_file(tmp_path / "run/model.safetensors")
    assert not any(key.startswith(("momentum.", "image_queue", "relation_head", "replaced_head")) for key in saved)
    model = load_run(tmp_path / "run", precision="fp32")
    assert model.report.complete and model.identities == 0
    again = fresh()
    report = initialise(again, tmp_path / "run")
    assert torch.equal(again.state_dict()["momentum.word_head.bias"], first.state_dict()["word_head.bias"])
    assert not report.missing and not report.left_over


def test_tokens_can_be_kept_and_matched_later(rasa: dict[str, Tensor], write: Write) -> None:
    from PIL import Image

    model = pickout.load(write(rasa), precision="fp32")
    generator = np.random.default_rng(0)
    crops = [Image.fromarray(generator.integers(0, 256, (40, 20, 3), dtype=np.uint8)) for _ in range(35)]
    vectors, tokens = model.encode_images_with_tokens(crops)
    np.testing.assert_array_equal(vectors, model.encode_images(crops))
    assert tokens.shape == (35, 17, 32) and tokens.dtype == np.uint16
    scores = model.match("w1 w2 w3", tokens)
    with torch.inference_mode():
        pictures = torch.from_numpy(tokens.copy()).view(torch.bfloat16).float()
        ids = torch.from_numpy(model.tokenizer.encode(["w1 w2 w3"]))
        texts = model.method.encode_texts(pickout.shapes.TokenBatch(ids, ids != 0))
        memory = model.method.remember(pictures)
        place = torch.arange(35)
        expected = model.method.match_pairs(
            memory, texts.tokens.expand(35, -1, -1), texts.texts.mask.expand(35, -1), place
        )
    np.testing.assert_allclose(scores, expected.numpy(), atol=1e-5)
    assert model.match("w1", tokens[:0]).shape == (0,)
    assert model.encode_images_with_tokens([])[1].size == 0


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("text_encoder.bert.encoder.layer.3.crossattention.self.key.weight", "missing: text.fusion.1.cross"),
        ("visual_encoder.norm.bias", "missing: vision.norm_out.bias"),
        ("itm_head.bias", "missing: matching_head.bias"),
        ("vision_proj.weight", "nothing usable for image_projection.weight"),
    ],
)
def test_what_is_missing_is_named(rasa: dict[str, Tensor], write: Write, key: str, message: str) -> None:
    del rasa[key]
    with pytest.raises(CheckpointMismatch, match=message):
        pickout.load(write(rasa))


def test_what_is_left_over_is_named(rasa: dict[str, Tensor], write: Write) -> None:
    rasa["visual_encoder.blocks.0.attn.secret"] = torch.ones(2)
    rasa["other_head.weight"] = torch.ones(2)
    with pytest.raises(CheckpointMismatch, match=r"left over: .*(secret|other_head)"):
        pickout.load(write(rasa))


def test_untied_words_are_refused(rasa: dict[str, Tensor], write: Write) -> None:
    rasa["text_encoder.cls.predictions.decoder.weight"] = rasa["text_encoder.cls.predictions.decoder.weight"] + 1
    with pytest.raises(CheckpointMismatch, match=r"decoder\.weight is not the tensor that it should share"):
        pickout.load(write(rasa))


def test_other_heads_and_sizes_are_refused(rasa: dict[str, Tensor], write: Write) -> None:
    with pytest.raises(CheckpointMismatch, match=r"vision\.heads = 4, the file's is 2"):
        initialise(fresh(heads=4), write(rasa))
    with pytest.raises(CheckpointMismatch, match=r"missing: vision\.transformer\.layers\.2"):
        initialise(fresh(layers=3), write(rasa))


def test_damaged_and_hostile_files_are_refused(rasa: dict[str, Tensor], write: Write, tmp_path: Path) -> None:
    whole = write(rasa).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointTruncated):
        pickout.load(tmp_path / "cut.pth")
    torch.save({"model": rasa, "config": Path("x")}, tmp_path / "hostile.pth")
    with pytest.raises((CheckpointUnsafe, CheckpointError)):
        pickout.load(tmp_path / "hostile.pth")


def test_the_vocabulary_is_asked_for(rasa: dict[str, Tensor], write: Write, tmp_path: Path) -> None:
    path = write(rasa)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match=r"vocab\.txt is not beside it.*bert-base-uncased"):
        pickout.load(path)
    other = tmp_path / "short.txt"
    other.write_text("\n".join(WORDS[:100]))
    with pytest.raises(CheckpointMismatch, match="knows 200 tokens, the tokenizer 100"):
        pickout.load(path, tokenizer=other)


def test_retrieval_files_have_no_word_head(rasa: dict[str, Tensor], write: Write) -> None:
    retrieval = {
        key.replace("text_encoder.bert.", "text_encoder."): tensor
        for key, tensor in rasa.items()
        if ".cls.predictions." not in key and not key.startswith(SKIPPED)
    }
    found = import_file(write(retrieval))
    assert found.format == "ALBEF, for retrieval" and "word_head.bias" not in found.state
    report = initialise(fresh(), write(retrieval))
    assert {key for key in report.fresh if key.startswith("word_head.")}
    whole = translate("x", rasa).state
    assert all(torch.equal(whole[key], tensor) for key, tensor in found.state.items())
