"""One sentence and one crop as a model reads them, and the model's score for changed versions of both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.data.images import to_rgb
from pickout.data.transforms import prepare
from pickout.errors import CheckpointError, UsageError
from pickout.methods.base import Method
from pickout.shapes import Float, Int, TokenBatch
from pickout.text.tokenizer import Tokenizer, Word

Array = NDArray[np.float32]
Rows = TypeVar("Rows", Tensor, Sequence[Tensor])
BATCH = 64
"""Changed crops or sentences encoded at a time."""


class Encoder(Protocol):
    """What an explanation asks of a model; a `LoadedModel` and the evaluation's encoder both have it."""

    @property
    def method(self) -> Method:
        """The trained method."""

    @property
    def tokenizer(self) -> Tokenizer:
        """As in training."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the patches of an image tower lie.

    Args:
        rows: patches from top to bottom.
        columns: patches from left to right.
        patch: side of a patch in pixels.
        stride: distance between patches in pixels.
        height: of the prepared image in pixels.
        width: of the prepared image in pixels.
    """

    rows: int
    columns: int
    patch: int
    stride: int
    height: int
    width: int

    @property
    def patches(self) -> int:
        """How many there are."""
        return self.rows * self.columns

    def cover(self) -> NDArray[np.bool_]:
        """True where a pixel belongs to a patch. Shape: (patches, height, width)."""
        inside = np.zeros((self.rows, self.columns, self.height, self.width), np.bool_)
        for row in range(self.rows):
            for column in range(self.columns):
                top, left = row * self.stride, column * self.stride
                inside[row, column, top : top + self.patch, left : left + self.patch] = True
        return inside.reshape(self.patches, self.height, self.width)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A sentence and a crop.

    Args:
        sentence: as it was given.
        words: every word and every run of punctuation of it.
        ids: the encoded sentence. Shape: (tokens,).
        picture: the crop, upright, RGB, at its own size.
        pixels: the crop as the image tower reads it. Shape: (3, height, width).
        grid: where the patches lie.
    """

    sentence: str
    words: tuple[Word, ...]
    ids: Int[Tensor, " tokens"]
    picture: Image.Image
    pixels: Float[Tensor, "3 height width"]
    grid: Grid

    @property
    def told(self) -> tuple[int, ...]:
        """Positions in `words` of the words that the model reads: no punctuation, none that the context cut off."""
        return tuple(n for n, word in enumerate(self.words) if word.spoken and word.positions)


def make_pair(model: LoadedModel, sentence: str, picture: Image.Image) -> Pair:
    """Prepare a sentence and a crop.

    Args:
        model: from `pickout.load`.
        sentence: a description of a person.
        picture: of any size and mode, upright.

    Raises:
        UsageError: the sentence holds no word, or the method has no image tower of patches.
    """
    words = tuple(model.tokenizer.words(sentence))
    ids = torch.from_numpy(model.tokenizer.encode([sentence])[0])
    image = to_rgb(picture)
    pair = Pair(sentence, words, ids, image, prepare(image, model.image_settings), grid_of(model))
    if not pair.told:
        shown = sentence if len(sentence) <= 40 else f"{sentence[:40]}..."
        raise UsageError(f"sentence '{shown}': no word that the model reads; describe a person in words")
    return pair


def grid_of(model: LoadedModel) -> Grid:
    """Where the patches of the model's image tower lie.

    Raises:
        UsageError: the method has no image tower.
    """
    tower = getattr(model.method, "vision", None)
    if tower is None:
        raise UsageError(f"{model.name}: the method '{type(model.method).__name__}' has no image tower to look into")
    image, vision = model.settings.image, model.settings.vision
    rows, columns = tower.grid
    return Grid(rows, columns, vision.patch, vision.stride, image.height, image.width)


def text_batch(encoder: Encoder, rows: Sequence[Int[Tensor, " tokens"]]) -> TokenBatch:
    """Rows of ids as one batch on the encoder's device."""
    ids = torch.stack(list(rows))
    mask = torch.from_numpy(encoder.tokenizer.mask(ids.numpy()))
    return TokenBatch(ids, mask).to(encoder.device)


@torch.no_grad()
def embed_images(encoder: Encoder, pixels: Float[Tensor, "images 3 height width"]) -> Array:
    """Embeddings in float32, since what a single patch does to a score is small. Shape: (images, dimension)."""
    parts = [
        encoder.method.encode_images(batch.to(encoder.device)).embedding.float().cpu() for batch in _batches(pixels)
    ]
    return _finite(torch.cat(parts))


@torch.no_grad()
def embed_texts(encoder: Encoder, rows: Sequence[Int[Tensor, " tokens"]]) -> Array:
    """Embeddings of rows of ids in float32. Shape: (rows, dimension)."""
    parts = [
        encoder.method.encode_texts(text_batch(encoder, batch)).embedding.float().cpu() for batch in _batches(rows)
    ]
    return _finite(torch.cat(parts))


@torch.no_grad()
def match_scores(
    encoder: Encoder, pixels: Float[Tensor, "images 3 height width"], row: Int[Tensor, " tokens"]
) -> Array:
    """The second score of pictures with one row of ids. Shape: (images,).

    Args:
        encoder: a model whose method has a second score.
        pixels: prepared pictures.
        row: ids of a sentence.
    """
    method = encoder.method
    text = method.encode_texts(text_batch(encoder, [row]))
    parts = []
    for batch in _batches(pixels):
        memory = method.remember(method.encode_images(batch.to(encoder.device)).tokens)
        images = len(batch)
        states, mask = text.tokens.expand(images, -1, -1), text.texts.mask.expand(images, -1)
        place = torch.arange(images, device=encoder.device)
        parts.append(method.match_pairs(memory, states, mask, place).float().cpu())
    return _finite(torch.cat(parts))


def _batches(rows: Rows) -> Iterator[Rows]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def _finite(embedding: Tensor) -> Array:
    array: Array = embedding.numpy()
    if not np.isfinite(array).all():
        raise CheckpointError("the model gives numbers that are not finite; its weights are damaged or diverged")
    return array
