"""Trainings of fusion and aga that start from ALBEF, RaSa, runs of ours, or BERT and a vision transformer."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_albef import (
    JOINT,
    QUEUE,
    TEXT,
    Facts,
    albef_state,
    bert_state,
    built,
    fresh,
    rasa_state,
    settings,
    vit_state,
    write_run,
)
from tiny_albef import retrieval_state as for_retrieval
from torch.nn import functional as F

from pickout.checkpoints.starting_weights import initialise
from pickout.errors import CheckpointError, CheckpointMismatch, CheckpointUnknown
from pickout.methods.fusion_model import FusionModel

Write = Callable[..., Path]
QUEUES = {"image_queue", "text_queue", "identity_queue", "queue_pointer"}
NEW_HEADS = {f"{head}_head.{kind}" for head in ("relation", "replaced") for kind in ("weight", "bias")}


def require_twin_equals_trained_part(method: FusionModel) -> None:
    state = method.state_dict()
    twin = [key for key in state if key.startswith("momentum.")]
    assert len(twin) > 100
    for key in twin:
        assert torch.equal(state[key], state[key.removeprefix("momentum.")]), key


def test_from_albef_nothing_is_fresh_but_what_rasa_added(write: Write) -> None:
    method, file = fresh("aga", image=(48, 48)), albef_state()
    report = initialise(method, write(file))
    assert set(report.fresh) == NEW_HEADS | {"identity_queue"}
    assert set(report.resized) == {"vision.positions", "momentum.vision.positions"}
    state = method.state_dict()
    assert torch.equal(state["image_queue"], file["image_queue"]) and (state["identity_queue"] == -100).all()
    assert torch.equal(state["momentum.text_projection.weight"], file["text_proj_m.weight"])
    assert not torch.equal(state["momentum.vision.positions"], state["vision.positions"])
    assert state["temperature"] == file["temp"] and state["queue_pointer"].tolist() == [7]
    summary = report.summary()
    assert summary.startswith("ALBEF: ") and "5 fresh (RaSa's own, which ALBEF does not have)" in summary


def test_from_rasa_nothing_is_fresh(write: Write) -> None:
    method, file = fresh("aga"), rasa_state()
    report = initialise(method, write(file, optimizer={}, epoch=3))
    assert not report.fresh and not report.resized and set(report.loaded) == set(method.state_dict())
    assert torch.equal(method.state_dict()["identity_queue"], file["idx_queue"][0])
    assert torch.equal(method.state_dict()["replaced_head.weight"], file["mrtd_head.weight"])


def test_queues_start_at_random_where_asked_or_where_theirs_do_not_fit(write: Write) -> None:
    path = write(rasa_state())
    method = fresh()
    before = method.state_dict()["image_queue"].clone()
    asked = initialise(method, path, queues="random")
    assert set(asked.fresh) == QUEUES == set(asked.ignored) & QUEUES
    assert torch.equal(method.state_dict()["image_queue"], before)
    # The file's pointer, 7, would lie outside of a queue of 5.
    short = fresh(queue=5)
    report = initialise(short, path)
    assert set(report.fresh) == QUEUES and short.state_dict()["queue_pointer"].tolist() == [0]
    assert "queues are of another size" in report.fresh["image_queue"]


@pytest.mark.parametrize("place", [-1, QUEUE])
def test_a_pointer_outside_of_the_queues_is_refused(write: Write, place: int) -> None:
    with pytest.raises(CheckpointMismatch, match=rf"queue_ptr is {place}, outside"):
        initialise(fresh(), write(rasa_state() | {"queue_ptr": torch.tensor([place])}))


@pytest.mark.parametrize(
    ("file", "key", "missing"),
    [
        (albef_state, "itm_head.weight", "itm_head.weight"),
        (albef_state, "temp", "temp"),
        (albef_state, "text_encoder.cls.predictions.bias", "text_encoder.cls.predictions.bias"),
        (albef_state, "visual_encoder_m.norm.bias", "visual_encoder_m.norm.bias"),
        (rasa_state, "mrtd_head.weight", "mrtd_head.weight"),
        (rasa_state, "idx_queue", "idx_queue"),
        (for_retrieval, "vision_proj.bias", "vision_proj.bias"),
    ],
)
def test_nothing_else_may_be_missing(write: Write, file: Callable[[], dict], key: str, missing: str) -> None:
    state = file()
    state.pop(key)
    if key.endswith("predictions.bias"):
        state.pop("text_encoder.cls.predictions.decoder.bias")
    with pytest.raises(CheckpointMismatch, match=f"missing: {missing}"):
        initialise(fresh(), write(state))


def test_from_a_retrieval_file_the_word_head_starts_anew_in_model_and_twin(write: Write) -> None:
    method, file = fresh(), for_retrieval()
    report = initialise(method, write(file))
    state = method.state_dict()
    words = {key for key in state if key.startswith("word_head.")}
    assert set(report.fresh) == NEW_HEADS | words | {f"momentum.{key}" for key in words}
    assert "files for retrieval have no word head" in report.summary()
    assert torch.equal(state["momentum.word_head.dense.weight"], state["word_head.dense.weight"])
    assert torch.equal(state["momentum.text_projection.weight"], file["text_proj_m.weight"])


def test_a_file_without_a_twin_makes_one(write: Write) -> None:
    method = fresh()
    report = initialise(method, write({key: tensor for key, tensor in rasa_state().items() if "_m." not in key}))
    assert report.fresh["momentum.vision.class_token"] == "copied from the trained part"
    require_twin_equals_trained_part(method)


def test_heads_that_the_model_has_not_are_named(write: Write) -> None:
    method = fresh(relation_weight=0.0, replaced_weight=0.0)
    report = initialise(method, write(rasa_state()))
    assert {key for key, reason in report.ignored.items() if reason == "this model has no such part"} == NEW_HEADS


def test_bert_and_a_vision_transformer_start_a_model_together(write: Write) -> None:
    bert, vit = bert_state(), vit_state()
    paths = [write(bert, "bert/model.safetensors").parent, write(vit, "vit.pth")]
    method = fresh(image=(48, 48))
    before = {key: tensor.clone() for key, tensor in method.state_dict().items()}
    report = initialise(method, paths)
    assert report.format == "BERT and a vision transformer"
    assert report.ignored["head.weight"] == "a classifier of other images"
    assert "pooler" in report.ignored["bert.pooler.dense.bias"]
    assert report.fresh["text.fusion.1.cross.norm.bias"] == "BERT looks at no image"
    state = method.state_dict()
    cross = {key for key in state if ".cross." in key and not key.startswith("momentum.")}
    heads = {key for key in state if not key.startswith(("vision.", "text.", "momentum.", "word_head."))}
    assert {key for key in report.fresh if not key.startswith("momentum.")} == cross | heads
    assert all(torch.equal(state[key], before[key]) for key in cross | heads)
    spread = before["text.fusion.0.cross.project_memory.weight"].std() / (768 / TEXT) ** 0.5
    assert 0.019 < spread < 0.021, "0.02 at BERT's width"
    layer = "bert.encoder.layer.3"
    assert torch.equal(state["text.fusion.1.feed_forward.widen.bias"], bert[f"{layer}.intermediate.dense.bias"])
    assert torch.equal(state["text.fusion.1.attention.norm.weight"], bert[f"{layer}.attention.output.LayerNorm.gamma"])
    assert torch.equal(state["word_head.norm.bias"], bert["cls.predictions.transform.LayerNorm.beta"])
    require_twin_equals_trained_part(method)


def test_half_of_a_model_is_told(write: Write) -> None:
    bert, vit = write(bert_state(), "bert.safetensors"), write(vit_state(), "vit.pth")
    with pytest.raises(CheckpointMismatch, match=r"missing: vision\."):
        initialise(fresh(), bert)
    with pytest.raises(CheckpointMismatch, match=r"missing: text\."):
        initialise(fresh(), [vit])


@pytest.mark.parametrize(
    ("key", "message"), [("bert.cls.predictions.secret", "left over"), ("encoder.layer.0.adapter.weight", "left over")]
)
def test_what_bert_has_beyond_bert_is_named(write: Write, key: str, message: str) -> None:
    bert = write(bert_state() | {key: torch.ones(1)}, "bert.safetensors")
    with pytest.raises(CheckpointMismatch, match=f"{message}: {key}"):
        initialise(fresh(), [bert, write(vit_state(), "vit.pth")])


def test_a_distilled_vision_transformer_is_told(write: Write) -> None:
    vit = vit_state()
    vit["pos_embed"] = torch.cat([vit["pos_embed"], vit["pos_embed"][:, :1]], dim=1)
    with pytest.raises(CheckpointMismatch, match="18 rows is no class token and a square"):
        initialise(fresh(), [write(bert_state(), "bert.pth"), write(vit | {"dist_token": torch.ones(1)}, "vit.pth")])


def test_a_run_starts_another_at_its_own_grid(tmp_path: Path) -> None:
    # 64 patches: a square of 8 by 8 to who does not ask the run.
    first = built(settings(image=(128, 32)))
    run = write_run(tmp_path / "run", first, (128, 32))
    again = fresh("aga", image=(128, 32))
    report = initialise(again, run)
    assert not report.resized and set(report.fresh) >= NEW_HEADS | QUEUES
    for key, tensor in again.state_dict().items():
        if key.startswith(("vision.", "text.", "word_head.", "matching_head.", "temperature")):
            assert torch.equal(tensor, first.state_dict()[key]), key
    require_twin_equals_trained_part(again)
    other = fresh(image=(64, 64))
    assert initialise(other, run).resized["vision.positions"] == "resized from 16x4 to 8x8 patches (bicubic)"
    grid = first.state_dict()["vision.positions"][1:].T.reshape(1, -1, 16, 4)
    expected = F.interpolate(grid, size=(8, 8), mode="bicubic", align_corners=False)[0].flatten(1).T
    torch.testing.assert_close(other.state_dict()["vision.positions"][1:], expected)


def test_longer_captions_than_the_models_are_cut_and_shorter_refused(write: Write) -> None:
    model = settings()
    longer = model.model_copy(update={"text": model.text.model_copy(update={"positions": 64})})
    with pytest.raises(
        CheckpointMismatch, match=r"of another shape or kind: text_encoder\.bert\.embeddings\.position_embeddings"
    ):
        initialise(built(longer), write(rasa_state()))
    shorter = built(model.model_copy(update={"text": model.text.model_copy(update={"positions": Facts.context})}))
    report = initialise(shorter, write(rasa_state()))
    assert report.resized["text.embeddings.positions.weight"] == "cut from 32 to 16 positions"
    assert report.resized["momentum.text.embeddings.positions.weight"] == "cut from 32 to 16 positions"


def test_other_sizes_and_heads_are_refused(write: Write) -> None:
    path, model = write(rasa_state()), settings()
    four = model.model_copy(update={"vision": model.vision.model_copy(update={"heads": 4})})
    with pytest.raises(CheckpointMismatch, match=r"vision\.heads = 4, the file's is 2"):
        initialise(built(four), path)
    three = model.model_copy(update={"vision": model.vision.model_copy(update={"layers": 3})})
    with pytest.raises(CheckpointMismatch, match=r"missing: visual_encoder\.blocks\.2"):
        initialise(built(three), path)
    both = {"embedding": JOINT * 2}
    wide = {"vision": model.vision.model_copy(update=both), "text": model.text.model_copy(update=both)}
    with pytest.raises(CheckpointMismatch, match=r"of another shape or kind: vision_proj\.weight"):
        initialise(built(model.model_copy(update=wide)), path)


def test_a_file_of_no_such_kind_is_told(write: Write, tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnknown, match=r"cannot start from it.*a torchvision ResNet.*Known: ALBEF, RaSa"):
        initialise(fresh(), write({"layer1.0.conv1.weight": torch.ones(1), "layer4.0": torch.ones(1)}))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CheckpointError, match=r"no model\.safetensors or pytorch_model\.bin"):
        initialise(fresh(), empty)


def test_two_whole_models_are_no_start(write: Write, tmp_path: Path) -> None:
    first, second = write(albef_state()), write_run(tmp_path / "run", fresh("aga"))
    with pytest.raises(CheckpointMismatch, match=r"are in both .*give one whole model alone"):
        initialise(fresh("aga"), [first, second])
