import numpy as np
import pytest
import torch
from PIL import Image

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.weight_file import KeyReport
from pickout.data.transforms import ImageSettings
from pickout.errors import DataError, NothingFound, UsageError
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.text.build import train_tokenizer
from pickout.train.adaptation import AdaptationSettings, adapt


def _model(**vision):
    torch.manual_seed(1)
    tokenizer = train_tokenizer(["a red coat", "blue jeans"] * 20, vocabulary_size=300, context=16)
    settings = ModelSettings(
        method={"name": "dual", "pair_loss": False, "id_terms": False},
        image=ImageSettings(height=64, width=32),
        vision=VisionSettings(width=32, layers=1, heads=2, embedding=16, **vision),
        text=TextSettings(kind="sentence", width=192, layers=1, heads=2, embedding=16, fusion_layers=1),
    )
    return LoadedModel(
        name="small",
        method=build_model(settings, tokenizer, 0),
        tokenizer=tokenizer,
        settings=settings,
        identities=0,
        report=KeyReport(source="x", format="x", loaded=()),
        precision="fp32",
    )


def _crops(count):
    """People of two colours in a dim, yellowish light."""
    generator, crops = np.random.default_rng(2), []
    for _ in range(count):
        pixels = np.concatenate([np.tile(generator.integers(20, 235, 3), (32, 32, 1)) for _ in range(2)])
        dim = pixels * np.array([0.5, 0.45, 0.2]) + generator.normal(0, 4, pixels.shape)
        crops.append(Image.fromarray(np.clip(dim, 0, 255).astype(np.uint8)))
    return crops


def test_statistics_go_part_of_the_way_and_nothing_else_moves():
    model = _model(kind="lite0")
    model.method.vision.reduction.mean.fill_(30.0)  # statistics of quite another world: everything is cut off
    before = {name: tensor.clone() for name, tensor in model.method.state_dict().items()}
    found = adapt(model, _crops(80), AdaptationSettings(share=1.0))
    assert found.crops == 56 and found.held_back == 24 and found.after > found.before and found.gain[0] > 0
    after = found.model.method.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"vision.reduction.mean", "vision.reduction.scale"}
    assert all(torch.equal(before[name], tensor) for name, tensor in model.method.state_dict().items())
    assert found.model.fingerprint != model.fingerprint
    text = ["a red coat"]
    assert np.array_equal(found.model.encode_texts(text), model.encode_texts(text))


def test_no_gain_on_the_held_back_crops_is_refused():
    with pytest.raises(NothingFound, match="stays as it is"):
        adapt(_model(kind="lite0"), _crops(80), AdaptationSettings(share=1e-12))


def test_too_few_crops_and_other_models_are_refused():
    with pytest.raises(DataError, match="at least 60"):
        adapt(_model(kind="lite0"), _crops(20), AdaptationSettings())
    with pytest.raises(UsageError, match="no statistics"):
        adapt(_model(), _crops(80), AdaptationSettings())


def test_crops_that_are_all_held_back_leave_none_to_adapt_to():
    crops = [Image.new("RGB", (32, 64), (number, 0, 0)) for number in range(40)]
    with pytest.raises(DataError, match=r"held_back = 0\.999: of 40 crops none is left"):
        adapt(_model(kind="lite0"), crops, AdaptationSettings(held_back=0.999, fewest=10))
