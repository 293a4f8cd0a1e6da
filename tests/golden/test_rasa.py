"""Parity with the released program of RaSa on tiny random weights: features, fused tokens, losses, gradients, queues.

Both `fusion` with the preset `as_released` and its slow twin in benchmarks/ are held against the recorded numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pickout.chance import Drawn
from pickout.checkpoints.formats.families import read_albef
from pickout.data.batching import Batch
from pickout.methods.base import LossTerms, Progress
from pickout.methods.fusion import Fusion
from pickout.methods.fusion_model import FusionSettings
from pickout.methods.step_choices import Chooser, Hidden
from pickout.nn.fusion_encoder import FusionEncoder
from pickout.nn.towers import TextSettings, VisionSettings, VisionTransformer
from pickout.shapes import AttentionRequest, TokenBatch
from pickout.text.tokenizer import SpecialTokens, read_vocabulary

TERMS = {
    "contrastive": "loss_cl",
    "matching": "loss_pitm",
    "words": "loss_mlm",
    "relation": "loss_prd",
    "replaced": "loss_mrtd",
}
BERT = "grad.text_encoder.bert.encoder.layer."


class Recorded(Chooser):
    """The choices of the recorded run."""

    def __init__(self, io: dict[str, Tensor]) -> None:
        self.io = io

    def hide(
        self,
        ids_BT: Tensor,
        content_BT: Tensor,
        probability_BT: Tensor,
        words_BT: Tensor | None = None,
        *,
        from_generator: bool = False,
    ) -> Hidden:
        if from_generator:
            return Hidden(self.io["mrtd_masked_ids"], content_BT)
        return Hidden(self.io["mlm_input_ids"], self.io["mlm_positions"].bool() & content_BT)

    def replace(
        self, ids_BT: Tensor, content_BT: Tensor, tokens_BTD: Tensor, logits: Callable[[Tensor], Tensor], size: int
    ) -> Tensor:
        return self.io["mrtd_input_ids"]

    def negatives(self, images_BW: Tensor, texts_BW: Tensor) -> tuple[Drawn, Drawn]:
        valid = torch.ones(6, dtype=torch.bool)
        return Drawn(self.io["image_negative"], valid), Drawn(self.io["text_negative"], valid)


@dataclass
class Golden:
    """The model with the golden weights after one recorded step, the recorded tensors and the step's losses."""

    method: Fusion
    io: dict[str, Tensor]
    losses: LossTerms


def strong(io: dict[str, Tensor]) -> TokenBatch:
    return TokenBatch(io["text1_ids"], io["text1_mask"].bool())


def weak(io: dict[str, Tensor]) -> TokenBatch:
    return TokenBatch(io["text2_ids"], io["text2_mask"].bool())


def small_fusion() -> Fusion:
    sizes = {"width": 32, "layers": 2, "heads": 2, "embedding": 16}
    vision = VisionTransformer(VisionSettings(kind="vit", activation="gelu", **sizes), height=64, width=64)
    layout = TextSettings(kind="bert", fusion_layers=2, feed_forward=64, positions=32, dropout=0.0, **sizes)
    text = FusionEncoder(layout, vocabulary_size=200, memory_width=32, padding=0, start=1)
    vocabulary = read_vocabulary(
        "wordpiece", ("[PAD]", "[CLS]", "[MASK]", *(f"w{n}" for n in range(3, 200))), SpecialTokens(0, 1, None, 2)
    )
    settings = FusionSettings(preset="as_released", queue=24, distillation_ramp=False, candidates=3)
    return Fusion(settings, vision, text, 4, vocabulary)


class Files(NamedTuple):
    weights: dict[str, Tensor]
    io: dict[str, Tensor]


@pytest.fixture(scope="module")
def files(rasa_tiny: Path) -> Files:
    folder = rasa_tiny
    return Files(load_file(folder / "weights.safetensors"), load_file(folder / "io.safetensors"))


@pytest.fixture(scope="module")
def start(files: Files) -> Fusion:
    """The model before the step, in evaluation mode."""
    method = small_fusion()
    method.load_state_dict(read_albef("golden", files.weights).weights.state)
    return method.eval()


@pytest.fixture(scope="module")
def golden(files: Files) -> Golden:
    method, io = small_fusion(), files.io
    method.load_state_dict(read_albef("golden", files.weights).weights.state)
    method.chooser = lambda *_: Recorded(io)  # type: ignore[method-assign]
    batch = Batch(io["image1"], strong(io), io["idx"], io["image2"], weak(io), io["replace"])
    losses = method.losses(batch, Progress(2, 1, 1, 1))
    losses.total.backward()
    return Golden(method, io, losses)


def close(value: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(value.detach(), expected, atol=tolerance, rtol=0)


@torch.no_grad()
def test_tokens_and_features(start: Fusion, files: Files) -> None:
    images, texts = start.encode_images(files.io["image1"]), start.encode_texts(weak(files.io))
    close(images.tokens, files.io["image_tokens"])
    close(images.embedding, files.io["image_feat"])
    close(texts.tokens, files.io["text_tokens"])
    close(texts.embedding, files.io["text_feat"])
    close(texts.embedding @ images.embedding.T, files.io["similarity"])


@torch.no_grad()
def test_class_rows_of_every_text_layer(start: Fusion, files: Files) -> None:
    rows = start.text(weak(files.io), AttentionRequest(rows="all")).trace.rows
    close(torch.stack([rows[1], rows[2]], dim=1), files.io["text_cls_attention"])


@torch.no_grad()
def test_fused_tokens_and_logits(start: Fusion, files: Files) -> None:
    io, texts = files.io, weak(files.io)
    memory = start.remember(io["image_tokens"])
    fused = start.text.fuse(io["text_tokens"], texts.mask, memory)
    close(fused.tokens, io["fused_tokens"])
    close(start.matching_head(fused.summary), io["itm_logits"])
    close(start.relation_head(fused.summary), io["prd_logits"])


@torch.no_grad()
def test_scores_of_the_second_look(start: Fusion, files: Files) -> None:
    io, texts = files.io, weak(files.io)
    images, captions = start.encode_images(io["image1"]), start.encode_texts(texts)
    best = (captions.embedding @ images.embedding.T).topk(start.candidates).indices
    caption = torch.arange(6).repeat_interleave(start.candidates)
    scores = start.match_pairs(
        start.remember(images.tokens), captions.tokens[caption], texts.mask[caption], best.flatten()
    )
    found = torch.full((6, 6), -100.0).scatter(1, best, scores.view(6, -1))
    close(found, io["rerank_scores_top3"])
    both = start.match(images, captions)
    assert both is not None
    close(both, io["itm_logits"][:, 1])


@pytest.mark.parametrize("term", TERMS)
def test_each_loss(golden: Golden, term: str) -> None:
    close(golden.losses.terms[term], golden.io[TERMS[term]].squeeze())


def test_the_total_loss(golden: Golden) -> None:
    assert golden.losses.weights == {"contrastive": 0.5, "matching": 1, "words": 1, "relation": 0.5, "replaced": 0.5}
    torch.testing.assert_close(golden.losses.total.detach(), golden.io["loss_total"].squeeze(), atol=1e-5, rtol=1e-6)


def test_gradients(golden: Golden) -> None:
    method, io = golden.method, golden.io
    width = method.text.width
    found = {
        "grad.temp": method.temperature.grad,
        f"{BERT}0.attention.self.query.weight": gradient(method, "text.text_layers.0.attention.project_in")[:width],
        f"{BERT}2.crossattention.self.key.weight": gradient(method, "text.fusion.0.cross.project_memory")[:width],
        "grad.visual_encoder.blocks.0.attn.qkv.weight": gradient(
            method, "vision.transformer.layers.0.attention.project_in"
        ),
    }
    assert found.keys() == {key for key in io if key.startswith("grad.")}
    for key, value in found.items():
        assert value is not None
        expected = io[key].reshape(value.shape)
        assert float((value - expected).norm() / expected.norm()) < 1e-4, key
        assert float((value - expected).abs().max() / expected.abs().max()) < 1e-4, key


def gradient(method: Fusion, module: str) -> Tensor:
    found = method.get_parameter(f"{module}.weight").grad
    assert found is not None
    return found


def test_queues_and_momentum_after_the_step(golden: Golden) -> None:
    method, io = golden.method, golden.io
    close(method.image_queue, io["after.image_queue"])
    close(method.text_queue, io["after.text_queue"])
    assert torch.equal(method.identity_queue, io["after.idx_queue"].squeeze(0))
    assert torch.equal(method.queue_pointer, io["after.queue_ptr"])
    close(method.twin.image_projection.weight, io["after.vision_proj_m.weight"])


def test_the_vocabulary_axis_gives_another_loss_of_hidden_words_and_no_other(golden: Golden, files: Files) -> None:
    method, io = small_fusion(), files.io
    method.load_state_dict(read_albef("golden", files.weights).weights.state)
    method.chooser = lambda *_: Recorded(io)  # type: ignore[method-assign]
    method.settings = method.settings.model_copy(update={"distillation_axis": "vocabulary"})
    batch = Batch(io["image1"], strong(io), io["idx"], io["image2"], weak(io), io["replace"])
    terms = method.losses(batch, Progress(2, 1, 1, 1)).terms
    for name, term in terms.items():
        same = torch.allclose(term, golden.losses.terms[name], atol=1e-6)
        assert same == (name != "words"), name
