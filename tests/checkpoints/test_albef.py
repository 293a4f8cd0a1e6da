"""Files of the ALBEF family, in the names of the released programs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_albef import FEED_FORWARD, JOINT, POSITIONS, TEXT, VISION, WORDS, albef_state, rasa_state
from tiny_albef import retrieval_state as for_retrieval
from torch import Tensor
from torch.nn import functional as F

import pickout
from pickout.checkpoints.formats import foreign_model as sizes
from pickout.checkpoints.formats.families import is_albef, read_albef
from pickout.checkpoints.formats.foreign_model import at_size
from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.source import import_file
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointTruncated, CheckpointUnsafe
from pickout.shapes import TokenBatch

Write = Callable[..., Path]


def load(path: Path, **choices: object) -> LoadedModel:
    model = pickout.load(path, precision="fp32", **choices)
    assert isinstance(model, LoadedModel)
    model.report.require_complete()
    return model


@pytest.fixture
def golden(rasa_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sizes, "HEAD_WIDTH", 16)  # the recorded towers have narrow heads, and files cannot tell
    return rasa_tiny


def test_a_rasa_file_gives_every_number_that_was_recorded(golden: Path, write: Write, tmp_path: Path) -> None:
    io, weights = load_file(golden / "io.safetensors"), load_file(golden / "weights.safetensors")
    path = write(weights, optimizer={"state": {}}, epoch=3)
    words = tmp_path / "words.txt"
    words.write_text("\n".join([*WORDS[:5], *(f"w{n}" for n in range(195))]))
    model = load(path, tokenizer=words)
    texts = TokenBatch(io["text2_ids"], io["text2_mask"].bool())
    with torch.inference_mode():
        images, read = model.method.encode_images(io["image1"]), model.method.encode_texts(texts)
        scores = model.method.match(images, read)
        best = (read.embedding @ images.embedding.T).topk(3, dim=1).indices
        again = torch.full((6, 6), -100.0)
        memory = model.method.remember(images.tokens)
        for row in range(6):
            mask = texts.mask[row].expand(3, -1)
            again[row, best[row]] = model.method.match_pairs(
                memory, read.tokens[row].expand(3, -1, -1), mask, best[row]
            )
    torch.testing.assert_close(images.embedding, io["image_feat"], atol=1e-5, rtol=0)
    torch.testing.assert_close(read.embedding, io["text_feat"], atol=1e-5, rtol=0)
    torch.testing.assert_close(images.tokens, io["image_tokens"], atol=1e-5, rtol=0)
    torch.testing.assert_close(scores, io["itm_logits"][:, 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(again, io["rerank_scores_top3"], atol=1e-5, rtol=0)
    assert set(rasa_state()) == set(weights), "the other tests' names are not the release's"


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_every_key_of_a_rasa_file_is_accounted_for(write: Write, name: str) -> None:
    training = {"optimizer": {"state": {}}, "lr_scheduler": {}, "config": {"k": [1]}, "epoch": 29, "best": 76.5}
    model = load(write(rasa_state(), name, **training))
    report = model.report
    assert report.format == "RaSa" and not (report.fresh or report.resized)
    assert set(report.loaded) == set(model.method.state_dict())
    in_training = {key for key, reason in report.ignored.items() if reason == "needed in training only"}
    assert {"identity_queue", "queue_pointer", "replaced_head.bias", "momentum.text.embeddings.norm.bias"} < in_training
    no_weight = {f"text_encoder{twin}.bert.embeddings.position_ids" for twin in ("", "_m")}
    beside = set(training) if name.endswith("pth") else set()
    assert set(report.ignored) == in_training | no_weight | beside
    # The twin of all but the temperature and the matching head; two more heads and four tensors of the queues.
    assert len(in_training) == len(report.loaded) - 3 + 8


def test_sizes_are_those_of_the_shapes_and_heads_have_64_channels(write: Write) -> None:
    model = load(write(rasa_state()))
    vision, text = model.settings.vision, model.settings.text
    assert (vision.kind, vision.width, vision.layers, vision.heads, vision.embedding) == ("vit", VISION, 2, 2, JOINT)
    assert (text.kind, text.width, text.layers, text.fusion_layers, text.heads) == ("bert", TEXT, 2, 2, 1)
    assert (text.feed_forward, text.positions, vision.patch) == (FEED_FORWARD, POSITIONS, 8)
    image = model.settings.image
    assert (image.height, image.width, image.resample) == (32, 32, "bicubic")
    assert (model.dimension, model.candidates, model.identities) == (JOINT, 128, 0)
    assert model.settings.method["name"] == "fusion"


def test_the_tokenizer_closes_no_row_and_cleans_as_albef(write: Write) -> None:
    model = load(write(rasa_state()))
    tokenizer = model.tokenizer
    assert (tokenizer.context, tokenizer.special.end, tokenizer.cleaning) == (32, None, "albef")
    assert model.settings.tokenizer.words == 50
    ids = tokenizer.encode(["W1 w2-W3."])[0]
    assert ids[:5].tolist() == [1, *(WORDS.index(word) for word in ("w1", "w2", "w3")), 0]
    state = rasa_state()
    for key in [key for key in state if key.endswith("position_embeddings.weight")]:
        state[key] = torch.zeros(512, TEXT)
    assert load(write(state)).tokenizer.context == 50


def test_queries_keys_and_values_come_in_this_order() -> None:
    file = rasa_state()
    state = read_albef("x", file).weights.state
    for ours, theirs in (("text.text_layers.1", "layer.1"), ("text.fusion.0", "layer.2")):
        start = f"text_encoder.bert.encoder.{theirs}.attention.self"
        parts = [file[f"{start}.{part}.weight"] for part in ("query", "key", "value")]
        assert torch.equal(state[f"{ours}.attention.project_in.weight"], torch.cat(parts))
    start = "text_encoder_m.bert.encoder.layer.3.crossattention.self"
    memory = torch.cat([file[f"{start}.{part}.bias"] for part in ("key", "value")])
    assert torch.equal(state["momentum.text.fusion.1.cross.project_memory.bias"], memory)
    assert state["temperature"] == file["temp"] and state["queue_pointer"].tolist() == [7]


def test_albefs_file_lacks_nothing_that_a_model_in_use_has(write: Write) -> None:
    albef = load(write(albef_state()))
    assert albef.report.format == "ALBEF"
    texts = ["w1 w2", "w3", ""]
    torch.testing.assert_close(albef.encode_texts(texts), load(write(rasa_state())).encode_texts(texts))


def test_a_retrieval_file_is_used_without_a_word_head(write: Write) -> None:
    model = load(write(for_retrieval()))
    assert model.report.format == "ALBEF, for retrieval"
    assert not any(key.startswith("word_head") for key in model.method.state_dict())
    torch.testing.assert_close(model.encode_texts(["w1"]), load(write(rasa_state())).encode_texts(["w1"]))
    whole, found = read_albef("x", rasa_state()).weights.state, import_file(write(for_retrieval())).weights.state
    assert all(torch.equal(whole[key], tensor) for key, tensor in found.items())


def test_position_tables_are_resized_bicubically_for_the_model_and_its_twin(write: Write) -> None:
    path = write(albef_state())
    own = import_file(path)
    found = at_size(own, (48, 48))
    for twin in ("", "momentum."):
        table = own.weights.state[f"{twin}vision.positions"]
        grid = table[1:].T.reshape(1, VISION, 4, 4)
        larger = F.interpolate(grid, size=(6, 6), mode="bicubic", align_corners=False)[0].reshape(VISION, 36).T
        torch.testing.assert_close(found.weights.state[f"{twin}vision.positions"], torch.cat([table[:1], larger]))
        assert found.resized[f"{twin}vision.positions"] == "resized from 4x4 to 6x6 patches (bicubic)"
    report = load(path, image=(64, 24)).report
    assert report.resized == {"vision.positions": "resized from 4x4 to 8x3 patches (bicubic)"}


def test_families_are_told_apart() -> None:
    assert is_albef(rasa_state()) and is_albef(for_retrieval())
    every = {key.replace("layer.2.cross", "layer.0.cross"): tensor for key, tensor in rasa_state().items()}
    assert not is_albef(every), "a BLIP looks at the image in every layer"
    assert not is_albef([key for key in rasa_state() if "crossattention" not in key])


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "text_encoder.bert.encoder.layer.3.crossattention.output.dense.weight",
            "missing: text_encoder.bert.encoder.layer.3.crossattention.output.dense.weight",
        ),
        ("visual_encoder.norm.bias", "missing: visual_encoder.norm.bias"),
        ("itm_head.bias", "missing: itm_head.bias"),
        (
            "text_encoder.cls.predictions.transform.dense.bias",
            "missing: text_encoder.cls.predictions.transform.dense.bias",
        ),
        ("temp", "missing: temp"),
        ("vision_proj.weight", "nothing usable for vision_proj.weight"),
        (
            "text_encoder.bert.encoder.layer.0.attention.self.key.bias",
            r"missing: text_encoder\.bert.*layer\.0\.attention\.self\.key\.bias; 2 left over: .*query.*value\.bias",
        ),
    ],
)
def test_what_is_missing_is_named(write: Write, key: str, message: str) -> None:
    state = rasa_state()
    del state[key]
    with pytest.raises(CheckpointMismatch, match=message):
        pickout.load(write(state))


@pytest.mark.parametrize(
    "key",
    [
        "visual_encoder.blocks.0.attn.secret",
        "visual_encoder.blocks.7.norm1.weight",
        "visual_encoder_m.secret",
        "text_encoder.cls.predictions.secret",
        "text_encoder.bert.encoder.layer.0.crossattention.self.query.weight.more",
        "other_head.weight",
        "itm_head_m.weight",
        "head.weight",
        "mrtd_head.weight.surprise",
        "prd_head.surprise",
        "vision_proj_m.more.weight",
        "visual_encoder_m.blocks.7.norm1.weight",
        "text_encoder_m.bert.encoder.layer.9.output.dense.weight",
        "visual_encoder.head.surprise",
        "text_encoder.bert.pooler.secret",
        "text_encoder.encoder.layer.0.output.dense.weight",
    ],
)
def test_what_is_left_over_is_named(write: Write, key: str) -> None:
    with pytest.raises(CheckpointMismatch, match=r"1 left over: "):
        pickout.load(write(rasa_state() | {key: torch.ones(2)}))


@pytest.mark.parametrize("twin", ["", "_m"])
@pytest.mark.parametrize("end", ["weight", "bias"])
def test_untied_words_are_refused(write: Write, twin: str, end: str) -> None:
    state = rasa_state()
    state[f"text_encoder{twin}.cls.predictions.decoder.{end}"] += 1
    message = rf"'text_encoder{twin}\.cls\.predictions\.decoder\.{end}' is not the tensor that it should share"
    with pytest.raises(CheckpointMismatch, match=message):
        pickout.load(write(state))


def test_what_a_tied_tensor_should_share_is_missing_by_its_own_name(write: Write) -> None:
    state = rasa_state()
    del state["text_encoder.cls.predictions.bias"]
    with pytest.raises(CheckpointMismatch, match=r"1 missing: text_encoder\.cls\.predictions\.bias"):
        pickout.load(write(state))


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "a number": lambda tensor: torch.tensor(1.0),
    "nothing": lambda tensor: torch.empty((0,) * max(tensor.ndim, 1)),
    "one axis more": lambda tensor: tensor.unsqueeze(-1),
    "one row": lambda tensor: tensor.flatten()[:1].expand(1, *tensor.shape[1:]).clone(),
    "one more of all": lambda tensor: torch.ones([size + 1 for size in tensor.shape]),
}
ONE_OF_EACH_KIND = (
    *("visual_encoder.cls_token", "visual_encoder.pos_embed", "visual_encoder.patch_embed.proj.weight"),
    *("visual_encoder.blocks.0.attn.qkv.weight", "vision_proj.weight", "text_proj.weight"),
    *(f"text_encoder.bert.embeddings.{part}_embeddings.weight" for part in ("word", "position")),
    "text_encoder.bert.encoder.layer.0.attention.self.key.weight",
    "text_encoder.bert.encoder.layer.0.intermediate.dense.weight",
    "text_encoder.bert.encoder.layer.2.crossattention.self.value.bias",
    "text_encoder.cls.predictions.bias",
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_tensor_of_any_other_shape_is_one_sentence(write: Write, change: str) -> None:
    state = rasa_state()
    for key in ONE_OF_EACH_KIND:
        changed = CHANGES[change](state[key])
        if changed.shape != state[key].shape:
            with pytest.raises(CheckpointMismatch, match="model"):
                pickout.load(write(state | {key: changed}, "model.safetensors"), image=(48, 48))


def test_positions_of_no_square_and_too_few_words_are_refused(write: Write) -> None:
    state = rasa_state()
    state["visual_encoder.pos_embed"] = torch.zeros(1, 15, VISION)
    with pytest.raises(CheckpointMismatch, match="15 rows is no class token and a square"):
        pickout.load(write(state))
    state = rasa_state()
    state["text_encoder.bert.embeddings.position_embeddings.weight"] = torch.zeros(3, TEXT)
    with pytest.raises(CheckpointMismatch, match="captions of 3 tokens are too short"):
        pickout.load(write(state))


def test_damaged_and_hostile_files_are_refused(write: Write, tmp_path: Path) -> None:
    whole = write(rasa_state()).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointTruncated):
        pickout.load(tmp_path / "cut.pth")
    with pytest.raises(CheckpointUnsafe, match="refused, loading it could run a program"):
        pickout.load(write(rasa_state(), config=Path("x")))


def test_the_vocabulary_is_looked_for_and_asked_for(write: Write, tmp_path: Path, nothing_downloaded: Path) -> None:
    path = write(rasa_state())
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match=r"vocab\.txt is not beside it.*pickout weights get bert-base-uncased"):
        pickout.load(path)
    other = tmp_path / "short.txt"
    other.write_text("\n".join(WORDS[:20]))
    with pytest.raises(CheckpointMismatch, match="knows 40 tokens, the tokenizer 20"):
        pickout.load(path, tokenizer=other)
    with pytest.raises(CheckpointError, match=r"missing\.txt: no such file"):
        pickout.load(path, tokenizer=tmp_path / "missing.txt")
    fetched = nothing_downloaded / "bert-base-uncased"
    fetched.mkdir(parents=True)
    (fetched / "vocab.txt").write_text("\n".join(WORDS))
    assert load(path).tokenizer.vocabulary_size == 40
