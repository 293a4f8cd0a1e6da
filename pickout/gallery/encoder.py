"""What a gallery asks of a model, and of how many crops at once."""

from collections.abc import Sequence
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np
from PIL import Image

from pickout.errors import GalleryError
from pickout.gallery.vectors.exact import Floats, Tokens
from pickout.text.familiarity import Familiarity


@runtime_checkable
class Encoder(Protocol):
    """Turns crops and sentences into vectors of one space, whose inner product is the score. A loaded model is one; so
    is a few lines of test code. Equal fingerprints must mean equal vectors."""

    @property
    def name(self) -> str:
        """What to call the model in a message, for example `itself`."""

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest over all that decides the vectors: weights, settings, tokenizer."""

    @property
    def dimension(self) -> int:
        """Length D of a vector."""

    def encode_images(self, images: list[Image.Image]) -> Floats:
        """Unit vectors (n, D) of n RGB images of any size."""

    def encode_texts(self, texts: list[str]) -> Floats:
        """Unit vectors (n, D) of n sentences."""


@runtime_checkable
class Matching(Protocol):
    """An encoder that can look again: it compares a sentence with a crop's tokens, not only with its vector."""

    @property
    def candidates(self) -> int:
        """How many of the best by vector to look at again; 0: this model has no second look."""

    def encode_images_with_tokens(self, images: list[Image.Image]) -> tuple[Floats, Tokens]:
        """Unit vectors (n, D), and tokens (n, tokens, width) as bfloat16 bit patterns."""

    def match(self, sentence: str, tokens: Tokens) -> Floats:
        """Matching scores (n,) of a sentence with the tokens (n, tokens, width) of n crops."""


@runtime_checkable
class Reading(Protocol):
    """An encoder that can tell which words of a sentence it knows."""

    def familiarity(self, sentence: str) -> Familiarity:
        """How much of `sentence` its tokenizer knows."""


def keeps_tokens(encoder: Encoder) -> TypeGuard[Matching]:
    """Whether the model has a second look, for which a gallery keeps tokens."""
    return isinstance(encoder, Matching) and encoder.candidates > 0


def vectors_and_tokens(
    encoder: Encoder, images: list[Image.Image], *, tokens: bool = False
) -> tuple[Floats, Sequence[Tokens | None]]:
    """What a gallery keeps of `images`: vectors (n, D), where a row may hold values that are not finite, and tokens
    (tokens, width) where wanted for a second look. As in the other functions here, `GalleryError` where the encoder
    breaks its promise."""
    if not images or not tokens or not isinstance(encoder, Matching):
        vectors = encoder.encode_images(images) if images else None
        return _checked(encoder, vectors, len(images)), [None] * len(images)
    vectors, kept = encoder.encode_images_with_tokens(images)
    if kept.ndim != 3 or len(kept) != len(images) or kept.dtype != np.uint16:
        told = f"gave tokens of shape {kept.shape} for {len(images)} images"
        raise GalleryError(f"model {encoder.name}: {told}, expected ({len(images)}, tokens, width) of bfloat16 bits")
    return _checked(encoder, vectors, len(images)), list(kept)


def picture_vectors(encoder: Encoder, images: list[Image.Image]) -> Floats:
    """The vectors (n, D) of pictures that are searched for, finite."""
    return _checked(encoder, encoder.encode_images(images) if images else None, len(images), "the picture's")


def sentence_vectors(encoder: Encoder, sentences: list[str]) -> Floats:
    """The vectors (n, D) of `sentences`, finite."""
    return _checked(encoder, encoder.encode_texts(sentences) if sentences else None, len(sentences), "the sentence's")


def _checked(encoder: Encoder, vectors: Floats | None, count: int, whose: str = "") -> Floats:
    """Of the promised shape, where None stands for none of nothing, and finite where they are told to be `whose`."""
    found = np.asarray(np.empty((0, encoder.dimension)) if vectors is None else vectors, dtype=np.float32)
    if found.shape != (wanted := (count, encoder.dimension)):
        told = f"gave an array of shape {found.shape} for {count} inputs, expected {wanted}"
        raise GalleryError(f"model {encoder.name}: {told}")
    if whose and not np.isfinite(found).all():
        raise GalleryError(f"model {encoder.name}: {whose} vector holds NaN or infinite values; is it trained?")
    return found


SIZES = (8, 16, 32)  # batches tried in turns; small ones stay in the processor's caches, large ones suit a GPU
_TURNS = 2  # how often each is timed; the better time counts, since other work on a machine only ever adds


class BatchSize:
    """How many crops are encoded next: as told, or what is fastest here, tried out with the first crops of a run."""

    def __init__(self, told: int | None) -> None:
        # The first batch of all is not counted: a model is still making itself ready.
        self._plan = [] if told else [max(SIZES), *SIZES * _TURNS]
        self._times: dict[int, float] = {}
        self.now = told or self._plan[0]

    def took(self, count: int, seconds: float) -> None:
        """Hear how long the encoding of `count` crops took; a batch that was not full tells nothing."""
        if not self._plan or count < self.now:
            return
        if len(self._plan) <= len(SIZES) * _TURNS:
            self._times[self.now] = min(seconds / count, self._times.get(self.now, seconds))
        self._plan.pop(0)
        self.now = self._plan[0] if self._plan else min(self._times, key=self._times.__getitem__)
