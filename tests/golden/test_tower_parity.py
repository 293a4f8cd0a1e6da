"""The towers against the numbers of the released ITSELF program: images 96x32, a 3x3 position grid resized to 6x2."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pickout.checkpoints.formats.foreign_model import ForeignModel, at_size
from pickout.checkpoints.source import import_file
from pickout.nn.towers import TextTransformer, VisionTransformer
from pickout.shapes import AttentionRequest, TokenBatch

ASKED = AttentionRequest(rows="all", maps=(5, 12))


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "golden" / "itself-tiny"


@pytest.fixture(scope="module")
def io(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "io.safetensors")


@pytest.fixture(scope="module")
def imported(folder: Path) -> ForeignModel:
    return at_size(import_file(folder / "openai_clip.safetensors"), (96, 32))


def part(imported: ForeignModel, tower: str) -> dict[str, Tensor]:
    return {key.removeprefix(tower): tensor for key, tensor in imported.weights.state.items() if key.startswith(tower)}


@pytest.fixture(scope="module")
def vision(imported: ForeignModel) -> VisionTransformer:
    tower = VisionTransformer(imported.settings.vision, height=96, width=32)
    tower.load_state_dict(part(imported, "vision."))
    return tower


@pytest.fixture(scope="module")
def text(imported: ForeignModel) -> TextTransformer:
    tower = TextTransformer(imported.settings.text, vocabulary_size=300, context=20, start=298, end=299)
    tower.load_state_dict(part(imported, "text."))
    return tower


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_every_key_is_accounted_for(imported: ForeignModel) -> None:
    assert imported.weights.left_over == []
    assert list(imported.weights.ignored) == ["logit_scale"]
    assert imported.resized == {"vision.positions": "resized from 3x3 to 6x2 patches (bilinear)"}
    assert (imported.settings.vision.heads, imported.settings.text.heads, imported.settings.vision.layers) == (2, 1, 12)


def test_image_tokens_rows_and_maps(vision: VisionTransformer, io: dict[str, Tensor]) -> None:
    with torch.no_grad():
        out = vision(io["images"], ASKED)
    close(out.tokens, io["image_tokens"])
    close(out.summary, io["image_global"])
    for layer in range(1, 13):
        close(out.trace.rows[layer], io["image_attention_cls"][:, layer - 1])
    close(out.trace.maps[5], io["image_attention_layer5"])
    close(out.trace.maps[12], io["image_attention_layer12"])


def test_text_tokens_and_rows(text: TextTransformer, io: dict[str, Tensor]) -> None:
    ids = io["caption_ids"]
    with torch.no_grad():
        out = text(TokenBatch(ids, ids != 0), ASKED)
    close(out.tokens, io["text_tokens"])
    close(out.summary, io["text_global"])
    for layer in range(1, 13):
        close(out.trace.rows[layer], io["text_attention_eot"][:, layer - 1])


def test_the_resized_position_table_is_the_releases(imported: ForeignModel, folder: Path) -> None:
    released = load_file(folder / "heads.safetensors")["base_model.visual.positional_embedding"].float()
    # The release stores it in float16.
    torch.testing.assert_close(imported.weights.state["vision.positions"], released, atol=3e-4, rtol=1e-3)
