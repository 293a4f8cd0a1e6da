from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_clip import CONTEXT, openai_state

from pickout.checkpoints.saved_model import save_model
from pickout.checkpoints.starting_weights import initialise
from pickout.data.transforms import ImageSettings
from pickout.errors import CheckpointMismatch
from pickout.methods.base import Method
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.text.tokenizer import Tokenizer


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.safetensors"
    save_file(openai_state(), path)
    return path


def itself(tokenizer: Tokenizer, **changes: object) -> Method:
    vision = {"width": 64, "layers": 2, "heads": 1, "embedding": 16} | changes
    settings = ModelSettings(
        method={"name": "itself", "selection_layers": [1, 2], "local_dimension": 24, "hidden": 8},
        image=ImageSettings(height=96, width=32),
        vision=VisionSettings(**vision),
        text=TextSettings(width=64, layers=2, heads=1, embedding=16),
    )
    torch.manual_seed(1)
    return build_model(settings, tokenizer, identities=5)


def test_towers_start_from_clip_and_heads_anew(clip: Path, tokenizer: Tokenizer) -> None:
    method = itself(tokenizer)
    before = {key: tensor.clone() for key, tensor in method.state_dict().items()}
    report = initialise(method, clip)
    after = method.state_dict()
    assert torch.equal(after["text.tokens.weight"], openai_state()["token_embedding.weight"])
    assert report.resized == {"vision.positions": "resized from 3x3 to 6x2 patches (bilinear)"}
    heads = {key for key in before if not key.startswith(("vision.", "text."))}
    assert set(report.fresh) == heads and set(report.loaded) == set(before) - heads
    assert all(torch.equal(after[key], before[key]) for key in heads)
    assert method.text.context == CONTEXT


def test_heads_come_from_a_run_where_they_fit(
    tmp_path: Path, method: Method, tokenizer: Tokenizer, settings: ModelSettings
) -> None:
    save_model(tmp_path / "run", method, tokenizer, settings, identities=5)
    torch.manual_seed(8)
    same, other = (build_model(settings, tokenizer, identities) for identities in (5, 9))
    report = initialise(same, tmp_path / "run")
    assert not report.fresh and not report.ignored
    assert all(torch.equal(tensor, method.state_dict()[key]) for key, tensor in same.state_dict().items())
    report = initialise(other, tmp_path / "run")
    assert set(report.fresh) == {
        f"{branch}_objective.heads.{kind}_classifier.{part}"
        for branch in ("global", "local")
        for kind in ("pair", "identity")
        for part in ("weight", "bias")
    }
    assert set(report.ignored) == set(report.fresh)
    assert torch.equal(other.state_dict()["image_head.adapter.inner.weight"], method.image_head.adapter.inner.weight)


@pytest.mark.parametrize(
    ("changes", "message"), [({"heads": 2}, "vision.heads = 2"), ({"activation": "gelu"}, "'gelu'")]
)
def test_differences_that_shapes_do_not_show_are_refused(
    clip: Path, tokenizer: Tokenizer, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(CheckpointMismatch, match=message):
        initialise(itself(tokenizer, **changes), clip)


@pytest.mark.parametrize("changes", [{"layers": 3}, {"layers": 1}, {"patch": 8, "stride": 16}])
def test_towers_of_other_sizes_are_refused_and_nothing_is_copied(
    clip: Path, tokenizer: Tokenizer, changes: dict[str, int]
) -> None:
    method = itself(tokenizer, **changes) if changes != {"layers": 1} else itself(tokenizer)
    if changes == {"layers": 1}:
        save_file(openai_state(layers=1), clip)
    before = {key: tensor.clone() for key, tensor in method.state_dict().items()}
    with pytest.raises(CheckpointMismatch, match="give vision and text the sizes of these weights"):
        initialise(method, clip)
    assert all(torch.equal(tensor, before[key]) for key, tensor in method.state_dict().items())
