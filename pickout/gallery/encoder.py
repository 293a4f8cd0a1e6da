"""What a gallery asks of a model."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pickout.errors import GalleryError


class Encoder(Protocol):
    """Turns crops and sentences into vectors of one space, whose inner product is the score.

    A loaded model is one; so is a few lines of test code. Equal fingerprints must mean equal vectors.
    """

    @property
    def name(self) -> str:
        """What to call the model in a message, for example `itself`."""

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest over all that decides the vectors: weights, settings, tokenizer."""

    @property
    def dimension(self) -> int:
        """Length D of a vector."""

    def encode_images(self, images: list[Image.Image]) -> NDArray[np.float32]:
        """Unit vectors (n, D) of n RGB images of any size."""

    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Unit vectors (n, D) of n sentences."""


def image_vectors(encoder: Encoder, images: list[Image.Image]) -> NDArray[np.float32]:
    """The vectors (n, D) of `images`, of the promised shape. A row may hold values that are not finite.

    Raises:
        GalleryError: the encoder broke its promise.
    """
    return _checked(encoder, encoder.encode_images(images), len(images))


def sentence_vector(encoder: Encoder, sentence: str) -> NDArray[np.float32]:
    """The vector (D,) of `sentence`, finite and of the promised shape.

    Raises:
        GalleryError: the encoder broke its promise.
    """
    vector: NDArray[np.float32] = _checked(encoder, encoder.encode_texts([sentence]), 1)[0]
    if not np.isfinite(vector).all():
        raise GalleryError(f"model {encoder.name}: the sentence's vector holds NaN or infinite values; is it trained?")
    return vector


def _checked(encoder: Encoder, vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.shape != (count, encoder.dimension):
        raise GalleryError(
            f"model {encoder.name}: gave an array of shape {vectors.shape} for {count} inputs, "
            f"expected {(count, encoder.dimension)}"
        )
    return vectors
