"""A world small enough to know the right answer: people are two blocks of colour, captions name the colours.

`ColourMethod` is a true method without training: it measures colours in images and reads colour words in captions.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.weight_file import KeyReport
from pickout.data.batching import Batch
from pickout.data.data_set import DataSet, ImageRecord, Split
from pickout.data.transforms import ImageSettings
from pickout.methods.base import ImageFeatures, LossTerms, Method, ParameterGroup, Progress, TextFeatures
from pickout.methods.model import ModelSettings
from pickout.shapes import TokenBatch
from pickout.text.build import train_tokenizer
from pickout.text.tokenizer import Tokenizer

COLOURS = {
    "red": (200, 20, 20),
    "green": (20, 180, 40),
    "blue": (30, 40, 200),
    "yellow": (220, 210, 30),
    "black": (15, 15, 15),
}
PEOPLE = [(upper, lower) for upper in COLOURS for lower in COLOURS if upper != lower]
IMAGE = ImageSettings(height=16, width=8, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
SPLITS = {"train": PEOPLE[:8], "val": PEOPLE[8:14], "test": PEOPLE[14:]}


class ColourMethod(Method):
    """Global: the mean colour, whichever half wears it. Local: the colour of each half.

    Args:
        tokenizer: to know the colour words' ids.
        share: weight of the global part in the score.
    """

    def __init__(self, tokenizer: Tokenizer, share: float = 0.5) -> None:
        super().__init__()
        table = torch.zeros(tokenizer.vocabulary_size, 3)
        for word, colour in COLOURS.items():
            table[tokenizer.encode([word])[0, 1]] = torch.tensor(colour) / 255 - 0.5
        self.table = nn.Parameter(table, requires_grad=False)
        self.dropout = nn.Dropout(0.5)
        self.share, self.dimension = share, 9

    def losses(self, batch: Batch, progress: Progress) -> LossTerms:
        raise AssertionError("an evaluation computes no loss")

    def encode_images(self, images: Tensor, *, trace: bool = False) -> ImageFeatures:
        half = images.shape[2] // 2
        upper, lower = images[:, :, :half].mean((2, 3)) / 4, images[:, :, half:].mean((2, 3)) / 4
        parts = {"global": self.dropout(upper + lower), "local": torch.cat([upper, lower], dim=1)}
        return ImageFeatures(self._embed(parts), images.flatten(2).mT, parts)

    def encode_texts(self, texts: TokenBatch, *, trace: bool = False) -> TextFeatures:
        colours = self.table[texts.ids]
        named = [row[row.abs().sum(1) > 0] for row in colours]
        first_two = torch.stack([torch.cat([row[:2], torch.zeros(2, 3)])[:2].flatten() for row in named])
        parts = {"global": self.dropout(colours.sum(1)), "local": first_two}
        return TextFeatures(self._embed(parts), colours, texts, parts)

    def parameter_groups(self) -> list[ParameterGroup]:
        return []

    def _embed(self, parts: dict[str, Tensor]) -> Tensor:
        whole, local = (normalize(part, dim=1) for part in parts.values())
        return torch.cat([self.share**0.5 * whole, (1 - self.share) ** 0.5 * local], dim=1)


def draw_person(upper: str, lower: str, generator: np.random.Generator) -> Image.Image:
    pixels = np.empty((32, 16, 3))
    pixels[:16], pixels[16:] = COLOURS[upper], COLOURS[lower]
    return Image.fromarray(np.clip(pixels + generator.normal(0, 25, pixels.shape), 0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def colour_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in CUHK-PEDES's format: three images a person, two captions an image."""
    root = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    records = []
    for split, people in SPLITS.items():
        for identity, (upper, lower) in enumerate(people, start=1 + PEOPLE.index(people[0])):
            for view in range(3):
                name = f"{split}/p{identity}_{view}.png"
                (root / "imgs" / split).mkdir(parents=True, exist_ok=True)
                draw_person(upper, lower, generator).save(root / "imgs" / name)
                captions = [
                    f"A person in a {upper} top and {lower} trousers.",
                    f"Someone wearing a {upper} shirt, the trousers are {lower}.",
                ]
                record = {"split": split, "captions": captions, "file_path": name, "id": identity}
                records.append({**record, "processed_tokens": [caption.split() for caption in captions]})
    (root / "reid_raw.json").write_text(json.dumps(records))
    return root


@pytest.fixture(scope="session")
def colours(colour_root: Path) -> DataSet:
    """The same folder as a data set."""
    splits: dict[str, list[ImageRecord]] = {}
    for record in json.loads((colour_root / "reid_raw.json").read_text()):
        image = ImageRecord(colour_root / "imgs" / record["file_path"], record["id"], tuple(record["captions"]))
        splits.setdefault(record["split"], []).append(image)
    return DataSet(
        "colours", colour_root, {name: Split("colours", name, tuple(images)) for name, images in splits.items()}
    )


@pytest.fixture(scope="session")
def colour_tokenizer(colours: DataSet) -> Tokenizer:
    return train_tokenizer([pair.caption for split in colours.splits.values() for pair in split.pairs()], 400, 24)


@pytest.fixture
def colour_model(colour_tokenizer: Tokenizer) -> Callable[..., LoadedModel]:
    """Makes a loaded model around a `ColourMethod`."""

    def make(source: str = "colours.safetensors", method: Method | None = None) -> LoadedModel:
        return LoadedModel(
            name="colour reader",
            method=ColourMethod(colour_tokenizer) if method is None else method,
            tokenizer=colour_tokenizer,
            settings=ModelSettings(method={"name": "dual"}, image=IMAGE),
            identities=0,
            report=KeyReport(source, "a test double"),
            precision="fp32",
        )

    return make
