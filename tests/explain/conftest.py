"""Tiny models with all their parts, a sentence and a crop, and a drawn street of three people."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.saved_model import save_model
from pickout.checkpoints.weight_file import KeyReport
from pickout.data.transforms import ImageSettings
from pickout.explain.evidence import Evidence
from pickout.explain.pair import Pair, make_pair
from pickout.methods.model import ModelSettings, build_model
from pickout.nn.towers import TextSettings, VisionSettings
from pickout.synthetic.street import StreetSettings, draw_street
from pickout.text.build import train_tokenizer

SENTENCE = "A woman wears a pale blue blouse, dark jeans and white trainers."
TINY = {"width": 32, "layers": 2, "heads": 2, "embedding": 24}
METHODS = {"dual": {}, "itself": {"selection_layers": [1, 2], "local_dimension": 12, "hidden": 10}}
FUSING = {"vision": {"kind": "vit"}, "text": {"kind": "bert", "fusion_layers": 2, "positions": 64}}


def load(method: str, folder: Path | None = None, context: int = 64) -> LoadedModel:
    torch.manual_seed(0)
    tokenizer = train_tokenizer([SENTENCE, "the man is carrying a red backpack"], 400, context)
    towers = {"vision": {}, "text": {}} if method in METHODS else FUSING
    own = {"bank": METHODS["itself"]} if method == "union" else METHODS.get(method, {})
    settings = ModelSettings(
        method={"name": method, **own},
        image=ImageSettings(height=32, width=16),
        vision=VisionSettings(patch=8, stride=8, **TINY, **towers["vision"]),
        text=TextSettings(**TINY, **towers["text"]),
    )
    built = build_model(settings, tokenizer, 0)
    for parameter in built.parameters():  # as if it were trained: nothing small, no zero biases
        torch.nn.init.normal_(parameter, std=0.3)
    if folder is not None:
        save_model(folder, built, tokenizer, settings, identities=0)
    return LoadedModel(
        name="tiny",
        method=built,
        tokenizer=tokenizer,
        settings=settings,
        identities=0,
        report=KeyReport(source=str(folder or "tiny"), format="run"),
        precision="fp32",
    )


@pytest.fixture
def load_tiny() -> Callable[..., LoadedModel]:
    """`load_tiny(method, folder=None, context=64)`."""
    return load


@pytest.fixture
def sentence() -> str:
    return SENTENCE


@pytest.fixture(params=list(METHODS))
def model(request: pytest.FixtureRequest) -> LoadedModel:
    """Each method that has towers."""
    return load(request.param)


@pytest.fixture
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 20, 3)).astype(np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def pair(model: LoadedModel, picture: Image.Image) -> Pair:
    return make_pair(model, SENTENCE, picture)


@pytest.fixture
def evidence(model: LoadedModel, pair: Pair) -> Evidence:
    return Evidence(model, pair)


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = StreetSettings(
        identities=1, val_identities=3, test_identities=0, images=1, cameras=1, height=96, width=32
    )
    return draw_street(settings, tmp_path_factory.mktemp("street") / "drawn", workers=1)


@pytest.fixture
def aga() -> LoadedModel:
    """A model that fuses words and images."""
    return load("aga")


@pytest.fixture
def seen(aga: LoadedModel, sentence: str, picture: Image.Image) -> Pair:
    """The sentence and the crop as `aga` reads them."""
    return make_pair(aga, sentence, picture)
